"""Numbers and measures as people read them, in a terminal and on a page."""

from collections.abc import Sequence

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
