"""Correlation of rationale quality with correct answers (the paper's Table 8), and agreement between ratings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import pearsonr, spearmanr

from limbeck.errors import LimbeckError
from limbeck.stats.intervals import DRAWS, Floats, Interval, group_sums, percentiles, resample


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A correlation from -1 to 1, its two-sided p-value against 0, and its 95 % interval (None if undefined)."""

    value: float
    p_value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Correlation:
    """Correlation between quality [N], on any scale, and correctness [N]; None with a `reason` where undefined.

    - `pearson`: p-value of Student's t with N - 2 degrees, interval by Fisher's z, tanh(atanh r +- 1.96 / sqrt(N - 3)),
      for N > 3 and |r| < 1. Both assume normal errors, so with a binary side they are approximate.
    - `point_biserial`: the same number under the name that it has for a binary side; papers report either.
    - `spearman`: Pearson's of the mid-ranks; interval by the percentile bootstrap over pairs, ranked again in each
      draw. Draws in which either side is constant have no correlation; `left_out` is their share.
    """

    n: int
    pearson: Coefficient | None
    point_biserial: Coefficient | None
    spearman: Coefficient | None
    left_out: float | None = None
    reason: str | None = None


def correlate(quality: ArrayLike, correct: ArrayLike, *, seed: int = 0, draws: int = DRAWS) -> Correlation:
    """Correlate `quality` [N] with `correct` [N] (true or false).

    Raises:
        LimbeckError: the lengths differ, or an entry is not a finite number.
    """
    q, y = np.asarray(quality, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if q.shape != y.shape or not np.isfinite(q).all() or not np.isin(y, (0, 1)).all():
        raise LimbeckError(f"correlation: give finite numbers and true or false, as many of each: {len(q)}, {len(y)}")
    if reason := _undefined(q, y):
        return Correlation(len(q), None, None, None, reason=reason)
    linear, ranked = pearsonr(q, y), spearmanr(q, y)
    r = float(linear.statistic)
    fisher = linear.confidence_interval(0.95) if len(q) > 3 and abs(r) < 1 else None
    pearson = Coefficient(r, float(linear.pvalue), (float(fisher.low), float(fisher.high)) if fisher else None)
    resampled = np.concatenate([_spearman(q, y, weights) for weights in resample(len(q), draws, seed)])
    defined = resampled[~np.isnan(resampled)]
    interval = percentiles(defined) if len(defined) else None
    spearman = Coefficient(float(ranked.statistic), float(ranked.pvalue), interval)
    return Correlation(len(q), pearson, pearson, spearman, left_out=float(np.isnan(resampled).mean()))


def _undefined(quality: Floats, y: Floats) -> str | None:
    """Return why there is no correlation; None where there is one."""
    if len(y) < 3:
        return f"{len(y)} answers; a correlation needs three"
    if np.ptp(quality) == 0:
        return f"every answer has the quality {quality[0]:.6g}, so it correlates with nothing"
    if np.ptp(y) == 0:
        return f"every answer is {'right' if y[0] else 'wrong'}, so it correlates with nothing"
    return None


def _spearman(quality: Floats, y: Floats, weights: Floats) -> Floats:
    """Return Spearman's coefficient [d] of rows counted as often as `weights` [N, d]; NaN where undefined."""
    mean = (len(y) + 1) / 2
    a, b = _midranks(quality, weights) - mean, _midranks(y, weights) - mean
    covariance, square_a, square_b = ((weights * x * z).sum(axis=0) for x, z in ((a, b), (a, a), (b, b)))
    spread = np.sqrt(square_a * square_b)
    return np.divide(covariance, spread, out=np.full(spread.shape, np.nan), where=spread > 0)


def _midranks(values: Floats, weights: Floats) -> Floats:
    """Return the rank [N, d] of each row in each draw, from 1; equal values share their mean rank."""
    levels, level_of_row = np.unique(values, return_inverse=True)
    counts = group_sums(level_of_row, len(levels)) @ weights
    return (np.cumsum(counts, axis=0) - (counts - 1) / 2)[level_of_row]


Ratings = Sequence[Sequence[float | None]]
"""A row for each rated unit, a rating for each time it was rated; None: not rated."""


def krippendorff_alpha(ratings: Ratings) -> float | None:
    """Return Krippendorff's alpha for interval data, `1 - D_o / D_e`; None where it is undefined.

    `D_o = 1/n * sum_u 1/(m_u - 1) * sum_{i,j in u} (x_i - x_j)^2` is the disagreement within units, over the units u
    with m_u >= 2 ratings, n of them in all; `D_e = 1/(n (n - 1)) * sum_{i,j} (x_i - x_j)^2` that between any two of
    these ratings (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"). 1: always the same; 0: as alike as
    by chance. Undefined without a unit that has two ratings, and where all ratings are equal.
    """
    units = _rated_twice(ratings)
    values = [rating for unit in units for rating in unit]
    n = len(values)
    if len(set(values)) < 2:
        return None
    observed = sum(_squared_differences(unit) / (len(unit) - 1) for unit in units) / n
    return 1 - observed / (_squared_differences(values) / (n * (n - 1)))


def exact_agreement(ratings: Ratings) -> float | None:
    """Return the share of the units with two or more ratings whose ratings are all the same; None without any."""
    units = _rated_twice(ratings)
    return sum(len(set(unit)) == 1 for unit in units) / len(units) if units else None


def _rated_twice(ratings: Ratings) -> list[list[float]]:
    units = [[rating for rating in row if rating is not None] for row in ratings]
    return [unit for unit in units if len(unit) >= 2]


def _squared_differences(values: Sequence[float]) -> float:
    """Return the sum of (x - y)^2 over all ordered pairs, `2 n * sum (x - mean)^2`; exactly 0 where all are equal."""
    if len(set(values)) == 1:
        return 0.0
    mean = sum(values) / len(values)
    return 2 * len(values) * sum((value - mean) ** 2 for value in values)
