"""Graded predictions as arrays: what the statistics of confidence read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from limbeck.errors import DataError
from limbeck.schema import Prediction
from limbeck.stats.intervals import Flags, Floats, Ints

SUM_TOLERANCE = 1e-3  # of a row of probabilities from one: half precision does this to a softmax
MAX_CHOICES = 100  # in all rows together; more are no fixed set of labels


@dataclass(frozen=True, slots=True)
class Graded:
    """N graded answers: `confidence` [N] in [0, 1] and `correct` [N].

    Where all K choices have a probability, `probabilities` [N, K] and the right choice's column, `labels` [N].
    """

    confidence: Floats
    correct: Flags
    probabilities: Floats | None = None
    labels: Ints | None = None

    def __len__(self) -> int:
        return len(self.correct)


def graded(
    confidence: ArrayLike, correct: ArrayLike, probabilities: ArrayLike | None = None, labels: ArrayLike | None = None
) -> Graded:
    """Return checked arrays, shaped as in `Graded`; a choice that a row lacks has a probability of 0.

    Raises DataError, which names the field, if a value is out of range or lengths differ.
    """
    p, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    _require("confidence", p.ndim == 1 and ((p >= 0) & (p <= 1)).all())
    _require("correct", right.shape == p.shape and np.isin(right, (0, 1)).all())
    if probabilities is None or labels is None:
        return Graded(p, right == 1)
    table, columns = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    _require("probabilities", len(table) == len(p) and (table >= 0).all())
    _require("probabilities", np.allclose(table.sum(axis=1), 1, 0, SUM_TOLERANCE))
    _require("labels", columns.shape == p.shape and np.isin(columns, np.arange(table.shape[1])).all())
    return Graded(p, right == 1, table, columns)


def _require(field: str, valid: object) -> None:
    if not valid:
        raise DataError("a value for each answer was expected: 0 to 1, right or wrong, or a choice", field=field)


def with_confidence(predictions: Sequence[Prediction], path: Path | None = None) -> list[Prediction]:
    """Return the predictions whose confidence is known; raises DataError if there are some, but not one has any."""
    confident = [prediction for prediction in predictions if prediction.confidence is not None]
    if predictions and not confident:
        raise DataError("no row has a number from 0 to 1 there", path=path, field="'confidence'")
    return confident


def with_choices(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return the predictions that have a probability for each choice, the label included; none where choices vary."""
    complete = [p for p in predictions if p.probabilities and p.label in p.probabilities]
    return complete if len(_choices(complete)) <= MAX_CHOICES else []


def as_arrays(predictions: Sequence[Prediction], *, choices: bool = False) -> Graded:
    """Return predictions from `with_confidence` as arrays; with `choices` those from `with_choices`."""
    confidence = [prediction.confidence or 0.0 for prediction in predictions]
    correct = [bool(prediction.correct) for prediction in predictions]
    if not choices:
        return graded(confidence, correct)
    names = _choices(predictions)
    table = [[(prediction.probabilities or {}).get(name, 0.0) for name in names] for prediction in predictions]
    return graded(confidence, correct, table, [names.index(str(prediction.label)) for prediction in predictions])


def _choices(predictions: Sequence[Prediction]) -> list[str]:
    return sorted({name for prediction in predictions for name in prediction.probabilities or ()})
