"""Bins of confidence: the reliability diagram's data, and the calibration error that is a sum over them."""

from dataclasses import dataclass

import numpy as np

from limbeck.stats.intervals import Flags, Floats, Interval, Ints, wilson

BINS = 10  # as in the paper


def equal_width(confidence: Floats) -> Ints:
    """Return the bin, 0 to 9, of every confidence [...]: (0, .1], (.1, .2] to (.9, 1], and 0 in the first.

    As in Guo et al. (2017, arXiv 1706.04599, eq. 3).
    """
    edges = np.arange(1, BINS) / BINS  # the doubles nearest to .1, .2, ...: a confidence written as 0.3 is on the edge
    return np.searchsorted(edges, confidence, side="left")


def equal_mass(confidence: Floats) -> Ints:
    """Return the bin, 0 to 9, of every confidence [N], each with a tenth of them (Nixon et al. 2019, arXiv 1904.01685).

    Equal confidences share the bin of their mean rank, so that the order of rows does not matter.
    """
    _, level, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(counts) - (counts - 1) / 2
    return ((mid_ranks[level] - 0.5) * BINS / max(len(confidence), 1)).astype(np.int64)


def ece(confidence: Floats, correct: Flags) -> float | None:
    """Return the expected calibration error, sum over equal-width bins b of n_b/n |acc_b - conf_b|; None for n = 0."""
    if not len(confidence):
        return None
    gaps = np.bincount(equal_width(confidence), weights=correct - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose confidence is in (low, high]; an empty bin has no `confidence`, `accuracy` or `interval`."""

    low: float
    high: float
    n: int
    confidence: float | None = None  # mean
    accuracy: float | None = None
    interval: Interval | None = None  # of the accuracy, Wilson's


def reliability(confidence: Floats, correct: Flags) -> tuple[Bin, ...]:
    """Return the reliability diagram's ten equal-width bins, empty ones too."""
    bins = []
    for index in range(BINS):
        inside = equal_width(confidence) == index
        low, high, n, right = index / BINS, (index + 1) / BINS, int(inside.sum()), int(correct[inside].sum())
        means = (float(confidence[inside].mean()), right / n, wilson(right, n)) if n else ()
        bins.append(Bin(low, high, n, *means))
    return tuple(bins)
