"""The overview: one paragraph on what can be concluded from the runs and what cannot."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from limbeck.formatting import interval, number, p_equals
from limbeck.grids import Grid, cells
from limbeck.report.answers import Contrast
from limbeck.runs.run import Run, run_name

MAX_NAMED = 10  # differences, and cells that were not run
ONE_TEST = "one test alone, before Holm's correction, finds 4 times of 5"
SMOKE_STEPS = 20  # smoke runs take 4; a pretrained student learns a small task in 45


def find_missing(
    runs: Sequence[Run], grids: Sequence[Grid], errors: Mapping[str, str], damaged: Mapping[Path, str]
) -> tuple[list[str], list[str]]:
    """Return a sentence that counts runs without a result, if any, and a sentence for each; `damaged` is by folder."""
    finished = {run_name(run.recipe) for run in runs if run.finished}
    failed = {name: f"{name} failed: {error}" for name, error in errors.items() if name not in finished}
    begun = {run_name(run.recipe): f"{run.path} is not finished" for run in runs}
    unfinished = [sentence for name, sentence in begun.items() if name not in finished | failed.keys()]
    names = dict.fromkeys(cell.name for grid in grids for cell in cells(grid))
    not_run = [
        f"{name} was not run" for name in names if name not in {*begun, *failed, *(path.name for path in damaged)}
    ]
    wrong = [f"left out: {error}" for error in damaged.values()]
    sentences = {"failed": [*failed.values()], "damaged": wrong, "unfinished": unfinished, "not run": not_run}
    counts = ", ".join(f"{len(group)} {status}" for status, group in sentences.items() if group)
    named = [*failed.values(), *wrong, *unfinished, *_first(not_run)]
    return [f"Runs without a result: {counts}."] if counts else [], named


def overview(contrasts: Sequence[Contrast], missing: Sequence[str]) -> list[str]:
    """Return the paragraph's sentences, with `missing`, which count runs without a result."""
    groups = [contrast.member for contrast in contrasts]
    runs = [run for group in groups for run in group.runs]
    sentences = [
        f"{len(runs)} finished runs in {len(groups)} run groups on {', '.join(dict.fromkeys(g.task for g in groups))}, "
        f"{_seeds([len(group.runs) for group in groups])} a group, trained {_range(run.steps for run in runs)} steps.",
        *missing,
    ]
    if smoke := [group for group in groups if max(run.steps for run in group.runs) < SMOKE_STEPS]:
        names = "; ".join(f"{group.name} on {group.task}" for group in smoke)
        sentences.append(
            f"{'All of them' if len(smoke) == len(groups) else names} trained for fewer than {SMOKE_STEPS} steps: "
            "such runs show that everything works, and say nothing of the methods."
        )
    trained = [c for c in contrasts if c.member not in smoke and c.baseline not in smoke]
    tested = [contrast for contrast in trained if contrast.comparison is not None]
    if significant := [_difference(contrast) for contrast in tested if contrast.significant]:
        sentences.append(f"{'; '.join(_first(significant))}.")
    if undecided := [contrast for contrast in tested if not contrast.significant]:
        sentences.append(
            f"No difference can be concluded in {len(undecided)} of {len(tested)} comparisons: "
            f"{'; '.join(_first([_difference(contrast) for contrast in undecided]))}; {_detectable(undecided)}."
        )
    if apart := [f"{c.member.name} on {c.member.task}" for c in trained if c.apart]:
        sentences.append(f"Measured on other examples than the baseline, so not compared: {'; '.join(_first(apart))}.")
    if trained and not tested and not apart:
        sentences.append("There is nothing to compare.")
    if any(contrast.comparison and max(contrast.comparison.seeds) == 1 for contrast in tested):
        sentences.append("With one seed, all of this is about these students, not about a recipe.")
    return sentences


def _difference(contrast: Contrast) -> str:
    comparison = contrast.comparison
    assert comparison and comparison.interval and comparison.difference is not None
    points, ends = 100 * comparison.difference, [100 * end for end in comparison.interval]
    verb = f"is {'ahead of' if points > 0 else 'behind'}" if contrast.significant else "and"
    return (
        f"{contrast.member.name} {verb} {contrast.baseline.name} on {contrast.member.task} "
        f"({number(points, 2, sign=True)} points, 95 % interval {interval(ends, 2, sign=True, brackets=False)}, "
        f"adjusted p {p_equals(contrast.adjusted)}, {comparison.n:,} examples, {_seeds(comparison.seeds)})"
    )


def _detectable(undecided: Sequence[Contrast]) -> str:
    sizes = [c.comparison.detectable for c in undecided if c.comparison and c.comparison.detectable is not None]
    if not sizes:
        return f"no difference is so large that {ONE_TEST}"
    low, high = (number(100 * size, 2) for size in (min(sizes), max(sizes)))
    smallest = f"the smallest difference that {ONE_TEST} is {low if low == high else f'{low} to {high}'} points"
    without = len(undecided) - len(sizes)
    return f"{smallest}, and in {without} there is none" if without else smallest


def _first(texts: Sequence[str]) -> list[str]:
    return [*texts[:MAX_NAMED], *([f"and {len(texts) - MAX_NAMED} more"] if len(texts) > MAX_NAMED else [])]


def _seeds(counts: Sequence[int]) -> str:
    return f"{_range(counts)} seed{'' if max(counts) == 1 else 's'}"


def _range(numbers: Iterable[int]) -> str:
    ordered = sorted(numbers)
    return f"{ordered[0]:,}" if ordered[0] == ordered[-1] else f"{ordered[0]:,} to {ordered[-1]:,}"
