"""How many answers are right, and how sure one can be of that share."""

from collections.abc import Sequence
from typing import Any

from limbeck.metrics.labels import LabelledAnswer, by_label
from limbeck.schema import Prediction
from limbeck.stats.intervals import wilson


def accuracy(predictions: Sequence[Prediction], choices: Sequence[str] = ()) -> dict[str, Any]:
    """Accuracy of graded predictions.

    Args:
        predictions: those without a label are passed over.
        choices: the fixed labels of the task, if it has any.

    Returns:
        `accuracy` (right by the task's rule), `interval` (Wilson's, 95 %), `exact` (the very same string), `n`; of
        the n the `unanswered` ones, and those `without_confidence`; `by_label` as `labels.by_label` has it. With n = 0
        the first three are None. `sources_cut`: of all predictions, graded or not, those to an input of which the
        student read only a part.
    """
    graded = [one for one in predictions if one.correct is not None]
    n = len(graded)
    right = sum(bool(one.correct) for one in graded)
    return {
        "accuracy": right / n if n else None,
        "interval": list(wilson(right, n) or ()) or None,
        "exact": sum(bool(one.exact) for one in graded) / n if n else None,
        "n": n,
        "sources_cut": sum(bool(one.input_cut) for one in predictions),
        "unanswered": sum(not one.prediction.strip() for one in graded),
        "without_confidence": sum(one.confidence is None and bool(one.prediction.strip()) for one in graded),
        "by_label": by_label(
            [LabelledAnswer(str(one.label), one.prediction, bool(one.correct)) for one in graded], choices
        ),
    }
