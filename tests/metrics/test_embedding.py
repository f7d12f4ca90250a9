"""Embeddings against one text at a time, by hand."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from limbeck.errors import LimbeckError
from limbeck.metrics.embedding import Encoder
from tests import builders

TEXTS = [
    "yes",
    "He scored 84 points in 2 rounds.",
    "no maybe",
    "84 / 2 is 42. The answer is",
    "yes no " * 20,
    "yes",
    "84",
]
OTHERS = ["no", "He scored 84 points in 2 rounds.", "maybe no", "84", "yes", "scored 42 in", "in rounds."]


def by_hand(folder, texts: list[str], longest: int) -> np.ndarray:
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    model = model.get_encoder() if model.config.is_encoder_decoder else model
    rows = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=longest)["input_ids"]
        with torch.no_grad():
            states = model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy().astype(np.float64)
        mean = sum(states) / len(ids)
        rows.append(mean / (sum(mean**2) ** 0.5))
    return np.array(rows)


@pytest.mark.parametrize(("kind", "longest"), [("bert", 64), ("roberta", 62), ("t5", 512)])
def test_embeddings_are_means_over_real_tokens(kind, longest, tmp_path):
    folder = builders.t5(tmp_path) if kind == "t5" else builders.encoder(tmp_path, kind)
    encoder = Encoder.load(str(folder))
    assert encoder.longest == longest
    texts = [*TEXTS, "yes no maybe " * 1000]
    expected = by_hand(folder, texts, longest)
    for batch_size in (1, 3, 64):
        found = encoder.embed(texts, batch_size)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=2e-6)
    cosines = encoder.similarity(TEXTS, OTHERS)
    others = by_hand(folder, OTHERS, longest)
    np.testing.assert_allclose(cosines, [float(a @ b) for a, b in zip(expected, others, strict=False)], atol=2e-6)
    assert cosines[1] == pytest.approx(1)
    assert min(cosines) < 0.999


def test_texts_without_a_token_are_nothing_alike(tmp_path):
    folder = builders.encoder(tmp_path, "bert")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.post_processor = None  # no [CLS], no [SEP]
    encoder = Encoder("mine", AutoModel.from_pretrained(folder), tokenizer)
    assert encoder.similarity(["", "yes", ""], ["yes", "yes", ""]) == pytest.approx([0, 1, 0])
    assert not encoder.embed([""]).any()
    assert encoder.embed([]).shape == (0, 16)
    assert encoder.similarity(["\ud800", "yes"], ["yes", "yes\udfff"]).shape == (2,)  # half characters


def test_what_cannot_be_loaded_is_one_line(tmp_path):
    with pytest.raises(LimbeckError, match="cannot be loaded as an encoder") as caught:
        Encoder.load(str(tmp_path / "nowhere"))
    assert "\n" not in str(caught.value)
    folder = builders.encoder(tmp_path / "bert", "bert")
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(LimbeckError, match="cannot be loaded as an encoder"):
        Encoder.load(str(folder))
    torch.manual_seed(0)
    model = AutoModel.from_pretrained(builders.encoder(tmp_path / "other", "bert"))
    state = {name: weight for name, weight in model.state_dict().items() if "attention" not in name}
    model.save_pretrained(tmp_path / "part", state_dict=state)
    AutoTokenizer.from_pretrained(tmp_path / "other").save_pretrained(tmp_path / "part")
    with pytest.raises(LimbeckError, match="do not fit its architecture"):
        Encoder.load(str(tmp_path / "part"))
