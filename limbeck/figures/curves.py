"""Figures of lines: risk over coverage, a cascade, learning, and what more training data brings."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation, Transform

from limbeck.figures.axis import Axis, at, count, number, share
from limbeck.figures.palette import INK, style
from limbeck.figures.points import Point, known, line
from limbeck.figures.sheet import DPI, Sheet, empty, own_style
from limbeck.figures.text import plain, shorten

_HEIGHT = 220
_MARKERS = 7  # about, of a line with many points
_LEVEL: dict[str, Any] = {"color": INK, "linestyle": (0, (6, 3)), "linewidth": 1.3, "marker": ""}
_ASIDE = 4.0, 24.0  # units between whiskers of neighbours at one place; of the first and the last, at most

Lines = Mapping[str, list[tuple[float, float]]]


@own_style()
def risk_coverage(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The share wrong among the answers given, over the share answered, surest first. Lower is better.

    Args:
        curves: name of a run -> `Selective.to_dict()["curve"]`.
    """
    title = "Risk over coverage"
    lines = {name: line((one["coverage"], one["risk"]) for one in curve) for name, curve in curves.items()}
    _, risks = _seen(lines)
    if not risks:
        return empty(title)
    sheet, axes = _begin(lines, share("Coverage"), share("Risk", 0.0, max(risks)))
    for place, name in enumerate(lines):
        _line(sheet, axes, place, name, lines[name])
    return sheet.svg(_told(title, lines))


@own_style()
def cascade(curves: Mapping[str, Sequence[Mapping[str, Any]]], teacher: float | None = None) -> str:
    """Accuracy over the share of the questions passed on to the teacher, the least sure first.

    Args:
        curves: name of a run -> rows with `passed` and `accuracy`, as `evaluation.selective.cascade` gives them.
        teacher: its own accuracy, a dashed line.
    """
    title = "Accuracy of student and teacher together"
    lines = {name: line((one["passed"], one["accuracy"]) for one in curve) for name, curve in curves.items()}
    level = teacher if known(teacher) else None
    _, right = _seen(lines)
    if not right:
        return empty(title)
    ends = right if level is None else [*right, level]
    y = share("Accuracy", min(ends), max(ends))
    sheet, axes = _begin(lines, share("Passed on to the teacher"), y, level is not None)
    if level is not None:
        sheet.name(axes.axhline(level, clip_on=False, **_LEVEL), "teacher", f"the teacher alone: {100 * level:.1f} %")
    for place, name in enumerate(lines):
        _line(sheet, axes, place, name, lines[name])
    return sheet.svg(_told(title, lines))


@own_style()
def learning(curves: Mapping[str, Sequence[tuple[float, float]]], y: str) -> str:
    """A value over the training step, one line each; `y` names the value. A value that is not finite is a gap."""
    title = f"{plain(y)} over training steps"
    lines = {name: line(curve) for name, curve in curves.items()}
    steps, values = _seen(lines)
    if not values:
        return empty(title)
    sheet, axes = _begin(lines, count("Step", steps), number(y, values))
    for place, name in enumerate(lines):
        _line(sheet, axes, place, name, lines[name])
    return sheet.svg(_told(title, lines))


@own_style()
def fractions(series: Mapping[str, Sequence[Point]], y: str) -> str:
    """Means with intervals over the fraction of the training data, 0 to 1; `y` names what is measured.

    Series stand side by side at each fraction, so that their whiskers can be told apart. Not run: a gap.
    """
    title = f"{plain(y)} over the fraction of the training data"
    lines = {name: line((one.x, one.mean) for one in points) for name, points in series.items()}
    whiskers = {name: _whiskers(points) for name, points in series.items()}
    used, means = _seen(lines)
    if not means:
        return empty(title)
    ends = [end for intervals in whiskers.values() for _, low, high in intervals for end in (low, high)]
    sheet, axes = _begin(lines, at("Training data", used), number(y, means + ends))
    step = min(_ASIDE[0], _ASIDE[1] / len(lines))
    for place, name in enumerate(lines):
        aside = ScaledTranslation(step * (place - (len(lines) - 1) / 2) / DPI, 0, sheet.figure.dpi_scale_trans)
        for which, (x, *interval) in enumerate(whiskers[name]):
            how: dict[str, Any] = {"color": style(place)["color"], "linewidth": 1.3, "marker": "_", "clip_on": False}
            (drawn,) = axes.plot([x, x], interval, transform=axes.transData + aside, **how)
            sheet.name(drawn, f"interval-{place}-{which}")
        _line(sheet, axes, place, name, lines[name], axes.transData + aside, every=True)
    return sheet.svg(_told(title, lines))


def _whiskers(points: Sequence[Point]) -> list[tuple[float, float, float]]:
    """x, low and high of the points that have them and a mean."""
    return [(x, low, high) for x, mean, low, high in points if known(x) and known(mean) and known(low) and known(high)]


def _seen(lines: Lines) -> tuple[list[float], list[float]]:
    """All x and all y that are drawn."""
    points = [point for points in lines.values() for point in points if not math.isnan(point[1])]
    return [x for x, _ in points], [y for _, y in points]


def _begin(lines: Lines, x: Axis, y: Axis, level: bool = False) -> tuple[Sheet, Axes]:
    # a line without a point keeps its place, so that a name has one look in all figures of the same names
    entries = [(name, style(place)) for place, name in enumerate(lines) if _drawn(lines[name])]
    sheet = Sheet(entries + ([("teacher alone", _LEVEL)] if level else []), [_HEIGHT])
    return sheet, sheet.panel(x, y)


def _line(
    sheet: Sheet,
    axes: Axes,
    place: int,
    name: str,
    points: list[tuple[float, float]],
    transform: Transform | None = None,
    every: bool = False,
) -> None:
    """One series. Of a line with many points some have its marker, at other places than its neighbours' markers."""
    apart = 1 if every else max(1, len(points) // _MARKERS)
    (drawn,) = axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        transform=transform or axes.transData,
        markevery=(place * apart // 3 % apart, apart),
        **style(place),
    )
    sheet.name(drawn, f"series-{place}", name)


def _told(title: str, lines: Lines) -> str:
    return f"{title}: {', '.join(shorten(plain(name), 40) for name in lines if _drawn(lines[name]))}"


def _drawn(points: list[tuple[float, float]]) -> bool:
    return any(not math.isnan(y) for _, y in points)
