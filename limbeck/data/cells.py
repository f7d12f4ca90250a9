"""Cells of a table, with the same meaning whatever the file's format."""

import ast
import json
import math
import re
import unicodedata
from decimal import Decimal
from typing import Any

# The words that pandas and databases write for a missing value. "none" and "na" in small letters are answers.
_MISSING = {"nan", "NaN", "null", "NULL", "None", "NA", "N/A"}
_MAX_LIST = 1 << 20  # characters of a printed list
_JOINED = re.compile(r"['\"]\s+['\"]")  # numpy's lists have no commas, and Python would join their texts


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
    return str(int(value)) if value == int(value) and abs(int(value)) < 10**15 else str(value)


def is_missing(value: Any) -> bool:
    """Return whether a value is null, NaN, blank, or a word that stands for a missing value."""
    if isinstance(value, str):
        text = value.replace("\0", "").strip()
        return not text or text in _MISSING
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))


def parse_cell(cell: str) -> Any:
    """Return the list or mapping that a cell holds as JSON, or as Python prints it; else the cell itself."""
    text = cell.strip()
    if not text.startswith(("[", "{")) or len(text) > _MAX_LIST:
        return cell
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return value if isinstance(value, list | dict) and not (parse != json.loads and _JOINED.search(text)) else cell
    return cell
