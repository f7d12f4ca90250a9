"""The bootstrap, as weights: how often each row was drawn. Statistics that are sums become one product with them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from limbeck.stats.graded import Floats, Ints

DRAWS = 2000
CELLS = 1 << 18  # of a block of draws, 2 MB however many rows there are: what fits a cache is twice as quick

Interval = tuple[float, float]


def blocks(n: int, draws: int) -> Iterator[int]:
    """How many draws of n rows to make at a time, until there are `draws`."""
    size = max(1, CELLS // n)
    for start in range(0, draws, size):
        yield min(size, draws - start)


def resample(n: int, draws: int, seed: int) -> Iterator[Floats]:
    """Blocks [n, d] of bootstrap weights, `draws` columns in all: each sums to n, drawn with replacement."""
    rng = np.random.default_rng(seed)
    for size in blocks(n, draws):
        weights = np.empty((size, n))
        for row in weights:
            row[:] = np.bincount(rng.integers(0, n, size=n), minlength=n)
        yield np.ascontiguousarray(weights.T)  # filled by rows, read by columns: each way is the quick one


def percentiles(values: Floats) -> Interval:
    """The middle 95 % of the values [draws]: the percentile interval (Efron and Tibshirani 1993, chapter 13)."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def adding(groups: Ints, count: int, values: ArrayLike = 1.0, rows: Ints | None = None) -> Any:
    """The sparse matrix [count, N] whose product with weights [N, d] sums values * weights within each group.

    Entry i belongs to row i, or to `rows[i]` where rows have several.
    """
    rows = np.arange(len(groups)) if rows is None else rows
    entries = np.broadcast_to(np.asarray(values, dtype=np.float64), groups.shape)
    return sparse.csr_array((entries, (groups, rows)), shape=(count, int(rows[-1]) + 1))
