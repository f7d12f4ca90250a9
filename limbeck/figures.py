"""Figures as SVG in the reader's colour scheme, drawn by a template: matplotlib took two seconds for a small report."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, NamedTuple

import jinja2

from limbeck.formatting import one_line

# Every two are told apart by normal and colour-blind eyes, and each has a contrast of 3:1 with white and with black.
COLORS = ("#1f5eff", "#f4620c", "#217a5f", "#b46bb9", "#d4102c", "#819977", "#b002b7", "#598dfe")
DASHES = ("none", "5 2", "2 2", "8 2 2 2")
# a circle, a square, triangles and a diamond around a point
MARKERS = ("m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0", "m-3-3h6v6h-6z", "m0-4l4 7h-8z", "m0-4l4 4l-4 4l-4-4z", "m-4-3h8l-4 7z")
LEFT, RIGHT, TOP, BOTTOM = 74, 500, 8, 200  # of the axes, in pixels
LABEL_LENGTH = 60  # characters of a name, for which the legend has room
DODGE = 4  # pixels between the whiskers of neighbouring lines
TICK_SPACE = 40  # pixels of an x axis that a tick's text needs


class Point(NamedTuple):
    """A value at x with its interval [low, high]; `y` is None where it was not measured."""

    x: float
    y: float | None
    low: float | None = None
    high: float | None = None


class _Scale(NamedTuple):
    """An axis from `low` to `high`, in pixels from `start` to `end`."""

    low: float
    high: float
    start: int
    end: int
    percent: bool  # shares are shown in per cent
    measured: Sequence[float] = ()  # the ticks' values; none: some round numbers

    def place(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 2)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        size = 10 ** math.floor(math.log10(self.high - self.low))
        step = next(size * part for part in (0.1, 0.2, 0.5, 1, 2) if self.high - self.low <= 6 * size * part)
        multiples = [step * count for count in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        values = self.measured or multiples
        return [(self.place(value), f"{100 * value:.4g}%" if self.percent else f"{value:,g}") for value in values]


class _Line(NamedTuple):
    """A line with its places in the figure."""

    name: str
    color: str
    dash: str
    marker: str
    corners: list[tuple[float, float]]  # x, y
    whiskers: list[tuple[float, float, float]]  # x, low, high


def line_chart(
    lines: Mapping[str, Sequence[Point]],
    x_label: str,
    y_label: str,
    *,
    percent: str = "",
    reference: tuple[str, float] | None = None,
) -> str:
    """Draw a line for each name, with whiskers and ticks at its points where they have intervals.

    A line without points keeps its colour, so that a name looks alike in all figures. Shares on the axes in `percent`
    ("x", "y", "xy") are shown in per cent; `reference` is the name and the height of a dashed line.
    """
    points = {
        name: sorted((p for p in line if p.y is not None and math.isfinite(p.y)), key=lambda point: point.x)
        for name, line in lines.items()
    }
    all_points = [point for line in points.values() for point in line]
    heights = [height for point in all_points for height in point[1:] if height is not None]
    has_whiskers = any(point.low is not None for point in all_points)
    xs = sorted({point.x for point in all_points})
    x = _scale(xs, (LEFT, RIGHT), percent="x" in percent, margin=0.08 if has_whiskers else 0.03)
    if has_whiskers and all(x.place(right) - x.place(left) > TICK_SPACE for left, right in pairwise(xs)):
        x = x._replace(measured=xs)
    y = _scale(heights + ([reference[1]] if reference else []), (BOTTOM, TOP), percent="y" in percent)
    line_places = []
    for index, (name, line) in enumerate(points.items()):
        turn = index + index // len(COLORS)
        style = COLORS[index % len(COLORS)], DASHES[turn % len(DASHES)], MARKERS[turn % len(MARKERS)]
        shift = DODGE * (index - (len(points) - 1) / 2) if has_whiskers else 0
        corners, whiskers = [], []
        for point in line:
            place = round(x.place(point.x) + shift, 2)
            corners.append((place, y.place(point.y or 0.0)))
            if point.low is not None and point.high is not None:
                whiskers.append((place, y.place(point.low), y.place(point.high)))
        line_places.append(_Line(_label(name), *style, corners, whiskers))
    dashed = (reference[0], f"M{LEFT} {y.place(reference[1])}H{RIGHT}") if reference else None
    return _svg(x, y, (x_label, _label(y_label)), lines=[line for line in line_places if line.corners], dashed=dashed)


def risk_coverage(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Draw the share of wrong answers over the share answered, from `coverage` and `risk` by name."""
    lines = {name: [Point(row["coverage"], row["risk"]) for row in curve] for name, curve in curves.items()}
    return line_chart(lines, "share answered", "share wrong", percent="xy")


def cascade(curves: Mapping[str, Sequence[Mapping[str, Any]]], teacher: float | None) -> str:
    """Draw accuracy over the share passed on, from `cost` and `accuracy` by name, and the `teacher`'s own."""
    lines = {name: [Point(row["cost"], row["accuracy"]) for row in curve] for name, curve in curves.items()}
    reference = None if teacher is None else ("teacher alone", teacher)
    return line_chart(lines, "share passed on to the teacher", "accuracy", percent="xy", reference=reference)


def reliability(bins: Sequence[Mapping[str, Any]]) -> str:
    """Draw each bin's accuracy, interval and number of answers; `bins` are as in the calibration of `metrics`."""
    x, y = (_Scale(0, 1, *ends, percent=True) for ends in ((LEFT, RIGHT), (BOTTOM, TOP)))
    dashed = "perfectly calibrated", f"M{LEFT} {BOTTOM}L{RIGHT} {TOP}"
    return _svg(x, y, ("confidence; above the bars: answers", "accuracy"), bins=bins, dashed=dashed)


def _scale(values: Sequence[float], ends: tuple[int, int], *, percent: bool, margin: float = 0.03) -> _Scale:
    """Return an axis for these values; `margin` is a share of their range."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = margin * (high - low) or abs(high) / 2 or 0.5
    return _Scale(low - room, high + room, *ends, percent)


def _label(name: str) -> str:
    """Return a name of any origin as a short label; a long one loses its middle, since names differ in their ends."""
    text = one_line(name if len(name) < 1000 else f"{name[:200]}…{name[-200:]}", 1000)
    return text if len(text) <= LABEL_LENGTH else f"{text[: LABEL_LENGTH // 2]}…{text[1 - LABEL_LENGTH // 2 :]}"


def _svg(
    x: _Scale,
    y: _Scale,
    labels: tuple[str, str],
    *,
    lines: Sequence[_Line] = (),
    bins: Sequence[Mapping[str, Any]] = (),
    dashed: tuple[str, str] | None = None,
) -> str:
    """Return the figure, a legend above its axes; `dashed` is the name and the path of another line."""
    names = [*(line.name for line in lines), *(dashed or ())[:1]]
    columns = max(1, 500 // (52 + 7 * max(map(len, names), default=1)))
    layout = {"labels": labels, "columns": columns, "rows": math.ceil(len(names) / columns)}
    return _template().render(x=x, y=y, lines=lines, bins=bins, dashed=dashed, **layout)


@cache
def _template() -> jinja2.Template:
    text = (files("limbeck") / "figure.svg.jinja").read_text(encoding="utf-8")
    return jinja2.Template(text, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
