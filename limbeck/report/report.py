"""The report as data: everything that it says, made of the runs in some folders, before it is rendered."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from limbeck.errors import LimbeckError
from limbeck.grids import Grid
from limbeck.report.answers import grade
from limbeck.report.cases import Case, sample_cases, shared_cases
from limbeck.report.contrasts import Contrast, comparable_sets, contrasts
from limbeck.report.overview import find_missing, grid_folders, overview, read_errors
from limbeck.report.sections import accuracy_section, confidence_section, learning_section, rationale_section
from limbeck.report.tables import Section
from limbeck.runs.card import Citation, citations
from limbeck.runs.groups import RunGroup, find_runs, group_runs
from limbeck.runs.run import Run, flat

# Makes a section that comes first of the runs, the grids, and the errors of failed runs by name: the paper's tables.
ExtraSection = Callable[[Sequence[Run], Sequence[Grid], Mapping[str, str]], Section | None]

MAX_DRAWN = 12  # comparable sets; with more, nobody would look through their curves
SHARED_FACTS = ("limbeck", "revision", "versions.", "machine.", "data.")  # of a provenance, that runs may share


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a report says."""

    title: str
    overview: tuple[str, ...]
    sections: tuple[Section, ...]
    comparisons: tuple[dict[str, Any], ...]
    cases: list[Case]
    shared_examples: int  # those that every run group of their task answered; `cases` are a sample of them
    provenance: list[tuple[str, str, int]]  # what the runs were made with, its value, and the runs that have it
    recipes: list[dict[str, str]]  # by run group: `title`, `runs`, and the recipe as `yaml`
    left_out: tuple[str, ...]
    citations: tuple[Citation, ...]


def make_report(paths: Sequence[Path], extra: ExtraSection | None = None) -> Report:
    """Return the report of the runs in these folders.

    Raises:
        LimbeckError: as `find_runs` and `group_runs`; no run is finished; predictions that cannot be read.
    """
    runs = find_runs(paths)
    groups = sorted(group_runs(runs), key=lambda group: group.task)
    if not groups:
        raise LimbeckError(f"{paths[0]}: none of its {len(runs)} runs is finished, so there is nothing to report")
    folders = grid_folders(paths, runs)
    grids = [Grid.load(path) for folder in folders for path in sorted((folder / "grids").glob("*.yaml"))]
    errors = read_errors(folders)
    counts, left_out = find_missing(runs, grids, errors)
    members = grade(groups)
    sets = comparable_sets(members)
    tested = contrasts(sets)
    first = extra(runs, grids, errors) if extra else None
    sections = (
        accuracy_section(tested),
        learning_section(sets[:MAX_DRAWN], members),
        confidence_section(sets[:MAX_DRAWN], members),
        rationale_section(members),
    )
    undrawn = [f"{comparable.name} has no curves: too many sets of run groups" for comparable in sets[MAX_DRAWN:]]
    cases = shared_cases(members)
    facts, unknown = _provenance(groups)
    tasks = ", ".join(dict.fromkeys(group.task for group in groups))
    return Report(
        title=f"{tasks}: {len(groups)} run groups, {sum(len(group.runs) for group in groups)} runs",
        overview=tuple(overview(tested, counts)),
        sections=(first, *sections) if first else sections,
        comparisons=tuple(_comparison(contrast) for contrast in tested if contrast.comparison is not None),
        cases=sample_cases(cases),
        shared_examples=len(cases),
        provenance=facts,
        recipes=[_recipe(group) for group in groups],
        left_out=(*left_out, *unknown, *undrawn),
        citations=tuple(citations([group.recipe for group in groups])),
    )


def _comparison(contrast: Contrast) -> dict[str, Any]:
    values = asdict(contrast.comparison) if contrast.comparison else {}
    names = {"task": contrast.task, "group": contrast.member.name, "baseline": contrast.baseline.name}
    return {**names, **values, "adjusted": contrast.adjusted}


def _provenance(groups: Sequence[RunGroup]) -> tuple[list[tuple[str, str, int]], list[str]]:
    """Return versions, machines and data with the number of runs that have them, and a sentence on each run without."""
    facts: Counter[tuple[str, str]] = Counter()
    unknown = []
    for task, run in ((group.task, run) for group in groups for run in group.runs):
        try:
            provenance = flat(run.provenance)
        except LimbeckError as error:
            unknown.append(f"the provenance of {run.path} is not known: {error}")
            continue
        for key, value in provenance.items():
            if key.startswith(SHARED_FACTS):
                facts[f"{task}: {key}" if key.startswith("data.") else key, str(value)] += 1
    return [(*fact, count) for fact, count in facts.items()], unknown


def _recipe(group: RunGroup) -> dict[str, str]:
    seeds = ", ".join(str(run.recipe.seed) for run in group.runs)
    text = yaml.safe_dump(group.recipe.resolved(), sort_keys=False, allow_unicode=True)
    runs = " · ".join(str(run.path) for run in group.runs)
    return {"title": f"{group.task}: {group.name}, seeds {seeds}", "runs": runs, "yaml": text}
