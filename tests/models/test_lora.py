"""LoRA: an adapter in a plain model, saved alone, loaded with its base, merged to the same logits."""

import copy
import json
import shutil

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedModel

from limbeck.data import View, source
from limbeck.errors import ModelError, RecipeError
from limbeck.hub import cached_revision, is_decoder
from limbeck.models import Card, StudentSettings
from limbeck.models.loading import load, open_student, prompt_texts, save_merged, save_student
from limbeck.models.lora import merged
from limbeck.models.settings import LoraSettings
from limbeck.schema import Example
from limbeck.tasks import get
from tests.helpers import builders, decoders

IDS = torch.tensor([[5, 6, 7, 8, 9]])
OLD, NEW = "a" * 40, "b" * 40  # revisions
TEXTS = [source(Example(str(n), ("word " * n + "end",), ""), View.PREDICT) for n in (1, 9, 3)]


def adapted(folder, family="llama", **options):
    """Return a student with an adapter that changes its answers, and its base's folder."""
    base = decoders.decoder(folder / "base", family)
    student = load(StudentSettings(name=str(base), max_target_length=20, lora={"r": 4, **options}), [], get("svamp"))
    torch.manual_seed(1)
    for name, weight in student.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return student.eval(), base


def logits(model):
    with torch.no_grad():
        return model(IDS).logits


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"use_dora": True}, {"target_modules": ["q_proj"]}])
def test_only_the_adapter_is_trained_and_the_head_never(options, tmp_path):
    student, base = adapted(tmp_path, **options)
    trained = [name for name, weight in student.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    assert not any("lm_head" in name or "embed" in name for name in trained)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    assert not torch.allclose(logits(student.model), logits(plain), atol=1e-3)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_merged_weights_give_the_adapters_logits_without_limbeck(family, tmp_path):
    student, base = adapted(tmp_path, family)
    whole = merged(student.model)
    torch.testing.assert_close(logits(whole), logits(student.model), rtol=1e-4, atol=1e-4)
    whole.save_pretrained(tmp_path / "whole")
    reloaded, info = AutoModelForCausalLM.from_pretrained(
        tmp_path / "whole", dtype=torch.float32, output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    torch.testing.assert_close(logits(reloaded), logits(student.model), rtol=1e-4, atol=1e-4)
    # the student is as it was
    save_student(student, card(), tmp_path / "adapter")
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    by_peft = PeftModel.from_pretrained(plain, tmp_path / "adapter")
    torch.testing.assert_close(logits(by_peft), logits(student.model), rtol=1e-5, atol=1e-5)


def card():
    prompts = {"template": "plain", "instructions": dict.fromkeys(View, "Answer:")}
    return Card.parse(
        {
            "task": "svamp", "objective": "finetune", "answer_view": "predict", "prompts": prompts,
            "max_source_length": 100, "max_target_length": 20,
        },
        "card",
    )  # fmt: skip


def test_a_saved_adapter_answers_as_before_and_holds_no_base(tmp_path):
    student, base = adapted(tmp_path)
    save_student(student, card(), tmp_path / "model")
    assert not (tmp_path / "model" / "model.safetensors").exists()
    config = json.loads((tmp_path / "model" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base)
    reopened, _ = open_student(tmp_path / "model")
    assert reopened.generate(TEXTS, batch_size=2) == student.generate(TEXTS, batch_size=3)
    save_merged(tmp_path / "model", tmp_path / "merged")
    whole, info = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", output_loading_info=True)
    assert not info["missing_keys"] | info["unexpected_keys"]
    torch.testing.assert_close(logits(whole), logits(student.model), rtol=1e-4, atol=1e-4)


def test_a_training_that_goes_on_keeps_the_adapters_kind(tmp_path):
    student, _ = adapted(tmp_path)
    save_student(student, card(), tmp_path / "model")
    settings = {"name": str(tmp_path / "model"), "max_target_length": 20}
    further = load(StudentSettings(**settings, lora={"r": 4}), [], get("svamp"))
    assert any(weight.requires_grad for weight in further.parameters())
    with pytest.raises(RecipeError) as error:
        load(StudentSettings(**settings, lora={"r": 8}), [], get("svamp"))
    assert error.value.field == "student.lora.r"
    texts = prompt_texts(StudentSettings(**settings), get("svamp"))
    prompt, target = texts(Example("1", ("Two and two?",), "( 2 + 2 )"), View.PREDICT)
    assert (prompt, target) == ("Question: Two and two?\nAnswer:", f" ( 2 + 2 ){student.tokenizer.eos_token}")


def test_ctranslate2_runs_the_merged_weights(tmp_path, monkeypatch):
    student, _ = adapted(tmp_path)
    copies, deepcopy = [], copy.deepcopy
    monkeypatch.setattr(copy, "deepcopy", lambda value, memo=None: copies.append(value) or deepcopy(value, memo))
    student.engine("ctranslate2")
    assert [value is student.model for value in copies if isinstance(value, PreTrainedModel)] == [True]
    monkeypatch.undo()
    assert student.generate(TEXTS, batch_size=2, engine="ctranslate2") == student.generate(TEXTS, batch_size=2)


def test_targets_that_match_nothing_are_refused_with_the_names_there_are(tmp_path):
    with pytest.raises(ModelError, match=r"down_proj.*q_proj"):
        adapted(tmp_path, target_modules=["qkv"])


def test_an_adapter_without_its_base_or_of_another_is_refused(tmp_path):
    student, base = adapted(tmp_path)
    save_student(student, card(), tmp_path / "model")
    base.rename(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="base"):
        open_student(tmp_path / "model")
    decoders.decoder(base, "gpt2")
    with pytest.raises(ModelError):
        open_student(tmp_path / "model")


def in_cache(folder, cache, name):
    """Copy a model into the Hub's cache as an old revision of `name` and the newest, whose folder is returned."""
    repository = cache / f"models--{name.replace('/', '--')}"
    for revision in (OLD, NEW):
        shutil.copytree(folder, repository / "snapshots" / revision)
        for name in {"config.json", "adapter_config.json"} - {path.name for path in folder.iterdir()}:
            missing = repository / ".no_exist" / revision / name  # as the cache remembers it
            missing.parent.mkdir(parents=True)
            missing.touch()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(NEW)
    return repository / "snapshots" / NEW


def test_an_adapter_on_the_hub_finds_the_revision_of_its_base(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    student, base = adapted(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(base)
    torch.nn.init.normal_(model.get_input_embeddings().weight)
    model.save_pretrained(in_cache(base, tmp_path / "hub", "me/base"))
    save_student(student, card(), tmp_path / "model")
    path = tmp_path / "model" / "adapter_config.json"
    config = json.loads(path.read_text()) | {"base_model_name_or_path": "me/base", "revision": OLD}
    path.write_text(json.dumps(config))
    in_cache(tmp_path / "model", tmp_path / "hub", "me/adapter")
    assert is_decoder("me/adapter")
    assert [cached_revision(name, revision) for name, revision in (("me/adapter", None), ("me/base", OLD))] == [
        NEW,
        OLD,
    ]
    further = load(StudentSettings(name="me/adapter", max_target_length=20, lora={"r": 4}), [], get("svamp"))
    torch.testing.assert_close(logits(further.eval().model), logits(student.model), rtol=1e-4, atol=1e-4)


def test_an_adapter_of_an_encoder_decoder_is_refused(tmp_path):
    name = str(builders.t5(tmp_path))
    with pytest.raises(RecipeError) as error:
        load(StudentSettings(name=name, lora=LoraSettings()), [], get("svamp"))
    assert error.value.field == "student.lora"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_weights_of_four_bits_are_refused_without_a_gpu(tmp_path):
    with pytest.raises(ModelError, match="load_in_4bit"):
        load(
            StudentSettings(name=str(decoders.decoder(tmp_path, "llama")), lora={}, load_in_4bit=True), [], get("svamp")
        )
    with pytest.raises(ValueError, match="lora"):
        StudentSettings(name="x", load_in_4bit=True)
