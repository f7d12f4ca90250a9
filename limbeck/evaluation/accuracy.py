"""How many answers are right, and how sure one can be of that share."""

from collections.abc import Sequence
from typing import Any

from limbeck.evaluation.intervals import wilson
from limbeck.schema import Prediction


def accuracy(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Accuracy of graded predictions.

    Returns:
        `accuracy` (right by the task's rule), `interval` (Wilson's, 95 %), `exact` (the very same string), `n`.
        With n = 0 the first three are None. `sources_cut`: how many of all predictions, graded or not, are to an input
        of which the student read only a part.
    """
    cut = sum(bool(one.input_cut) for one in predictions)
    graded = [one for one in predictions if one.correct is not None]
    n = len(graded)
    if n == 0:
        return {"accuracy": None, "interval": None, "exact": None, "n": 0, "sources_cut": cut}
    right = sum(bool(one.correct) for one in graded)
    return {
        "accuracy": right / n,
        "interval": list(wilson(right, n) or ()),
        "exact": sum(bool(one.exact) for one in graded) / n,
        "n": n,
        "sources_cut": cut,
    }
