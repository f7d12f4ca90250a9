"""The Distiller and the Trainer, against models called plainly and gradients taken separately."""

import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.testing import CompileCounter

from limbeck.data import View
from limbeck.models.tokenization import IGNORE
from limbeck.objectives import METHODS
from limbeck.training.dataset import token_ids, tokenize
from limbeck.training.trainer import Distiller
from tests.objectives import oracle
from tests.training.small import EXAMPLES, PARTIAL, SEVERAL, StopAt, scratch, trainer, weights_of


def fitted(name, folder, stop=6, **options):
    """Return a Trainer, with dropout, that has trained up to a step."""
    training = trainer(scratch(dropout=0.2), name, folder, **options)
    training.add_callback(StopAt(stop))
    training.fit()
    return training


def test_dss_is_half_the_sum_of_the_plain_models_two_losses():
    student = scratch().eval()
    data = tokenize(EXAMPLES, METHODS["dss"].views, student)
    batch = student.collator()([data[i] for i in range(len(data))])
    output = Distiller(student, METHODS["dss"])(**batch)
    ids, masks = batch["input_ids"].chunk(2), batch["attention_mask"].chunk(2)
    sides = zip(ids, masks, batch["targets"].values(), strict=True)
    plain = [student.model(ids, attention_mask=mask, labels=labels).loss.item() for ids, mask, labels in sides]
    assert output["loss"].item() == pytest.approx(sum(plain) / 2, rel=1e-5)
    assert [value.item() for value in output["terms"].values()] == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_logged_terms_add_up_and_the_loss_falls(name, tmp_path):
    trainer(scratch(), name, tmp_path, max_steps=12, learning_rate=3e-2, eval_steps=12).fit()
    entries = [entry for line in (tmp_path / "log.jsonl").open() if "loss" in (entry := json.loads(line))]
    assert len(entries) == 6
    for entry in entries:
        weighted = sum(term.weight * entry[f"term_{term.name}"] for term in METHODS[name].terms)
        assert entry["loss"] == pytest.approx(weighted, rel=1e-5)
        assert sum(entry[f"share_{term.name}"] for term in METHODS[name].terms) == pytest.approx(1, abs=1e-5)
        if name == "infonce":  # four examples a batch
            assert entry["infonce_ceiling"] == pytest.approx(math.log(4))
            assert entry["infonce_bound"] == pytest.approx(math.log(4) - entry["term_contrast"])
    assert entries[-1]["loss"] < 0.9 * entries[0]["loss"]


@pytest.mark.slow
def test_a_compiled_distiller_is_not_compiled_anew_for_every_batch():
    """A number of examples or tokens that is 1 is compiled for itself."""
    torch.compiler.reset()
    student, counter = scratch().eval(), CompileCounter()
    distiller = Distiller(student, METHODS["mi"])
    compiled = torch.compile(distiller, backend=counter, dynamic=True)
    data = tokenize(EXAMPLES, METHODS["mi"].views, student)
    for first in range(5):  # of other lengths each
        batch = student.collator()([data[i] for i in range(first, first + 4)])
        assert compiled(**batch)["loss"].item() == pytest.approx(distiller(**batch)["loss"].item(), rel=1e-5)
    assert counter.frame_count <= 2


def test_gradient_checkpointing_changes_no_weight(tmp_path):
    students = [scratch(), scratch()]
    for student, enabled in zip(students, (False, True), strict=True):
        trainer(student, "mi", tmp_path / str(enabled), gradient_checkpointing=enabled, max_steps=2).fit()
    torch.testing.assert_close(*map(weights_of, students), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "rounded"), [("mi", True), ("mi-official", False)])
def test_only_the_official_term_keeps_batches_as_short_as_they_can_be(name, rounded, tmp_path):
    training = trainer(scratch(), name, tmp_path)
    longest = int(training.training_set.lengths[:, 2].max())
    width = training.data_collator([training.training_set[i] for i in range(12)])["targets"][View.EXPLAIN].shape[1]
    assert longest < width < longest + 8 and width % 8 == 0 if rounded else width == longest


def damage(folder, state, step=9):
    """Make a checkpoint whose state is damaged."""
    checkpoint = folder / "checkpoints" / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text(state)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"eval_steps": 2, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}, (6, 6)),
        ({"eval_steps": 1, "early_stopping_patience": 2}, (5, 3)),
    ],
)
def test_a_stopped_training_goes_on_to_the_same_weights(options, steps, tmp_path):
    """With the patience it had, past a checkpoint that was not written to its end; a finished one is not trained on."""
    accuracies, options = [0.1, 0.2, 0.5, 0.4, 0.3, 0.2], {"validation": EXAMPLES, **options}
    unbroken = fitted("mi", tmp_path / "unbroken", accuracies=accuracies, **options)
    fitted("mi", tmp_path / "broken", stop=4, accuracies=accuracies, **options)
    damage(tmp_path / "broken", '{"global_step": 9, "log_his', step=4 + options["eval_steps"])
    second = fitted("mi", tmp_path / "broken", accuracies=accuracies[4 // options["eval_steps"] :], **options)
    third = fitted("mi", tmp_path / "broken", accuracies=[], **options)
    trainings = [unbroken, second, third]
    assert [(training.state.global_step, training.state.best_global_step) for training in trainings] == [steps] * 3
    weights = [weights_of(training.distiller.student) for training in trainings]
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[0], weights[2])
    newest = f"checkpoints/checkpoint-{steps[0]}/model.safetensors"
    assert (tmp_path / "unbroken" / newest).read_bytes() == (tmp_path / "broken" / newest).read_bytes()
    logged = [json.loads(line)["step"] for line in (tmp_path / "broken" / "log.jsonl").open()]
    assert logged == sorted(logged)


def test_a_state_without_its_step_is_no_checkpoint(tmp_path):
    damage(tmp_path, "{}")
    assert fitted("finetune", tmp_path).state.global_step == 6


@pytest.mark.parametrize("changes", [{"eval_strategy": "epoch", "save_strategy": "epoch"}, {"eval_steps": 0.3}])
def test_the_best_checkpoint_is_saved_and_in_the_student_at_the_end(changes, tmp_path):
    student = scratch()
    training = trainer(student, "finetune", tmp_path, accuracies=[0.1, 0.9, 0.3, 0.2], max_steps=7, **changes)
    training.fit()
    best = tmp_path / "checkpoints" / f"checkpoint-{training.state.best_global_step}" / "model.safetensors"
    assert 0 < training.state.best_global_step < 7
    assert torch.equal(load_file(best)["lm_head.weight"], student.model.lm_head.weight)


@pytest.mark.parametrize("name", METHODS)
def test_the_validation_loss_is_the_objective_over_all_validation_rows_without_dropout(name, tmp_path):
    student, sizes = scratch(dropout=0.5), {"per_device_train_batch_size": 13, "label_smoothing_factor": 0.1}
    training = trainer(student, name, tmp_path, validation=PARTIAL, **sizes)
    method, loss = training.distiller.objective, training._validation_loss()["loss"]
    data = token_ids(PARTIAL, method.views, student)
    batch = training.data_collator([data[i] for i in range(len(data))])
    counts = {}
    for term in method.terms:
        complete = sum(map(all, zip(*(batch["sizes"][view] for view in term.views), strict=True)))
        tokens = (batch["labels"][term.views[0]] != IGNORE).sum()
        counts[term.name] = complete if len(term.views) > 1 or term.name == "soft" else tokens
    with torch.no_grad():
        expected, _ = oracle.losses(method, oracle.targets(student, batch), head=student.head(), counts=counts)
    assert loss == pytest.approx(expected.item(), rel=1e-5)


def test_terms_that_no_validation_row_has_are_left_out_of_its_loss(tmp_path):
    dss, finetune = (
        trainer(scratch(), name, tmp_path, validation=PARTIAL[:1])._validation_loss()["loss"]
        for name in ("dss", "finetune")
    )
    assert dss == pytest.approx(finetune / 2, rel=1e-6)


def test_a_contrasts_ceiling_is_of_the_examples_that_have_both_targets(tmp_path):
    """And steps without any have no bound."""
    rows = [replace(row, rationale=None) if i > 2 else row for i, row in enumerate(EXAMPLES)]
    trainer(scratch(), "infonce", tmp_path, examples=rows, logging_steps=1, max_steps=9).fit()
    entries = [entry for line in (tmp_path / "log.jsonl").open() if "loss" in (entry := json.loads(line))]
    for entry in entries:
        assert ("infonce_bound" in entry) == ("term_contrast" in entry)
        assert entry.get("infonce_bound", 0) <= entry.get("infonce_ceiling", 0) + 1e-6
    assert all(entry.get("infonce_ceiling", 0) <= math.log(3) for entry in entries)


def test_a_resumed_epoch_draws_the_same_rationales(tmp_path):
    def fit(name, stop=None):
        options = {"examples": SEVERAL, "draw_seed": 1, "max_steps": 9, "save_steps": 5, "eval_steps": 5}
        training = trainer(scratch(), "dss", tmp_path / name, **options)
        if stop:
            training.add_callback(StopAt(stop))
        training.fit()
        assert training.training_set.epoch == (training.state.global_step - 1) // 3
        return weights_of(training.distiller.student)

    unbroken = fit("unbroken")
    fit("broken", stop=5)  # in the second epoch of three steps
    assert torch.equal(fit("broken"), unbroken)
