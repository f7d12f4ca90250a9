"""Values of a cell as text, the same from every format: numbers, truth values, and what stands for none."""

import math
import unicodedata
from decimal import Decimal
from typing import Any

# The words that pandas and databases write for a missing value. "none" and "na" in small letters are answers.
_MISSING = {
    "nan", "NaN", "NAN", "-nan", "-NaN", "null", "NULL", "None", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NaT",
}  # fmt: skip


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
