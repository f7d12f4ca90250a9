"""Tables and figures as plain values, what a report has to say before it is rendered, and their numbers as texts."""

import math
from dataclasses import dataclass

from limbeck.stats.intervals import Interval


@dataclass(frozen=True, slots=True)
class Cell:
    """One number and what says how far to trust it. Without a `value`, `reason` says in a few words why there is none.

    All numbers but `p_value`, `adjusted`, `n` and `seeds` are in the table's unit.
    """

    value: float | None
    reason: str | None = None
    interval: Interval | None = None  # 95 %
    spread: float | None = None  # standard deviation over examples, where the paper gives one
    n: int | None = None  # examples
    seeds: int | None = None  # runs that the value is the mean of
    paper: float | None = None  # what the paper has in this place
    paper_spread: float | None = None
    difference: float | None = None  # to the table's baseline in this column
    difference_interval: Interval | None = None
    p_value: float | None = None  # of that difference; in a table of correlations, of the value
    adjusted: float | None = None  # the same by Holm's method over all tests of the table


@dataclass(frozen=True, slots=True)
class Row:
    """A named row; a cell a column."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `notes` are sentences below it: what an interval covers, what was left out and why."""

    name: str  # a file's stem: table1
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    unit: str = ""  # "%" or nothing
    digits: int = 2  # shown after the point
    baseline: str | None = None  # the row that the others are tested against
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, and the numbers it shows as a table, for those who cannot see it or want them."""

    name: str
    title: str
    svg: str
    table: Table


def number(value: float | None, digits: int, sign: bool = False) -> str:
    """Rounded, with a true minus; empty where there is none."""
    if value is None or not math.isfinite(value):
        return ""
    rounded = round(value, digits) + 0.0  # no minus before a zero
    return f"{rounded:{'+' if sign and rounded else ''}.{digits}f}".replace("-", "−")


def interval(ends: Interval | None, digits: int, sign: bool = False) -> str:
    """`low to high`, or nothing."""
    return "" if ends is None else f"{number(ends[0], digits, sign)} to {number(ends[1], digits, sign)}"


def p_value(value: float | None) -> str:
    """To two digits that mean something."""
    if value is None or not math.isfinite(value):
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def equals(value: float | None, sign: str = "=") -> str:
    """A p-value behind its "p": `= 0.02`, with another `sign` that, or `< 0.001`."""
    said = p_value(value)
    if not said:
        return "undefined"
    return said.replace("<", "< ") if said.startswith("<") else f"{sign} {said}"
