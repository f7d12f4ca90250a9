"""The Distiller and the Trainer, against models called plainly and gradients taken separately."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from limbeck.data import View
from limbeck.errors import LimbeckError
from limbeck.objectives import METHODS, objective
from limbeck.training.dataset import Collator
from limbeck.training.preprocessing import tokenize
from limbeck.training.settings import TrainingSettings
from limbeck.training.trainer import Distiller, training_arguments
from tests.training.small import EXAMPLES, PARTIAL, StopAt, scratch, trainer, weights_of


def collated(student, examples, name):
    """Make all the examples one batch."""
    rows = tokenize(examples, objective(name).views, student).__getitems__(range(len(examples)))
    return Collator(student.pad_id)(rows)


def test_dss_is_half_the_sum_of_the_plain_models_two_losses():
    student = scratch().eval()
    batch = collated(student, EXAMPLES, "dss")
    output = Distiller(student, objective("dss"))(**batch)
    plain = [
        student.model(input_ids=ids, attention_mask=mask, labels=labels).loss.item()
        for ids, mask, labels in zip(
            batch["input_ids"].chunk(2), batch["attention_mask"].chunk(2), batch["labels"].values(), strict=True
        )
    ]
    assert output["loss"].item() == pytest.approx(sum(plain) / 2, rel=1e-5)
    assert [value.item() for value in output["terms"].values()] == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("name", ["finetune", "single-task", "mi", "mi-official", "kl"])
def test_rows_without_a_target_need_not_be_read(name):
    """Reading every row in every view gives the same terms, shares and gradients."""
    student, method = scratch().eval(), objective(name)
    data = tokenize([*PARTIAL, *PARTIAL[:2]], method.views, student)
    batch = Collator(student.pad_id)(data.__getitems__(range(len(data))))
    inputs, real = data.sources.padded(np.arange(len(data.sources)), student.pad_id, 8)
    complete = {"input_ids": torch.from_numpy(inputs), "attention_mask": torch.from_numpy(real).long()}
    results = []
    for inputs in (batch, {**complete, "labels": batch["labels"]}):
        student.zero_grad()
        output = Distiller(student, method)(**inputs, with_shares=True)
        output["loss"].backward()
        gradient = torch.cat([weight.grad.flatten() for weight in student.parameters()])
        results.append((*output["terms"].values(), *output["shares"].values(), gradient))
    read = sum(len(rows) for rows in batch["rows"].values())
    assert read == len(batch["input_ids"]) == len(real) - 2 * (len(method.views) - 1)
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_a_step_compiles_into_one_graph():
    student = scratch()
    distiller, batch = Distiller(student, objective("mi")), collated(student, PARTIAL, "mi")
    torch.compiler.reset()
    results = []
    for forward in (distiller, torch.compile(distiller, fullgraph=True, backend="aot_eager")):
        student.zero_grad()
        output = forward(**batch, with_shares=True)
        output["loss"].backward()
        gradient = torch.cat([weight.grad.flatten() for weight in student.parameters()])
        results.append((output["loss"].item(), list(output["shares"].values()), gradient))
    (loss, shares, gradient), (compiled_loss, compiled_shares, compiled_gradient) = results
    assert loss == pytest.approx(compiled_loss, rel=1e-6)
    torch.testing.assert_close(shares, compiled_shares)
    torch.testing.assert_close(gradient, compiled_gradient, rtol=1e-4, atol=1e-7)


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


def test_accumulation_gives_the_gradient_of_the_joined_batch(tmp_path):
    """Sequences are of different lengths, so a mean of means would differ."""
    changes = []
    for batch, accumulate in ((12, 1), (3, 4)):
        student = scratch()
        start = weights_of(student)
        sizes = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulate, "max_steps": 1}
        trainer(student, "mi", tmp_path / str(batch), optim="sgd", max_grad_norm=0, **sizes).fit()
        changes.append(weights_of(student) - start)
    assert changes[0].norm() > 1e-3
    torch.testing.assert_close(changes[1], changes[0], rtol=1e-4, atol=1e-4 * float(changes[0].abs().max()))


def test_rows_that_make_no_batch_are_refused_where_incomplete_ones_are_dropped(tmp_path):
    with pytest.raises(LimbeckError) as caught:
        trainer(scratch(), "mi", tmp_path, per_device_train_batch_size=13, dataloader_drop_last=True)
    assert caught.value.field == "training.dataloader_drop_last"
    trainer(scratch(), "mi", tmp_path, per_device_train_batch_size=12, dataloader_drop_last=True)


def test_gradient_checkpointing_changes_no_weight(tmp_path):
    weights = []
    for on in (False, True):
        student = scratch()
        trainer(student, "mi", tmp_path / str(on), gradient_checkpointing=on, max_steps=2).fit()
        weights.append(weights_of(student))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "rounded"), [("mi", True), ("mi-official", False)])
def test_only_the_official_term_keeps_batches_as_short_as_they_can_be(name, rounded, tmp_path):
    training = trainer(scratch(), name, tmp_path)
    longest = int(training.train_dataset.targets.lengths[12:].max())
    assert longest % 8 != 0
    batch = training.data_collator(training.train_dataset.__getitems__(range(12)))
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


def test_the_best_weights_are_in_the_student_at_the_end(tmp_path):
    student = scratch()
    training = trainer(student, "finetune", tmp_path, eval_steps=2)
    accuracies, weights = iter([0.1, 0.9, 0.3]), []

    def validate():
        weights.append(weights_of(student))
        return {"accuracy": next(accuracies)}

    training.validate = validate
    training.fit()
    assert training.state.best_global_step == 4
    assert torch.equal(weights_of(student), weights[1])
    assert not torch.equal(weights[1], weights[2])


@pytest.mark.parametrize("changes", [{"eval_strategy": "epoch", "save_strategy": "epoch"}, {"eval_steps": 0.3}])
def test_every_validated_checkpoint_is_saved(changes, tmp_path):
    student = scratch()
    training = trainer(student, "finetune", tmp_path, accuracies=[0.1, 0.9, 0.3, 0.2], max_steps=7, **changes)
    training.fit()
    best = tmp_path / "checkpoints" / f"checkpoint-{training.state.best_global_step}" / "model.safetensors"
    assert 0 < training.state.best_global_step < 7
    assert torch.equal(load_file(best)["lm_head.weight"], student.model.lm_head.weight)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="a GPU obeys these settings")
@pytest.mark.parametrize("values", [{"fp16": True}, {"fp16": True, "use_cpu": True}, {"bf16": True}, {"tf32": True}])
def test_a_type_that_a_processor_would_not_train_in_is_refused(values, tmp_path):
    with pytest.raises(LimbeckError) as caught:
        training_arguments(TrainingSettings.parse(values, "training"), tmp_path, seed=1)
    assert caught.value.field == f"training.{next(iter(values))}"


@pytest.mark.skipif(torch.accelerator.is_available(), reason="a GPU obeys these settings")
def test_a_setting_that_a_processor_has_no_use_for_is_a_warning(tmp_path, caplog):
    values = {"torch_empty_cache_steps": 5, "bf16": True, "use_cpu": True, "fp16": False}
    assert training_arguments(TrainingSettings.parse(values, "training"), tmp_path, seed=1).bf16
    assert ["torch_empty_cache_steps" in record.getMessage() for record in caplog.records] == [True]
