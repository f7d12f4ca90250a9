"""The bootstrap over seeds and examples."""

from collections.abc import Sequence

import numpy as np

DRAWS = 10_000
_CELLS = 2_000_000  # numbers in memory at a time


def resampled_means(sides: Sequence[np.ndarray], seed: int, draws: int) -> np.ndarray:
    """Accuracy of each side in every draw: `[draws, len(sides)]`.

    A side is `[S, N]`, the runs of one recipe; all sides answered the same N examples. A draw takes N examples with
    replacement, the same for every run (each run its own would make the examples' share of the variance S times too
    small), and on each side S of its seeds with replacement (Owen's "pigeonhole" bootstrap, 2007).

    Examples on which all runs do alike are interchangeable, so a draw is a multinomial over the distinct columns, not
    N indices: the same distribution, in a fraction of the time and memory.
    """
    columns, counts = np.unique(np.vstack(sides), axis=1, return_counts=True)
    n = counts.sum()
    rng = np.random.default_rng(seed)
    means = np.empty((draws, len(sides)))
    step = max(_CELLS // len(counts), 1)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        runs = rng.multinomial(n, counts / n, size=size).astype(float) @ columns.T / n  # [size, runs]
        first = 0
        for number, side in enumerate(sides):
            picked = rng.integers(first, first + len(side), size=(size, len(side)))
            means[start : start + size, number] = np.take_along_axis(runs, picked, axis=1).mean(axis=1)
            first += len(side)
    return means


def centred_p_value(drawn: np.ndarray, observed: float) -> float | None:
    """Two-sided p-value of `observed` against 0: the share of draws as far from `observed` as that is from 0.

    (1 + #{|drawn - observed| >= |observed|}) / (1 + draws), the observed one counted as a draw so that it is never 0
    (Davison and Hinkley 1997, 4.2). Draws that are all equal tell nothing: None, or 1 if `observed` is 0.
    """
    if observed == 0:
        return 1.0
    if np.ptp(drawn) == 0:
        return None
    far = np.abs(drawn - observed) >= abs(observed) - 1e-12  # equal ones, summed in another order
    return float((1 + far.sum()) / (1 + len(drawn)))
