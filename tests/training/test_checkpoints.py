"""The best of several validations, and when they end a training."""

import pytest

from limbeck.training.checkpoints import stops_early, validations
from limbeck.training.settings import TrainingSettings


def log_of(pairs):
    """Make a log history from pairs of accuracy and loss, behind a training entry."""
    history = [{"loss": 1.0, "step": 1}]
    for step, (accuracy, loss) in enumerate(pairs, start=1):
        history.append({"eval_accuracy": accuracy, "step": step, **({} if loss is None else {"eval_loss": loss})})
    return history


@pytest.mark.parametrize(
    ("pairs", "step"),
    [
        ([(0.2, 1.0), (0.3, 9.0), (0.1, 0.1)], 2),  # accuracy before all
        ([(0.0, 3.0), (0.0, 1.0), (0.0, 2.0)], 2),  # then the loss
        ([(0.5, 1.0), (0.5, 1.0), (0.4, 0.1)], 2),  # then the later one
        ([(0.5, 2.0), (0.5, float("nan")), (0.5, float("inf"))], 1),
    ],
)
def test_the_best_is_the_most_accurate_then_of_the_lowest_loss_then_the_latest(pairs, step):
    assert max(validations(log_of(pairs))).step == step


@pytest.mark.parametrize(
    ("patience", "threshold", "pairs", "stops_after"),
    [
        (2, 0.0, [(0.5, 1.0), (0.5, 1.1), (0.4, 0.5)], 3),
        # a lower loss is a gain, the same is not
        (2, 0.0, [(0.5, 1.0), (0.5, 0.9), (0.5, 0.8), (0.4, 0.1), (0.5, 0.8)], 5),
        (2, 0.1, [(0.5, 1.0), (0.55, 0.9), (0.59, 0.8)], 3),  # small gains are none
        (2, 0.1, [(0.5, 1.0), (0.55, 0.9), (0.7, 0.8), (0.7, 0.9)], None),
        (1, 0.0, [(0.5, None), (0.5, None)], 2),
        (None, 0.0, [(0.5, 1.0)] * 9, None),
    ],
)
def test_patience_counts_validations_without_a_gain(patience, threshold, pairs, stops_after):
    settings = TrainingSettings(early_stopping_patience=patience, early_stopping_threshold=threshold)
    due = [stops_early(settings, log_of(pairs[:count])) for count in range(1, len(pairs) + 1)]
    assert due.index(True) + 1 == stops_after if stops_after else not any(due)
