"""The Distiller and the Trainer, against models called plainly and gradients taken separately."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import T5Config, T5ForConditionalGeneration

from limbeck.data import View, source
from limbeck.models.student import Student
from limbeck.objectives import METHODS
from limbeck.training.dataset import tokenize
from limbeck.training.trainer import Distiller
from tests.helpers import tokenizers
from tests.training.small import EXAMPLES, PARTIAL, StopAt, collated, flat, scratch, trainer, weights_of


def batch_of(student, examples, name):
    return collated(student, tokenize(examples, METHODS[name].views, student))


def gradient_of(module, batch, **options):
    """Return a batch's output, and its gradient by all weights."""
    module.zero_grad()
    output = module(**batch, **options)
    output["loss"].backward()
    return output, flat(weight.grad for weight in module.parameters())


def test_dss_is_half_the_sum_of_the_plain_models_two_losses():
    student = scratch().eval()
    batch = batch_of(student, EXAMPLES, "dss")
    output = Distiller(student, METHODS["dss"])(**batch)
    pairs = zip(batch["input_ids"].chunk(2), batch["attention_mask"].chunk(2), batch["labels"].values(), strict=True)
    plain = [
        student.model(input_ids=ids, attention_mask=mask, labels=labels).loss.item() for ids, mask, labels in pairs
    ]
    assert output["loss"].item() == pytest.approx(sum(plain) / 2, rel=1e-5)
    assert [value.item() for value in output["terms"].values()] == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("name", ["finetune", "single-task", "mi", "mi-official", "kl"])
def test_rows_without_a_target_need_not_be_read(name):
    """Reading every row in every view gives the same terms, shares and gradients."""
    student, method = scratch().eval(), METHODS[name]
    data = tokenize([*PARTIAL, *PARTIAL[:2]], method.views, student)
    batch = collated(student, data)
    examples = [{view: ids._replace(target=[1]) for view, ids in data[i].items()} for i in range(len(data))]
    complete = {**student.collator(8)(examples), "labels": batch["labels"]}
    assert len(complete["input_ids"]) - len(batch["input_ids"]) == 2 * (len(method.views) - 1)
    distiller = Distiller(student, method)
    (output, gradient), (expected, plain) = (gradient_of(distiller, b, with_shares=True) for b in (batch, complete))
    for key in ("terms", "shares"):
        torch.testing.assert_close(output[key], expected[key], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(gradient, plain, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", METHODS)
def test_logged_terms_add_up_and_the_loss_falls(name, tmp_path):
    trainer(scratch(), name, tmp_path, max_steps=12, learning_rate=3e-2, eval_steps=12).fit()
    entries = [entry for line in (tmp_path / "log.jsonl").open() if "loss" in (entry := json.loads(line))]
    assert len(entries) == 6
    for entry in entries:
        weighted = sum(term.weight * entry[f"term_{term.name}"] for term in METHODS[name].terms)
        assert entry["loss"] == pytest.approx(weighted, rel=1e-5)
        assert sum(entry[f"share_{term.name}"] for term in METHODS[name].terms) == pytest.approx(1, abs=1e-5)
    assert entries[-1]["loss"] < 0.9 * entries[0]["loss"]


def test_gradient_checkpointing_changes_no_weight(tmp_path):
    weights = []
    for enabled in (False, True):
        student = scratch()
        trainer(student, "mi", tmp_path / str(enabled), gradient_checkpointing=enabled, max_steps=2).fit()
        weights.append(weights_of(student))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "rounded"), [("mi", True), ("mi-official", False)])
def test_only_the_official_term_keeps_batches_as_short_as_they_can_be(name, rounded, tmp_path):
    training = trainer(scratch(), name, tmp_path)
    longest = int(training.training_set.lengths[:, 2].max())
    assert longest % 8 != 0
    batch = training.data_collator([training.training_set[i] for i in range(12)])
    assert batch["labels"][View.EXPLAIN].shape[1] == (-(-longest // 8) * 8 if rounded else longest)


@pytest.mark.parametrize(("batch", "accumulate"), [(4, 1), (2, 2)])
def test_a_stopped_training_goes_on_to_the_same_weights(batch, accumulate, tmp_path):
    sizes = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulate, "eval_steps": 2}
    trainer(scratch(dropout=0.2), "mi", tmp_path / "unbroken", **sizes).fit()
    # the same six steps, but the first trainer is dropped inside the second epoch, as if it had been killed
    first = trainer(scratch(dropout=0.2), "mi", tmp_path / "broken", **sizes)
    first.add_callback(StopAt(4))
    first.fit()
    second = trainer(scratch(dropout=0.2), "mi", tmp_path / "broken", **sizes)
    second.fit()
    assert second.state.global_step == 6
    weights = (tmp_path / name / "checkpoints/checkpoint-6/model.safetensors" for name in ("unbroken", "broken"))
    assert len({path.read_bytes() for path in weights}) == 1
    steps = [json.loads(line)["step"] for line in (tmp_path / "broken" / "log.jsonl").open()]
    assert steps == sorted(steps)


def test_half_written_checkpoints_are_passed_over_and_a_finished_one_is_not_trained_on(tmp_path):
    student = scratch()
    trainer(student, "finetune", tmp_path).fit()
    broken = tmp_path / "checkpoints" / "checkpoint-9"
    broken.mkdir()
    (broken / "trainer_state.json").write_text('{"global_step": 9, "log_his')
    again = scratch()
    resumed = trainer(again, "finetune", tmp_path)
    resumed.fit()
    assert resumed.state.global_step == 6
    assert torch.equal(weights_of(student), weights_of(again))


@pytest.mark.parametrize("changes", [{"eval_strategy": "epoch", "save_strategy": "epoch"}, {"eval_steps": 0.3}])
def test_the_best_checkpoint_is_saved_and_in_the_student_at_the_end(changes, tmp_path):
    student = scratch()
    training = trainer(student, "finetune", tmp_path, accuracies=[0.1, 0.9, 0.3, 0.2], max_steps=7, **changes)
    training.fit()
    best = tmp_path / "checkpoints" / f"checkpoint-{training.state.best_global_step}" / "model.safetensors"
    assert 0 < training.state.best_global_step < 7
    assert torch.equal(load_file(best)["lm_head.weight"], student.model.lm_head.weight)


def test_a_student_whose_tokenizer_ends_no_text_learns_to_end(tmp_path):
    torch.manual_seed(0)
    tokenizer, sizes = tokenizers.endless(), {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2}
    ids = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": [1, 5], "vocab_size": len(tokenizer)}
    student = Student(T5ForConditionalGeneration(T5Config(**sizes, **ids)), tokenizer, 64, 30)
    examples = [replace(example, label="no maybe") for example in EXAMPLES]
    options = {"max_steps": 40, "learning_rate": 1e-2, "eval_strategy": "no", "save_strategy": "no"}
    trainer(student, "finetune", tmp_path, examples=examples, **options).fit()
    texts = [source(example, View.PREDICT) for example in examples]
    answers = student.answer(texts, [[]] * 12, batch_size=12)
    assert {(answer.text, answer.ids[-1]) for answer in answers} == {("no maybe", 1)}
