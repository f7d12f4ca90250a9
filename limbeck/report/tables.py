"""Tables and figures as plain values, and tables as Markdown, LaTeX (booktabs) and CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from limbeck import formatting
from limbeck.formatting import csv_field, finite, interval, markdown, number, one_line, p_equals, p_value
from limbeck.stats.intervals import Interval, accuracy_interval
from limbeck.stats.significance import Comparison

LEVEL = 0.05  # of significance, after Holm's method
NO_VALUE = "–"


@dataclass(frozen=True, slots=True)
class Cell:
    """One number and how far to trust it. Without a `value`, `reason` says in a few words why there is none.

    All numbers but `p_value`, `adjusted`, `n` and `seeds` are in the table's unit.
    """

    value: float | None
    reason: str | None = None
    interval: Interval | None = None  # 95 %
    spread: float | None = None  # standard deviation over examples
    n: int | None = None  # examples
    seeds: int | None = None  # runs that the value is the mean of
    paper: float | None = None  # the paper's number
    paper_spread: float | None = None
    difference: float | None = None  # to the table's baseline in this column
    difference_interval: Interval | None = None
    p_value: float | None = None  # of that difference; in a table of correlations, of the value
    adjusted: float | None = None  # the same by Holm's method over all tests of the table

    @property
    def significant(self) -> bool:
        return self.difference is not None and self.adjusted is not None and self.adjusted < LEVEL


@dataclass(frozen=True, slots=True)
class Row:
    """A named row with a cell for each column."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `notes` are sentences below it: what an interval covers, what was left out and why."""

    name: str  # stem of its files: table1
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    unit: str = ""  # "%" or nothing
    digits: int = 2  # after the point
    baseline: str | None = None  # the row that the others are tested against
    notes: tuple[str, ...] = ()

    @property
    def cells(self) -> list[Cell]:
        return [cell for row in self.rows for cell in row.cells]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, and its numbers as a table."""

    name: str
    title: str
    svg: str
    table: Table


def percent(ends: Interval | None) -> Interval | None:
    """Return an interval of shares in per cent."""
    return None if ends is None else (100 * ends[0], 100 * ends[1])


def accuracy_cell(correct: np.ndarray) -> Cell:
    """Return an accuracy in per cent with its interval; `correct` [S, N] is by seed and example."""
    seeds, n = correct.shape
    if not n:
        return Cell(None, "no example that all of its runs answered", seeds=seeds)
    return Cell(100 * float(correct.mean()), interval=percent(accuracy_interval(correct)), n=n, seeds=seeds)


def with_difference(cell: Cell, comparison: Comparison, adjusted: float | None = None) -> Cell:
    """Return the cell with its difference to the baseline in points, and the test of it."""
    return replace(
        cell,
        difference=None if comparison.difference is None else 100 * comparison.difference,
        difference_interval=percent(comparison.interval),
        p_value=comparison.p_value,
        adjusted=adjusted,
    )


def title(table: Table) -> str:
    """Return the title with the unit."""
    return f"{table.title} ({table.unit})" if table.unit else table.title


def notes(table: Table) -> list[str]:
    """Return the notes; before them what all cells are means of, if that is the same, and last what `*` means."""
    sentences = list(table.notes)
    if any(cell.significant for cell in table.cells):
        sentences.append("An asterisk marks a difference that stands at 5 % after Holm's method.")
    if len(table.columns) > 1 and len(sizes := _sizes(table)) == 1:
        ((n, seeds),) = sizes
        words = [f"{n:,} examples"] if n else []
        words += [f"{seeds} seed{'s' if seeds > 1 else ''}"] if seeds else []
        sentences[:0] = [f"All of {' and '.join(words)}."] if words else []
    return sentences


def heads(table: Table) -> list[str]:
    """Return the heads of the columns of `rows`."""
    if len(table.columns) > 1:
        return ["", *table.columns]
    return ["", table.columns[0], *_used_parts(table)]


def rows(table: Table) -> list[list[list[str]]]:
    """Return the rows as texts, the name first; a cell is a list of lines, the value first.

    In a table of one column everything known of a cell has a column of its own, for which there is room.
    """
    if len(table.columns) > 1:
        sized = len(_sizes(table)) > 1
        return [[[row.name], *(_lines(cell, table, sized) for cell in row.cells)] for row in table.rows]
    used = _used_parts(table)
    return [
        [
            [row.name],
            [_value(row.cells[0], table.digits)],
            *([_parts(row.cells[0], table.digits)[label]] for label in used),
        ]
        for row in table.rows
    ]


def to_markdown(table: Table) -> str:
    """Return a GitHub table with its title and notes."""
    head, *body = [[markdown(cell) for cell in row] for row in _flat(table)]
    lines: list[list[Any]] = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    below = [f"{markdown(note)}\n" for note in notes(table)]
    return "\n".join([f"**{markdown(title(table))}**", "", *(f"| {' | '.join(row)} |" for row in lines), "", *below])


def to_latex(table: Table) -> str:
    """Return a `table` environment of the package booktabs, to be read in with \\input."""
    head, *body = [" & ".join(map(formatting.latex, row)) for row in _flat(table)]
    label = "".join(char for char in table.name if char.isalnum() or char == "-")
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{formatting.latex(' '.join([title(table) + '.', *notes(table)]))}}}",
        rf"  \label{{tab:{label}}}",
        rf"  \begin{{tabular}}{{l{'r' * (len(heads(table)) - 1)}}}",
        r"    \toprule",
        rf"    {head} \\",
        r"    \midrule",
        *(rf"    {row} \\" for row in body),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join([*lines, ""])


def to_csv(table: Table) -> str:
    """Return a line for each cell with everything that is known of it, in full precision."""
    stream = io.StringIO()
    names = [field.name for field in fields(Cell)]
    columns = [end for name in names for end in ((f"{name}_low", f"{name}_high") if "interval" in name else (name,))]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["row", "column", *columns, "unit"])
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            values: list[object] = []
            for name in names:
                value = getattr(cell, name)
                values += (value or ("", "")) if "interval" in name else [value]
            values = [csv_field(value) if isinstance(value, str) else finite(value) for value in values]
            writer.writerow([csv_field(row.name), csv_field(column), *values, table.unit])
    return stream.getvalue()


def _flat(table: Table) -> list[list[str]]:
    return [heads(table), *(["; ".join(lines) for lines in row] for row in rows(table))]


def _sizes(table: Table) -> set[tuple[int | None, int | None]]:
    return {(cell.n, cell.seeds) for cell in table.cells if cell.value is not None}


def _value(cell: Cell, digits: int) -> str:
    text = _with_spread(cell.value, cell.spread, digits)
    return f"{text}*" if text and cell.significant else text or NO_VALUE


def _with_spread(value: float | None, spread: float | None, digits: int) -> str:
    text = number(value, digits)
    return f"{text} ± {number(spread, digits)}" if text and spread is not None else text


def _parts(cell: Cell, digits: int) -> dict[str, str]:
    """Return what there is to say of a cell besides its value, by column head."""
    return {
        "95 % interval": interval(cell.interval, digits, brackets=False),
        "paper": _with_spread(cell.paper, cell.paper_spread, digits),
        "difference": number(cell.difference, digits, sign=True),
        "interval of the difference": interval(cell.difference_interval, digits, sign=True, brackets=False),
        "p": p_value(cell.p_value),
        "p, Holm": p_value(cell.adjusted),
        "n": "" if cell.n is None else f"{cell.n:,}",
        "seeds": "" if cell.seeds is None else str(cell.seeds),
        "note": one_line(cell.reason or ""),
    }


def _used_parts(table: Table) -> list[str]:
    by_row = [_parts(row.cells[0], table.digits) for row in table.rows]
    return [name for name in (by_row[0] if by_row else {}) if any(texts[name] for texts in by_row)]


def _lines(cell: Cell, table: Table, sized: bool) -> list[str]:
    """Return a cell of a table of several columns; `sized`: with what it is the mean of."""
    texts = _parts(cell, table.digits)
    paper = [f"paper {texts['paper']}"] if texts["paper"] else []
    value = _value(cell, table.digits)
    if value == NO_VALUE:
        return [texts["note"] or value, *paper]
    versus = f"vs {table.baseline} " if table.baseline else ""
    tests = [(name, p) for name, p in (("p", cell.p_value), ("Holm", cell.adjusted)) if p_value(p)]
    ends = texts["interval of the difference"]
    optional = [
        texts["95 % interval"],
        *paper,
        f"{versus}{texts['difference']}{f' ({ends})' if ends else ''}" if texts["difference"] else "",
        ", ".join(f"{name} {p_equals(p)}" for name, p in tests),
        f"n = {texts['n']}" if sized and texts["n"] else "",
        f"seeds: {texts['seeds']}" if sized and texts["seeds"] else "",
        texts["note"],
    ]
    return [value, *(text for text in optional if text)]


def listed(words: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
