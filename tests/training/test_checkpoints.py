"""The best checkpoint and early stopping: by hand, through a Trainer, and after a resume."""

import json

import pytest
import torch

from limbeck.models.tokenization import IGNORE
from limbeck.objectives import METHODS
from limbeck.objectives.fused import ViewStates
from limbeck.training.checkpoints import EarlyStopping, validations
from limbeck.training.dataset import token_ids
from tests.objectives import oracle
from tests.training.small import EXAMPLES, PARTIAL, StopAt, scratch, trainer, weights_of


def log_of(*validations):
    """Make a log history from pairs of accuracy and loss, a training entry between them."""
    entries = []
    for number, (accuracy, loss) in enumerate(validations, start=1):
        entries += [{"loss": 1.0, "step": 10 * number}, {"eval_accuracy": accuracy, "step": 10 * number}]
        entries[-1] |= {} if loss is None else {"eval_loss": loss}
    return entries


@pytest.mark.parametrize(
    ("pairs", "step"),
    [
        ([(0.2, 1.0), (0.3, 9.0), (0.1, 0.1)], 20),  # accuracy before all
        ([(0.0, 3.0), (0.0, 1.0), (0.0, 2.0)], 20),  # then the loss
        ([(0.5, 1.0), (0.5, 1.0), (0.4, 0.1)], 20),  # then the later one
        ([(0.0, None), (0.0, None), (0.0, None)], 30),
        ([(0.5, 2.0), (0.5, float("nan")), (0.5, float("inf"))], 10),
    ],
)
def test_the_best_is_the_most_accurate_then_of_the_lowest_loss_then_the_latest(pairs, step):
    assert max(validations(log_of(*pairs))).step == step


@pytest.mark.parametrize(
    ("patience", "threshold", "pairs", "stops_after"),
    [
        (2, 0.0, [(0.5, 1.0), (0.5, 1.1), (0.4, 0.5)], 3),
        # a lower loss is a gain, the same is not
        (2, 0.0, [(0.5, 1.0), (0.5, 0.9), (0.5, 0.8), (0.4, 0.1), (0.5, 0.8)], 5),
        (2, 0.0, [(0.5, 1.0), (0.4, 0.9), (0.51, 2.0), (0.5, 0.1), (0.5, 0.1)], 5),
        (2, 0.1, [(0.5, 1.0), (0.55, 0.9), (0.59, 0.8)], 3),  # small gains are none
        (2, 0.1, [(0.5, 1.0), (0.55, 0.9), (0.7, 0.8), (0.7, 0.9)], None),
        (1, 0.0, [(0.5, None), (0.5, None)], 2),
        (None, 0.0, [(0.5, 1.0)] * 9, None),
    ],
)
def test_patience_counts_validations_without_a_gain(patience, threshold, pairs, stops_after):
    stopping = EarlyStopping(patience, threshold)
    due = [stopping.due(log_of(*pairs[:count])) for count in range(1, len(pairs) + 1)]
    assert due.index(True) + 1 == stops_after if stops_after else not any(due)


def test_a_validation_before_the_first_step_and_a_repeated_one_do_not_count():
    log = [{"eval_accuracy": 0.9, "step": 0}, *log_of((0.5, 1.0), (0.4, 1.0)), {"eval_accuracy": 0.4, "step": 20}]
    assert max(validations(log)).step == 10
    assert not EarlyStopping(2).due(log)


def test_of_equal_accuracies_the_lowest_loss_is_kept_and_delivered(tmp_path):
    changes = {"learning_rate": 3.0, "lr_scheduler_type": "constant", "max_steps": 8, "eval_steps": 1}
    training = trainer(scratch(), "mi", tmp_path, validation=EXAMPLES, **changes)
    training.fit()
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").open()]
    losses = [entry["eval_loss"] for entry in entries if "eval_loss" in entry]
    best = min(range(8), key=losses.__getitem__)
    assert losses[-1] > losses[best], "the loss is to go up and down, which so high a rate makes it"
    assert training.state.best_global_step == best + 1
    assert training._validation_loss()["loss"] == pytest.approx(min(losses), rel=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_the_validation_loss_is_the_objective_over_all_validation_rows_without_dropout(name, tmp_path):
    student, sizes = scratch(dropout=0.5), {"per_device_train_batch_size": 13, "label_smoothing_factor": 0.1}
    training = trainer(student, name, tmp_path, validation=PARTIAL, **sizes)
    method, loss = training.distiller.objective, training._validation_loss()["loss"]
    data = token_ids(PARTIAL, method.views, student)
    batch = training.data_collator([data[i] for i in range(len(data))])
    labels = batch["labels"]
    with torch.no_grad():
        states = {view: ViewStates(hidden, labels[view]) for view, hidden in student.hidden_states(**batch).items()}
    complete = torch.stack([(ids != IGNORE).any(1) for ids in labels.values()]).all(0).sum()
    counts = {
        term.name: complete if term.name == "alignment" else (labels[term.view] != IGNORE).sum()
        for term in method.terms
    }
    expected, _ = oracle.losses(method, states, student.head(), counts=counts)
    assert loss == pytest.approx(expected.item(), rel=1e-5)


def test_terms_that_no_validation_row_has_are_left_out_of_its_loss(tmp_path):
    dss, finetune = (
        trainer(scratch(), name, tmp_path, validation=PARTIAL[:1])._validation_loss()["loss"]
        for name in ("dss", "finetune")
    )
    assert dss == pytest.approx(finetune / 2, rel=1e-6)


def test_training_stops_when_patience_is_out_and_goes_on_from_a_kill_with_the_patience_it_had(tmp_path):
    accuracies = [0.1, 0.5, 0.4, 0.3, 0.2, 0.9]
    options = {"validation": EXAMPLES, "eval_steps": 1, "early_stopping_patience": 3}
    unbroken = trainer(scratch(0.2), "mi", tmp_path / "unbroken", accuracies=accuracies, **options)
    unbroken.fit()
    first = trainer(scratch(0.2), "mi", tmp_path / "broken", accuracies=accuracies, **options)
    first.add_callback(StopAt(4))
    first.fit()
    second = trainer(scratch(0.2), "mi", tmp_path / "broken", accuracies=accuracies[4:], **options)
    second.fit()
    third = trainer(scratch(), "mi", tmp_path / "broken", accuracies=[], **options)
    third.fit()  # killed after it had stopped: nothing is left to train
    states = [training.state for training in (unbroken, second, third)]
    assert [(state.global_step, state.best_global_step) for state in states] == [(5, 2)] * 3
    weights = [weights_of(training.distiller.student) for training in (unbroken, second, third)]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])
