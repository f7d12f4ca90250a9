"""The overview: what can be concluded from the runs and what cannot, in one paragraph made from the numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.formatting import interval, number, p_equals
from limbeck.grids import Grid, GridFolder, cells
from limbeck.report.contrasts import Contrast
from limbeck.report.tables import LEVEL, listed
from limbeck.runs.groups import RunGroup
from limbeck.runs.run import Run, run_name

ErrorOf = Callable[[str], str | None]  # by the name of a run, the first line of its error

MAX_NAMED = 8  # differences, and comparisons without one, that are written out
MAX_NOT_RUN = 10  # cells that are named
ONE_TEST = "one test alone, before Holm's correction, finds 4 times of 5"
SMOKE_STEPS = 50  # the task that is learnt quickest here takes some hundreds of optimizer steps


@dataclass(frozen=True, slots=True)
class Missing:
    """Names of grid cells and other runs that are in no table, and a sentence for each."""

    grids: int
    cells: int
    failed: tuple[str, ...]
    unfinished: tuple[str, ...]
    not_run: tuple[str, ...]
    other_failed: tuple[str, ...]  # of no grid here
    other_unfinished: tuple[str, ...]
    sentences: tuple[str, ...]


def grid_folders(paths: Sequence[Path], runs: Sequence[Run]) -> list[Path]:
    """Return where grids and failures may lie: these folders, and those below them that hold a run."""
    folders = {path.resolve(): path for path in paths}
    for run in runs:
        parent = run.path.resolve().parent
        if any(parent.is_relative_to(path.resolve()) for path in paths):
            folders.setdefault(parent, run.path.parent)
    return list(folders.values())


def errors_in(folders: Sequence[Path]) -> ErrorOf:
    """Return a lookup of why a grid's cell failed."""
    return lambda name: next((error for path in folders if (error := GridFolder(path).error(name)) is not None), None)


def find_missing(folders: Sequence[Path], runs: Sequence[Run], grids: Sequence[Grid]) -> Missing:
    """Return what was begun, or is in a grid, and has no result. A failed cell is not unfinished besides."""
    planned = {cell.recipe.key: cell.name for grid in grids for cell in cells(grid)}
    finished = {run.recipe.key for run in runs if run.finished}
    failed = {file.stem for path in folders for file in (path / "failed").glob("*.json")}
    failed -= {run_name(run.recipe) for run in runs if run.finished}
    unfinished = [run for run in runs if not run.finished and run.path.name not in failed]
    started = finished | {run.recipe.key for run in unfinished}
    not_run = [name for key, name in planned.items() if key not in started and name not in failed]
    error_of = errors_in(folders)
    sentences = [f"{name} failed: {error_of(name)}" for name in sorted(failed)]
    sentences += [f"{run.path} is not finished" for run in unfinished]
    sentences += [f"{name} was not run" for name in not_run[:MAX_NOT_RUN]]
    if (unnamed := len(not_run) - MAX_NOT_RUN) > 0:
        sentences.append(f"{unnamed} more cells were not run")
    return Missing(
        len(grids),
        len(planned),
        failed=tuple(sorted(failed & set(planned.values()))),
        unfinished=tuple(run.path.name for run in unfinished if run.recipe.key in planned),
        not_run=tuple(not_run),
        other_failed=tuple(sorted(failed - set(planned.values()))),
        other_unfinished=tuple(run.path.name for run in unfinished if run.recipe.key not in planned),
        sentences=tuple(sentences),
    )


def overview(groups: Sequence[RunGroup], missing: Missing, contrasts: Sequence[Contrast]) -> list[str]:
    """Return the sentences of the paragraph, never empty."""
    sentences = [_counts(groups), *_missing(missing)]
    smoke = [contrast for contrast in contrasts if max(map(_steps, contrast.member.group.runs)) < SMOKE_STEPS]
    if smoke:
        sentences.append(_smoke(smoke, contrasts))
    smoke_members = [contrast.member for contrast in smoke]
    trained = [c for c in contrasts if c not in smoke and c.comparable.baseline not in smoke_members]
    tested = [contrast for contrast in trained if contrast.comparison is not None]
    significant = [contrast for contrast in tested if contrast.adjusted is not None and contrast.adjusted < LEVEL]
    undecided = [contrast for contrast in tested if contrast not in significant]
    if significant:
        sentences.append(f"{_first(significant, _significant)}.")
    if undecided:
        sentences.append(
            f"No difference can be concluded in {len(undecided)} of {_count(tested, 'comparison')}: "
            f"{_first(undecided, _undecided)}; {_detectable(undecided)}."
        )
    apart = [contrast for contrast in trained if contrast.comparison is None and not contrast.is_baseline]
    if apart:
        names = _first(apart, lambda contrast: f"{contrast.name} on {contrast.comparable.name}")
        sentences.append(f"Measured on other examples than the baseline, and so not compared: {names}.")
    if trained and not tested and not apart:
        sentences.append("There is nothing to compare.")
    if any(contrast.comparison and max(contrast.comparison.seeds) == 1 for contrast in tested):
        sentences.append(
            "With one seed, all of this is about these trained students: one seed says nothing about a recipe."
        )
    return sentences


def _counts(groups: Sequence[RunGroup]) -> str:
    runs = [run for group in groups for run in group.runs]
    steps, tasks = sorted(map(_steps, runs)), dict.fromkeys(group.task for group in groups)
    trained = f"{steps[0]:,}" if steps[0] == steps[-1] else f"{steps[0]:,} to {steps[-1]:,}"
    seeds = _seeds([len(group.runs) for group in groups])
    return (
        f"{_count(runs, 'finished run')} in {_count(groups, 'run group')} on {listed(list(tasks))}, {seeds} a group, "
        f"trained for {trained} steps."
    )


def _missing(missing: Missing) -> list[str]:
    kinds = (
        (missing.failed, "has failed", "have failed"),
        (missing.unfinished, "is not finished", "are not finished"),
        (missing.not_run, "has not been run", "have not been run"),
    )
    phrases = [f"{len(names)} {singular if len(names) == 1 else plural}" for names, singular, plural in kinds if names]
    grid = "the grid's" if missing.grids == 1 else "the grids'"
    sentences = (
        [f"Of {grid} {missing.cells} cells, {listed(phrases)}: no result here includes them."] if phrases else []
    )
    kinds_of_none = ((missing.other_failed, "failed run"), (missing.other_unfinished, "unfinished run"))
    strays = [_count(names, kind) for names, kind in kinds_of_none if names]
    return [*sentences, *([f"{listed(strays)} of no grid here left out."] if strays else [])]


def _smoke(smoke: Sequence[Contrast], contrasts: Sequence[Contrast]) -> str:
    steps = max(_steps(run) for contrast in smoke for run in contrast.member.group.runs)
    names = [f"{contrast.member.name} on {contrast.member.task}" for contrast in smoke]
    return (
        f"{'All of them' if len(smoke) == len(contrasts) else listed(names)} trained for {steps} steps at most: such "
        "runs show that everything works from end to end, and say nothing of the methods."
    )


def _first(contrasts: Sequence[Contrast], describe: Callable[[Contrast], str]) -> str:
    """Return the first descriptions, and how many more there are."""
    more = len(contrasts) - MAX_NAMED
    return "; ".join(map(describe, contrasts[:MAX_NAMED])) + (f"; and {more} more" if more > 0 else "")


def _significant(contrast: Contrast) -> str:
    difference = (contrast.comparison.difference if contrast.comparison else None) or 0
    direction = "ahead of" if difference > 0 else "behind"
    points = number(100 * abs(difference), 2)
    evidence = _evidence(contrast, flip=difference < 0)
    return f"{contrast.name} is {points} points {direction} {_baseline(contrast)} ({evidence})"


def _undecided(contrast: Contrast) -> str:
    difference = (contrast.comparison.difference if contrast.comparison else None) or 0
    points = number(100 * difference, 2, sign=True)
    return f"{contrast.name} and {_baseline(contrast)} ({points} points, {_evidence(contrast)})"


def _baseline(contrast: Contrast) -> str:
    return f"{contrast.comparable.short_name(contrast.comparable.baseline)} on {contrast.comparable.name}"


def _evidence(contrast: Contrast, *, flip: bool = False) -> str:
    comparison = contrast.comparison
    assert comparison is not None
    ends = None if comparison.interval is None else [100 * end for end in comparison.interval]
    if ends and flip:  # a distance behind, with its own ends
        ends = [-ends[1], -ends[0]]
    interval_text = f"95 % interval {interval(ends, 2, sign=not flip, brackets=False)}, " if ends else ""
    size = f"{comparison.n:,} examples, {_seeds(comparison.seeds)}"
    return f"{interval_text}adjusted p {p_equals(contrast.adjusted)}, {size}"


def _detectable(undecided: Sequence[Contrast]) -> str:
    """Say how large a difference would have been found."""
    detectable = sorted(
        c.comparison.detectable for c in undecided if c.comparison and c.comparison.detectable is not None
    )
    if not detectable:
        return f"no difference is so large that {ONE_TEST}"
    low, high = (number(100 * end, 2) for end in (detectable[0], detectable[-1]))
    exceptions = len(undecided) - len(detectable)
    sizes = low if low == high else f"{low} to {high}"
    return f"the smallest difference that {ONE_TEST} is {sizes} points" + (
        f", and in {exceptions} there is none" if exceptions else ""
    )


def _seeds(counts: Sequence[int]) -> str:
    smallest, largest = min(counts), max(counts)
    return f"{smallest if smallest == largest else f'{smallest} to {largest}'} seed{'' if largest == 1 else 's'}"


def _count(items: Sequence[Any], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _steps(run: Run) -> int:
    """Return the optimizer steps taken, or where the results do not have them those of the recipe."""
    training: Any = run.results.get("training")
    steps = training.get("steps") if isinstance(training, dict) else None
    return steps if isinstance(steps, int) else int(run.recipe.resolved()["training"]["max_steps"])
