"""Values with their uncertainty: means and binned calibration errors, bootstrapped, and what chance makes of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.metrics.reliability import BINS
from limbeck.stats.graded import Floats, Ints
from limbeck.stats.intervals import Interval, block_sizes, group_sums, percentiles, resample

_TIE = 1e-12  # sums in another order differ by rounding; errors that close are equal


@dataclass(frozen=True, slots=True)
class Null:
    """What the error would be were answers right exactly as often as their confidences say.

    `expected` is the mean over draws, `range` their middle 95 %, `p_value` = (1 + #{error >= value}) / (1 + draws).
    """

    expected: float
    range: Interval
    p_value: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its 95 % interval (None for n < 2) and, of a calibration error, what chance alone would give."""

    value: float
    interval: Interval | None
    if_calibrated: Null | None = None


class BinnedError:
    """A calibration error of K binary problems on N answers, as sparse sums over the bins.

    Args:
        bins: each problem's bin, 0 to 9, of each answer, [N, K].
        confidence, hit: [N, K]; hit is 0 or 1.
        largest: the largest |mean hit - mean confidence| of a bin (K = 1), not their mean weighted by the bins' share.
    """

    def __init__(self, bins: Ints, confidence: Floats, hit: NDArray, largest: bool = False) -> None:
        self.n, self.k = bins.shape
        cells, rows = (bins + BINS * np.arange(self.k)).ravel(), np.repeat(np.arange(self.n), self.k)
        self._member = group_sums(cells, BINS * self.k)
        self._gap = group_sums(cells, BINS * self.k, (hit - confidence).ravel(), rows)
        self._said, self._size = self._member @ confidence.ravel(), self._member @ np.ones((len(cells), 1))
        self._largest = largest

    def weighted(self, weights: Floats) -> Floats:
        """The error [d] where answers count as often as `weights` [N, d] says, each column of which sums to N."""
        return self._error(self._gap @ weights, self._member @ weights if self._largest else None)

    def of(self, hits: Floats) -> Floats:
        """The error [d] with other hits, [N, K, d]."""
        right = self._member @ hits.reshape(self.n * self.k, -1)
        return self._error(right - self._said[:, None], self._size)

    def _error(self, gaps: Floats, counts: Any) -> Floats:
        if self._largest:
            return (np.abs(gaps) / np.maximum(counts, 1)).max(axis=0)  # an empty bin has no gap
        return np.abs(gaps).sum(axis=0) / (self.n * self.k)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A value, and the mean and middle 95 % of what bootstrap draws make of it."""

    value: float
    mean: float
    middle: Interval


def bootstrap(
    means: Mapping[str, Floats], errors: Mapping[str, BinnedError], draws: int, seed: int
) -> dict[str, Drawn]:
    """Each mean of values [N], N > 0, and each error, with what the same draws make of it."""
    rows = np.stack(list(means.values()))
    n = rows.shape[1]

    def weighted(weights: Floats) -> Floats:
        return np.concatenate([rows @ weights / n, *(error.weighted(weights)[None] for error in errors.values())])

    values = weighted(np.ones((n, 1)))[:, 0]
    drawn = np.concatenate([weighted(block) for block in resample(n, draws, seed)], axis=1)
    return {
        name: Drawn(float(value), float(of_name.mean()), percentiles(of_name))
        for name, value, of_name in zip([*means, *errors], values, drawn, strict=True)
    }


def by_chance(
    errors: Mapping[str, BinnedError], values: Mapping[str, float], hits: Iterator[Floats]
) -> dict[str, Null]:
    """How each error is spread over the block_sizes of simulated hits [N, K, d], and how far out its value is."""
    blocks_of = [[error.of(block) for error in errors.values()] for block in hits]
    nulls = {}
    for name, simulated in zip(errors, np.concatenate(blocks_of, axis=1), strict=True):
        as_far = int((simulated >= values[name] - _TIE).sum())
        nulls[name] = Null(float(simulated.mean()), percentiles(simulated), (1 + as_far) / (1 + len(simulated)))
    return nulls


def error_interval(drawn: Drawn, chance: Null) -> Interval:
    """The interval of a calibration error.

    A draw errs by chance on top of what the sample does by chance: the middle of the draws lies too high by twice the
    bias and never holds a true error of 0. So the lower end is reflected at the value (basic bootstrap, Davison and
    Hinkley 1997, par. 5.2), and is 0 where an error of 0 is not refused (p > 0.025); the upper end is the draws' less
    their bias, mean - value. In simulations 90 to 98 % of such intervals hold the true error (n from 100;
    85 % at n = 50), of plain ones 0 to 95 %.
    """
    low = 0.0 if chance.p_value > 0.025 else max(0.0, 2 * drawn.value - drawn.middle[1])
    high = drawn.middle[1] - max(0.0, drawn.mean - drawn.value)
    return min(low, drawn.value), max(high, drawn.value)


def simulate_hits(confidence: Floats, draws: int, seed: int) -> Iterator[Floats]:
    """Blocks [N, 1, d] of hits that come with the probabilities `confidence` [N]."""
    rng = np.random.default_rng(seed)
    for size in block_sizes(len(confidence), draws):
        yield (rng.random((len(confidence), 1, size)) < confidence[:, None, None]).astype(np.float64)


def simulate_labels(probabilities: Floats, draws: int, seed: int) -> Iterator[Floats]:
    """Blocks [N, K, d], 1 at labels that come with the `probabilities` [N, K]."""
    rng = np.random.default_rng(seed)
    n, k = probabilities.shape
    below = np.cumsum(probabilities, axis=1)[:, :-1, None]
    for size in block_sizes(n * k, draws):
        hits = np.ones((n, k, size))  # of being no label before this one; less those of being none up to it
        hits[:, 1:] = rng.random((n, 1, size)) >= below
        hits[:, :-1] -= hits[:, 1:]
        yield hits
