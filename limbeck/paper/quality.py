"""Table 7: what a judge thinks of the rationales."""

import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from limbeck.paper.accuracy import BASELINE, adjusted
from limbeck.paper.found import Found, title_of
from limbeck.paper.judged import Judged, Scores
from limbeck.paper.notes import HOLM, setup
from limbeck.report.tables import Cell, Row, Table
from limbeck.stats.intervals import Estimate, Floats, Interval, estimate

_SEVERAL = " ++"  # at the end of the rows of self-consistency
_LOWEST, _HIGHEST = 1.0, 5.0


def quality_table(found: Found) -> Table:
    """Means of the judge's scores with their deviations over examples; against DSS where asked once."""
    judged = Judged(found)
    rows = [Row(name, tuple(_cell(found, name, task, judged) for task in found.tasks)) for name in found.table.rows]
    notes = [
        *setup(found),
        *judged.note(),
        "In a ++ row the judge was asked several times over and an example has its mean (self-consistency).",
        "Deviations are over the examples of all seeds; intervals are 95 %, Student's t over seeds and examples.",
        f"Differences are to {BASELINE} on the same examples, asked once; {HOLM}",
    ]
    columns = tuple(title_of(task) for task in found.tasks)
    return Table(found.name, found.table.title, columns, adjusted(rows), baseline=BASELINE, notes=tuple(notes))


def _cell(found: Found, name: str, task: str, judged: Judged) -> Cell:
    objective, once = found.table.rows[name].objective, not name.endswith(_SEVERAL)
    if objective is None:
        gold = judged.gold(task, once)
        own = [gold] if gold else []
    else:
        own = [scores for _, scores in judged.runs(objective, task, once)]
    scores = _matrix(own)
    cell = _mean(scores) if scores.size else Cell(None, judged.why(objective, task))
    if once and objective not in (None, "dss"):
        cell = _against(cell, own, [scores for _, scores in judged.runs("dss", task, once)])
    paper, spread = found.table.pair_of(name, task)
    return replace(cell, paper=paper, paper_spread=spread)


def _matrix(runs: Sequence[Scores]) -> Floats:
    """`[S, N]`, a row a run and a column an example that has a score in all of them."""
    ids = [id for id in runs[0] if all(id in scores for scores in runs)] if runs else []
    return np.array([[scores[id] for id in ids] for scores in runs], dtype=np.float64).reshape(len(runs), len(ids))


def _mean(scores: Floats) -> Cell:
    seeds, n = scores.shape
    spread = statistics.stdev(scores.ravel().tolist()) if scores.size > 1 else None
    interval = _within(_estimated([scores]), (_LOWEST, _HIGHEST))
    return Cell(float(scores.mean()), interval=interval, spread=spread, n=n, seeds=seeds)


def _against(cell: Cell, runs: Sequence[Scores], others: Sequence[Scores]) -> Cell:
    """The cell with its difference to the baseline, on the examples that all have."""
    both = _matrix([*runs, *others])
    if not runs or not others or not both.size:
        return cell
    one, other = both[: len(runs)], both[len(runs) :]
    found = _estimated([one, other])
    return replace(
        cell,
        difference=float(one.mean() - other.mean()),
        difference_interval=_within(found, (_LOWEST - _HIGHEST, _HIGHEST - _LOWEST)),
        p_value=found.p_value if found else None,
    )


def _estimated(sides: Sequence[Floats]) -> Estimate | None:
    """None where nothing varies, or there is a single example."""
    if sides[0].shape[1] < 2:
        return None
    if all(len(side) == 1 for side in sides):
        sides = [sides[0] - sides[1]] if len(sides) == 2 else sides  # one seed each: pairs, over examples
    if all(np.ptp(side) == 0 for side in sides):
        return None
    found = estimate(sides)
    return found if found.error > 0 else None


def _within(found: Estimate | None, ends: Interval) -> Interval | None:
    if found is None:
        return None
    low, high = found.interval
    return max(low, ends[0]), min(high, ends[1])
