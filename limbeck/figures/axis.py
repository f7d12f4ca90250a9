"""Axes: where they begin and end, and numbers along them that can be read."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

_MARGIN = 0.06  # of the span, on both sides of the data


@dataclass(frozen=True, slots=True)
class Axis:
    """What is measured, from `low` to `high`, and the numbers shown: (value, text)."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


def share(label: str, low: float = 0.0, high: float = 1.0) -> Axis:
    """Shares of one, as per cent: all from 0 to 1, or what data span, with a margin, and never too close up."""
    if (low, high) != (0.0, 1.0):
        low, high = _apart(low, high, 0.04)
        low, high = max(min(low, 0.96), 0.0), min(max(high, 0.04), 1.0)
    return Axis(f"{label} (%)", low, high, _ticks(low, high, 100))


def number(label: str, values: Sequence[float]) -> Axis:
    """Any numbers, as they are."""
    low, high = min(values), max(values)
    low, high = _apart(low, high, 0.02 * max(abs(low), abs(high)) or 1.0)
    return Axis(label, low, high, _ticks(low, high, 1))


def count(label: str, values: Sequence[float]) -> Axis:
    """Steps and the like, from zero."""
    high = max(*values, 1)
    return Axis(label, min(0, *values), high, _ticks(min(0, *values), high, 1, whole=True))


def at(label: str, values: Sequence[float]) -> Axis:
    """Shares, each with a number at its place where there is room."""
    low, high = min(values), max(values)
    low, high = _apart(low, high, 0.1)
    ticks: list[tuple[float, str]] = []
    for value in sorted(set(values), reverse=True):  # the largest, the whole, is always named
        if not ticks or ticks[-1][0] - value > (high - low) * 0.09:
            ticks.append((value, f"{value * 100:.3g}"))
    return Axis(f"{label} (%)", low, high, tuple(reversed(ticks)))


def _apart(low: float, high: float, least: float) -> tuple[float, float]:
    span = max(high - low, least)
    return (low + high - span) / 2 - span * _MARGIN, (low + high + span) / 2 + span * _MARGIN


def _ticks(low: float, high: float, scale: float, whole: bool = False) -> tuple[tuple[float, str], ...]:
    low, high = low * scale, high * scale
    slack = (high - low) * 1e-9
    found = MaxNLocator(nbins=5, steps=[1, 2, 5, 10] if whole else [1, 2, 2.5, 5, 10], integer=whole).tick_values(
        low, high
    )
    values = [float(value) for value in found if low - slack <= value <= high + slack]
    return tuple((value / scale, text) for value, text in zip(values, _written(values, high - low), strict=True))


def _written(values: Sequence[float], span: float) -> list[str]:
    """With as few digits as tell the values exactly, to a thousandth of the span."""
    size = max(map(abs, values), default=0.0)
    form = ",.{}f" if 1e-3 <= size < 1e7 else ".{}g"
    for digits in range(16):
        texts = [format(value + 0.0, form.format(digits)) for value in values]
        off = [abs(float(text.replace(",", "")) - value) for text, value in zip(texts, values, strict=True)]
        if max(off, default=0.0) <= span * 1e-3:
            break
    return [text.replace("-", "−").replace("e+", "e") for text in texts]
