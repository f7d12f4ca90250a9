"""What a report cannot speak of: cells of its grids that failed or were never run, and runs that are not finished."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from limbeck.grids import Folders, Grid, cells
from limbeck.report.studies import Failed
from limbeck.runs.run import Run, run_name

_NAMED = 10  # cells that were not run


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many `grids` there are and `cells` in them; the rest are names, `other_`s those of runs of none."""

    grids: int
    cells: int
    failed: tuple[str, ...]
    unfinished: tuple[str, ...]
    not_run: tuple[str, ...]
    other_failed: tuple[str, ...]
    other_unfinished: tuple[str, ...]
    sentences: tuple[str, ...]


def folders(paths: Sequence[Path], runs: Sequence[Run]) -> list[Path]:
    """Where grids and failures may lie: in the folders given, and in those below them that a run lies in."""
    given = {path.resolve(): path for path in paths}
    below = {run.path.resolve().parent: run.path.parent for run in runs}
    return list(given.values()) + [
        folder
        for real, folder in below.items()
        if real not in given and any(real.is_relative_to(path) for path in given)
    ]


def errors(paths: Sequence[Path]) -> Failed:
    """By the name of a grid's cell the first line of why it failed, if it did."""
    return lambda name: next((error for path in paths if (error := Folders(path).error(name)) is not None), None)


def left_out(paths: Sequence[Path], runs: Sequence[Run], grids: Sequence[Grid]) -> LeftOut:
    """What was begun, or is to be, and is in no table. A cell that failed is not unfinished besides."""
    wanted = {cell.recipe.key: cell.name for grid in grids for cell in cells(grid)}
    finished = {run.recipe.key for run in runs if run.finished}
    failed = {file.stem for path in paths for file in sorted((path / "failed").glob("*.json"))}
    failed -= {run_name(run.recipe) for run in runs if run.finished}
    begun = [run for run in runs if not run.finished and run.path.name not in failed]
    settled = finished | {run.recipe.key for run in begun}
    not_run = [name for key, name in wanted.items() if key not in settled and name not in failed]
    said, why = [], errors(paths)
    said += [f"{name} failed: {why(name)}" for name in sorted(failed)]
    said += [f"{run.path} is not finished" for run in begun]
    said += [f"{name} was not run" for name in not_run[:_NAMED]]
    if (more := len(not_run) - _NAMED) > 0:
        said.append(f"{more} more cells were not run")
    return LeftOut(
        len(grids),
        len(wanted),
        failed=tuple(sorted(failed & set(wanted.values()))),
        other_failed=tuple(sorted(failed - set(wanted.values()))),
        unfinished=tuple(run.path.name for run in begun if run.recipe.key in wanted),
        not_run=tuple(not_run),
        other_unfinished=tuple(run.path.name for run in begun if run.recipe.key not in wanted),
        sentences=tuple(said),
    )
