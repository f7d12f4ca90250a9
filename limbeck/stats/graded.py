"""Graded answers with their confidences, as arrays, once what was given has been looked at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from limbeck.errors import LimbeckError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

SUM = 1e-3  # how far a row of probabilities may be from one: what half precision does to a softmax


@dataclass(frozen=True, slots=True)
class Graded:
    """N answers: `confidence` [N] in [0, 1] and whether each is `correct` [N].

    Where all K choices have a probability, `probabilities` [N, K], and `labels` [N] is the right one's place.
    """

    confidence: Floats
    correct: Flags
    probabilities: Floats | None = None
    labels: Ints | None = None


def graded(
    confidence: ArrayLike, correct: ArrayLike, probabilities: ArrayLike | None = None, labels: ArrayLike | None = None
) -> Graded:
    """The four as arrays.

    Raises:
        LimbeckError: a confidence or probability that is not a number in [0, 1], a `correct` that is neither true nor
            false, a label that is no column, a row of probabilities that does not sum to one (each names the first
            such row, from 0), or lengths that differ.
    """
    sure = unit_interval("confidence", confidence, 1)
    right = flags("correct", correct)
    same_length("confidence", sure, "correct", right)
    if probabilities is None and labels is None:
        return Graded(sure, right)
    if probabilities is None or labels is None:
        raise LimbeckError("probabilities and labels go together: give both or neither")
    among = unit_interval("probabilities", probabilities, 2)
    same_length("confidence", sure, "probabilities", among)
    _refuse(np.abs(among.sum(axis=1) - 1) > SUM, "probabilities", among.sum(axis=1), "a row that sums to 1")
    which = numbers("labels", labels)
    same_length("confidence", sure, "labels", which)
    known = np.isin(which, np.arange(among.shape[1]))
    _refuse(~known, "labels", which, f"a whole number from 0 to {among.shape[1] - 1}, the choice's column,")
    return Graded(sure, right, among, which.astype(np.int64))


def unit_interval(name: str, values: ArrayLike, dimensions: int) -> Floats:
    """The values as float64, each from 0 to 1, or the error for the first row that has another."""
    array = _floats(name, values, dimensions)
    outside = ~((array >= 0) & (array <= 1))  # so that NaN is outside
    if dimensions == 1:
        _refuse(outside, name, array, "a number from 0 to 1")
    else:
        first = np.take_along_axis(array, outside.argmax(axis=1)[:, None], axis=1)[:, 0] if array.size else array[:, 0]
        _refuse(np.any(outside, axis=1), name, first, "numbers from 0 to 1")
    return array


def numbers(name: str, values: ArrayLike) -> Floats:
    """The values [N] as float64, each finite, or the error for the first that is not."""
    array = _floats(name, values, 1)
    _refuse(~np.isfinite(array), name, array, "a number")
    return array


def flags(name: str, values: ArrayLike) -> Flags:
    """The values [N] as booleans (0 and 1 will do), or the error for the first that is neither."""
    array = _floats(name, values, 1)
    _refuse((array != 0) & (array != 1), name, array, "true or false")
    return array == 1


def same_length(name: str, one: NDArray, other_name: str, other: NDArray) -> None:
    """An error that names both counts, unless they are equal."""
    if len(one) != len(other):
        raise LimbeckError(f"{name} has {len(one):,} rows and {other_name} {len(other):,}: give one of each a row")


def _floats(name: str, values: ArrayLike, dimensions: int) -> Floats:
    try:
        array = np.asarray(values, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError):
        raise LimbeckError(f"{name} are to be numbers, an array of {dimensions} dimension(s)") from None
    if array.ndim != dimensions and not (array.size == 0 and dimensions == 1):
        raise LimbeckError(f"{name} have {array.ndim} dimensions: an array of {dimensions} was expected")
    return array


def _refuse(bad: Flags, name: str, values: Floats, expected: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise LimbeckError(f"{name}[{row}] is {float(values[row])} (rows from 0): {expected} was expected")
