"""Values of a cell, the same from every format: numbers and truth values as text, printed lists, and what is none."""

import ast
import json
import math
import re
import unicodedata
from decimal import Decimal
from typing import Any

# The words that pandas and databases write for a missing value. "none" and "na" in small letters are answers.
_MISSING = {
    "nan", "NaN", "NAN", "-nan", "-NaN", "null", "NULL", "None", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NaT",
}  # fmt: skip

# A cell as Python or numpy prints a list: what it is made of; numpy puts no commas between
_TOKEN = re.compile(
    r"""\s*(?:(?P<numpy>array\(|,\s*dtype=\w+)|(?P<value>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d*)?(?:e[+-]?\d+)?|None|True|False|nan)"""
    r"""|(?P<mark>[\[\](){},:]))""",
    re.DOTALL,
)
_MOST = 1 << 20  # characters of a printed list


def cell_text(value: Any) -> Any:
    """Return a number, truth value or text as normalised text; anything else as it is.

    A whole number has no point (1 and 1.0 are "1": an integer column with nulls is one of floats), truth values are
    JSON's, and text is in Unicode's NFC without blanks around it and without NUL characters.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case float() if math.isfinite(value) and value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case Decimal() if value.is_finite():
            return str(int(value)) if value == value.to_integral_value() else f"{value.normalize():f}"
        case int() | float() if math.isfinite(value):
            return str(value)
        case str():
            return unicodedata.normalize("NFC", value.replace("\0", "")).strip()
    return value


def is_missing(value: Any) -> bool:
    """Return whether a value is null, not a number, blank, or a word that stands for none of these."""
    if value is None:
        return True
    if isinstance(value, str):
        bare = value.replace("\0", "").strip()
        return not bare or bare in _MISSING
    return isinstance(value, float | Decimal) and value != value


def parse_cell(value: str) -> Any:
    """Return the list or mapping that a cell holds as JSON or as Python or numpy prints it; else the cell itself."""
    stripped = value.strip()
    if not stripped.startswith(("[", "{", "array(", "(")) or len(stripped) > _MOST:
        return value
    try:
        return json.loads(stripped)
    except (ValueError, RecursionError):
        pass
    tokens, position, after_value = [], 0, False
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            return value
        position = match.end()
        if match["numpy"] is None:
            token = "None" if match["value"] == "nan" else match["value"] or match["mark"]
            opens = match["value"] is not None or match["mark"] in ("[", "{", "(")
            tokens.append(f",{token}" if after_value and opens else token)
            after_value = match["value"] is not None or match["mark"] in ("]", "}")
        elif match["numpy"] == "array(":
            tokens.append(",(" if after_value else "(")
            after_value = False
    try:
        parsed = ast.literal_eval("".join(tokens))  # a literal of the tokens above, never a name or a call
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value
    return parsed if isinstance(parsed, list | dict | tuple) else value
