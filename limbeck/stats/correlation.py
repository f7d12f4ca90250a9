"""Correlation of rationale quality with correct answers (the paper's Table 8), and agreement between ratings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import pearsonr, spearmanr

from limbeck.stats.intervals import DRAWS, Floats, Interval, bootstrap, percentiles

Ratings = Sequence[Sequence[float | None]]
"""A row for each rated unit, a rating for each time it was rated; None: not rated."""


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A correlation from -1 to 1, its two-sided p-value against 0, and its 95 % interval (None if undefined)."""

    value: float
    p_value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Correlation:
    """Correlation between quality [N], on any scale, and correctness [N]; None with a `reason` where undefined."""

    n: int
    pearson: Coefficient | None = None  # interval by Fisher's z: with a binary side it is approximate
    point_biserial: Coefficient | None = None  # the same number under the name that it has for a binary side
    spearman: Coefficient | None = None  # interval by the bootstrap over pairs, ranked again in each draw
    left_out: float | None = None  # the share of draws in which either side is constant
    reason: str | None = None


def correlate(quality: ArrayLike, correct: ArrayLike, *, seed: int = 0, draws: int = DRAWS) -> Correlation:
    """Correlate `quality` [N] with `correct` [N], true or false."""
    q, y = np.asarray(quality, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    n = len(q)
    if n < 3 or np.ptp(q) == 0 or np.ptp(y) == 0:
        reason = "a correlation needs three answers" if n < 3 else "either side is the same for every answer"
        return Correlation(n, reason=reason)
    linear, ranked = pearsonr(q, y), spearmanr(q, y)
    fisher = linear.confidence_interval(0.95) if n > 3 and abs(linear.statistic) < 1 else None
    interval = (float(fisher.low), float(fisher.high)) if fisher else None
    pearson = Coefficient(float(linear.statistic), float(linear.pvalue), interval)
    order = np.argsort(q)
    starts = np.flatnonzero(np.diff(q[order], prepend=-np.inf))  # of answers of equal quality

    def rank_correlation(weights_ND: Floats) -> Floats:
        """Return Spearman's coefficient [D]: of two values, correctness is as good as its ranks."""
        weights_ND = weights_ND[order]
        counts = np.add.reduceat(weights_ND, starts)
        right = np.add.reduceat(weights_ND * y[order, None], starts)
        ranks = np.cumsum(counts, axis=0) - (counts + n) / 2  # less their mean
        share = right.sum(axis=0) / n
        spread = np.sqrt((counts * ranks**2).sum(axis=0) * n * share * (1 - share))
        return np.divide((right * ranks).sum(axis=0), spread, out=np.full(spread.shape, np.nan), where=spread > 0)

    resampled = bootstrap(rank_correlation, n, draws=draws, seed=seed)
    defined = resampled[~np.isnan(resampled)]
    interval = percentiles(defined) if len(defined) else None
    spearman = Coefficient(float(ranked.statistic), float(ranked.pvalue), interval)
    return Correlation(n, pearson, pearson, spearman, left_out=1 - len(defined) / draws)


def krippendorff_alpha(ratings: Ratings) -> float | None:
    """Return Krippendorff's alpha for interval data, `1 - D_o / D_e`; None where it is undefined.

    D_o is the disagreement within units u of m_u >= 2 ratings, sum_u m_u var(u) / n; D_e the variance of all these n
    ratings (Krippendorff 2011). 1: always the same; 0: as alike as by chance.
    """
    units = _rated_twice(ratings)
    values = [rating for unit in units for rating in unit]
    if len(set(values)) < 2:
        return None
    within = sum(len(unit) * float(np.var(unit, ddof=1)) for unit in units if len(set(unit)) > 1)
    return 1 - within / (len(values) * float(np.var(values, ddof=1)))


def exact_agreement(ratings: Ratings) -> float | None:
    """Return the share of the units with two or more ratings whose ratings are all the same; None without any."""
    units = _rated_twice(ratings)
    return sum(len(set(unit)) == 1 for unit in units) / len(units) if units else None


def _rated_twice(ratings: Ratings) -> list[list[float]]:
    units = [[rating for rating in row if rating is not None] for row in ratings]
    return [unit for unit in units if len(unit) >= 2]
