"""Sections, tables and figures, and tables as Markdown, LaTeX (booktabs) and CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from limbeck.formatting import csv_field, finite, interval, latex, markdown, number, one_line, p_value
from limbeck.stats.intervals import Interval

LEVEL = 0.05  # of significance, after Holm's method
Rows = dict[str, dict[str, "Cell"]]  # cells by row, then by column


@dataclass(frozen=True, slots=True)
class Cell:
    """A number in the table's unit and how far to trust it; without a `value`, the `reason`."""

    value: float | None
    reason: str | None = None
    interval: Interval | None = None  # 95 %
    spread: float | None = None  # standard deviation over examples
    n: int | None = None  # examples
    seeds: int | None = None  # runs in the mean
    paper: float | None = None  # the paper's number
    paper_spread: float | None = None
    difference: float | None = None  # to the table's baseline in this column
    difference_interval: Interval | None = None
    p_value: float | None = None  # of the difference, or of a correlation
    adjusted: float | None = None  # the same by Holm's method

    @property
    def significant(self) -> bool:
        return self.difference is not None and self.adjusted is not None and self.adjusted < LEVEL

    def lines(self, digits: int) -> list[str]:
        """Return the value's text, then those of all else."""
        value, reason = _with_spread(self.value, self.spread, digits), one_line(self.reason or "")
        ends = interval(self.difference_interval, digits, sign=True)
        lines = (
            {"": interval(self.interval, digits, brackets=False)},
            {"paper: ": _with_spread(self.paper, self.paper_spread, digits)},
            {"difference: ": f"{number(self.difference, digits, sign=True)} {ends}".strip()},
            {"p: ": p_value(self.p_value), "by Holm's method: ": p_value(self.adjusted)},
            {"n: ": f"{self.n:,}" if self.n else "", "seeds: ": str(self.seeds or "")},
            {"": reason if value else ""},
        )
        texts = (", ".join(f"{label}{text}" for label, text in line.items() if text) for line in lines)
        first = f"{value}*" if value and self.significant else value or reason or "–"
        return [first, *filter(None, texts)]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with notes below it."""

    name: str  # in a report the stem of its files
    title: str
    rows: Mapping[str, Mapping[str, Cell]]  # by row, then by column; all rows have the same columns
    unit: str = ""  # "%" or nothing
    digits: int = 2  # after the point
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        return list(next(iter(self.rows.values()), {}))

    @property
    def cells(self) -> list[Cell]:
        return [cell for row in self.rows.values() for cell in row.values()]

    @property
    def caption(self) -> str:
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def texts(self) -> dict[str, list[list[str]]]:
        """The rows by name; a cell is a list of lines, the value first."""
        return {name: [cell.lines(self.digits) for cell in row.values()] for name, row in self.rows.items()}

    @property
    def footnotes(self) -> list[str]:
        star = "An asterisk marks a difference that stands at 5 % after Holm's method."
        return [*([star] if any(cell.significant for cell in self.cells) else []), *self.notes]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, and the table of its numbers, which has its name and title."""

    svg: str
    table: Table


@dataclass(frozen=True, slots=True)
class CaseStudy:
    """Cases of one task by how two methods differ in them."""

    title: str
    rule: str  # how cases were picked, or why there are none
    kinds: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report; `missing` says what is not there, and why."""

    id: str
    title: str
    text: str
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    missing: Sequence[str] = ()
    studies: Sequence[CaseStudy] = ()


def to_markdown(table: Table) -> str:
    head, *body = (" ".join(["|", *(f"{markdown(text)} |" for text in row)]) for row in _rows(table))
    notes = [f"{markdown(note)}\n" for note in table.footnotes]
    lines = [f"**{markdown(table.caption)}**", "", head, f"|---|{'---:|' * len(table.columns)}", *body, "", *notes]
    return "\n".join(lines)


def to_latex(table: Table) -> str:
    """Return a `table` environment for booktabs."""
    head, *body = (" & ".join(map(latex, row)) + r" \\" for row in _rows(table))
    caption = " ".join(map(latex, [f"{table.caption}.", *table.footnotes]))  # each cut by itself
    lines = [
        rf"\begin{{table}}\centering\caption{{{caption}}}\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}\toprule",
        rf"{head} \midrule",
        *body,
        r"\bottomrule\end{tabular}\end{table}",
        "",
    ]
    return "\n".join(lines)


def to_csv(table: Table) -> str:
    """Return a line for each cell, in full precision."""
    lines = []
    for row, cells in table.rows.items():
        for column, cell in cells.items():
            line = {"row": csv_field(row), "column": csv_field(column), **asdict(cell), "unit": table.unit}
            line["reason"] = csv_field(cell.reason or "")
            for name in ("interval", "difference_interval"):
                line[f"{name}_low"], line[f"{name}_high"] = line.pop(name) or (None, None)
            lines.append(finite(line))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, lines[0] if lines else (), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def _rows(table: Table) -> list[list[str]]:
    rows = ([name, *("; ".join(lines) for lines in cells)] for name, cells in table.texts.items())
    return [["", *table.columns], *rows]


def _with_spread(value: float | None, spread: float | None, digits: int) -> str:
    text = number(value, digits)
    return f"{text} ± {number(spread, digits)}" if text and spread is not None else text
