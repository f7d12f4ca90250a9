"""Figures 4 and 5: examples on which DSS and the paper's method differ, picked by a rule instead of by taste."""

import hashlib
from collections.abc import Sequence

from limbeck.grids import Grid
from limbeck.paper.found import Found, named
from limbeck.paper.tables import paper_tables
from limbeck.report.cases import Case, cases
from limbeck.report.studies import Failed, Kind, PaperResults, Study
from limbeck.runs.groups import arms
from limbeck.runs.run import Run
from limbeck.tasks import normalise

_EACH = 2  # cases of a kind
_SEED = 0


def paper_results(runs: Sequence[Run], grids: Sequence[Grid], failed: Failed = lambda _: None) -> PaperResults:
    """Return the tables, figures and case studies of the grids that are the paper's.

    Raises:
        LimbeckError: as `paper_tables`.
    """
    return PaperResults(tuple(paper_tables(runs, grids, failed)), tuple(case_studies(runs, grids, failed)))


def case_studies(runs: Sequence[Run], grids: Sequence[Grid], failed: Failed = lambda _: None) -> list[Study]:
    """Figures 4 and 5 of those of the grids that are named so, a study a task.

    Raises:
        LimbeckError: as `paper_tables`.
    """
    every = [Found(grid, runs, failed) for grid in named(grids)]
    return [_study(found, task) for found in every if found.table.measure == "cases" for task in found.tasks]


def _study(found: Found, task: str) -> Study:
    (one, other), objectives = found.table.rows, list(found.table.objectives)
    rule = (
        f"Of the first seed that both have, {_EACH} examples by chance (seed {_SEED}) of each way in which {one} and "
        f"{other} differ: in who is right, or where both are alike in that, in their rationales."
    )
    by_seed = [{run.recipe.seed: run for run in found.runs(objective, task)} for objective in objectives]
    shared = sorted(by_seed[0].keys() & by_seed[1].keys())
    if not shared:
        reason = next((found.reason(it, task) for it, of in zip(objectives, by_seed, strict=True) if not of), "not run")
        return Study(found.name, found.table.title, task, rule, reason=reason)
    every = cases(arms([runs[shared[0]] for runs in by_seed]))
    both = [case for case in every if len(case.said) == 2]
    return Study(found.name, found.table.title, task, rule, len(both), _kinds(both, one, other))


def _kinds(both: Sequence[Case], one: str, other: str) -> tuple[Kind, ...]:
    ways: dict[str, list[Case]] = {
        name: [] for name in (f"only {other} right", f"only {one} right", "both right", "both wrong")
    }
    for case in both:
        first, second = case.said
        if first.correct != second.correct:
            ways[f"only {one if first.correct else other} right"].append(case)
        elif normalise(first.rationale or "") != normalise(second.rationale or ""):
            ways["both right" if first.correct else "both wrong"].append(case)
    return tuple(Kind(name, len(found), tuple(_drawn(found))) for name, found in ways.items())


def _drawn(found: Sequence[Case]) -> list[Case]:
    """By the hash of id and seed, so that no case depends on which others there are."""
    return sorted(found, key=lambda case: hashlib.sha256(f"{_SEED} {case.id}".encode()).digest())[:_EACH]
