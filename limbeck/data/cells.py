"""Cells of a table, with the same meaning whatever the file's format."""

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
_MAX_LIST = 1 << 20  # characters of a printed list
_PYTHON_TOKEN = re.compile(
    r"""array\(|,\s*dtype=\w+|(?P<value>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s,:'"()\[\]{}]+|[\]}])(?P<gap>\s*(?=[^\s,:)\]}]))?""",
    re.DOTALL,
)


def cell_text(value: Any) -> Any:
    """Return a number, truth value or text as normalized text, and anything else unchanged.

    1 and 1.0 are both "1", since an integer column with nulls is stored as floats. Text is in Unicode's NFC, without
    NUL characters and without blanks around it.
    """
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value.replace("\0", "")).strip()
    if isinstance(value, int):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, float | Decimal) or not math.isfinite(value):
        return value
    if value == int(value) and abs(int(value)) < 10**15:
        return str(int(value))
    return str(value) if isinstance(value, float) else f"{value.normalize():f}"


def is_missing(value: Any) -> bool:
    """Return whether a value is null, NaN, blank, or a word that stands for a missing value."""
    if isinstance(value, str):
        text = value.replace("\0", "").strip()
        return not text or text in _MISSING
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))


def parse_cell(cell: str) -> Any:
    """Return the list or mapping that a cell holds as JSON, or as Python or numpy prints it; else the cell itself."""
    text = cell.strip()
    if not text.startswith(("[", "{", "array(", "(")) or len(text) > _MAX_LIST:
        return cell
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        value = ast.literal_eval(_PYTHON_TOKEN.sub(_with_comma, text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return cell
    cut = isinstance(value, list | tuple) and ... in value  # numpy prints long arrays with an ellipsis
    return value if isinstance(value, list | dict | tuple) and not cut else cell


def _with_comma(token: re.Match[str]) -> str:
    """Return a token with the comma that numpy leaves out, and without numpy's own names."""
    if token["value"] is None:
        return "(" if token[0] == "array(" else ""
    value = "None" if token["value"] == "nan" else token["value"]
    return value if token["gap"] is None else f"{value},"
