"""Tables 7 and 8: a judge's scores of the rationales, and their correlation with the answer being right."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import t as student

from limbeck.metrics.predictions import predictions_by_id
from limbeck.paper.spec import task_title
from limbeck.paper.student_tables import BASELINE, adjust
from limbeck.paper.table_runs import HOLM, TableRuns
from limbeck.report.tables import Cell, Row, Table
from limbeck.runs.judging import GOLD, read_judgements, single
from limbeck.runs.run import Run
from limbeck.schema import Judgement
from limbeck.stats.correlation import correlate
from limbeck.stats.intervals import Estimate, Floats, Interval, Z, estimate

NOT_JUDGED = "no judge was asked; give --judge"
SELF_CONSISTENCY = " ++"  # ends the names of rows in which the judge was asked several times
LOWEST, HIGHEST = 1.0, 5.0

Scores = dict[str, float]  # by example


class JudgedRuns:
    """The judged runs of a table by objective and task, each with its judgements."""

    def __init__(self, runs: TableRuns) -> None:
        self._table = runs
        self._runs = {
            (objective, task): [
                (run, entries) for run in runs.runs(objective, task) if (entries := read_judgements(run))
            ]
            for objective in runs.spec.objectives
            for task in runs.tasks
        }

    def scores(self, objective: str, task: str, once: bool) -> list[tuple[Run, Scores]]:
        """Return the scores of each run's own rationales, asked `once` or several times; runs without any left out."""
        by_run = [(run, _scores(entries, once=once, gold=False)) for run, entries in self._runs[objective, task]]
        return [(run, scores) for run, scores in by_run if scores]

    def gold_scores(self, task: str, once: bool) -> Scores:
        """Return the scores of the teacher's rationales."""
        runs = [pair for (_, of_task), pairs in self._runs.items() if of_task == task for pair in pairs]
        return _scores((entry for _, entries in runs for entry in entries), once=once, gold=True)

    def reason(self, objective: str | None, task: str) -> str:
        """Return why there is no score; of the teacher's rationales where `objective` is None."""
        objectives = list(self._table.spec.objectives) if objective is None else [objective]
        if any(self._table.runs(name, task) for name in objectives):
            return NOT_JUDGED
        return self._table.reason(objectives[0], task)

    def notes(self) -> list[str]:
        """Return who judged, in a sentence, if anybody did."""
        judges = {entry.judge for runs in self._runs.values() for _, entries in runs for entry in entries}
        return [f"The judge: {', '.join(sorted(judges))}; the paper's was GPT-4."] if judges else []


def _scores(judgements: Iterable[Judgement], *, once: bool, gold: bool) -> Scores:
    selected = [entry for entry in judgements if single(entry) is once and (entry.run == GOLD) is gold]
    return {entry.id: entry.score for entry in selected if entry.score is not None}


def quality_table(runs: TableRuns) -> Table:
    """Return means of the judge's scores with their deviations over examples; against DSS where asked once."""
    judged_runs = JudgedRuns(runs)
    rows = [
        Row(name, tuple(_quality_cell(runs, name, task, judged_runs) for task in runs.tasks)) for name in runs.spec.rows
    ]
    notes = (
        *runs.notes(),
        *judged_runs.notes(),
        "In a ++ row the judge was asked several times over and an example has its mean (self-consistency).",
        "Deviations are over the examples of all seeds; intervals are 95 %, Student's t over seeds and examples.",
        f"Differences are to {BASELINE} on the same examples, asked once; {HOLM}",
    )
    return Table(runs.name, runs.spec.title, runs.columns, adjust(rows), baseline=BASELINE, notes=notes)


def _quality_cell(runs: TableRuns, name: str, task: str, judged_runs: JudgedRuns) -> Cell:
    objective, once = runs.spec.rows[name].objective, not name.endswith(SELF_CONSISTENCY)
    if objective is None:
        gold = judged_runs.gold_scores(task, once)
        by_run = [gold] if gold else []
    else:
        by_run = [scores for _, scores in judged_runs.scores(objective, task, once)]
    scores = _matrix(by_run)
    cell = _mean_cell(scores) if scores.size else Cell(None, judged_runs.reason(objective, task))
    if once and objective not in (None, "dss"):
        cell = _with_score_difference(cell, by_run, [scores for _, scores in judged_runs.scores("dss", task, once)])
    paper, spread = runs.spec.printed(name, task)
    return replace(cell, paper=paper, paper_spread=spread)


def _matrix(runs: Sequence[Scores]) -> Floats:
    """Return scores `[S, N]`, a row a run and a column an example that has a score in all of them."""
    ids = [id for id in runs[0] if all(id in scores for scores in runs)] if runs else []
    return np.array([[scores[id] for id in ids] for scores in runs], dtype=np.float64).reshape(len(runs), len(ids))


def _mean_cell(scores: Floats) -> Cell:
    seeds, n = scores.shape
    spread = float(scores.std(ddof=1)) if scores.size > 1 else None
    ends = _clipped(_estimate([scores]), (LOWEST, HIGHEST))
    return Cell(float(scores.mean()), interval=ends, spread=spread, n=n, seeds=seeds)


def _with_score_difference(cell: Cell, runs: Sequence[Scores], baseline: Sequence[Scores]) -> Cell:
    """Return the cell with its difference to the baseline, on the examples that all have."""
    scores = _matrix([*runs, *baseline])
    if not runs or not baseline or not scores.size:
        return cell
    sides = scores[: len(runs)], scores[len(runs) :]
    difference = _estimate(sides)
    return replace(
        cell,
        difference=float(sides[0].mean() - sides[1].mean()),
        difference_interval=_clipped(difference, (LOWEST - HIGHEST, HIGHEST - LOWEST)),
        p_value=difference.p_value if difference else None,
    )


def _estimate(sides: Sequence[Floats]) -> Estimate | None:
    """Return None where nothing varies, or there is a single example."""
    if sides[0].shape[1] < 2:
        return None
    if len(sides) == 2 and all(len(side) == 1 for side in sides):
        sides = [sides[0] - sides[1]]  # one seed each: pairs, over examples
    if all(np.ptp(side) == 0 for side in sides):
        return None
    estimated = estimate(sides)
    return estimated if estimated.error > 0 else None


def _clipped(estimated: Estimate | None, limits: Interval) -> Interval | None:
    if estimated is None:
        return None
    low, high = estimated.interval
    return max(low, limits[0]), min(high, limits[1])


def correlation_table(runs: TableRuns) -> Table:
    """Return Pearson's r of single scores with answers being right; p-values of r, adjusted over the table."""
    judged_runs = JudgedRuns(runs)
    rows = []
    for name, row in runs.spec.rows.items():
        cells = []
        for task in runs.tasks:
            cell = _correlation_cell(judged_runs.scores(str(row.objective), task, once=True))
            cell = cell or Cell(None, judged_runs.reason(row.objective, task))
            cells.append(replace(cell, paper=runs.spec.printed(name, task)[0]))
        rows.append(Row(name, tuple(cells)))
    below = [  # the paper says no more of p than on which side of 0.05 it is
        f"{name} on {task_title(task)}"
        for name, row in runs.spec.rows.items()
        for task, side in zip(runs.spec.tasks, row.p or [], strict=False)
        if side == "<"
    ]
    notes = (
        *runs.notes(),
        *judged_runs.notes(),
        "r is a mean over seeds, those left out of which all answers or all scores are alike; p of Student's t and "
        f"interval by Fisher's z, over examples as for one seed. {HOLM}",
        f"In the paper p < 0.05 of {', '.join(below)}, and p > 0.05 of the others.",
    )
    return Table(runs.name, runs.spec.title, runs.columns, adjust(rows), notes=notes)


def _correlation_cell(runs: Sequence[tuple[Run, Scores]]) -> Cell | None:
    """Return the mean over seeds of Pearson's r over the answers that have a score; None without any.

    Its p-value and interval are those of one seed with that r: the seeds' examples are the same ones, and a mean over
    seeds is not less certain than one of them.
    """
    correlations = []
    for run, scores in runs:
        answers = predictions_by_id(run.predictions("test"))
        pairs = [(score, answers[id].correct) for id, score in scores.items() if id in answers]
        if pairs:
            correlations.append(correlate([score for score, _ in pairs], [bool(right) for _, right in pairs], draws=1))
    if not correlations:
        return None
    defined = [(entry.n, entry.pearson.value) for entry in correlations if entry.pearson is not None]
    if not defined:
        return Cell(None, f"undefined: {correlations[0].reason}", n=correlations[0].n, seeds=len(correlations))
    n, r = min(n for n, _ in defined), float(np.mean([r for _, r in defined]))
    if n <= 3 or abs(r) >= 1:
        return Cell(r, n=n, seeds=len(defined))
    p_value = float(2 * student.sf(abs(r) * math.sqrt((n - 2) / (1 - r * r)), n - 2))
    half = Z / math.sqrt(n - 3)
    ends = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
    return Cell(r, interval=ends, n=n, seeds=len(defined), p_value=p_value)
