"""Numbers and any texts in a terminal, Markdown, LaTeX, CSV and JSON."""

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

LONGEST = 2000  # characters of a text in a table or on a page

# where a spreadsheet would begin a formula; signs in full width, too
_FORMULA = re.compile(r"(^|; ?)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
# controls, formats (also bidi), surrogates, private use, unassigned, separators
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_SHOWN = "\n\t\u200c\u200d"  # the joiners are needed by scripts and emoji
# bullets, rules; emphasis, code, links, HTML, headings, cells, formulas, mentions; :emoji: and bare addresses
_MARKDOWN = re.compile(r"(^[-+=]|[\\`*_{}\[\]<>#|~$&@]|:(?=\S)|(?<=www)\.)")
_LIST_NUMBER = re.compile(r"^(\d+)([.)])(?=\s|$)")
_LATEX_NAMES = {"\\": "backslash", "^": "asciicircum", "~": "asciitilde", "<": "less", ">": "greater", "|": "bar"}
_LATEX = {char: f"\\{char}" for char in "{}$&#%_"}
_LATEX |= {char: rf"\text{name}{{}}" for char, name in _LATEX_NAMES.items()}


def number(value: float | None, digits: int = 4, *, sign: bool = False) -> str:
    """Return `value` rounded, with two digits where that would be 0; "" if missing or not finite."""
    if value is None or not math.isfinite(value):
        return ""
    tiny = 1e-12 < abs(value) < 0.5 * 10**-digits
    value = value if tiny else round(value, digits)
    text = f"{abs(value):.1e}" if tiny else f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 else f"+{text}" if sign and value else text


def interval(ends: Sequence[float] | None, digits: int = 4, *, sign: bool = False, brackets: bool = True) -> str:
    """Return `(0.0700 to 0.1980)`; "" without an interval."""
    text = " to ".join(number(end, digits, sign=sign) for end in ends or ())
    return f"({text})" if text and brackets else text


def estimate(value: float | None, ends: Sequence[float] | None, digits: int = 4) -> str:
    """Return `0.1234 (0.0700 to 0.1980)`."""
    return f"{number(value, digits)} {interval(ends, digits)}".strip()


def p_value(value: float | None) -> str:
    """Return a p-value like `0.12`, `0.012` and `<0.001`; "" if undefined."""
    if value is None or not math.isfinite(value):
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def p_equals(value: float | None) -> str:
    """Return what follows "p" in a sentence: `= 0.012`, `< 0.001`, `undefined`."""
    text = p_value(value)
    return f"< {text[1:]}" if text.startswith("<") else f"= {text}" if text else "undefined"


def visible(text: str, limit: int | None = None) -> str:
    """Return `text` with hidden characters as `<U+202E>`, cut at `limit` characters."""
    cut = text if limit is None else text[:limit]
    if not cut.replace("\n", "").replace("\t", "").isprintable():  # most texts are, and this is quick
        hidden = {char for char in cut if char not in _SHOWN and unicodedata.category(char) in _HIDDEN}
        cut = cut.replace("\r\n", "\n").translate({ord(char): f"<U+{ord(char):04X}>" for char in hidden})
    return cut if limit is None or len(text) <= limit else f"{cut} … (cut: {len(text):,} characters)"


def one_line(text: str, limit: int = 200) -> str:
    """Return `visible(text, limit)` on one line."""
    return " ".join(visible(text, limit).split())


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def markdown(value: Any) -> Markdown:
    """Return `value` on one line, escaped for Markdown, HTML and formulas."""
    if isinstance(value, Markdown):
        return value
    return Markdown(_LIST_NUMBER.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", one_line(str(value), LONGEST))))


def code(value: Any) -> Markdown:
    """Return `value` as Markdown code, or escaped if it holds ` or |, which end code or a cell."""
    text = one_line(str(value), LONGEST)
    return markdown(text) if not text or "`" in text or "|" in text else Markdown(f"`{text}`")


def cell(value: Any) -> Markdown:
    """Return a Markdown cell: a number, a pair as interval, None blank, text escaped."""
    match value:
        case None:
            return Markdown("")
        case float():
            return Markdown(number(value))
        case [_, _]:
            return Markdown(interval(value))
    return markdown(value)


def latex(text: str) -> str:
    """Return any text as one line of LaTeX."""
    return "".join(_LATEX.get(char, char) for char in one_line(text, LONGEST))


def csv_field(text: str) -> str:
    """Return any text as a CSV field that is no formula to a spreadsheet, also to one that divides at semicolons."""
    return _FORMULA.sub(r"\1'", one_line(text, LONGEST))


def finite(value: Any) -> Any:
    """Return `value` as JSON, with None for nan and infinities."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): finite(item) for key, item in value.items()}
        case list() | tuple():
            return [finite(item) for item in value]
    return value
