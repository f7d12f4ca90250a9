"""The measures of the paper's tables, a function each: every cell has a value, or the reason why there is none."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import stdtr

from limbeck.metrics.predictions import predictions_by_id
from limbeck.paper.spec import PaperRow, task_title
from limbeck.paper.table_runs import TableRuns
from limbeck.report.answers import (
    CALIBRATION_NOTE,
    Scores,
    accuracy_cell,
    calibration_cell,
    grade,
    interval_note,
    score_cell,
    scores,
    without_confidence,
)
from limbeck.report.curves import fraction_figure
from limbeck.report.sections import count_notes
from limbeck.report.tables import Cell, Figure, Table
from limbeck.runs.groups import correct, group_runs
from limbeck.runs.run import Run
from limbeck.stats.intervals import Z
from limbeck.stats.significance import compare, holm

NOT_JUDGED = "no judge was asked; give --judge"
SELF_CONSISTENCY = " ++"  # ends the names of rows in which the judge was asked several times
OWN_NUMBERS = {"calibration error": "ECE", "mean confidence": "Conf."}  # of Table 6, in the paper's order
Rows = dict[str, dict[str, Cell]]


def accuracy_table(runs: TableRuns) -> list[Table]:
    """Return accuracy in per cent, a row a method and a column a task, each method against the baseline."""
    baseline_row = runs.spec.rows[runs.spec.baseline]

    def accuracy(_: str, row: PaperRow, task: str) -> Cell:
        finished, baseline = runs.runs(row.objective, task), runs.runs(baseline_row.objective, task)
        if not finished or not baseline or row == baseline_row:
            return _accuracy(runs, row, task)
        answers = correct([*finished, *baseline])  # to the examples that all of them answered
        return accuracy_cell(correct(finished), compare(answers[: len(finished)], answers[len(finished) :]))

    by_cell = {
        f"{name}, {task_title(task)}": runs.runs(row.objective, task)
        for name, row in runs.spec.rows.items()
        for task in runs.tasks
    }
    notes = [interval_note({len(finished) for finished in by_cell.values() if finished}), *count_notes(by_cell)]
    return [_table(runs, _rows(runs, accuracy), notes, unit="%")]


def fraction_figures(runs: TableRuns) -> list[Figure]:
    """Return a figure a task: accuracy by the share of the training data."""
    plotted = []
    for task in runs.tasks:
        lines = {
            name: {fraction: _accuracy(runs, row, task, fraction) for fraction in runs.spec.fractions}
            for name, row in runs.spec.rows.items()
        }
        seeds = {cell.seeds for line in lines.values() for cell in line.values() if cell.seeds}
        title = f"{runs.spec.title}: {task_title(task)}"
        plotted.append(fraction_figure(f"{runs.name}-{task}", title, lines, (*runs.notes(), interval_note(seeds))))
    return plotted


def calibration_table(runs: TableRuns) -> list[Table]:
    """Return ECE and mean confidence in per cent, a pair of columns a domain; lower ECE is better."""
    spec, rows = runs.spec, Rows()
    domains = [(task_title(task), task, "test") for task in runs.tasks]
    domains[len(spec.tasks) : len(spec.tasks)] = [  # the paper's first
        (f"{task_title(task)} (Out)", task, f"{dataset}-test")
        for task, dataset in zip(spec.out_of_domain, reversed(spec.out_of_domain), strict=True)
    ]
    left_out: list[str] = []
    for name, row in spec.rows.items():
        rows[name] = {}
        for column, (title, task, answers) in enumerate(domains):
            finished = runs.runs(row.objective, task)
            reason = "not measured out of domain" if finished else runs.reason(row.objective, task)
            asked = [run for run in finished if run.predictions(answers).is_file()]
            members = grade(group_runs(asked), answers, with_data=False)
            left_out += without_confidence(members)
            for (measure, head), paper in zip(OWN_NUMBERS.items(), row.printed(column), strict=True):
                cell = calibration_cell(members[0], measure, scale=100) if members else Cell(None, reason)
                rows[name][f"{title} {head}"] = replace(cell, paper=paper)
    return [_table(runs, rows, [CALIBRATION_NOTE, *left_out], unit="%")]


def quality_table(runs: TableRuns) -> list[Table]:
    """Return means of the judge's scores with their deviations over examples; against DSS where asked once."""
    baseline = runs.spec.rows[runs.spec.baseline]

    def quality(name: str, row: PaperRow, task: str) -> Cell:
        once = not name.endswith(SELF_CONSISTENCY)
        by_run = [by_id for _, by_id in _scores(runs, row, task, once=once)]
        compared = once and row.objective is not None and row != baseline
        baseline_scores = [by_id for _, by_id in _scores(runs, baseline, task, once=True)] if compared else []
        return score_cell(by_run, baseline_scores) if by_run else Cell(None, _not_judged(runs, row, task))

    return [_table(runs, _rows(runs, quality), _judges(runs))]


def correlation_table(runs: TableRuns) -> list[Table]:
    """Return Pearson's r of single scores with answers being right; p-values of r, adjusted over the table."""

    def correlation(_: str, row: PaperRow, task: str) -> Cell:
        by_run = _scores(runs, row, task, once=True)
        return _correlation(by_run) if by_run else Cell(None, _not_judged(runs, row, task))

    return [_table(runs, _rows(runs, correlation), _judges(runs))]


MEASURES: dict[str, Callable[[TableRuns], Sequence[Table | Figure]]] = {
    "accuracy": accuracy_table,
    "calibration": calibration_table,
    "judge": quality_table,
    "correlation": correlation_table,
    "fractions": fraction_figures,
    "cases": lambda _: [],  # see `case_study`
}


def _rows(runs: TableRuns, measure: Callable[[str, PaperRow, str], Cell]) -> Rows:
    """Return a cell for each row and task, with the paper's number."""
    rows = Rows()
    for name, row in runs.spec.rows.items():
        rows[name] = {}
        for column, task in enumerate(runs.tasks):
            paper, spread = row.printed(column)
            rows[name][task_title(task)] = replace(measure(name, row, task), paper=paper, paper_spread=spread)
    return rows


def _table(runs: TableRuns, rows: Rows, notes: Sequence[str], unit: str = "") -> Table:
    """Return the table with the p-values of all its tests adjusted by Holm's method."""
    adjusted = iter(holm([cell.p_value for row in rows.values() for cell in row.values()]))
    tested = {
        name: {column: replace(cell, adjusted=next(adjusted)) for column, cell in row.items()}
        for name, row in rows.items()
    }
    tests = []
    if any(cell.difference is not None for row in rows.values() for cell in row.values()):
        tests.append(f"Differences are to {runs.spec.baseline}, on the same examples.")
    if any(cell.p_value is not None for row in rows.values() for cell in row.values()):
        tests.append("Holm's method over all tests of the table.")
    return Table(runs.name, runs.spec.title, tested, unit, notes=(*runs.notes(), *notes, *tests))


def _accuracy(runs: TableRuns, row: PaperRow, task: str, fraction: float = 1.0) -> Cell:
    finished = runs.runs(row.objective, task, fraction)
    return accuracy_cell(correct(finished)) if finished else Cell(None, runs.reason(row.objective, task, fraction))


def _scores(runs: TableRuns, row: PaperRow, task: str, *, once: bool) -> list[tuple[Run, Scores]]:
    """Return the scores of each run's rationales, or of the teacher's with any run, where there are any."""
    objectives = dict.fromkeys(row.objective for row in runs.spec.rows.values() if row.objective is not None)
    if row.objective is not None:
        by_run = [(run, scores(runs.judgements[run.path], once=once)) for run in runs.runs(row.objective, task)]
    else:
        judged = [run for objective in objectives for run in runs.runs(objective, task)]
        gold = scores([entry for run in judged for entry in runs.judgements[run.path]], gold=True, once=once)
        by_run = [(run, gold) for run in judged[:1]]
    return [(run, by_id) for run, by_id in by_run if by_id]


def _not_judged(runs: TableRuns, row: PaperRow, task: str) -> str:
    rows = [row] if row.objective is not None else [row for row in runs.spec.rows.values() if row.objective]
    judged = any(runs.runs(row.objective, task) for row in rows)
    return NOT_JUDGED if judged else runs.reason(rows[0].objective, task)


def _judges(runs: TableRuns) -> list[str]:
    """Return who judged, in a sentence, if anybody did."""
    names = sorted({entry.judge for entries in runs.judgements.values() for entry in entries})
    return [f"The judge: {', '.join(names)}."] if names else []


def _correlation(runs: Sequence[tuple[Run, Scores]]) -> Cell:
    """Return the mean over seeds of Pearson's r over the answers that have a score.

    Its p-value and interval are those of one seed with that r: the seeds' examples are the same ones, and a mean over
    seeds is not less certain than one of them.
    """
    defined = []
    for run, by_id in runs:
        answers = predictions_by_id(run.predictions("test"))
        pairs = np.array([(score, bool(answers[id].correct)) for id, score in by_id.items() if id in answers])
        if len(pairs) > 1 and np.ptp(pairs, axis=0).all():
            defined.append((len(pairs), float(np.corrcoef(pairs.T)[0, 1])))
    if not defined:
        return Cell(None, "undefined: all answers are alike, or all scores", seeds=len(runs))
    n, r = min(n for n, _ in defined), float(np.mean([r for _, r in defined]))
    cell = Cell(r, n=n, seeds=len(defined))
    if n <= 3 or abs(r) >= 1:
        return cell
    p_value = float(2 * stdtr(n - 2, -abs(r) * math.sqrt((n - 2) / (1 - r * r))))
    half = Z / math.sqrt(n - 3)
    return replace(cell, interval=(math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)), p_value=p_value)
