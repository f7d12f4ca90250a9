"""The paper's section of a report: its tables and figures made of finished runs, its own numbers beside ours."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from limbeck.grids import Grid
from limbeck.paper.measures import MEASURES
from limbeck.paper.spec import task_title
from limbeck.paper.table_runs import TableRuns, papers_grids
from limbeck.report.answers import grade
from limbeck.report.cases import Case, shared_cases
from limbeck.report.tables import CaseStudy, Figure, Section, Table
from limbeck.runs.groups import group_runs
from limbeck.runs.run import Run
from limbeck.tasks import normalise

CASES_PER_KIND = 2
SEED = 0


def paper_section(runs: Sequence[Run], grids: Sequence[Grid], errors: Mapping[str, str]) -> Section | None:
    """Return tables 1 to 8 and figures 2 to 5 of those of the grids that are the paper's; None without any.

    Every cell has a value, or the reason why there is none.

    Args:
        runs: any runs, finished or not; a grid's are known by their recipes' keys.
        grids: grids as they were run (`OUT/grids/NAME.yaml`); others than the paper's are passed over.
        errors: the first line of the error of each run that failed, by its name.

    Raises:
        LimbeckError: predictions or judgements that cannot be read; two grids of one name that differ.
    """
    by_grid = [TableRuns(grid, runs, errors) for grid in papers_grids(grids)]
    items = [_titled(item) for table in by_grid for item in MEASURES.get(table.spec.measure, lambda _: [])(table)]
    studies = [case_study(table, task) for table in by_grid if table.spec.measure == "cases" for task in table.tasks]
    if not by_grid:
        return None
    text = "Tables and figures of Chen et al. 2024, made of these runs, with the paper's own numbers beside ours."
    tables = tuple(item for item in items if isinstance(item, Table))
    figures = tuple(item for item in items if isinstance(item, Figure))
    return Section("paper", "The paper", text, tables, figures, studies=tuple(studies))


def case_study(runs: TableRuns, task: str) -> CaseStudy:
    """Return examples on which DSS and the paper's method differ, picked by a rule instead of by taste."""
    names = list(runs.spec.rows)
    rule = (
        f"Of the first seed that both have, {CASES_PER_KIND} examples by chance (seed {SEED}) of each way in which "
        f"{' and '.join(names)} differ: in who is right, or where both are alike in that, in their rationales."
    )
    title = f"{_number(runs.name)}: {runs.spec.title}: {task_title(task)}"
    by_seed = [{run.recipe.seed: run for run in runs.runs(row.objective, task)} for row in runs.spec.rows.values()]
    shared = sorted(by_seed[0].keys() & by_seed[1].keys())
    if not shared:
        missing = [row.objective for row, seeds in zip(runs.spec.rows.values(), by_seed, strict=True) if not seeds]
        return CaseStudy(title, runs.reason(missing[0], task) if missing else "not run")
    members = grade(group_runs([seeds[shared[0]] for seeds in by_seed]))
    cases = shared_cases(members)
    by_kind: dict[str, list[Case]] = {f"only {names[1]} right": [], f"only {names[0]} right": []}
    by_kind |= {"both right": [], "both wrong": []}
    for case in cases:
        first, second = case["answers"]
        if first["right"] != second["right"]:
            by_kind[f"only {names[0 if first['right'] else 1]} right"].append(case)
        elif len({normalise(answer.get("rationale", "")) for answer in case["answers"]}) > 1:
            by_kind["both right" if first["right"] else "both wrong"].append(case)
    kinds = {f"{name}: {len(all_cases):,} of {len(cases):,}": _pick(all_cases) for name, all_cases in by_kind.items()}
    return CaseStudy(title, rule, kinds)


def _pick(cases: Sequence[Case]) -> list[Case]:
    """Pick by the hash of id and seed, so that no pick depends on which other cases there are."""
    return sorted(cases, key=lambda case: hashlib.sha256(f"{SEED} {case['id']}".encode()).digest())[:CASES_PER_KIND]


def _titled(item: Table | Figure) -> Table | Figure:
    """Return a table or figure with the paper's number before its title."""
    if isinstance(item, Figure):
        return replace(item, table=replace(item.table, title=f"{_number(item.table.name)}: {item.table.title}"))
    return replace(item, title=f"{_number(item.name)}: {item.title}")


def _number(name: str) -> str:
    """Return `Table 1` for `table1`, and `Figure 2` for `figure2-svamp`."""
    return name.partition("-")[0].replace("table", "Table ").replace("figure", "Figure ")
