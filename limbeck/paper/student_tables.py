"""Tables 1 to 6 and figures 2 and 3: accuracy, calibration, and accuracy by the share of the training data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student

from limbeck import figures
from limbeck.errors import LimbeckError
from limbeck.figures import Point
from limbeck.formatting import interval, number, p_equals
from limbeck.metrics.calibration import calibrate
from limbeck.metrics.graded import as_arrays, with_confidence
from limbeck.metrics.predictions import read_predictions
from limbeck.paper.spec import task_title
from limbeck.paper.table_runs import HOLM, INTERVALS, TableRuns
from limbeck.report.sections import count_warnings
from limbeck.report.tables import Cell, Figure, Row, Table, accuracy_cell, percent, with_difference
from limbeck.runs.groups import correct
from limbeck.runs.run import Run
from limbeck.stats.intervals import Floats, Interval, Z
from limbeck.stats.significance import Comparison, compare, holm

BASELINE = "DSS"
CALIBRATION_DRAWS = 500  # of each run's bootstrap


def accuracy_table(runs: TableRuns) -> Table:
    """Return accuracy in per cent, a row a method and a column a task, each method against DSS."""
    spec = runs.spec
    rows = [Row(name, tuple(_accuracy_cell(runs, name, task) for task in runs.tasks)) for name in spec.rows]
    notes = [*runs.notes(), INTERVALS]
    notes.append(f"Differences are to {BASELINE} on the same examples, in points; {HOLM}")
    if spec.pair is not None:
        notes.append(_pair_note(runs, *spec.pair))
    entries = [(name, row.objective, task) for name, row in spec.rows.items() for task in runs.tasks]
    notes += count_warnings({f"{name}, {task_title(task)}": runs.runs(method, task) for name, method, task in entries})
    return Table(
        runs.name, spec.title, runs.columns, adjust(rows), unit="%", baseline=BASELINE, notes=tuple(notes)
    )  # fmt: skip


def adjust(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows with the p-values of all their tests adjusted by Holm's method."""
    p_values = iter(holm([cell.p_value for row in rows for cell in row.cells]))
    return tuple(Row(row.name, tuple(replace(cell, adjusted=next(p_values)) for cell in row.cells)) for row in rows)


def _accuracy_cell(runs: TableRuns, name: str, task: str) -> Cell:
    objective = runs.spec.rows[name].objective
    cell = replace(_accuracy(runs, objective, task), paper=runs.spec.printed(name, task)[0])
    if name != BASELINE and (comparison := _compare(runs.runs(objective, task), runs.runs("dss", task))) is not None:
        cell = with_difference(cell, comparison)
    return cell


def _accuracy(runs: TableRuns, objective: str | None, task: str, fraction: float = 1.0) -> Cell:
    finished = runs.runs(objective, task, fraction)
    return accuracy_cell(correct(finished)) if finished else Cell(None, runs.reason(objective, task, fraction))


def _compare(runs: Sequence[Run], baseline: Sequence[Run]) -> Comparison | None:
    """Compare on the examples that all of them answered; None where there are none."""
    if not runs or not baseline:
        return None
    answers = correct([*runs, *baseline])
    return compare(answers[: len(runs)], answers[len(runs) :]) if answers.size else None


def _pair_note(runs: TableRuns, first: str, second: str) -> str:
    """Return the comparison that the table is there for, by task, with its own correction."""
    comparisons = {}
    for task in runs.tasks:
        sides = [runs.runs(runs.spec.rows[name].objective, task) for name in (first, second)]
        comparison = _compare(*sides)
        if comparison is not None and comparison.difference is not None:
            comparisons[task_title(task)] = comparison
    if not comparisons:
        return f"{first} less {second}: not run."
    adjusted = holm([comparison.p_value for comparison in comparisons.values()])
    phrases = []
    for (task, comparison), p in zip(comparisons.items(), adjusted, strict=True):
        cell = with_difference(Cell(None), comparison)
        ends = interval(cell.difference_interval, 2, sign=True)
        p_text = "" if p is None else f", p {p_equals(p)}"
        phrases.append(f"{task} {number(cell.difference, 2, sign=True)} {ends}".rstrip() + p_text)
    tests = "p adjusted by Holm's method over these tests"
    return f"{first} less {second}, in points, {tests}: {'; '.join(phrases)}."


def fraction_figures(runs: TableRuns) -> list[Figure]:
    """Return a figure a task: accuracy by the share of the training data."""
    notes = (*runs.notes(), INTERVALS, "The paper prints no numbers of this figure.")
    return [_fraction_figure(runs, task, notes) for task in runs.tasks]


def _fraction_figure(runs: TableRuns, task: str, notes: tuple[str, ...]) -> Figure:
    fractions = runs.spec.fractions
    rows = tuple(
        Row(name, tuple(_accuracy(runs, row.objective, task, fraction) for fraction in fractions))
        for name, row in runs.spec.rows.items()
    )
    series = {
        row.name: [
            Point(x, cell.value, *(cell.interval or (None, None))) for x, cell in zip(fractions, row.cells, strict=True)
        ]
        for row in rows
    }
    name, title = f"{runs.name}-{task}", f"{runs.spec.title}: {task_title(task)}"
    table = Table(name, title, tuple(f"{100 * fraction:g} %" for fraction in fractions), rows, unit="%", notes=notes)
    return Figure(name, title, figures.fractions(series, "accuracy (%)"), table)


MEASURES = ("ECE", "Conf.")
CALIBRATION_NOTES = (
    "Ours is the student's own probability of its answer (among the choices where there are any), ECE over ten bins.",
    "The released code's confidence is a constant, one over the size of the vocabulary, from which these numbers of "
    "the paper cannot have come.",
    'The paper does not say which way round "(Out)" is: "e-SNLI (Out)" is read as the student trained on e-SNLI, '
    "asked the test questions of ANLI, and likewise the other.",
    "Intervals are 95 %: Student's t with the variance between seeds and, by the bootstrap, between examples.",
)


@dataclass(frozen=True)
class _Domain:
    """A pair of columns: the students of `task`, asked the test questions of `asked`; None: of their own task."""

    title: str
    task: str
    dataset: str | None = None

    @property
    def predictions(self) -> str:
        return "test" if self.dataset is None else f"{self.dataset}-test"


@dataclass(frozen=True)
class _RunCalibration:
    """One run's ECE and mean confidence, with their intervals over examples."""

    n: int
    left_out: int  # answers without a confidence
    values: tuple[float, float]
    intervals: tuple[Interval, Interval]
    expected: float  # the ECE that a calibrated student would have


def calibration_table(runs: TableRuns) -> Table:
    """Return ECE and mean confidence in per cent, a pair of columns a domain; lower ECE is better."""
    spec = runs.spec
    in_domain = [_Domain(task_title(task), task) for task in runs.tasks]
    out = [
        _Domain(
            f"{task_title(task)} (Out)",
            task,
            next(other_task for other_task in spec.out_of_domain if other_task != task),
        )
        for task in spec.out_of_domain
    ]
    domains = [*in_domain[: len(spec.tasks)], *out, *in_domain[len(spec.tasks) :]]  # the paper's first
    measured: list[_RunCalibration] = []
    rows = []
    for name in spec.rows:
        cells: list[Cell] = []
        for index, domain in enumerate(domains):
            cells += _calibration_cells(runs, name, index, domain, measured=measured)
        rows.append(Row(name, tuple(cells)))
    notes = [*runs.notes(), *CALIBRATION_NOTES]
    if measured:
        low, high = (100 * end(run.expected for run in measured) for end in (min, max))
        notes.append(f"An ECE is above 0 by chance: of calibrated students it would have been {low:.2f} to {high:.2f}.")
    if left_out := sum(run.left_out for run in measured):
        notes.append(f"{left_out} answers of all {len(measured)} runs have no confidence and are left out.")
    columns = tuple(f"{domain.title} {measure}" for domain in domains for measure in MEASURES)
    return Table(runs.name, spec.title, columns, tuple(rows), unit="%", notes=tuple(notes))


def _calibration_cells(
    runs: TableRuns, name: str, index: int, domain: _Domain, *, measured: list[_RunCalibration]
) -> list[Cell]:
    row = runs.spec.rows[name]
    printed = row.paper[index] if row.paper is not None and index < len(row.paper) else None
    paper = printed if isinstance(printed, tuple) else (None, None)
    finished = runs.runs(row.objective, domain.task)
    with_predictions = [run for run in finished if run.predictions(domain.predictions).is_file()]
    if with_predictions:
        try:
            by_seed = [_calibrate(run, domain.predictions) for run in with_predictions]
        except LimbeckError as error:  # no answer has a confidence
            cells = [Cell(None, str(error))] * 2
        else:
            measured += by_seed
            cells = [_seed_mean(by_seed, which) for which in range(2)]
    else:
        reason = "not measured out of domain" if finished else runs.reason(row.objective, domain.task)
        cells = [Cell(None, reason)] * 2
    return [replace(cell, paper=value) for cell, value in zip(cells, paper, strict=True)]


def _calibrate(run: Run, name: str) -> _RunCalibration:
    predictions = read_predictions(run.predictions(name))
    answers = with_confidence(predictions, run.predictions(name))
    metrics = calibrate(as_arrays(answers), draws=CALIBRATION_DRAWS)
    ece, confidence = metrics["ece"], metrics["average_confidence"]
    return _RunCalibration(
        n=len(answers),
        left_out=len(predictions) - len(answers),
        values=(ece, confidence),
        intervals=(
            metrics["ece_interval"] or (ece, ece),
            metrics["average_confidence_interval"] or (confidence, confidence),
        ),
        expected=metrics["ece_expected_if_calibrated"],
    )


def _seed_mean(runs: Sequence[_RunCalibration], which: int) -> Cell:
    values = np.array([run.values[which] for run in runs])
    ends = np.array([run.intervals[which] for run in runs])
    seeds, mean = len(values), float(values.mean())
    if seeds > 1:
        below, above = (_half_width(values, end) for end in ends.T)
        ends_of_mean = max(mean - below, 0.0), min(mean + above, 1.0)
    else:
        ends_of_mean = float(ends[0, 0]), float(ends[0, 1])
    return Cell(100 * mean, interval=percent(ends_of_mean), n=min(run.n for run in runs), seeds=seeds)


def _half_width(values: Floats, ends: Floats) -> float:
    """Return how far the interval of the mean of `values` [S] reaches to the side of their own, over examples, `ends`.

    error^2 = var(values)/S + mean((value - end)^2)/1.96^2 with Satterthwaite's degrees of freedom for the first term.
    What examples do to a single seed is in both, so it is rather too wide; ends hold the bias of an ECE. In simulations
    of 60 draws each (200 answers, 1 to 5 seeds, overconfident by 0 or 0.1, with a deviation of 0 or 0.04 between seeds)
    92 to 100 % of the intervals held the true ECE, and 90 to 98 % the confidence.
    """
    between = float(values.var(ddof=1)) / len(values)
    variance = between + float(((values - ends) ** 2).mean()) / Z**2
    freedom = (len(values) - 1) * (variance / between) ** 2 if between > 0 else np.inf
    return float(student.ppf(0.975, freedom)) * variance**0.5
