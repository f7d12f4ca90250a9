"""Markdown that is escaped by default: whatever a name or a choice holds, it is shown and does nothing."""

import re
import unicodedata
from typing import Any

LONGEST = 200  # characters of a text that is shown

_SIGNS = re.compile(r"(^[-+=]|[\\`*_{}\[\]()<>#.!|~$&:@\"'/^])")
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, and what turns the direction of writing


class Markdown(str):
    """Text that is Markdown already, and stays as it is."""

    __slots__ = ()


def text(value: Any) -> Markdown:
    """`value` as words of a line: every sign that could mean something in Markdown, HTML or a formula is escaped."""
    return value if isinstance(value, Markdown) else Markdown(_SIGNS.sub(r"\\\1", _one_line(str(value))))


def code(value: Any) -> Markdown:
    """`value` as code, also in a cell of a table; as `text` where it holds what would end either."""
    shown = _one_line(str(value))
    return text(shown) if not shown or "`" in shown or "|" in shown else Markdown(f"`{shown}`")


def number(value: Any, digits: int = 3) -> Markdown:
    """A measure as a table shows it; one that is not there is not made up."""
    return Markdown("not measured" if value is None else f"{float(value):.{digits}f}")


def interval(ends: Any, digits: int = 3) -> Markdown:
    """`0.070 to 0.198`, or nothing."""
    return Markdown(" to ".join(f"{float(end):.{digits}f}" for end in ends or ()))


def _one_line(words: str) -> str:
    """On one line, nothing unseen in it, not too long."""
    line = " ".join(words.split())
    line = "".join(
        one.encode("unicode_escape").decode() if unicodedata.category(one) in _UNSEEN else one for one in line
    )
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}\N{HORIZONTAL ELLIPSIS}"
