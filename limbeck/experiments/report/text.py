"""Texts that models, teachers and data wrote, made fit to be shown: nothing hidden in them, and no end to no page."""

import math
import re
import unicodedata
from typing import Any

_HIDDEN = frozenset(
    ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
)  # controls, bidi and other formats, halves of pairs, separators
_JOINERS = "\u200c\u200d"  # which scripts and emoji need
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
_MARKS = re.compile(r"^(\d*)([-+#.=)])(?=[\s#=-]|$)")  # what makes a list, a heading or a rule of a line


def shown(text: str, most: int | None = None) -> str:
    """`text` with every character that would not be seen, or would turn others about, by its number, like `<U+202E>`.

    Longer than `most` characters it is cut, and says so.
    """
    cut = text if most is None or len(text) <= most else text[:most]
    if not cut.replace("\n", "").replace("\t", "").isprintable():  # most texts are, and this is quick
        cut = "".join(f"<U+{ord(sign):04X}>" if _hidden(sign) else sign for sign in cut.replace("\r\n", "\n"))
    return cut if most is None or len(text) <= most else f"{cut} … (cut: {len(text):,} characters)"


def line(text: str, most: int = 200) -> str:
    """`shown`, on one line."""
    return " ".join(shown(text, most).split())


def markdown(text: str) -> str:
    """Any text as one line of Markdown that shows just that text, in a table's cell too."""
    entities = line(text, 2000).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = "".join(f"\\{sign}" if sign in "\\`*_[]|~$" else sign for sign in entities)
    return _MARKS.sub(r"\1\\\2", escaped)


def latex(text: str) -> str:
    """Any text as one line of LaTeX that shows just that text."""
    return "".join(_LATEX.get(sign, sign) for sign in line(text, 2000))


def csv(text: str) -> str:
    """Any text as the value of a CSV field that no spreadsheet takes for a formula."""
    clear = line(text, 2000)
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


def _hidden(sign: str) -> bool:
    return sign not in "\n\t" and sign not in _JOINERS and unicodedata.category(sign) in _HIDDEN
