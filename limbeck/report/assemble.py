"""All that a report has to say, as plain values: sections of tables and figures, cases, provenance, citations."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.grids import Grid
from limbeck.report import accuracy, confidence, counts, curves, reasons
from limbeck.report.accuracies import warnings
from limbeck.report.accuracy import Held, held
from limbeck.report.browser import BUDGET, Chosen, choose
from limbeck.report.cases import Case, cases
from limbeck.report.evaluated import Pages, pages
from limbeck.report.left_out import errors, folders, left_out
from limbeck.report.origin import origin
from limbeck.report.overview import overview
from limbeck.report.sides import Group, Side, groups, sides
from limbeck.report.studies import Paper, PaperResults, Study
from limbeck.report.tables import Figure, Table
from limbeck.runs.citations import Citation, citations
from limbeck.runs.groups import Arm, arms, correct, find_runs

_PAGE = 4_500_000  # bytes
MOST_DRAWN = 12  # groups of arms; with more, nobody would look through their curves


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report. `missing` are sentences on what is not there, and why."""

    id: str
    title: str
    text: str
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything, before it is rendered."""

    title: str
    overview: tuple[str, ...]
    sections: tuple[Section, ...]
    studies: tuple[Study, ...]  # the paper's figures 4 and 5
    comparisons: tuple[dict[str, Any], ...]
    cases: Chosen
    origin: Mapping[str, Any]
    left_out: tuple[str, ...]
    citations: tuple[Citation, ...]


def assemble(paths: Sequence[Path], paper: Paper = lambda *_: PaperResults()) -> Report:
    """The report of the runs in these folders; `paper` gives what it shows of a paper's tables.

    Raises:
        LimbeckError: as `find_runs` and `arms`; no run is finished; predictions that cannot be read.
    """
    runs = find_runs(paths)
    made = arms(runs)
    if not made:
        raise LimbeckError(f"{paths[0]}: none of its {len(runs)} runs is finished, so there is nothing to report")
    every = cases(made)
    found = sides(made, every)
    grouped = groups(found)
    compared = held(grouped)
    places = folders(paths, runs)
    grids = [Grid.load(file) for place in places for file in sorted((place / "grids").glob("*.yaml"))]
    failed, without = errors(places), left_out(places, runs, grids)
    drawn, undrawn = _drawn(grouped)
    results = paper(runs, grids, failed)
    read = pages(run for arm in made for run in arm.runs)
    sections = [
        *_paper(results),
        _accuracy(made, compared, found),
        _learning(drawn, found, undrawn),
        _confidence(drawn, found, read, undrawn),
        _rationales(made, found, every, read),
    ]
    tasks = list(dict.fromkeys(arm.task for arm in made))
    return Report(
        title=f"{', '.join(tasks)}: {len(made)} arms, {sum(len(arm.runs) for arm in made)} runs",
        overview=tuple(overview(made, without, compared)),
        sections=tuple(sections),
        studies=results.studies,
        comparisons=tuple(_plainly(one) for one in compared if one.comparison is not None),
        cases=choose(made, every, _room(sections)),
        origin=origin(made),
        left_out=without.sentences,
        citations=tuple(citations([arm.recipe for arm in made])),
    )


def _room(sections: Sequence[Section]) -> int:
    """Bytes for cases, so that the page stays small whatever else is on it: figures weigh most, then their numbers."""
    drawn = sum(len(figure.svg) for section in sections for figure in section.figures)
    return min(BUDGET, max(BUDGET // 8, _PAGE - 3 * drawn // 2))


def _paper(results: PaperResults) -> list[Section]:
    """The paper's tables and figures, where such grids were run."""
    tables = tuple(replace(one, title=_numbered(one)) for one in results.items if isinstance(one, Table))
    figures = tuple(replace(one, title=_numbered(one)) for one in results.items if isinstance(one, Figure))
    if not results.items and not results.studies:
        return []
    text = "Tables and figures of Chen et al. 2024, made of these runs, with the paper's own numbers beside ours."
    return [Section("paper", "The paper", text, tables, figures)]


def _numbered(one: Table | Figure) -> str:
    """The title with what the paper calls it before it."""
    number = re.match(r"(table|figure)(\d+)", one.name)
    return f"{number[1].capitalize()} {number[2]}: {one.title}" if number else one.title


def _accuracy(made: Sequence[Arm], compared: Sequence[Held], found: Sequence[Side]) -> Section:
    tables = []
    missing = []
    for task in dict.fromkeys(arm.task for arm in made):
        of_task = [arm for arm in made if arm.task == task]
        right = accuracy.table(task, compared)
        besides = (counts.labels(task, [side for side in found if side.arm.task == task]), counts.counts(task, of_task))
        tables.append(replace(right, notes=(*right.notes, *warnings({arm.name: arm.runs for arm in of_task}))))
        tables += [table for table in besides if table is not None]
        others = dict.fromkeys(other for arm in of_task for other in _measured_elsewhere(arm))
        for other in others:
            there = [arm for arm in of_task if other in _measured_elsewhere(arm)]
            try:
                answers = [correct(arm.runs, f"{other}-test") for arm in there]
            except LimbeckError as error:
                missing.append(f"The accuracy on {other} of students of {task} is not here: {error}")
            else:
                tables.append(accuracy.elsewhere(task, other, there, answers))
    text = "The share of answers that are right by the task's rule, mean over seeds."
    return Section("accuracy", "Accuracy", text, tuple(tables), missing=tuple(missing))


def _measured_elsewhere(arm: Arm) -> list[str]:
    """Other tasks on which every run of the arm was measured."""
    names = [set(of) if isinstance(of := run.results.get("out_of_domain"), dict) else set() for run in arm.runs]
    return sorted(set.intersection(*names))


def _drawn(grouped: Sequence[Group]) -> tuple[list[Group], tuple[str, ...]]:
    """The groups whose curves are drawn, and a sentence on the others if there are any."""
    if len(grouped) <= MOST_DRAWN:
        return list(grouped), ()
    largest: dict[str, Group] = {}
    for group in grouped:
        first = largest.setdefault(group.task, group)
        if len(group.sides) > len(first.sides):
            largest[group.task] = group
    said = f"Of {len(grouped)} groups of arms the curves of the largest of each task are drawn: "
    names = "; ".join(group.name for group in largest.values())
    return list(largest.values()), (f"{said}{names}. A report on the runs of another has its curves.",)


def _learning(drawn: Sequence[Group], found: Sequence[Side], undrawn: tuple[str, ...]) -> Section:
    fractions, learnt = curves.fraction_curves(found), curves.learning_curves(drawn)
    text = (
        "Means over seeds. A term's gradient share is its part of the gradient's norm at the hidden states: it tells "
        "how much of the training a term really is, where its value alone does not."
    )
    figures, missing = (*fractions.figures, *learnt.figures), (*undrawn, *fractions.missing, *learnt.missing)
    return Section("learning", "Learning", text, figures=figures, missing=missing)


def _confidence(drawn: Sequence[Group], found: Sequence[Side], read: Pages, undrawn: tuple[str, ...]) -> Section:
    tables = [
        confidence.calibration(task, [side for side in found if side.arm.task == task], read)
        for task in dict.fromkeys(side.arm.task for side in found)
    ]
    made = confidence.curves(drawn)
    text = "How far an answer's confidence can be trusted, and what answering only when sure brings. Curves pool seeds."
    return Section("confidence", "Confidence", text, tuple(tables), tuple(made.figures), (*undrawn, *made.missing))


def _rationales(made: Sequence[Arm], found: Sequence[Side], every: Sequence[Case], read: Pages) -> Section:
    tables, missing = [], []
    for task in dict.fromkeys(arm.task for arm in made):
        quality = reasons.quality(task, [arm for arm in made if arm.task == task], read)
        judged = reasons.judged(task, [side for side in found if side.arm.task == task])
        for table, how in ((quality, "evaluate RUN --rationale"), (judged, "judge RUN...")):
            if any(cell.value is not None for row in table.rows for cell in row.cells):
                tables.append(table)
            else:
                missing.append(f"{table.title}: not there; `limbeck {how}` measures it.")
    if not any(case.rationale for case in every):
        missing.append("The teacher's rationales are not shown: their data has none, or is no longer where it was.")
    return Section(
        "rationales", "Rationales", "What the students give as their reasons.", tuple(tables), (), tuple(missing)
    )


def _plainly(one: Held) -> dict[str, Any]:
    comparison = asdict(one.comparison) if one.comparison else {}
    return {
        "task": one.side.arm.task,
        "arm": one.side.arm.name,
        "baseline": one.group.baseline.arm.name,
        **comparison,
        "adjusted": one.adjusted,
    }
