"""Case `methods`: what the alignment of `mi` costs over `dss`, and what `dss` costs the naive way."""

from collections.abc import Iterator
from typing import Any

from benchmarks.measure import alternate
from benchmarks.rows import time_row
from benchmarks.settings import Settings
from benchmarks.step import Side, steps


def methods(settings: Settings) -> Iterator[dict[str, Any]]:
    """The whole step with dropout 0.1, in bf16 on a GPU."""
    sides = {
        "naive dss": Side("naive", "dss", settings.gpu),
        "limbeck dss": Side("limbeck", "dss", settings.gpu),
        "limbeck mi": Side("limbeck", "mi", settings.gpu),
    }
    made = steps(list(sides.values()), settings.small, settings.shape, settings.device, dropout=0.1)
    times = alternate({name: made[side] for name, side in sides.items()}, settings.device, settings.rounds)
    case = f"methods, {settings.shape}"
    yield time_row(case, times, "limbeck dss", "limbeck mi", ("mi at most 3 % more time than dss", 1 / 1.03))
    yield time_row(case, times, "naive dss", "limbeck dss", ("dss no slower than naive", 1.0))
