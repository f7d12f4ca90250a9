"""Tables 1 to 5: accuracy, each method against DSS."""

from collections.abc import Sequence
from dataclasses import replace

from limbeck.evaluation.corrections import holm
from limbeck.evaluation.intervals import accuracy_interval
from limbeck.evaluation.resampling import Interval
from limbeck.evaluation.significance import Comparison, compare
from limbeck.experiments.arms import correct
from limbeck.experiments.paper.found import Found, title_of
from limbeck.experiments.paper.notes import HOLM, INTERVALS, added, setup
from limbeck.experiments.run import Run
from limbeck.experiments.tables import Cell, Row, Table

BASELINE = "DSS"
_PERCENT = 100


def accuracy_table(found: Found) -> Table:
    """Accuracy in percent, a row a method and a column a task."""
    table = found.table
    rows = [Row(name, tuple(_cell(found, name, task) for task in found.tasks)) for name in table.rows]
    notes = [*setup(found), *added(found), INTERVALS]
    notes += [f"Differences are to {BASELINE} on the same examples, in points; {HOLM}"]
    if table.pair is not None:
        notes.append(_pair(found, *table.pair))
    return Table(
        found.name,
        table.title,
        tuple(title_of(task) for task in found.tasks),
        adjusted(rows),
        unit="%",
        baseline=BASELINE,
        notes=tuple(notes),
    )


def accuracy_cell(runs: Sequence[Run], reason: str) -> Cell:
    """The accuracy of these runs, the seeds of one recipe; with none, `reason`."""
    if not runs:
        return Cell(None, reason)
    right = correct(runs)
    if not right.size:
        return Cell(None, "the seeds were measured on no common example", seeds=len(runs))
    return Cell(
        _PERCENT * float(right.mean()),
        interval=percent(accuracy_interval(right)),
        n=right.shape[1],
        seeds=len(runs),
    )


def adjusted(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows with `adjusted` of all tests filled in."""
    p_values = iter(holm([cell.p_value for row in rows for cell in row.cells]))
    return tuple(Row(row.name, tuple(replace(cell, adjusted=next(p_values)) for cell in row.cells)) for row in rows)


def percent(interval: Interval | None) -> Interval | None:
    """An interval of shares, in percent."""
    return None if interval is None else (_PERCENT * interval[0], _PERCENT * interval[1])


def _cell(found: Found, name: str, task: str) -> Cell:
    objective = str(found.table.rows[name].objective)
    runs = found.runs(objective, task)
    cell = replace(accuracy_cell(runs, found.reason(objective, task)), paper=found.table.number(name, task))
    if name != BASELINE and (tested := _compared(runs, found.runs("dss", task))) is not None:
        cell = replace(
            cell,
            difference=None if tested.difference is None else _PERCENT * tested.difference,
            difference_interval=percent(tested.interval),
            p_value=tested.p_value,
        )
    return cell


def _compared(runs: Sequence[Run], others: Sequence[Run]) -> Comparison | None:
    """On the examples that all of them answered; None where there are none."""
    if not runs or not others:
        return None
    right = correct([*runs, *others])
    if not right.size:
        return None
    return compare(right[: len(runs)], right[len(runs) :], draws=1)  # the bootstrap's interval is not shown


def _pair(found: Found, one: str, other: str) -> str:
    """What the table is there to compare, by task, with its own correction."""
    rows = found.table.rows
    tested = {}
    for task in found.tasks:
        sides = [found.runs(str(rows[name].objective), task) for name in (one, other)]
        comparison = _compared(*sides)
        if comparison is not None and comparison.difference is not None:
            tested[title_of(task)] = comparison
    if not tested:
        return f"{one} less {other}: not run."
    said = [
        f"{task} {_PERCENT * (found.difference or 0):+.2f}{_interval(found.interval)}{_p(p)}"
        for (task, found), p in zip(tested.items(), holm([it.p_value for it in tested.values()]), strict=True)
    ]
    return f"{one} less {other}, in points, p adjusted by Holm's method over these tests: {'; '.join(said)}."


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f" ({_PERCENT * interval[0]:+.2f} to {_PERCENT * interval[1]:+.2f})"


def _p(p: float | None) -> str:
    if p is None:
        return ""
    return ", p < 0.001" if p < 0.001 else f", p = {p:.3f}"
