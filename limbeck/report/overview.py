"""The overview: what can be concluded from the runs and what cannot, in one paragraph made from the numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from limbeck.formatting import interval, number, p_equals
from limbeck.grids import Grid, GridFolder, cells
from limbeck.report.contrasts import Contrast
from limbeck.report.tables import LEVEL
from limbeck.runs.run import Run, run_name

MAX_NAMED = 8  # differences, and comparisons without one, that are written out
MAX_NOT_RUN = 10  # cells that are named
ONE_TEST = "one test alone, before Holm's correction, finds 4 times of 5"
SMOKE_STEPS = 50  # the task that is learnt quickest here takes some hundreds of optimizer steps


def grid_folders(paths: Sequence[Path], runs: Sequence[Run]) -> list[Path]:
    """Return where grids and failures may lie: these folders, and those below them that hold a run."""
    roots = [path.resolve() for path in paths]
    parents = [run.path.resolve().parent for run in runs]
    return list(dict.fromkeys([*roots, *(path for path in parents if any(map(path.is_relative_to, roots)))]))


def read_errors(folders: Sequence[Path]) -> dict[str, str]:
    """Return the first line of the error of each run that failed, by its name."""
    names = [(GridFolder(path), file.stem) for path in folders for file in sorted((path / "failed").glob("*.json"))]
    return {name: folder.error(name) for folder, name in names}


def find_missing(runs: Sequence[Run], grids: Sequence[Grid], errors: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return sentences that count what was begun, or is in a grid, and has no result; and a sentence for each."""
    finished = {run_name(run.recipe) for run in runs if run.finished}
    planned = dict.fromkeys(cell.name for grid in grids for cell in cells(grid))
    missing = {name: ("failed", f"{name} failed: {error}") for name, error in errors.items() if name not in finished}
    for run in runs:
        if not run.finished:
            missing.setdefault(run_name(run.recipe), ("unfinished", f"{run.path} is not finished"))
    for name in planned:
        if name not in finished:
            missing.setdefault(name, ("not run", f"{name} was not run"))
    counts = []
    for kind, beginning in ((True, f"Of {len(planned)} cells of grids"), (False, "Of no grid here")):
        statuses = Counter(status for name, (status, _) in missing.items() if (name in planned) is kind)
        words = ", ".join(f"{count} {status}" for status, count in statuses.items())
        counts += [f"{beginning}, {words}: no result here includes them."] if words else []
    sentences = [sentence for status, sentence in missing.values() if status != "not run"]
    not_run = [sentence for status, sentence in missing.values() if status == "not run"]
    if (unnamed := len(not_run) - MAX_NOT_RUN) > 0:
        not_run[MAX_NOT_RUN:] = [f"{unnamed} more cells were not run"]
    return counts, [*sentences, *not_run]


def overview(contrasts: Sequence[Contrast], missing: Sequence[str]) -> list[str]:
    """Return the sentences of the paragraph, never empty; `missing` are those that count what is missing."""
    sentences = [_sizes(contrasts), *missing]
    smoke = [contrast.member for contrast in contrasts if max(map(_steps, contrast.member.group.runs)) < SMOKE_STEPS]
    if smoke:
        names = "; ".join(f"{member.name} on {member.task}" for member in smoke)
        sentences.append(
            f"{'All of them' if len(smoke) == len(contrasts) else names} trained for fewer than {SMOKE_STEPS} steps: "
            "such runs show that everything works from end to end, and say nothing of the methods."
        )
    trained = [c for c in contrasts if c.member not in smoke and c.baseline not in smoke]
    tested = [contrast for contrast in trained if contrast.comparison is not None]
    significant = [contrast for contrast in tested if contrast.adjusted is not None and contrast.adjusted < LEVEL]
    undecided = [contrast for contrast in tested if contrast not in significant]
    apart = [f"{c.member.name} on {c.task}" for c in trained if c.comparison is None and c.member is not c.baseline]
    if significant:
        sentences.append(f"{_first(map(_difference, significant))}.")
    if undecided:
        sentences.append(
            f"No difference can be concluded in {len(undecided)} of {len(tested)} comparisons: "
            f"{_first(map(_difference, undecided))}; {_detectable(undecided)}."
        )
    if apart:
        sentences.append(f"Measured on other examples than the baseline, and so not compared: {_first(apart)}.")
    if trained and not tested and not apart:
        sentences.append("There is nothing to compare.")
    if any(contrast.comparison and max(contrast.comparison.seeds) == 1 for contrast in tested):
        sentences.append(
            "With one seed, all of this is about these trained students: one seed says nothing about a recipe."
        )
    return sentences


def _sizes(contrasts: Sequence[Contrast]) -> str:
    groups = [contrast.member.group for contrast in contrasts]
    runs = [run for group in groups for run in group.runs]
    tasks = ", ".join(dict.fromkeys(group.task for group in groups))
    return (
        f"{len(runs)} finished runs in {len(groups)} run groups on {tasks}, "
        f"{_seeds([len(group.runs) for group in groups])} a group, trained for {_range(map(_steps, runs))} steps."
    )


def _first(descriptions: Iterable[str]) -> str:
    """Return the first descriptions, and how many more there are."""
    texts = list(descriptions)
    if (unnamed := len(texts) - MAX_NAMED) > 0:
        texts[MAX_NAMED:] = [f"and {unnamed} more"]
    return "; ".join(texts)


def _difference(contrast: Contrast) -> str:
    comparison = contrast.comparison
    assert comparison is not None and comparison.interval is not None
    points = 100 * (comparison.difference or 0.0)
    ends = [100 * end for end in comparison.interval]
    significant = contrast.adjusted is not None and contrast.adjusted < LEVEL
    verb = f"is {'ahead of' if points > 0 else 'behind'}" if significant else "and"
    return (
        f"{contrast.member.name} {verb} {contrast.baseline.name} on {contrast.task} "
        f"({number(points, 2, sign=True)} points, 95 % interval {interval(ends, 2, sign=True, brackets=False)}, "
        f"adjusted p {p_equals(contrast.adjusted)}, {comparison.n:,} examples, {_seeds(comparison.seeds)})"
    )


def _detectable(undecided: Sequence[Contrast]) -> str:
    """Say how large a difference would have been found."""
    sizes = [c.comparison.detectable for c in undecided if c.comparison and c.comparison.detectable is not None]
    if not sizes:
        return f"no difference is so large that {ONE_TEST}"
    low, high = (number(100 * end, 2) for end in (min(sizes), max(sizes)))
    without = len(undecided) - len(sizes)
    return f"the smallest difference that {ONE_TEST} is {low if low == high else f'{low} to {high}'} points" + (
        f", and in {without} there is none" if without else ""
    )


def _seeds(counts: Sequence[int]) -> str:
    return f"{_range(counts)} seed{'' if max(counts) == 1 else 's'}"


def _range(numbers: Iterable[int]) -> str:
    ordered = sorted(numbers)
    return f"{ordered[0]:,}" if ordered[0] == ordered[-1] else f"{ordered[0]:,} to {ordered[-1]:,}"


def _steps(run: Run) -> int:
    """Return the optimizer steps taken, or where the results do not have them those of the recipe."""
    steps = (run.results.get("training") or {}).get("steps")
    return int(run.recipe.resolved()["training"]["max_steps"] if steps is None else steps)
