"""A `Table` as heads and rows of text, and these as Markdown, LaTeX (booktabs) and CSV; HTML is a template's."""

import csv as csv_module
import io
from collections.abc import Sequence
from dataclasses import fields
from typing import NamedTuple

from limbeck.formatting import one_line
from limbeck.report import text
from limbeck.report.tables import Cell, Table, equals, interval, number, p_value

_LEVEL = 0.05
_STARRED = "An asterisk marks a difference that stands at 5 % after Holm's method."


class Parts(NamedTuple):
    """What there is to say of a cell, a text each; empty where there is nothing."""

    value: str
    interval: str
    paper: str
    difference: str
    difference_interval: str
    p_value: str
    adjusted: str
    tested: str  # both p-values, where they have no columns of their own
    n: str
    seeds: str
    reason: str
    found: bool  # a difference that stands after the correction for many tests

    @property
    def middle(self) -> tuple[str, ...]:
        """What `HEADS` names."""
        return (
            self.interval,
            self.paper,
            self.difference,
            self.difference_interval,
            self.p_value,
            self.adjusted,
            self.n,
            self.seeds,
        )


HEADS = ("95 % interval", "paper", "difference", "its interval", "p", "p, Holm", "n", "seeds")


def parts(cell: Cell, table: Table) -> Parts:
    """A cell's numbers as texts, in the table's digits."""
    digits, baseline = table.digits, cell.reason if cell.value is not None and cell.reason else ""
    value = number(cell.value, digits)
    if value and cell.spread is not None:
        value += f" ± {number(cell.spread, digits)}"
    found = cell.difference is not None and cell.adjusted is not None and cell.adjusted < _LEVEL
    if value and found:
        value += "*"
    paper = number(cell.paper, digits)
    if paper and cell.paper_spread is not None:
        paper += f" ± {number(cell.paper_spread, digits)}"
    return Parts(
        value=value or "–",
        interval=interval(cell.interval, digits),
        paper=paper,
        difference=number(cell.difference, digits, sign=True),
        difference_interval=interval(cell.difference_interval, digits, sign=True),
        p_value=p_value(cell.p_value),
        adjusted=p_value(cell.adjusted),
        tested=_tested(cell),
        n="" if cell.n is None else f"{cell.n:,}",
        seeds="" if cell.seeds is None else str(cell.seeds),
        reason=one_line(cell.reason or "") if not value else baseline,
        found=found,
    )


def wide(table: Table) -> bool:
    """Whether a cell's parts stand in columns of their own, for which there is room in a table of one column."""
    return len(table.columns) == 1


def heads(table: Table) -> list[str]:
    """Of the columns that `rows` has."""
    if not wide(table):
        return ["", *table.columns]
    return ["", table.columns[0], *(HEADS[index] for index in _used(table)), *(["note"] if _noted(table) else [])]


def rows(table: Table) -> list[list[str]]:
    """The rows as texts, the name first."""
    if not wide(table):
        every = sized(table)
        return [
            [row.name, *(_together(parts(cell, table), table.baseline, every) for cell in row.cells)]
            for row in table.rows
        ]
    used, noted = _used(table), _noted(table)
    found = []
    for row in table.rows:
        one = parts(row.cells[0], table)
        middle = one.middle
        found.append([row.name, one.value, *(middle[index] for index in used), *([one.reason] if noted else [])])
    return found


def markdown(table: Table) -> str:
    """A GitHub table with its title and notes."""
    head, *body = [[text.markdown(cell) for cell in row] for row in (heads(table), *rows(table))]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    below = [f"{text.markdown(note)}\n" for note in notes(table)]
    return "\n".join(
        [f"**{text.markdown(title(table))}**", "", *(f"| {' | '.join(one)} |" for one in lines), "", *below]
    )


def latex(table: Table) -> str:
    """A `table` of the package booktabs, to be read in with \\input."""
    head, *body = [[text.latex(cell) for cell in row] for row in (heads(table), *rows(table))]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{text.latex(' '.join([title(table) + '.', *notes(table)]))}}}",
            rf"  \label{{tab:{''.join(sign for sign in table.name if sign.isalnum() or sign == '-')}}}",
            rf"  \begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            r"    \toprule",
            rf"    {' & '.join(head)} \\",
            r"    \midrule",
            *(rf"    {' & '.join(row)} \\" for row in body),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def csv(table: Table) -> str:
    """A line a cell, with everything that is known of it, in full precision."""
    stream = io.StringIO()
    writer = csv_module.writer(stream, lineterminator="\n")
    names = [field.name for field in fields(Cell)]
    writer.writerow(["row", "column", *(half for name in names for half in _halves(name)), "unit"])
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            values = [value for name in names for value in _values(name, getattr(cell, name))]
            writer.writerow([text.csv(row.name), text.csv(column), *values, table.unit])
    return stream.getvalue()


def notes(table: Table) -> list[str]:
    """The table's; before them what all of its cells are means of, where that is the same, and last what `*` means."""
    sizes, below = _sizes(table), list(table.notes)
    if any(parts(cell, table).found for row in table.rows for cell in row.cells):
        below.append(_STARRED)
    if wide(table) or len(sizes) != 1:
        return below
    ((n, seeds),) = sizes
    said = [*([f"{n:,} examples"] if n else []), *([f"{seeds} seed{'s' if seeds > 1 else ''}"] if seeds else [])]
    return [*([f"All of {' and '.join(said)}."] if said else []), *below]


def sized(table: Table) -> bool:
    """Whether cells have to say each for itself what they are means of."""
    return len(_sizes(table)) > 1


def _sizes(table: Table) -> set[tuple[int | None, int | None]]:
    return {(cell.n, cell.seeds) for row in table.rows for cell in row.cells if cell.value is not None}


def title(table: Table) -> str:
    """With its unit."""
    return f"{table.title} ({table.unit})" if table.unit else table.title


def _tested(cell: Cell) -> str:
    said = [(name, value) for name, value in (("p", cell.p_value), ("Holm", cell.adjusted)) if p_value(value)]
    return ", ".join(f"{name} {equals(value)}" for name, value in said)


def _together(one: Parts, baseline: str | None, sized: bool) -> str:
    """A cell's parts as one text, for tables of several columns; `sized`: with what it is the mean of."""
    if one.value == "–":
        return f"{one.reason or one.value}{f'; paper {one.paper}' if one.paper else ''}"
    said = one.value + (f" ({one.interval})" if one.interval else "")
    said += f"; paper {one.paper}" if one.paper else ""
    if one.difference:
        said += f"; {f'vs {baseline} ' if baseline else ''}{one.difference}" + (
            f" ({one.difference_interval})" if one.difference_interval else ""
        )
    said += f", {one.tested}" if one.tested else ""
    said += f"; n = {one.n}" if sized and one.n else ""
    said += f"; seeds: {one.seeds}" if sized and one.seeds else ""
    return f"{said}; {one.reason}" if one.reason else said


def _used(table: Table) -> list[int]:
    """Which of `HEADS` any row has something for."""
    every = [parts(row.cells[0], table).middle for row in table.rows]
    return [index for index in range(len(HEADS)) if any(one[index] for one in every)]


def _noted(table: Table) -> bool:
    return any(parts(row.cells[0], table).reason for row in table.rows)


def _halves(name: str) -> Sequence[str]:
    return (f"{name}_low", f"{name}_high") if name.endswith("interval") else (name,)


def _values(name: str, value: object) -> Sequence[object]:
    if name.endswith("interval"):
        return [_known(end) for end in value] if isinstance(value, tuple) else ("", "")
    return (text.csv(value) if isinstance(value, str) else _known(value),)


def _known(value: object) -> object:
    return "" if text.plain(value) is None else value
