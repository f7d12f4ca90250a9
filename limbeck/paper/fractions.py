"""Figures 2 and 3: accuracy by the share of the training data."""

from limbeck.figures import Point, fractions
from limbeck.paper.accuracy import accuracy_of
from limbeck.paper.found import Found, title_of
from limbeck.paper.notes import INTERVALS, setup
from limbeck.report.tables import Cell, Figure, Row, Table


def fraction_figures(found: Found) -> list[Figure]:
    """A figure a task."""
    notes = (*setup(found), INTERVALS, "The paper prints no numbers of this figure.")
    return [_figure(found, task, notes) for task in found.tasks]


def _figure(found: Found, task: str, notes: tuple[str, ...]) -> Figure:
    shares = found.table.fractions
    rows = tuple(
        Row(name, tuple(_cell(found, str(row.objective), task, share) for share in shares))
        for name, row in found.table.rows.items()
    )
    series = {row.name: [_point(share, cell) for share, cell in zip(shares, row.cells, strict=True)] for row in rows}
    name, title = f"{found.name}-{task}", f"{found.table.title}: {title_of(task)}"
    columns = tuple(f"{100 * share:g} %" for share in shares)
    table = Table(name, title, columns, rows, unit="%", notes=notes)
    return Figure(name, title, fractions(series, "Accuracy (%)"), table)


def _cell(found: Found, objective: str, task: str, share: float) -> Cell:
    return accuracy_of(found.runs(objective, task, share), found.reason(objective, task, share))


def _point(share: float, cell: Cell) -> Point:
    low, high = cell.interval or (None, None)
    return Point(share, cell.value, low, high)
