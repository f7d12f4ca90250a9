"""Whether better rationales go with right answers: correlation of quality with correctness (the paper's Table 8)."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import pearsonr, spearmanr

from limbeck.stats.graded import Floats, flags, numbers, same_length
from limbeck.stats.resampling import DRAWS, Interval, adding, percentiles, resample


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A correlation from -1 to 1, the p-value of its being 0 (two-sided), and its 95 % interval, None if undefined."""

    value: float
    p_value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Correlation:
    """Between quality [N], any scale, and correctness [N]. None with a `reason` where undefined.

    - `pearson`: cov(q, y) / (sd q sd y) with y 0 or 1; p-value of Student's t with N - 2 degrees, interval by Fisher's
      z, tanh(atanh r +- 1.96 / sqrt(N - 3)), which needs N > 3 and |r| < 1. Both suppose normal errors, so for a y of
      two values they are approximate.
    - `point_biserial`: (mean q of the right - mean q of the wrong) / sd q * sqrt(share right * share wrong). That is
      Pearson's for a y of two values, the same number under another name; both are here since papers ask for either.
    - `spearman`: Pearson's of the mid-ranks, p-value as above; percentile bootstrap over pairs, ranked anew in each
      draw. Draws in which either is constant have no correlation and are left out: `left_out` is their share.
    """

    n: int
    pearson: Coefficient | None
    point_biserial: Coefficient | None
    spearman: Coefficient | None
    left_out: float | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def correlate(quality: ArrayLike, correct: ArrayLike, seed: int = 0, draws: int = DRAWS) -> Correlation:
    """Correlation of `quality` [N] with `correct` [N] (true or false).

    Raises:
        LimbeckError: quality that is not a finite number, `correct` that is neither true nor false (each names the
            first such row, from 0), or lengths that differ.
    """
    q, right = numbers("quality", quality), flags("correct", correct)
    same_length("quality", q, "correct", right)
    y = right.astype(np.float64)
    reason = _undefined(q, y)
    if reason:
        return Correlation(len(q), None, None, None, reason=reason)
    linear = pearsonr(q, y)
    r = float(linear.statistic)
    fisher = linear.confidence_interval(0.95) if len(q) > 3 and abs(r) < 1 else None
    interval = (float(fisher.low), float(fisher.high)) if fisher else None
    pearson = Coefficient(r, float(linear.pvalue), interval)
    spearman = spearmanr(q, y)
    drawn = np.concatenate([_spearman(q, y, block) for block in resample(len(q), draws, seed)])
    defined = drawn[~np.isnan(drawn)]
    return Correlation(
        n=len(q),
        pearson=pearson,
        point_biserial=pearson,
        spearman=Coefficient(
            float(spearman.statistic), float(spearman.pvalue), percentiles(defined) if len(defined) else None
        ),
        left_out=float(np.isnan(drawn).mean()),
    )


def _undefined(quality: Floats, y: Floats) -> str | None:
    if len(y) < 3:
        return f"{len(y)} answers: a correlation takes three"
    if np.ptp(quality) == 0:
        return f"every answer has the quality {quality[0]:.6g}: what does not vary correlates with nothing"
    if np.ptp(y) == 0:
        return f"every answer is {'right' if y[0] else 'wrong'}: what does not vary correlates with nothing"
    return None


def _spearman(quality: Floats, y: Floats, weights: Floats) -> Floats:
    """Spearman's coefficient [d] with rows that count as often as `weights` [N, d] says; NaN where undefined."""
    mean = (len(y) + 1) / 2
    a, b = _midranks(quality, weights) - mean, _midranks(y, weights) - mean
    together, square_a, square_b = ((weights * x * z).sum(axis=0) for x, z in ((a, b), (a, a), (b, b)))
    spread = np.sqrt(square_a * square_b)
    return np.divide(together, spread, out=np.full(spread.shape, np.nan), where=spread > 0)


def _midranks(values: Floats, weights: Floats) -> Floats:
    """The rank [N, d] of each row among all drawn, equal values sharing the mean of theirs; from 1."""
    different, where = np.unique(values, return_inverse=True)
    counts = adding(where, len(different)) @ weights
    return (np.cumsum(counts, axis=0) - (counts - 1) / 2)[where]
