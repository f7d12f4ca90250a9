"""Figures as SVG texts, in the reader's colour scheme."""

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import PercentFormatter

from limbeck.formatting import one_line

# Distinct to colour-blind eyes too, each with a contrast of 3:1 to white and to black.
COLORS = ("#1f5eff", "#f4620c", "#217a5f", "#b46bb9", "#d4102c", "#819977", "#b002b7", "#598dfe")
DASHES = ("solid", (0, (5, 2)), (0, (1.6, 1.4)), (0, (7, 2, 1.5, 2)))
LINE_STYLES = cycler(color=COLORS * 7, linestyle=DASHES * 14, marker=list("os^DvPX") * 8)  # 56 that differ
INK = "#010203"  # becomes `currentColor`, set by the style below
INK_STYLE = "<style>svg{color:#1d1b18}@media(prefers-color-scheme:dark){svg{color:#e8e4dc}}</style>"
LABEL_LENGTH = 60  # characters of a name in a figure
TICK_SPACE = 0.08  # of the span of x, for a tick's text
WIDTH, LEGEND_ROW = 5.2, 0.22  # inches
DODGE = 0.012  # of the span of x, between neighbouring whiskers

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "limbeck", "text.parse_math": False, "axes.facecolor": "none",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.grid.axis": "y",
    "axes.axisbelow": True, "grid.alpha": 0.18, "lines.linewidth": 1.8, "lines.markersize": 5, "legend.frameon": False,
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "grid.color": INK,
}  # fmt: skip


class Point(NamedTuple):
    """A value at x with its interval [low, high]; `y` None: not measured."""

    x: float
    y: float | None
    low: float | None = None
    high: float | None = None


def line_chart(
    lines: Mapping[str, Sequence[Point]],
    x_label: str,
    y_label: str,
    *,
    percent: str = "",
    reference: tuple[str, float] | None = None,
) -> str:
    """Draw a line for each name, with whiskers for intervals; a line without points keeps its colour.

    `percent` names axes in per cent ("x", "y", "xy"); `reference` is the name and height of a dashed line.
    """
    points = {
        name: sorted((p for p in line if p.y is not None and math.isfinite(p.y)), key=lambda point: point.x)
        for name, line in lines.items()
    }
    xs = [point.x for line in points.values() for point in line]
    whiskers = any(point.low is not None for line in points.values() for point in line)
    step = DODGE * (max(xs) - min(xs)) if whiskers else 0.0
    with _figure() as figure:
        axes = figure.add_subplot(xlabel=x_label, ylabel=_label(y_label))
        for index, (style, (name, line)) in enumerate(zip(LINE_STYLES(), points.items(), strict=False)):
            shift = step * (index - (len(points) - 1) / 2)
            if line:
                shifted, ys = [point.x + shift for point in line], [point.y for point in line if point.y is not None]
                axes.plot(shifted, ys, label=_label(name), markevery=max(1, len(line) // 7), **style)
            for x, _, low, high in line:
                if low is not None and high is not None:
                    axes.plot([x + shift] * 2, [low, high], color=style["color"], marker="_")
        if reference is not None and xs:
            axes.axhline(reference[1], color=INK, linestyle=(0, (6, 3)), linewidth=1.3, label=reference[0])
        for letter in percent:
            getattr(axes, f"{letter}axis").set_major_formatter(PercentFormatter(1, decimals=None))
        places = sorted(set(xs))
        if whiskers and all(b - a > TICK_SPACE * (places[-1] - places[0]) for a, b in pairwise(places)):
            axes.set_xticks(places)  # where something was measured
        if not xs:
            axes.text(0.5, 0.5, "no data", ha="center", transform=axes.transAxes)
        names = axes.get_legend_handles_labels()[1]
        columns = 1 if max(map(len, names), default=0) > 24 else 2
        if names:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0)
        return _svg(figure, legend_rows=-(-len(names) // columns))


def risk_coverage(lines: Mapping[str, Sequence[Point]]) -> str:
    return line_chart(lines, "share answered", "share wrong", percent="xy")


def cascade(lines: Mapping[str, Sequence[Point]], teacher: float | None) -> str:
    reference = None if teacher is None else ("teacher alone", teacher)
    return line_chart(lines, "share passed on to the teacher", "accuracy", percent="xy", reference=reference)


def reliability(bins: Sequence[Mapping[str, Any]]) -> str:
    """Draw the accuracy in each bin of confidence with its interval, and below the number of answers.

    A bin has low, high, n and, where n > 0, confidence, accuracy and interval.
    """
    with _figure(height=3.6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], color=INK, linestyle=(0, (4, 3)), linewidth=1.1, label="perfectly calibrated")
        for row in bins:
            middle, width = (row["low"] + row["high"]) / 2, 0.88 * (row["high"] - row["low"])
            lower.text(middle, row["n"], f"{row['n']:,}", ha="center", va="bottom", fontsize=7)
            lower.bar(middle, row["n"], width, color=INK, alpha=0.45)
            if row["n"]:
                upper.bar(middle, row["accuracy"], width, color=f"{COLORS[0]}66", edgecolor=COLORS[0])
                upper.plot([row["confidence"]] * 2, row["interval"], color=INK, linewidth=1.2)
                upper.plot([row["confidence"]], [row["accuracy"]], color=INK, marker="o", markersize=4)
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        lower.set(xlabel="confidence", ylabel="answers", yticks=[])
        lower.set_ylim(0, 1.45 * max((row["n"] for row in bins), default=0) or 1)
        for axis in (upper.yaxis, lower.xaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=None))
        upper.legend(loc="upper left")
        return _svg(figure)


@contextmanager
def _figure(height: float = 2.9) -> Iterator[Figure]:
    """Yield a figure in our style, whatever the user's is."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's fonts differ from ours
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)  # type: ignore[arg-type]
        yield Figure(figsize=(WIDTH, height), facecolor="none")


def _label(name: str) -> str:
    """Return any name as a label; a long one loses its middle, since names differ in their ends."""
    text = one_line(name, len(name))
    if len(text) > LABEL_LENGTH:
        text = f"{text[: LABEL_LENGTH // 2]}…{text[1 - LABEL_LENGTH // 2 :]}"
    return f" {text}" if text.startswith("_") else text or "(no name)"  # matplotlib hides _names


def _svg(figure: Figure, legend_rows: int = 0) -> str:
    """Return the SVG element, the same bytes each time, with room for a legend above the axes."""
    axes_height = figure.get_figheight()
    height = axes_height + LEGEND_ROW * legend_rows
    figure.set_figheight(height)
    # matplotlib's own layouts draw twice
    figure.subplots_adjust(0.15, 0.5 / height, 0.95, (axes_height - 0.12) / height, hspace=0.08)
    stream = io.StringIO()
    FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stream.getvalue()
    start = text.index(">", text.index("<svg")) + 1
    return f"{text[text.index('<svg') : start]}{INK_STYLE}{text[start:]}".replace(INK, "currentColor")
