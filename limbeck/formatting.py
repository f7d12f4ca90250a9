"""Numbers, measures and texts of any origin as people read them, in a terminal and on a page."""

import unicodedata
from collections.abc import Sequence

# controls, bidi and other formats, halves of pairs, what is no character, separators
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_JOINERS = "\u200c\u200d"  # which scripts and emoji need

CALIBRATION = {
    "accuracy": "accuracy",
    "average_confidence": "average confidence",
    "ece": "expected calibration error (ECE), 10 bins of equal width",
    "adaptive_ece": "the same, bins of equal mass (adaptive)",
    "classwise_ece": "the same, over all choices (class-wise)",
    "mce": "maximum calibration error (MCE)",
    "brier": "Brier score of the answer",
    "brier_choices": "Brier score of all choices",
    "nll": "negative log-likelihood (NLL) of being right, nats",
    "nll_choices": "negative log-likelihood of the label, nats",
}


def number(value: float | None, digits: int = 4) -> str:
    """To so many places, or where that would be nothing but zeros to two digits; blank where there is none."""
    if value is None:
        return ""
    return f"{value:.1e}" if 0 < abs(value) < 0.5 * 10**-digits else f"{value:.{digits}f}"


def interval(ends: Sequence[float] | None, digits: int = 4) -> str:
    """`(0.0700 to 0.1980)`, or nothing."""
    return "" if ends is None else f"({number(ends[0], digits)} to {number(ends[1], digits)})"


def visible(text: str, most: int | None = None) -> str:
    """`text` with every character that would not be seen, or would turn others about, by its number, like `<U+202E>`.

    Longer than `most` characters it is cut, and says so.
    """
    cut = text if most is None or len(text) <= most else text[:most]
    if not cut.replace("\n", "").replace("\t", "").isprintable():  # most texts are, and this is quick
        cut = "".join(f"<U+{ord(sign):04X}>" if hidden(sign) else sign for sign in cut.replace("\r\n", "\n"))
    return cut if most is None or len(text) <= most else f"{cut} … (cut: {len(text):,} characters)"


def line(text: str, most: int = 200) -> str:
    """`visible`, on one line."""
    return " ".join(visible(text, most).split())


def hidden(sign: str) -> bool:
    """Whether a character would not be seen, or would turn others about."""
    return sign not in "\n\t" and sign not in _JOINERS and unicodedata.category(sign) in _HIDDEN
