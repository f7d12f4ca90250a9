"""What `limbeck evaluate` left in the runs' folders, as far as it can be read."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.evaluation.resampling import Interval
from limbeck.experiments.run import Run
from limbeck.files import read_json

Pages = Mapping[Path, Any]


def pages(runs: Iterable[Run]) -> Pages:
    """By the run's folder the page of its test split, where there is one.

    Raises:
        LimbeckError: one cannot be read.
    """
    files = {run.path: run.path / "evaluation" / "test.json" for run in runs}
    found = {folder: read_json(file) for folder, file in files.items() if file.is_file()}
    for folder, page in found.items():
        if not isinstance(page, dict):
            raise LimbeckError(
                f"{files[folder]}: no page of an evaluation; write it again with `limbeck evaluate {folder}`"
            )
    return found


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
