"""Bins of confidence: the reliability diagram's data and the calibration errors that are sums over them."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from limbeck.stats.graded import Flags, Floats, Ints
from limbeck.stats.intervals import wilson

BINS = 10  # the paper's


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose confidence is in (low, high]. An empty bin has neither `confidence`, `accuracy` nor `interval`."""

    low: float
    high: float
    n: int
    confidence: float | None  # mean
    accuracy: float | None
    interval: tuple[float, float] | None  # of the accuracy, Wilson's, 95 %


def equal_width(confidence: Floats) -> Ints:
    """The bin, 0 to 9, of every confidence [...]: (0, .1], (.1, .2] to (.9, 1] as Guo et al. (2017, arXiv 1706.04599,
    eq. 3) have them; 0 itself goes into the first."""
    inner = np.arange(1, BINS) / BINS  # the doubles nearest to .1, .2, ...: a confidence written as 0.3 is on the edge
    return np.searchsorted(inner, confidence, side="left")


def equal_mass(confidence: Floats) -> Ints:
    """The bin, 0 to 9, of every confidence [N], so that each has a tenth of them (Nixon et al. 2019, arXiv 1904.01685).

    Equal confidences share a bin, the one of their mean rank, so that the order of the rows does not matter; then bins
    are not quite equal. With N < 10 every answer has its own.
    """
    return ((rankdata(confidence) - 0.5) * BINS / max(len(confidence), 1)).astype(np.int64)


def ece(confidence: Floats, correct: Flags) -> float | None:
    """Expected calibration error (Guo et al. 2017, eq. 3): sum over the equal-width bins b of n_b/n |acc_b - conf_b|.

    That is sum_b |sum_{i in b} (correct_i - confidence_i)| / n. None for n = 0.
    """
    if not len(confidence):
        return None
    gaps = np.bincount(equal_width(confidence), weights=correct - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def reliability(confidence: Floats, correct: Flags) -> tuple[Bin, ...]:
    """The reliability diagram: the ten equal-width bins, empty ones too."""
    where = equal_width(confidence)
    return tuple(_bin(index, confidence[where == index], correct[where == index]) for index in range(BINS))


def _bin(index: int, confidence: Floats, correct: Flags) -> Bin:
    low, high, n = index / BINS, (index + 1) / BINS, len(confidence)
    if n == 0:
        return Bin(low, high, 0, None, None, None)
    return Bin(low, high, n, float(confidence.mean()), float(correct.mean()), wilson(int(correct.sum()), n))
