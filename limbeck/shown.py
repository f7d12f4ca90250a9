"""Numbers as people read them, in a terminal and on a page."""

from collections.abc import Sequence


def number(value: float | None, digits: int = 4) -> str:
    """To so many places, or where that would be nothing but zeros to two digits; blank where there is none."""
    if value is None:
        return ""
    return f"{value:.1e}" if 0 < abs(value) < 0.5 * 10**-digits else f"{value:.{digits}f}"


def interval(ends: Sequence[float] | None, digits: int = 4) -> str:
    """`(0.0700 to 0.1980)`, or nothing."""
    return "" if ends is None else f"({number(ends[0], digits)} to {number(ends[1], digits)})"
