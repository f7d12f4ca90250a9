"""Values as Markdown, whatever text is among them."""

import re
from collections.abc import Sequence
from typing import Any

_SIGNS = re.compile(r"([\\`*_\[\]<>|~&$#])")


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The lines of a table, and a blank one."""
    cells = [heads, ["---"] * len(heads), *([cell(value) for value in row] for row in rows)]
    return [*(f"| {' | '.join(row)} |" for row in cells), ""]


def cell(value: Any) -> str:
    """A number to four places (a small one to two digits), an interval as `(low to high)`, text escaped, None blank."""
    match value:
        case None:
            return ""
        case float():
            return _number(value)
        case [low, high] | (low, high):
            return f"({_number(low)} to {_number(high)})"
    return escaped(str(value)) if isinstance(value, str) else str(value)


def escaped(text: str) -> str:
    """Text that Markdown and HTML show as it is, on one line."""
    return _SIGNS.sub(r"\\\1", " ".join(text.split()))


def _number(value: float) -> str:
    return f"{value:.1e}" if 0 < abs(value) < 5e-5 else f"{value:.4f}"
