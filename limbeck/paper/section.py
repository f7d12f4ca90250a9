"""The paper's section of a report: its tables and figures made of finished runs, its own numbers beside ours."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from limbeck.grids import Grid
from limbeck.paper.judge_tables import correlation_table, quality_table
from limbeck.paper.student_tables import accuracy_table, calibration_table, fraction_figures
from limbeck.paper.table_runs import TableRuns, papers_grids
from limbeck.report.cases import Case, CaseKind, CaseStudy, load_cases
from limbeck.report.overview import ErrorOf
from limbeck.report.sections import Section
from limbeck.report.tables import Figure, Table
from limbeck.runs.groups import group_runs
from limbeck.runs.run import Run
from limbeck.tasks import normalise

CASES_PER_KIND = 2
SEED = 0

MEASURES: Mapping[str, Callable[[TableRuns], Sequence[Table | Figure]]] = {
    "accuracy": lambda runs: [accuracy_table(runs)],
    "calibration": lambda runs: [calibration_table(runs)],
    "judge": lambda runs: [quality_table(runs)],
    "correlation": lambda runs: [correlation_table(runs)],
    "fractions": fraction_figures,
    "cases": lambda _: [],  # see `case_studies`
}


def paper_section(
    runs: Sequence[Run], grids: Sequence[Grid], error_of: ErrorOf
) -> tuple[Section | None, list[CaseStudy]]:
    """Return the section and the case studies of those of the grids that are the paper's.

    Raises:
        LimbeckError: as `paper_tables`.
    """
    items = [replace(item, title=_numbered_title(item)) for item in paper_tables(runs, grids, error_of)]
    studies = case_studies(runs, grids, error_of)
    if not items and not studies:
        return None, []
    text = "Tables and figures of Chen et al. 2024, made of these runs, with the paper's own numbers beside ours."
    tables = tuple(item for item in items if isinstance(item, Table))
    return Section("paper", "The paper", text, tables, tuple(i for i in items if isinstance(i, Figure))), studies


def paper_tables(
    runs: Sequence[Run], grids: Sequence[Grid], error_of: ErrorOf = lambda _: None
) -> list[Table | Figure]:
    """Return tables 1 to 8 and figures 2 and 3 of those of the grids that are the paper's, in that order.

    Every cell has a value, or the reason why there is none.

    Args:
        runs: any runs, finished or not; a grid's are known by their recipes' keys.
        grids: grids as they were run (`OUT/grids/NAME.yaml`); others than the paper's are passed over.
        error_of: the first line of a run's error by its name, None where it did not fail.

    Raises:
        LimbeckError: predictions or judgements that cannot be read; two grids of one name that differ.
    """
    tables = [TableRuns(grid, runs, error_of) for grid in papers_grids(grids)]
    return [item for table in tables for item in MEASURES[table.spec.measure](table)]


def case_studies(runs: Sequence[Run], grids: Sequence[Grid], error_of: ErrorOf = lambda _: None) -> list[CaseStudy]:
    """Return figures 4 and 5 of those of the grids that are named so, a study a task.

    Examples on which DSS and the paper's method differ are picked by a rule instead of by taste.

    Raises:
        LimbeckError: as `paper_tables`.
    """
    tables = [TableRuns(grid, runs, error_of) for grid in papers_grids(grids)]
    return [_study(table, task) for table in tables if table.spec.measure == "cases" for task in table.tasks]


def _study(runs: TableRuns, task: str) -> CaseStudy:
    (first, second), objectives = runs.spec.rows, list(runs.spec.objectives)
    rule = (
        f"Of the first seed that both have, {CASES_PER_KIND} examples by chance (seed {SEED}) of each way in which "
        f"{first} and {second} differ: in who is right, or where both are alike in that, in their rationales."
    )
    by_seed = [{run.recipe.seed: run for run in runs.runs(objective, task)} for objective in objectives]
    shared = sorted(by_seed[0].keys() & by_seed[1].keys())
    if not shared:
        missing = (objective for objective, seeds in zip(objectives, by_seed, strict=True) if not seeds)
        reason = next((runs.reason(objective, task) for objective in missing), "not run")
        return CaseStudy(runs.name, runs.spec.title, task, rule, reason=reason)
    cases = [case for case in load_cases(group_runs([seeds[shared[0]] for seeds in by_seed])) if len(case.answers) == 2]
    return CaseStudy(runs.name, runs.spec.title, task, rule, len(cases), _kinds(cases, first, second))


def _kinds(cases: Sequence[Case], first: str, second: str) -> tuple[CaseKind, ...]:
    names = f"only {second} right", f"only {first} right", "both right", "both wrong"
    by_kind: dict[str, list[Case]] = {name: [] for name in names}
    for case in cases:
        first_answer, second_answer = case.answers
        if first_answer.correct != second_answer.correct:
            by_kind[f"only {first if first_answer.correct else second} right"].append(case)
        elif normalise(first_answer.rationale or "") != normalise(second_answer.rationale or ""):
            by_kind["both right" if first_answer.correct else "both wrong"].append(case)
    return tuple(CaseKind(name, len(matching), tuple(_pick(matching))) for name, matching in by_kind.items())


def _pick(cases: Sequence[Case]) -> list[Case]:
    """Pick by the hash of id and seed, so that no pick depends on which other cases there are."""
    return sorted(cases, key=lambda case: hashlib.sha256(f"{SEED} {case.id}".encode()).digest())[:CASES_PER_KIND]


def _numbered_title(item: Table | Figure) -> str:
    """Return the title with the paper's number before it."""
    match = re.match(r"(table|figure)(\d+)", item.name)
    return f"{match[1].capitalize()} {match[2]}: {item.title}" if match else item.title
