"""Students of every family: the head taken apart gives the model's own logits, and what is saved loads plainly."""

import json

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from limbeck.data import View
from limbeck.errors import LimbeckError
from limbeck.models import Card, ScratchSettings, StudentSettings
from limbeck.models.families import wide_product
from limbeck.models.loading import load, open_student, save_student
from limbeck.models.student import Student
from limbeck.models.tokenization import IGNORE, ViewIds
from limbeck.tasks import get
from tests.helpers import builders
from tests.models.students import FAMILIES, random_student


def batch_of(student: Student, targets: list[str | None]) -> dict:
    """Return a batch in one view; an example whose target is None has none."""
    sources, _ = student.source_ids(builders.TEXTS[: len(targets)])
    ids = [student.target_ids([text])[0] if text else [] for text in targets]
    return student.collator()([{View.PREDICT: [ViewIds(*pair)]} for pair in zip(sources, ids, strict=True)])


@pytest.mark.parametrize("kind", FAMILIES)
@torch.no_grad()
def test_head_on_hidden_states_gives_the_models_logits_whatever_other_examples_lack(kind):
    student, texts = random_student(kind), ["The answer is", "yes"]
    batches = [batch_of(student, targets) for targets in (texts, [*texts, None], [None])]
    hidden, mixed, alone = (student.hidden_states(batch)[View.PREDICT] for batch in batches)
    batch, targets = batches[0], batches[0]["targets"][View.PREDICT]
    fed = student.model.prepare_decoder_input_ids_from_labels(targets)
    expected = student.model(batch["input_ids"], batch["attention_mask"], decoder_input_ids=fed).logits
    torch.testing.assert_close(student.head().logits(hidden), expected[targets != IGNORE], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mixed, hidden, rtol=1e-5, atol=1e-5)
    assert (fed[:, 0] == student.model.generation_config.decoder_start_token_id).all()
    assert len(alone) == 0


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_wide_product_is_not_rounded(device):
    """On a GPU by a product of its own; fake tensors have its shapes and types without one."""
    a, b = torch.randn(3, 8).bfloat16(), torch.randn(8, 5).bfloat16()
    torch.testing.assert_close(wide_product(a, b, torch.float32), a.float() @ b.float())
    with FakeTensorMode():
        options = {"device": device, "dtype": torch.bfloat16}
        product = wide_product(torch.randn(3, 8, **options), torch.randn(8, 5, **options), torch.float32)
    assert (product.shape, product.dtype, product.device.type) == ((3, 5), torch.float32, device)


@pytest.mark.parametrize("kind", ["t5-1.1", "t5gemma", "roberta-pair", "scratch"])
def test_a_saved_student_loads_with_from_pretrained_and_answers_the_same(kind, tmp_path):
    student, folder = random_student(kind), tmp_path / "model"
    views = {"answer_view": View.PREDICT, "rationale_view": View.EXPLAIN}
    card = Card(task="custom", objective="dss", **views, max_source_length=1024, max_target_length=10)
    save_student(student, card, folder)
    plain, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for name, weight in student.model.state_dict().items():
        torch.testing.assert_close(plain.state_dict()[name], weight, rtol=0, atol=0)
    assert "limbeck" not in (folder / "config.json").read_text()
    ids = tokenizer(builders.TEXTS[0], return_tensors="pt")["input_ids"]
    answer = plain.generate(input_ids=ids, max_new_tokens=10)
    student.max_target_length = 10
    answers = student.generate(builders.TEXTS, batch_size=2)
    assert tokenizer.decode(answer[0], skip_special_tokens=True).strip() == answers[0]
    again, read = open_student(folder)
    assert read == card
    assert again.generate(builders.TEXTS, batch_size=2) == answers


def test_scratch_tokenizer_keeps_digits_apart_and_gives_every_text_back():
    recipe = StudentSettings(scratch=ScratchSettings(vocab_size=320))
    tokenizer, again = (load(recipe, builders.TEXTS, get("custom")).tokenizer for _ in range(2))
    assert tokenizer.get_vocab() == again.get_vocab()
    for text in ["( 84.0 / 2.0 )", "ünïcode 中文 🙂\n tabs\tand  blanks", ""]:
        ids = tokenizer(text)["input_ids"]
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert "84" in tokenizer.tokenize("scored 84.0")  # frequent in the training text: one token
    assert not [token for token in tokenizer.get_vocab() if any(c.isdigit() for c in token) and not token.isdigit()]


def test_the_position_limit_of_an_encoder_caps_the_lengths():
    student = random_student("roberta-pair")
    assert student.model.config.decoder_start_token_id == student.tokenizer.bos_token_id
    assert student.max_source_length == 62  # 64 positions, of which RoBERTa never uses the first two
    student.generate(["yes " * 500], batch_size=1)


def refusal(**values) -> str:
    with pytest.raises(LimbeckError) as error:
        load(StudentSettings(**{name: str(value) for name, value in values.items()}), (), get("custom"))
    return str(error.value)


def test_a_checkpoint_that_cannot_be_a_student_is_refused(tmp_path):
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=1))
    gpt2.save_pretrained(tmp_path / "gpt2")
    bert, roberta = builders.encoder(tmp_path / "bert", "bert"), builders.encoder(tmp_path / "roberta", "roberta")
    t5, bart = builders.t5(tmp_path / "t5"), builders.bart(tmp_path / "bart")
    assert "cannot be loaded" in refusal(name=tmp_path / "nowhere")
    assert "writes no text" in refusal(name=bert)
    assert "different vocabularies" in refusal(encoder=bert, decoder=roberta)
    assert "a pair is made of" in refusal(encoder=bert, decoder=tmp_path / "gpt2")
    (t5 / "model.safetensors").write_bytes((bart / "model.safetensors").read_bytes())
    assert "do not fit" in refusal(name=t5)
    (t5 / "model.safetensors").write_bytes(b"not weights at all")
    assert "cannot be loaded" in refusal(name=t5)
    config = json.loads((bart / "config.json").read_text())
    (bart / "config.json").write_text(json.dumps({**config, "decoder_start_token_id": None, "decoder": None}))
    assert "lacks decoder_start_token_id" in refusal(name=bart)


def test_a_checkpoints_own_code_is_never_run(tmp_path, monkeypatch):
    folder = builders.t5(tmp_path / "t5")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForSeq2SeqLM": "mine.Mine"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine: pass\n")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    assert "cannot be loaded" in refusal(name=folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("values", [{}, {"name": "a", "scratch": {}}, {"encoder": "a"}])
def test_settings_that_name_no_student_or_two_are_refused(values):
    with pytest.raises(LimbeckError):
        StudentSettings.parse(values, "student")
