"""What `limbeck evaluate` left in the runs' folders, as far as it can be read."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from limbeck.runs.run import Run
from limbeck.stats.intervals import Interval

Pages = Mapping[Path, Any]


def pages(runs: Iterable[Run]) -> Pages:
    """By the run's folder the page of its test split, where there is one of its newest answers.

    Raises:
        LimbeckError: one cannot be read.
    """
    return {run.path: page for run in runs if (page := run.page()) is not None}


def number_of(page: Any, place: str) -> float | None:
    """The finite number at a dotted place (`quality.bleu.score`) of a page."""
    found = _at(page, place)
    return float(found) if _is_number(found) else None


def interval_of(page: Any, place: str) -> Interval | None:
    """The interval at a dotted place of a page."""
    found = _at(page, place)
    whole = isinstance(found, list) and len(found) == 2 and all(map(_is_number, found))
    return (float(found[0]), float(found[1])) if whole else None


def reason_of(page: Any, section: str) -> str | None:
    """Why a page does not have a section."""
    found = _at(page, f"reasons.{section}")
    return found if isinstance(found, str) else None


def _at(found: Any, place: str) -> Any:
    for key in place.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
