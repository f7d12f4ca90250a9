"""Batches, the Distiller and the Trainer, against models called plainly and gradients taken separately."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from limbeck import models
from limbeck.data import View
from limbeck.errors import LimbeckError
from limbeck.models import ScratchSettings, StudentSettings
from limbeck.objectives import IGNORE, METHODS, objective
from limbeck.schema import Example
from limbeck.training import Collator, Distiller, Trainer, TrainingSettings, chosen, tokenise, training_arguments
from tests import builders

EXAMPLES = [
    Example(
        f"e{i}",
        (f"Luke scored {i} points after 2 rounds.",),
        f"( {i}.0 / 2.0 )",
        f"He scored {i} points. " * (1 + i % 3),
    )
    for i in range(12)
]
PARTIAL = [Example("no", ("yes or no",), "yes"), *EXAMPLES]


def scratch(dropout: float = 0.0) -> models.Student:
    torch.manual_seed(0)
    settings = ScratchSettings(vocab_size=300, d_model=16, d_kv=8, d_ff=32, num_heads=2, dropout_rate=dropout)
    return models.load(StudentSettings(scratch=settings), builders.TEXTS)


def collated(student, examples, name):
    """All the examples as one batch."""
    rows = tokenise(examples, objective(name).views, student).__getitems__(range(len(examples)))
    return Collator(student.pad_id)(rows)


def test_tokenise_keeps_or_leaves_out_what_has_no_rationale():
    student = scratch()
    two = tokenise(PARTIAL, objective("dss").views, student)
    assert len(two) == 13
    assert two.targets[len(two)] == []  # the explain view's first row
    assert two.notes["without_target"] == 0
    joint = tokenise(PARTIAL, objective("single-task").views, student)
    assert len(joint) == 12
    assert joint.notes["without_target"] == 1
    with pytest.raises(LimbeckError, match="rationale"):
        tokenise(PARTIAL[:1], objective("dss").views, student)


def test_cut_targets_are_counted():
    student = scratch()
    student.max_target_length = 15
    longer = sum(len(student.tokenizer(example.rationale)["input_ids"]) > 15 for example in EXAMPLES)
    assert 0 < longer < 12
    assert tokenise(EXAMPLES, (View.EXPLAIN,), student).notes["targets_cut"] == longer


def test_a_batch_holds_the_views_one_after_the_other_padded_to_eights_and_reads_what_has_a_target():
    student = scratch()
    batch = collated(student, PARTIAL[:3], "dss")
    assert all(size % 8 == 0 for size in (batch["input_ids"].shape[1], *(x.shape[1] for x in batch["labels"].values())))
    texts = student.tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
    assert [text.split(":")[0] for text in texts] == ["predict"] * 3 + ["explain"] * 2
    assert [rows.tolist() for rows in batch["rows"].values()] == [[0, 1, 2], [1, 2]]
    assert (batch["input_ids"] != student.pad_id).eq(batch["attention_mask"].bool()).all()
    assert (batch["labels"][View.EXPLAIN][0] == IGNORE).all()
    label = batch["labels"][View.PREDICT][1]
    assert student.tokenizer.decode(label[label != IGNORE], skip_special_tokens=True) == "( 0.0 / 2.0 )"


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


@pytest.mark.parametrize("name", METHODS)
def test_rows_without_a_target_need_not_be_read(name):
    """Every row in every view, as before they were left out, gives the same terms, shares and gradients."""
    student, method = scratch().eval(), objective(name)
    made = tokenise([*PARTIAL, *PARTIAL[:2]], method.views, student)
    batch = Collator(student.pad_id)(made.__getitems__(range(len(made))))
    inputs, real = made.sources.padded(np.arange(len(made.sources)), student.pad_id, 8)
    whole = {"input_ids": torch.from_numpy(inputs), "attention_mask": torch.from_numpy(real).long()}
    results = []
    for some in (batch, {**whole, "labels": batch["labels"]}):
        student.zero_grad()
        output = Distiller(student, method)(**some, with_shares=True)
        output["loss"].backward()
        gradient = torch.cat([weight.grad.flatten() for weight in student.parameters()])
        results.append((*output["terms"].values(), *output["shares"].values(), gradient))
    read = sum(len(rows) for rows in batch["rows"].values())
    assert read == len(batch["input_ids"]) == len(inputs) - 2 * (len(method.views) - 1)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("examples", [EXAMPLES, PARTIAL])
def test_a_whole_step_compiles_into_one_graph(examples):
    student = scratch()
    distiller = Distiller(student, objective("mi"))
    batch = collated(student, examples, "mi")
    torch.compiler.reset()
    results = []
    for forward in (distiller, torch.compile(distiller, fullgraph=True, backend="aot_eager")):
        student.zero_grad()
        output = forward(**batch, with_shares=True)
        output["loss"].backward()
        gradient = torch.cat([weight.grad.flatten() for weight in student.parameters()])
        results.append((output["loss"].item(), list(output["shares"].values()), gradient))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    torch.testing.assert_close(results[0][1], results[1][1])
    torch.testing.assert_close(results[0][2], results[1][2], rtol=1e-4, atol=1e-7)


def trainer(student, name, folder, **changes):
    values = {
        "max_steps": 6,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "logging_steps": 2,
        "eval_steps": 3,
        **changes,
    }
    arguments = training_arguments(TrainingSettings.parse(values, "training"), folder / "checkpoints", seed=3)
    method = objective(name)
    training_set = tokenise(EXAMPLES, method.views, student)
    validate = lambda: {"accuracy": 0.5}  # noqa: E731
    return Trainer(Distiller(student, method), arguments, training_set, validate, folder / "log.jsonl")


@pytest.mark.parametrize("name", METHODS)
def test_logged_terms_add_up_and_the_loss_falls(name, tmp_path):
    trainer(scratch(), name, tmp_path, max_steps=20).fit()
    entries = [entry for line in (tmp_path / "log.jsonl").open() if "loss" in (entry := json.loads(line))]
    assert len(entries) == 10
    for entry in entries:
        weighted = sum(term.weight * entry[f"term_{term.name}"] for term in METHODS[name].terms)
        assert entry["loss"] == pytest.approx(weighted, rel=1e-5)
        assert sum(entry[f"share_{term.name}"] for term in METHODS[name].terms) == pytest.approx(1, abs=1e-5)
    assert entries[-1]["loss"] < 0.8 * entries[0]["loss"]


@pytest.mark.parametrize("name", ["finetune", "mi"])
def test_accumulation_gives_the_gradient_of_the_whole_batch(name, tmp_path):
    """Sequences are of different lengths, so a mean of means would differ."""
    weights = []
    for batch, accumulate in ((12, 1), (3, 4)):
        student = scratch()
        sizes = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulate, "max_steps": 1}
        one = trainer(student, name, tmp_path / str(batch), optim="sgd", max_grad_norm=0, **sizes)
        one.fit()
        weights.append(torch.cat([p.detach().flatten() for p in student.parameters()]))
    start = torch.cat([p.detach().flatten() for p in scratch().parameters()])
    steps = [w - start for w in weights]
    assert steps[0].norm() > 1e-3
    torch.testing.assert_close(steps[1], steps[0], rtol=1e-4, atol=1e-6 * float(steps[0].abs().max() * 100))


def test_rows_that_make_no_batch_are_refused_where_incomplete_ones_are_dropped(tmp_path):
    with pytest.raises(LimbeckError, match="dataloader_drop_last"):
        trainer(scratch(), "mi", tmp_path, per_device_train_batch_size=13, dataloader_drop_last=True)
    trainer(scratch(), "mi", tmp_path, per_device_train_batch_size=12, dataloader_drop_last=True)


def test_gradient_checkpointing_changes_no_weight(tmp_path):
    weights = []
    for on in (False, True):
        student = scratch()
        trainer(student, "mi", tmp_path / str(on), gradient_checkpointing=on, max_steps=2).fit()
        weights.append(torch.cat([p.detach().flatten() for p in student.parameters()]))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-4)


def test_only_the_official_term_keeps_batches_as_short_as_they_can_be(tmp_path):
    student = scratch()
    for name, rounded in (("mi", True), ("mi-official", False)):
        one = trainer(student, name, tmp_path)
        longest = int(one.train_dataset.targets.lengths[12:].max())
        assert longest % 8 != 0
        batch = one.data_collator(one.train_dataset.__getitems__(range(12)))
        assert batch["labels"][View.EXPLAIN].shape[1] == (-(-longest // 8) * 8 if rounded else longest)


@pytest.mark.parametrize(("batch", "accumulate"), [(4, 1), (2, 2)])
def test_a_stopped_training_goes_on_to_the_same_weights(batch, accumulate, tmp_path):
    sizes = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulate, "eval_steps": 1}
    trainer(scratch(dropout=0.2), "mi", tmp_path / "whole", **sizes).fit()
    # the same six steps, but the first trainer is dropped inside the second epoch, as if it had been killed
    first = trainer(scratch(dropout=0.2), "mi", tmp_path / "halves", **sizes)
    first.add_callback(StopAt(4))
    first.fit()
    second = trainer(scratch(dropout=0.2), "mi", tmp_path / "halves", **sizes)
    second.fit()
    assert second.state.global_step == 6
    last = (tmp_path / name / "checkpoints/checkpoint-6/model.safetensors" for name in ("whole", "halves"))
    assert len({path.read_bytes() for path in last}) == 1
    steps = [json.loads(line)["step"] for line in (tmp_path / "halves" / "log.jsonl").open()]
    assert steps == sorted(steps)


class StopAt(__import__("transformers").TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step >= self.step


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
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), again.parameters(), strict=True))


def test_the_best_weights_are_in_the_student_at_the_end(tmp_path):
    student = scratch()
    one = trainer(student, "finetune", tmp_path, eval_steps=2)
    accuracies, seen = iter([0.1, 0.9, 0.3]), []
    one.validate = lambda: (
        seen.append([p.detach().clone() for p in student.parameters()]),
        {"accuracy": next(accuracies)},
    )[1]
    one.fit()
    assert one.state.best_global_step == 4
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), seen[1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(student.parameters(), seen[2], strict=True) if a.ndim > 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"eval_steps": 2, "save_steps": 4}, "save_steps is 4, eval_steps 2"),
        ({"eval_strategy": "epoch"}, "save_strategy is steps, eval_strategy epoch"),
        ({"save_strategy": "best"}, "save_strategy is best, eval_strategy steps"),
        ({"save_strategy": False}, "save_strategy is no, eval_strategy steps"),
    ],
)
def test_a_best_that_would_not_be_saved_is_refused(changes, words):
    with pytest.raises(LimbeckError, match=words) as caught:
        TrainingSettings.parse(changes, "training")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changes", [{"eval_strategy": "epoch", "save_strategy": "epoch"}, {"eval_steps": 0.3}])
def test_whatever_is_validated_is_saved(changes, tmp_path):
    student = scratch()
    one = trainer(student, "finetune", tmp_path, max_steps=7, **changes)
    accuracies = iter([0.1, 0.9, 0.3, 0.2])
    one.validate = lambda: {"accuracy": next(accuracies)}
    one.fit()
    best = tmp_path / "checkpoints" / f"checkpoint-{one.state.best_global_step}" / "model.safetensors"
    saved = load_file(best)
    assert 0 < one.state.best_global_step < 7
    assert torch.equal(saved["lm_head.weight"], student.model.lm_head.weight)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="a GPU obeys these settings")
@pytest.mark.parametrize("values", [{"fp16": True}, {"fp16": True, "use_cpu": True}, {"bf16": True}, {"tf32": True}])
def test_a_type_that_a_processor_would_not_train_in_is_refused(values, tmp_path):
    with pytest.raises(LimbeckError) as caught:
        training_arguments(TrainingSettings.parse(values, "training"), tmp_path, seed=1)
    assert "\n" not in str(caught.value)
    (name, *_) = values
    assert f"training.{name}" in str(caught.value)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="a GPU obeys these settings")
def test_what_a_processor_has_no_use_for_is_said(tmp_path, caplog):
    values = {"torch_empty_cache_steps": 5, "bf16": True, "use_cpu": True, "fp16": False}
    arguments = training_arguments(TrainingSettings.parse(values, "training"), tmp_path, seed=1)
    assert arguments.bf16
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "torch_empty_cache_steps" in caplog.text


@pytest.mark.parametrize(
    "values",
    [
        {"label_smoothing_factor": 1.0},
        {"label_smoothing_factor": -0.1},
        {"early_stopping_patience": 0},
        {"early_stopping_patience": 2, "eval_strategy": "no"},
        {"early_stopping_threshold": 0.1},
        {"train_sampling_strategy": "sequential"},
    ],
)
def test_settings_without_a_meaning_are_refused(values):
    with pytest.raises(LimbeckError) as caught:
        TrainingSettings.parse(values, "training")
    assert "\n" not in str(caught.value)
    assert next(iter(values)) in str(caught.value)


def test_settings_are_transformers_own_and_wrong_ones_are_met_with_the_nearest_name(tmp_path):
    settings = TrainingSettings.parse({"learning_rate": "5e-5", "warmup_steps": 7, "eval_steps": 20}, "training")
    arguments = training_arguments(settings, tmp_path, seed=5)
    assert (arguments.learning_rate, arguments.warmup_steps, arguments.seed) == (5e-5, 7, 5)
    assert arguments.save_steps == arguments.eval_steps == 20
    assert chosen(TrainingSettings.parse(chosen(settings), "training")) == chosen(settings)
    for values, words in [
        ({"learning_rat": 1}, "did you mean 'learning_rate'"),
        ({"output_dir": "x"}, "unknown field 'output_dir'"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"save_steps": 33}, "save_steps is 33, eval_steps 250: the best is saved only if both agree"),
    ]:
        with pytest.raises(LimbeckError, match=words):
            TrainingSettings.parse(values, "training")
    for values in (
        {"lr_scheduler_type": "zigzag"},
        {"eval_strategy": "sometimes"},
        {"optim": "magic"},
    ):
        with pytest.raises(LimbeckError) as caught:
            training_arguments(TrainingSettings.parse(values, "training"), tmp_path, seed=1)
        assert "\n" not in str(caught.value)
