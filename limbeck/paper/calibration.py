"""Table 6: expected calibration error and average confidence, in and out of domain."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student

from limbeck.errors import LimbeckError
from limbeck.metrics.answered import confidences, known, read_answers
from limbeck.metrics.estimates import BinnedError, bootstrap, by_chance, error_interval, simulate_hits
from limbeck.metrics.reliability import equal_width
from limbeck.paper.found import Found, title_of
from limbeck.paper.notes import setup
from limbeck.report.accuracies import percent
from limbeck.report.tables import Cell, Row, Table
from limbeck.runs.run import Run
from limbeck.stats.intervals import Floats, Interval, Z

_DRAWS = 500  # of each run's bootstrap
_MEASURES = ("ECE", "Conf.")
_NOTES = (
    "Ours is the student's own probability of its answer (among the choices where there are any), ECE over ten bins.",
    "The released code's confidence is a constant, one over the size of the vocabulary, from which these numbers of "
    "the paper cannot have come.",
    'The paper does not say which way round "(Out)" is: "e-SNLI (Out)" is read as the student trained on e-SNLI, '
    "asked the test questions of ANLI, and likewise the other.",
    "Intervals are 95 %: Student's t with the variance between seeds and, by the bootstrap, between examples.",
)


@dataclass(frozen=True)
class _Domain:
    """Where a pair of columns is from: the students of `task`, asked the test questions of `asked`."""

    title: str
    task: str
    asked: str | None = None  # None: its own

    @property
    def predictions(self) -> str:
        return "test" if self.asked is None else f"{self.asked}-test"


@dataclass(frozen=True)
class _Measured:
    """One run's ECE and confidence, with their intervals over examples."""

    n: int
    left_out: int  # answers without a confidence
    values: tuple[float, float]
    intervals: tuple[Interval, Interval]
    by_chance: float  # the ECE that a calibrated student would have


def calibration_table(found: Found) -> Table:
    """ECE and mean confidence in percent, a pair of columns a domain; lower ECE is better."""
    domains = _domains(found)
    every: list[_Measured] = []
    rows = []
    for name in found.table.rows:
        cells: list[Cell] = []
        for place, domain in enumerate(domains):
            cells += _pair(found, name, place, domain, every)
        rows.append(Row(name, tuple(cells)))
    notes = [*setup(found), *_NOTES]
    if every:
        low, high = (100 * end(one.by_chance for one in every) for end in (min, max))
        notes.append(f"An ECE is above 0 by chance: of calibrated students it would have been {low:.2f} to {high:.2f}.")
    if left_out := sum(one.left_out for one in every):
        notes.append(f"{left_out} answers of all {len(every)} runs have no confidence and are left out.")
    columns = tuple(f"{domain.title} {measure}" for domain in domains for measure in _MEASURES)
    return Table(found.name, found.table.title, columns, tuple(rows), unit="%", notes=tuple(notes))


def _domains(found: Found) -> list[_Domain]:
    """In the paper's order, those that it does not have last."""
    table = found.table
    own = [_Domain(title_of(task), task) for task in found.tasks]
    out = [
        _Domain(f"{title_of(task)} (Out)", task, next(other for other in table.out_of_domain if other != task))
        for task in table.out_of_domain
    ]
    paper = len(table.tasks)
    return [*own[:paper], *out, *own[paper:]]


def _pair(found: Found, name: str, place: int, domain: _Domain, every: list[_Measured]) -> list[Cell]:
    row = found.table.rows[name]
    paper = row.paper[place] if row.paper is not None and place < len(row.paper) else None
    theirs = paper if isinstance(paper, tuple) else (None, None)
    runs = found.runs(str(row.objective), domain.task)
    there = [run for run in runs if run.predictions(domain.predictions).is_file()]
    if not there:
        said = "not measured out of domain" if runs else found.reason(str(row.objective), domain.task)
        cells = [Cell(None, said), Cell(None, said)]
    else:
        try:
            measured = [_measure(run, domain.predictions) for run in there]
        except LimbeckError as error:  # no answer has a confidence
            cells = [Cell(None, str(error)), Cell(None, str(error))]
        else:
            every += measured
            cells = [_cell(measured, which) for which in range(len(_MEASURES))]
    return [replace(cell, paper=number) for cell, number in zip(cells, theirs, strict=True)]


def _measure(run: Run, name: str) -> _Measured:
    every = read_answers(run.predictions(name))
    answers = known(every)
    sure = confidences(answers)
    right = np.array([one.correct for one in answers], dtype=np.float64)
    errors = {"ece": BinnedError(equal_width(sure[:, None]), sure[:, None], right[:, None])}
    drawn = bootstrap({"confidence": sure}, errors, _DRAWS, seed=0)
    values = {"ece": drawn["ece"].value}
    chance = by_chance(errors, values, simulate_hits(sure, _DRAWS, seed=0))["ece"]
    return _Measured(
        n=len(answers),
        left_out=len(every) - len(answers),
        values=(drawn["ece"].value, drawn["confidence"].value),
        intervals=(error_interval(drawn["ece"], chance), drawn["confidence"].middle),
        by_chance=chance.expected,
    )


def _cell(measured: Sequence[_Measured], which: int) -> Cell:
    """The mean over the seeds."""
    values = np.array([one.values[which] for one in measured])
    ends = np.array([one.intervals[which] for one in measured])
    seeds, value = len(values), float(values.mean())
    if seeds > 1:
        below, above = (_reach(values, end) for end in ends.T)
        interval = max(value - below, 0.0), min(value + above, 1.0)
    else:
        interval = float(ends[0, 0]), float(ends[0, 1])
    return Cell(100 * value, interval=percent(interval), n=min(one.n for one in measured), seeds=seeds)


def _reach(values: Floats, ends: Floats) -> float:
    """How far the interval of the mean of values [S] reaches to the side on which their own, over examples, end.

    error^2 = var(values)/S + mean((value - end)^2)/1.96^2 with Satterthwaite's degrees of freedom for the first term.
    What examples do to a single seed is in both, so it is rather too wide; ends hold the bias of an ECE. In simulations
    of 60 draws each (200 answers, 1 to 5 seeds, overconfident by 0 or 0.1, with a deviation of 0 or 0.04 between seeds)
    92 to 100 % of the intervals held the true ECE, and 90 to 98 % the confidence.
    """
    between = float(values.var(ddof=1)) / len(values)
    variance = between + float(((values - ends) ** 2).mean()) / Z**2
    freedom = (len(values) - 1) * (variance / between) ** 2 if between > 0 else np.inf
    return float(student.ppf(0.975, freedom)) * variance**0.5
