"""Texts that models, teachers and data wrote, made fit for Markdown, LaTeX, CSV and JSON."""

import math
from typing import Any

from limbeck.formatting import markdown as escaped
from limbeck.formatting import one_line

_LONGEST = 2000  # characters of a text in a table

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "−": "$-$",
    "±": r"$\pm$",
}


def markdown(text: str) -> str:
    """Any text as one line of Markdown that shows just that text, in a table's cell too."""
    return escaped(text, _LONGEST)


def latex(text: str) -> str:
    """Any text as one line of LaTeX that shows just that text."""
    return "".join(_LATEX.get(sign, sign) for sign in one_line(text, _LONGEST))


def csv(text: str) -> str:
    """Any text as the value of a CSV field that no spreadsheet takes for a formula."""
    clear = one_line(text, _LONGEST)
    return f"'{clear}" if clear.startswith(("=", "+", "-", "@")) else clear


def plain(value: Any) -> Any:
    """`value` as JSON has it: numbers that are none (nan, infinities) become None."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
    return value
