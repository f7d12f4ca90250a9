"""Values on their way to a figure: what is missing is known, and nothing is infinite."""

import math
from collections.abc import Iterable
from typing import NamedTuple, TypeGuard

_LARGEST = 1e100  # beyond, the arithmetic of axes overflows; a loss that large is lost anyhow


class Point(NamedTuple):
    """A mean with its interval [low, high]. `mean` None: not run. `low` or `high` None: no interval."""

    x: float
    mean: float | None
    low: float | None = None
    high: float | None = None


def known(value: float | None) -> TypeGuard[float]:
    """Whether there is a value, finite, to draw."""
    return value is not None and math.isfinite(value) and abs(value) < _LARGEST


def line(points: Iterable[tuple[float | None, float | None]]) -> list[tuple[float, float]]:
    """The points (x, y) of a line by rising x, of equal x as they come. Unknown y: nan, a gap. Unknown x: left out."""
    kept = [(float(x), float(y) if known(y) else math.nan) for x, y in points if known(x)]
    return sorted(kept, key=lambda point: point[0])
