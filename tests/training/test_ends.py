"""Students whose tokenizer ends no text, or whose model has several ends: they learn to answer, and to stop."""

import json
from pathlib import Path

import pytest
import torch
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
    T5GemmaConfig,
    T5GemmaForConditionalGeneration,
)

from limbeck.files import read_jsonl
from limbeck.models.loading import open_student
from limbeck.runs import Recipe, train
from tests.helpers.tokenizers import endless, gemma, t5

COLOURS = {"scored": "He won", "playing": "no", "rounds": "maybe not"}


def small_t5(tokenizer: PreTrainedTokenizerBase, ends: int | list[int]) -> T5ForConditionalGeneration:
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2, "vocab_size": len(tokenizer)}
    return T5ForConditionalGeneration(
        T5Config(**sizes, decoder_start_token_id=0, pad_token_id=0, eos_token_id=ends, feed_forward_proj="gated-gelu")
    )


def small_t5gemma(tokenizer: PreTrainedTokenizerBase) -> T5GemmaForConditionalGeneration:
    """A T5Gemma whose configuration is the library's but for its size."""
    stack = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 16, "vocab_size": len(tokenizer),
    }  # fmt: skip
    return T5GemmaForConditionalGeneration(T5GemmaConfig(encoder=stack, decoder=stack, vocab_size=len(tokenizer)))


def made(kind: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    torch.manual_seed(0)
    match kind:
        case "t5gemma":
            tokenizer = gemma()
            return small_t5gemma(tokenizer), tokenizer
        case "t5-endless":
            tokenizer = endless()
            return small_t5(tokenizer, 1), tokenizer
    tokenizer = t5()
    return small_t5(tokenizer, [len(tokenizer) - 1, 1, len(tokenizer) - 2]), tokenizer


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("t5gemma", marks=pytest.mark.slow),
        "t5-endless",
        pytest.param("t5-several-ends", marks=pytest.mark.slow),
    ],
)
def test_a_student_learns_to_end_whatever_its_tokenizer_adds(kind, tmp_path: Path):
    model, tokenizer = made(kind)
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "student")
    rows = [
        {"input": f"Luke {word} {number} points", "label": label, "rationale": f"The man {word}."}
        for number in range(40)
        for word, label in COLOURS.items()
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {
        "data": {
            "task": "custom",
            "source": {"kind": "files", "train_file": str(tmp_path / "rows.jsonl")},
            "test_fraction": 0.3,
        },
        "student": {"name": str(tmp_path / "student"), "max_target_length": 30},
        "objective": "dss",
        "training": {
            "max_steps": 150, "per_device_train_batch_size": 16, "learning_rate": 5e-3, "eval_strategy": "no",
            "save_strategy": "no", "lr_scheduler_type": "constant",
        },
        "seed": 1,
    }  # fmt: skip
    run = train(Recipe.parse(values, "test"), tmp_path / "run")
    assert run.results["test"]["accuracy"] >= 0.95
    said = {row["prediction"] for _, row in read_jsonl(run.predictions("test"))}
    assert said <= set(COLOURS.values())
    student, _ = open_student(run.model)
    ends = student.model.config.eos_token_id
    for answer in student.answer(["predict: Luke scored 3 points"], [[]], max_new_tokens=30, batch_size=1):
        assert answer.ids[-1] == student.codec.end
        assert answer.ids[-1] in (ends if isinstance(ends, list) else [ends])
        assert len(answer.ids) < 12
