"""Graded answers as arrays: what the statistics of confidence read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limbeck.errors import DataError
from limbeck.stats.intervals import Flags, Floats, Ints

SUM_TOLERANCE = 1e-3  # of a row of probabilities from one: half precision does this to a softmax


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
    """Return checked arrays.

    Args:
        confidence: [N], each from 0 to 1.
        correct: [N], true or false.
        probabilities: of all K choices, [N, K]; rows sum to one, a choice that a row lacks has 0.
        labels: the right choice's column, [N].

    Raises:
        DataError: a value out of range (names the field and the first such row, from 0), or lengths that differ.
    """
    sure, right = _floats("confidence", confidence, 1), flags("correct", correct)
    _check_length("correct", right, len(sure))
    _require("confidence", sure, (sure >= 0) & (sure <= 1), "a number from 0 to 1")
    if probabilities is None or labels is None:
        return Graded(sure, right)
    table, columns = _floats("probabilities", probabilities, 2), _floats("labels", labels, 1)
    _check_length("probabilities", table, len(sure))
    _check_length("labels", columns, len(sure))
    sums = table.sum(axis=1)
    valid = ((table >= 0) & (table <= 1)).all(axis=1) & (np.abs(sums - 1) <= SUM_TOLERANCE)
    _require("probabilities", sums, valid, "numbers from 0 to 1 that sum to 1")
    _require("labels", columns, np.isin(columns, np.arange(table.shape[1])), "the column of a choice")
    return Graded(sure, right, table, columns.astype(np.int64))


def flags(name: str, values: ArrayLike) -> Flags:
    """Return [N] values as booleans; 0 and 1 are accepted.

    Raises:
        DataError: a value that is neither; names the first.
    """
    array = _floats(name, values, 1)
    _require(name, array, (array == 0) | (array == 1), "true or false")
    return array == 1


def _floats(name: str, values: ArrayLike, dimensions: int) -> Floats:
    try:
        array = np.asarray(values, dtype=np.float64)  # None becomes NaN, which no range holds
    except (TypeError, ValueError):
        raise DataError("numbers were expected", field=name) from None
    if array.ndim != dimensions:
        raise DataError(f"an array of {dimensions} dimension(s) was expected, not {array.ndim}", field=name)
    return array


def _check_length(name: str, array: NDArray, length: int) -> None:
    if len(array) != length:
        raise DataError(f"{len(array):,} rows were given, and {length:,} confidences", field=name)


def _require(name: str, values: Floats, valid: Flags, expected: str) -> None:
    if not valid.all():
        row = int(valid.argmin())
        raise DataError(f"row {row} (from 0) is {float(values[row])}: {expected} was expected", field=name)
