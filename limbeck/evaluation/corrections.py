"""Many comparisons at once: p-values adjusted so that each may still be held against 5 %."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import false_discovery_control


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down (1979): the chance of *any* false finding stays at the level, however the tests depend.

    The k-th smallest of m becomes max over j <= k of (m - j + 1) p_(j), at most 1. In the input's order; None, a
    comparison that could not be made, stays None and is not counted.
    """
    return _adjusted(p_values, _holm)


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's step-up (1995): the expected *share* of false findings among all stays at the level.

    The k-th smallest of m becomes min over j >= k of m p_(j) / j, at most 1; for tests that are independent or depend
    positively, as those against one baseline do. In the input's order; None stays None and is not counted.
    """
    return _adjusted(p_values, false_discovery_control)


def _holm(p_values: np.ndarray) -> np.ndarray:
    order = np.argsort(p_values)
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted


def _adjusted(p_values: Sequence[float | None], adjust: Callable[[np.ndarray], np.ndarray]) -> list[float | None]:
    made = [number for number, p in enumerate(p_values) if p is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    if made:
        for number, p in zip(made, adjust(np.array([p_values[number] for number in made], dtype=float)), strict=True):
            adjusted[number] = float(p)
    return adjusted
