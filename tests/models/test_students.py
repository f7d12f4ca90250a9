"""Students of every family: the head taken apart gives the model's own logits, and what is saved loads plainly."""

import json
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from limbeck import models
from limbeck.data import View
from limbeck.errors import LimbeckError
from limbeck.models import (
    Card,
    ScratchSettings,
    StudentSettings,
    open_student,
    save_student,
    wide_product,
)
from limbeck.models.batches import pad, padding_mask
from tests import builders

FAMILIES = ["t5-1.0", "t5-1.1", "mt5", "bart", "t5gemma", "pegasus", "bert-pair", "roberta-pair", "scratch"]


def make(kind: str, folder: Path) -> StudentSettings:
    match kind:
        case "t5-1.0" | "t5-1.1":
            return StudentSettings(name=str(builders.t5(folder, version=kind.removeprefix("t5-"))))
        case "mt5":
            return StudentSettings(name=str(builders.t5(folder, mt5=True)))
        case "bart":
            return StudentSettings(name=str(builders.bart(folder)))
        case "t5gemma":
            return StudentSettings(name=str(builders.t5gemma(folder)))
        case "pegasus":
            return StudentSettings(name=str(builders.pegasus(folder)))
        case "bert-pair" | "roberta-pair":
            kind = kind.removesuffix("-pair")
            wide = builders.encoder(folder / "decoder", kind, width=24)
            return StudentSettings(encoder=str(builders.encoder(folder / "encoder", kind)), decoder=str(wide))
    return StudentSettings(scratch=ScratchSettings(vocab_size=300, d_model=16, d_kv=8, d_ff=32, num_heads=2))


def random_head(student: models.Student) -> None:
    """Random biases too, so that leaving one out would show; what is not saved (rotary frequencies) stays."""
    for weight in student.state_dict().values():
        if weight.is_floating_point():
            torch.nn.init.normal_(weight, std=0.3)


@pytest.mark.parametrize("kind", FAMILIES)
def test_head_on_decoder_states_gives_the_models_logits(kind, tmp_path):
    torch.manual_seed(1)
    student = models.load(make(kind, tmp_path), builders.TEXTS).eval()
    random_head(student)
    sources, _ = student.source_ids(builders.TEXTS)
    targets, _ = student.target_ids(["The answer is", "yes", "84 / 2"])
    input_ids, mask = pad(sources, student.pad_id), padding_mask(sources)
    labels = pad(targets, -100)
    with torch.no_grad():
        hidden = student.decode(labels, student.encode(input_ids, mask), mask)
        ours = student.head().logits(hidden)
        fed = student.model.prepare_decoder_input_ids_from_labels(labels)
        theirs = student.model(input_ids=input_ids, attention_mask=mask, decoder_input_ids=fed).logits
    real = labels != -100
    torch.testing.assert_close(ours[real], theirs[real], rtol=1e-5, atol=1e-5)
    assert (fed[:, 0] == student.model.generation_config.decoder_start_token_id).all()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_wide_product_is_not_rounded(device):
    """On a GPU by a product of its own; fake tensors have its shapes and types without one."""
    a, b = torch.randn(3, 8).bfloat16(), torch.randn(8, 5).bfloat16()
    torch.testing.assert_close(wide_product(a, b, torch.float32), a.float() @ b.float())
    with FakeTensorMode():
        made = {"device": device, "dtype": torch.bfloat16}
        product = wide_product(torch.randn(3, 8, **made), torch.randn(8, 5, **made), torch.float32)
    assert (product.shape, product.dtype, product.device.type) == ((3, 5), torch.float32, device)


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_row_without_target_changes_no_other_row(kind, tmp_path):
    torch.manual_seed(1)
    student = models.load(make(kind, tmp_path), builders.TEXTS).eval()
    ids = student.source_ids(builders.TEXTS)[0]
    targets = student.target_ids(["The answer is", "yes"])[0]
    with torch.no_grad():
        memory, mask = student.encode(pad(ids, student.pad_id), padding_mask(ids)), padding_mask(ids)
        hidden = student.decode(pad([*targets, []], -100), memory, mask)
        without = student.decode(pad(targets, -100), memory[:2], mask[:2])
    assert hidden.isfinite().all()
    torch.testing.assert_close(hidden[:2], without, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_saved_student_loads_with_from_pretrained_and_says_the_same(kind, tmp_path):
    torch.manual_seed(1)
    student = models.load(make(kind, tmp_path / "from"), builders.TEXTS)
    random_head(student)
    card = Card(
        task="custom", objective="dss", answer_view=View.PREDICT, rationale_view=View.EXPLAIN,
        max_source_length=1024, max_target_length=12,
    )  # fmt: skip
    folder = tmp_path / "model"
    save_student(student, card, folder)
    plain, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for name, weight in student.model.state_dict().items():
        torch.testing.assert_close(plain.state_dict()[name], weight, rtol=0, atol=0)
    assert "limbeck" not in (folder / "config.json").read_text()
    # what limbeck computes faster it computes alike
    batch = {"input_ids": torch.tensor([[5, 6, 7, 2]]), "decoder_input_ids": torch.tensor([[2, 8, 9]])}
    with torch.no_grad():
        ours, theirs = student.model.eval()(**batch).logits, plain.eval()(**batch).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    text = builders.TEXTS[0]
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    said = plain.generate(input_ids=ids, max_new_tokens=10)
    assert [tokenizer.decode(said[0], skip_special_tokens=True).strip()] == student.generate([text], 10, 1)
    again, read = open_student(folder)
    assert read == card
    assert again.generate(builders.TEXTS, 10, 2) == student.generate(builders.TEXTS, 10, 2)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_a_scratch_v11_has_a_head_of_its_own_and_shares_its_embeddings():
    model = models.load(make("scratch", Path()), builders.TEXTS).model
    assert model.lm_head.weight.data_ptr() != model.shared.weight.data_ptr()
    assert model.encoder.embed_tokens.weight.data_ptr() == model.shared.weight.data_ptr()
    assert not model.config.scale_decoder_outputs
    assert model.config.is_gated_act


def test_scratch_tokenizer_keeps_digits_apart_and_gives_every_text_back():
    settings = ScratchSettings(vocab_size=320)
    one, two = (models.load(StudentSettings(scratch=settings), builders.TEXTS).tokenizer for _ in range(2))
    assert one.get_vocab() == two.get_vocab()
    for text in ["( 84.0 / 2.0 )", "ünïcode 中文 🙂\n tabs\tand  blanks", ""]:
        ids = one(text)["input_ids"]
        assert ids[-1] == one.eos_token_id
        assert one.decode(ids, skip_special_tokens=True) == text
    assert "84" in one.tokenize("scored 84.0")  # frequent in the training text: one token
    assert not [token for token in one.get_vocab() if any(c.isdigit() for c in token) and not token.isdigit()]


def test_batches_do_not_change_what_is_generated(tmp_path):
    torch.manual_seed(1)
    student = models.load(make("t5-1.0", tmp_path), ())
    random_head(student)
    assert student.generate(builders.TEXTS, 12, 3) == [student.generate([text], 12, 1)[0] for text in builders.TEXTS]


def test_cut_texts_are_counted_and_keep_their_end(tmp_path):
    settings = make("t5-1.1", tmp_path).model_copy(update={"max_source_length": 10, "max_target_length": 4})
    student = models.load(settings, ())
    ids, cut = student.source_ids([builders.TEXTS[0], "yes"])
    assert cut == [0]
    assert len(ids[0]) == 10
    assert ids[0][-1] == student.tokenizer.eos_token_id
    assert student.target_ids(["yes"] * 3)[1] == []


def test_the_position_limit_of_an_encoder_caps_the_lengths(tmp_path):
    student = models.load(make("roberta-pair", tmp_path), ())
    assert student.max_source_length == 62  # 64 positions, of which RoBERTa never uses the first two
    student.generate(["yes " * 500], 200, 1)


def test_presets_of_a_checkpoint_are_not_kept(tmp_path):
    folder = builders.bart(tmp_path)
    presets = json.loads((folder / "generation_config.json").read_text()) | {"min_length": 56, "num_beams": 4}
    (folder / "generation_config.json").write_text(json.dumps(presets))
    student = models.load(StudentSettings(name=str(folder)), ())
    assert student.model.generation_config.num_beams in (None, 1)
    assert not student.model.generation_config.min_length


def refused(settings: StudentSettings) -> str:
    with pytest.raises(LimbeckError) as caught:
        models.load(settings, ())
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_is_no_student_is_refused(tmp_path):
    assert "cannot be loaded" in refused(StudentSettings(name=str(tmp_path / "nowhere")))
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=1))
    gpt2.save_pretrained(tmp_path / "gpt2")
    assert "cannot be a student" in refused(StudentSettings(name=str(tmp_path / "gpt2")))
    bert, roberta = builders.encoder(tmp_path / "bert", "bert"), builders.encoder(tmp_path / "roberta", "roberta")
    assert "cannot be a student" in refused(StudentSettings(name=str(bert)))
    assert "different vocabularies" in refused(StudentSettings(encoder=str(bert), decoder=str(roberta)))
    assert "a pair is made of" in refused(StudentSettings(encoder=str(bert), decoder=str(tmp_path / "gpt2")))


def test_a_model_that_does_not_say_how_it_starts_is_refused(tmp_path):
    folder = builders.t5(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "decoder_start_token_id": None}))
    assert "lacks decoder_start_token_id" in refused(StudentSettings(name=str(folder)))


def test_a_checkpoints_own_code_is_never_run(tmp_path, monkeypatch):
    folder = builders.t5(tmp_path / "t5")
    config = json.loads((folder / "config.json").read_text())
    own = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForSeq2SeqLM": "mine.Mine"}}
    (folder / "config.json").write_text(json.dumps(config | own))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine: pass\n")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    assert "cannot be loaded" in refused(StudentSettings(name=str(folder)))
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_architecture_are_refused(tmp_path):
    folder, other = builders.t5(tmp_path / "t5"), builders.bart(tmp_path / "bart")
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    assert "do not fit" in refused(StudentSettings(name=str(folder)))
    (folder / "model.safetensors").write_bytes(b"not weights at all")
    assert "cannot be loaded" in refused(StudentSettings(name=str(folder)))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"name": "a", "scratch": {}},
        {"encoder": "a"},
        {"name": "a", "max_target_length": 0},
        {"scratch": {"vocab_size": 10}},
        {"scratch": {"width": 128}},
    ],
)
def test_settings_that_name_no_student_or_two_are_refused(values):
    with pytest.raises(LimbeckError):
        StudentSettings.parse(values, "student")
