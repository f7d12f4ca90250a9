"""Markdown that is escaped by default: whatever a name, a choice or a reason holds, it is shown and does nothing."""

import re
from collections.abc import Sequence
from typing import Any

from limbeck import formatting

LONGEST = 500  # characters of a text that is shown

# a bullet, a rule; emphasis, code, links, HTML, headings, cells, formulas, mentions; :emoji: and bare addresses
_SIGNS = re.compile(r"(^[-+=]|[\\`*_{}\[\]<>#|~$&@]|:(?=\S)|(?<=www)\.)")
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")  # which makes a list


class Markdown(str):
    """Text that is Markdown already, and stays as it is."""

    __slots__ = ()


def text(value: Any, most: int = LONGEST) -> Markdown:
    """`value` as words of a line: every sign that could mean something in Markdown, HTML or a formula is escaped."""
    if isinstance(value, Markdown):
        return value
    return Markdown(_NUMBERED.sub(r"\1\\\2", _SIGNS.sub(r"\\\1", formatting.line(str(value), most))))


def code(value: Any) -> Markdown:
    """`value` as code, also in a cell of a table; as `text` where it holds what would end either."""
    words = formatting.line(str(value), LONGEST)
    return text(words) if not words or "`" in words or "|" in words else Markdown(f"`{words}`")


def number(value: float | None, digits: int = 3) -> Markdown:
    """A measure of which a page says if it is not there."""
    return Markdown("not measured" if value is None else formatting.number(value, digits))


def interval(ends: Sequence[float] | None, digits: int = 3) -> Markdown:
    """`(0.070 to 0.198)`, or nothing."""
    return Markdown(formatting.interval(ends, digits))


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The lines of a table, and a blank one."""
    cells = [heads, ["---"] * len(heads), *([cell(value) for value in row] for row in rows)]
    return [*(f"| {' | '.join(row)} |" for row in cells), ""]


def cell(value: Any) -> Markdown:
    """A number to four places, an interval, text escaped, None blank."""
    match value:
        case None:
            return Markdown("")
        case float():
            return Markdown(formatting.number(value))
        case [_, _] | (_, _):
            return Markdown(formatting.interval(value))
    return text(value)
