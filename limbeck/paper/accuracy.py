"""Tables 1 to 5: accuracy, each method against DSS."""

from collections.abc import Sequence
from dataclasses import replace

from limbeck.paper.found import Found, title_of
from limbeck.paper.notes import HOLM, INTERVALS, added, setup
from limbeck.report.accuracies import accuracy_cell, against, warnings
from limbeck.report.tables import Cell, Row, Table, equals, interval, number
from limbeck.runs.groups import correct
from limbeck.runs.run import Run
from limbeck.stats.significance import Comparison, compare, holm

BASELINE = "DSS"


def accuracy_table(found: Found) -> Table:
    """Accuracy in percent, a row a method and a column a task."""
    table = found.table
    rows = [Row(name, tuple(_cell(found, name, task) for task in found.tasks)) for name in table.rows]
    notes = [*setup(found), *added(found), INTERVALS]
    notes += [f"Differences are to {BASELINE} on the same examples, in points; {HOLM}"]
    if table.pair is not None:
        notes.append(_pair(found, *table.pair))
    places = [(name, str(row.objective), task) for name, row in table.rows.items() for task in found.tasks]
    notes += warnings({f"{name}, {title_of(task)}": found.runs(objective, task) for name, objective, task in places})
    return Table(
        found.name,
        table.title,
        tuple(title_of(task) for task in found.tasks),
        adjusted(rows),
        unit="%",
        baseline=BASELINE,
        notes=tuple(notes),
    )


def accuracy_of(runs: Sequence[Run], reason: str) -> Cell:
    """The accuracy of these runs, the seeds of one recipe; with none, `reason`."""
    return accuracy_cell(correct(runs)) if runs else Cell(None, reason)


def adjusted(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows with `adjusted` of all tests filled in."""
    p_values = iter(holm([cell.p_value for row in rows for cell in row.cells]))
    return tuple(Row(row.name, tuple(replace(cell, adjusted=next(p_values)) for cell in row.cells)) for row in rows)


def _cell(found: Found, name: str, task: str) -> Cell:
    objective = str(found.table.rows[name].objective)
    runs = found.runs(objective, task)
    cell = replace(accuracy_of(runs, found.reason(objective, task)), paper=found.table.number(name, task))
    if name != BASELINE and (tested := _compared(runs, found.runs("dss", task))) is not None:
        cell = against(cell, tested)
    return cell


def _compared(runs: Sequence[Run], others: Sequence[Run]) -> Comparison | None:
    """On the examples that all of them answered; None where there are none."""
    if not runs or not others:
        return None
    right = correct([*runs, *others])
    if not right.size:
        return None
    return compare(right[: len(runs)], right[len(runs) :])


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
        f"{task} {_difference(found)}{'' if p is None else f', p {equals(p)}'}"
        for (task, found), p in zip(tested.items(), holm([it.p_value for it in tested.values()]), strict=True)
    ]
    return f"{one} less {other}, in points, p adjusted by Holm's method over these tests: {'; '.join(said)}."


def _difference(found: Comparison) -> str:
    cell = against(Cell(None), found)
    ends = interval(cell.difference_interval, 2, sign=True)
    return number(cell.difference, 2, sign=True) + (f" ({ends})" if ends else "")
