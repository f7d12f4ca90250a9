"""Many comparisons at once: p-values adjusted so that each may still be held against 5 %."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down (1979): the chance of *any* false finding stays at the level, however the tests depend.

    The k-th smallest of m becomes max over j <= k of (m - j + 1) p_(j), at most 1. In the input's order; None, a
    comparison that could not be made, stays None and is not counted.
    """
    made = [number for number, p in enumerate(p_values) if p is not None]
    found = np.array([p_values[number] for number in made], dtype=float)
    order = np.argsort(found)
    scaled = found[order] * np.arange(len(found), 0, -1)
    adjusted: list[float | None] = [None] * len(p_values)
    for place, p in zip(order, np.minimum(np.maximum.accumulate(scaled), 1), strict=True):
        adjusted[made[place]] = float(p)
    return adjusted
