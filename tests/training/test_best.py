"""Which checkpoint is best, and when training stops early: by hand, through a Trainer, and after a resume."""

import json

import numpy as np
import pytest
import torch

from limbeck.objectives import IGNORE, METHODS, ViewStates, objective
from limbeck.training import EarlyStopping, TrainingSettings, token_ids, tokenise, training_arguments
from limbeck.training.best import best_evaluation
from limbeck.training.collator import Collator
from limbeck.training.distiller import Distiller
from limbeck.training.trainer import Trainer
from tests.objectives import oracle
from tests.training.test_training import EXAMPLES, PARTIAL, StopAt, scratch, trainer


def log_of(*measured):
    """A log history: pairs of accuracy and loss, a training entry between them."""
    entries = []
    for number, (accuracy, loss) in enumerate(measured, start=1):
        entries += [{"loss": 1.0, "step": 10 * number}, {"eval_accuracy": accuracy, "step": 10 * number}]
        entries[-1] |= {} if loss is None else {"eval_loss": loss}
    return entries


@pytest.mark.parametrize(
    ("measured", "step"),
    [
        ([(0.2, 1.0), (0.3, 9.0), (0.1, 0.1)], 20),  # accuracy before all
        ([(0.0, 3.0), (0.0, 1.0), (0.0, 2.0)], 20),  # then the loss
        ([(0.5, 1.0), (0.5, 1.0), (0.4, 0.1)], 20),  # then the later one
        ([(0.0, None), (0.0, None), (0.0, None)], 30),
        ([(0.5, 2.0), (0.5, float("nan")), (0.5, float("inf"))], 10),
    ],
)
def test_the_best_is_the_most_accurate_then_of_the_lowest_loss_then_the_latest(measured, step):
    assert best_evaluation(log_of(*measured)).step == step


@pytest.mark.parametrize(
    ("patience", "threshold", "measured", "stops_after"),
    [
        (2, 0.0, [(0.5, 1.0), (0.5, 1.1), (0.4, 0.5)], 3),
        (
            2,
            0.0,
            [(0.5, 1.0), (0.5, 0.9), (0.5, 0.8), (0.4, 0.1), (0.5, 0.8)],
            5,
        ),  # a lower loss is a gain, the same is not
        (2, 0.0, [(0.5, 1.0), (0.4, 0.9), (0.51, 2.0), (0.5, 0.1), (0.5, 0.1)], 5),
        (2, 0.1, [(0.5, 1.0), (0.55, 0.9), (0.59, 0.8)], 3),  # small gains are none
        (2, 0.1, [(0.5, 1.0), (0.55, 0.9), (0.7, 0.8), (0.7, 0.9)], None),
        (1, 0.0, [(0.5, None), (0.5, None)], 2),
        (None, 0.0, [(0.5, 1.0)] * 9, None),
    ],
)
def test_patience_counts_evaluations_without_a_gain(patience, threshold, measured, stops_after):
    stopping = EarlyStopping(patience, threshold)
    due = [stopping.due(log_of(*measured[:count])) for count in range(1, len(measured) + 1)]
    assert due.index(True) + 1 == stops_after if stops_after else not any(due)


def test_an_evaluation_before_the_first_step_and_a_repeated_one_do_not_count():
    log = [{"eval_accuracy": 0.9, "step": 0}, *log_of((0.5, 1.0), (0.4, 1.0)), {"eval_accuracy": 0.4, "step": 20}]
    assert best_evaluation(log).step == 10
    assert not EarlyStopping(2).due(log)


def validated(student, folder, accuracies, validation=EXAMPLES, name="mi", **changes):
    """A Trainer with a validation loss whose accuracies are these, one after the other."""
    values = {"max_steps": 8, "per_device_train_batch_size": 4, "learning_rate": 1e-2, "eval_steps": 1, **changes}
    settings = TrainingSettings.parse(values, "training")
    method, left = objective(name).smoothed(settings.label_smoothing_factor), iter(accuracies)
    return Trainer(
        Distiller(student, method),
        training_arguments(settings, folder / "checkpoints", seed=3),
        tokenise(EXAMPLES, method.views, student),
        lambda: {"accuracy": next(left)},
        folder / "log.jsonl",
        validation_set=token_ids(validation, method.views, student),
        early_stopping=EarlyStopping(settings.early_stopping_patience, settings.early_stopping_threshold),
    )


def evaluations(folder):
    return [entry for line in (folder / "log.jsonl").open() if "eval_loss" in (entry := json.loads(line))]


def test_among_equal_accuracies_the_lowest_loss_is_kept_and_delivered(tmp_path):
    student = scratch()
    training = validated(student, tmp_path, [0.0] * 8, learning_rate=3.0, lr_scheduler_type="constant")
    training.fit()
    losses = [entry["eval_loss"] for entry in evaluations(tmp_path)]
    best = min(range(8), key=losses.__getitem__)
    assert best not in (0, 7), "the loss is to go up and down, which so high a rate makes it"
    assert training.state.best_global_step == best + 1
    assert (tmp_path / "checkpoints" / f"checkpoint-{best + 1}").is_dir()
    assert training._validation_loss()["loss"] == pytest.approx(min(losses), rel=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_the_validation_loss_is_the_objective_over_all_validation_rows_without_dropout(name, tmp_path):
    student = scratch(dropout=0.5)
    method = objective(name).smoothed(0.1)
    training = validated(
        student, tmp_path, [], PARTIAL, name, per_device_train_batch_size=13, label_smoothing_factor=0.1
    )
    found = training._validation_loss()["loss"]
    data = token_ids(PARTIAL, method.views, student)
    batch = Collator(student.pad_id, 1)(data.__getitems__(range(len(data))))
    inputs, real = data.sources.padded(np.arange(len(data.sources)), student.pad_id)
    masks = torch.from_numpy(real).long()
    memory = student.eval().encode(torch.from_numpy(inputs), masks).chunk(len(data.views))
    labels = batch["labels"]
    states = {
        view: ViewStates(student.decode(ids, memory[i], masks.chunk(len(data.views))[i]), ids)
        for i, (view, ids) in enumerate(labels.items())
    }
    complete = torch.stack([(ids != IGNORE).any(1) for ids in labels.values()]).all(0).sum()
    counts = {
        term.name: complete if term.name == "alignment" else (labels[term.view] != IGNORE).sum()
        for term in method.terms
    }
    expected, _ = oracle.losses(method, states, student.head(), counts)
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_terms_that_no_validation_row_has_are_left_out_of_its_loss(tmp_path):
    rows = [PARTIAL[0]]
    both, label = (
        validated(scratch(), tmp_path, [], rows, name)._validation_loss()["loss"] for name in ("dss", "finetune")
    )
    assert both == pytest.approx(label / 2, rel=1e-6)


def test_training_stops_when_patience_is_out_and_goes_on_from_a_kill_with_the_patience_it_had(tmp_path):
    accuracies = [0.1, 0.5, 0.4, 0.3, 0.2, 0.9]
    whole = validated(scratch(dropout=0.2), tmp_path / "whole", accuracies, early_stopping_patience=3)
    whole.fit()
    assert (whole.state.global_step, whole.state.best_global_step) == (5, 2)
    first = validated(scratch(dropout=0.2), tmp_path / "halves", accuracies, early_stopping_patience=3)
    first.add_callback(StopAt(4))
    first.fit()
    second = validated(scratch(dropout=0.2), tmp_path / "halves", accuracies[4:], early_stopping_patience=3)
    second.fit()
    assert (second.state.global_step, second.state.best_global_step) == (5, 2)
    third = validated(scratch(), tmp_path / "halves", [], early_stopping_patience=3)
    third.fit()  # killed after it had stopped: nothing is left to train
    weights = [torch.cat([w.flatten() for w in one.distiller.parameters()]) for one in (whole, second, third)]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_without_patience_nothing_stops(tmp_path):
    training = trainer(scratch(), "finetune", tmp_path, eval_steps=1)
    training.fit()
    assert training.state.global_step == training.state.best_global_step == 6  # equal accuracies, no loss: the latest
