"""What `limbeck evaluate` and `limbeck judge` left in a run's folder, as far as it can be read."""

import math
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.evaluation.resampling import Interval
from limbeck.experiments.run import Run
from limbeck.files import read_json


def page(run: Run) -> dict[str, Any] | None:
    """The page of the test split; None where there is none.

    Raises:
        LimbeckError: it cannot be read.
    """
    path = run.path / "evaluation" / "test.json"
    if not path.is_file():
        return None
    found = read_json(path)
    if not isinstance(found, dict):
        raise LimbeckError(f"{path}: no page of an evaluation; write it again with `limbeck evaluate {run.path}`")
    return found


def value(found: Any, place: str) -> Any:
    """What stands at a dotted place (`quality.bleu.score`); None where it leads nowhere."""
    for key in place.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def number_of(run: Run, place: str) -> float | None:
    """A finite number of the run's page."""
    found = value(page(run), place)
    return float(found) if _is_number(found) else None


def interval_of(run: Run, place: str) -> Interval | None:
    """An interval of the run's page."""
    found = value(page(run), place)
    whole = isinstance(found, list) and len(found) == 2 and all(map(_is_number, found))
    return (float(found[0]), float(found[1])) if whole else None


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
