"""Figures as SVG: plain values in, a text out that is a file or an `<img>` of a page, in the reader's colour scheme."""

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeGuard

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from limbeck.formatting import one_line

# Every two are told apart by normal and colour-blind eyes, and each has a contrast of 3:1 with white and with black.
COLORS = ("#1f5eff", "#f4620c", "#217a5f", "#b46bb9", "#d4102c", "#819977", "#b002b7", "#598dfe")
DASHES = ("solid", (0, (5, 2)), (0, (1.6, 1.4)), (0, (7, 2, 1.5, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK = "#010203"  # becomes `currentColor`, which the style sheet below sets
INK_STYLE = "<style>svg{color:#1d1b18}@media(prefers-color-scheme:dark){svg{color:#e8e4dc}}</style>"

LARGEST = 1e100  # beyond, the arithmetic of axes overflows
LABEL_LENGTH = 36  # characters of a name in a figure
DODGE = 0.012  # of the span of x, between the whiskers of neighbouring series

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "limbeck", "text.parse_math": False, "font.family": "sans-serif",
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.grid.axis": "y",
    "axes.axisbelow": True, "grid.alpha": 0.18, "grid.linewidth": 0.8, "lines.linewidth": 1.8, "lines.markersize": 5,
    "legend.frameon": False, "figure.constrained_layout.use": True, "axes.facecolor": "none",
    "savefig.facecolor": "none", "savefig.transparent": True, "axes.xmargin": 0.03,
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "grid.color": INK,
}  # fmt: skip


class Point(NamedTuple):
    """A mean with its interval [low, high]. `mean` None: not run; `low` or `high` None: no interval."""

    x: float
    mean: float | None
    low: float | None = None
    high: float | None = None


Line = Sequence[tuple[float | None, float | None]]


def reliability(bins: Sequence[Mapping[str, Any]], title: str = "") -> str:
    """Draw the accuracy in each bin of confidence with its interval, and below the number of answers.

    Args:
        bins: low, high, n and, where n > 0, confidence, accuracy and interval, as `metrics` has them.
        title: shown above.
    """
    with _figure(height=3.6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        if title:
            figure.suptitle(_label(title), fontweight="bold")
        upper.plot([0, 1], [0, 1], color=INK, linestyle=(0, (4, 3)), linewidth=1.1, label="perfectly calibrated")
        lower.set_ylim(0, 1.45 * max((row["n"] for row in bins), default=0) or 1)
        for row in bins:
            middle, width = (row["low"] + row["high"]) / 2, 0.88 * (row["high"] - row["low"])
            lower.text(middle, row["n"], f"{row['n']:,}", ha="center", va="bottom", fontsize=7)
            lower.bar(middle, row["n"], width, color=INK, alpha=0.45)
            if not row["n"] or not _is_known(row["accuracy"]):
                continue
            upper.bar(middle, row["accuracy"], width, color=f"{COLORS[0]}66", edgecolor=COLORS[0])
            x = row["confidence"] if _is_known(row["confidence"]) else middle
            low, high = row["interval"] or (row["accuracy"], row["accuracy"])
            upper.plot([x, x], [low, high], color=INK, linewidth=1.2)
            upper.plot([x], [row["accuracy"]], color=INK, marker="o", markersize=4)
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        lower.set(xlabel="confidence", ylabel="answers", yticks=[])
        _percent(upper.yaxis, lower.xaxis)
        upper.legend(loc="upper left")
        return _svg(figure)


def risk_coverage(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Draw the share of wrong answers over the share answered, the surest first, from `coverage` and `risk` by name."""
    lines = {name: [(row["coverage"], row["risk"]) for row in curve] for name, curve in curves.items()}
    with _axes(lines, "share answered", "share wrong") as (figure, axes):
        axes.set_ylim(bottom=0)
        _percent(axes.xaxis, axes.yaxis)
        return _svg(figure)


def cascade(curves: Mapping[str, Sequence[Mapping[str, Any]]], teacher: float | None = None) -> str:
    """Draw accuracy over the share of questions passed on to the teacher, from `passed` and `accuracy` by name.

    `teacher` is its own accuracy, a dashed line.
    """
    lines = {name: [(row["passed"], row["accuracy"]) for row in curve] for name, curve in curves.items()}
    with _axes(lines, "share passed on to the teacher", "accuracy") as (figure, axes):
        if _is_known(teacher) and lines:
            axes.axhline(teacher, color=INK, linestyle=(0, (6, 3)), linewidth=1.3, label="teacher alone")
            _legend(axes)
        _percent(axes.xaxis, axes.yaxis)
        return _svg(figure)


def learning(curves: Mapping[str, Line], y_label: str) -> str:
    """Draw a value over training steps, a line each; a value that is not finite is a gap."""
    with _axes(curves, "step", y_label) as (figure, _):
        return _svg(figure)


def fractions(series: Mapping[str, Sequence[Point]], y_label: str) -> str:
    """Draw means with intervals over the fraction of the training data, side by side; what was not run is a gap."""
    used = sorted({point.x for points in series.values() for point in points})
    step = DODGE * (used[-1] - used[0]) if used else 0.0
    shifts = {name: step * (index - (len(series) - 1) / 2) for index, name in enumerate(series)}
    lines = {name: [(point.x + shifts[name], point.mean) for point in points] for name, points in series.items()}
    with _axes(lines, "training data", y_label) as (figure, axes):
        for index, (name, points) in enumerate(series.items()):
            for x, mean, low, high in points:
                if _is_known(mean) and _is_known(low) and _is_known(high):
                    axes.plot([x + shifts[name]] * 2, [low, high], color=COLORS[index % len(COLORS)], marker="_")
        axes.set_xticks(used)
        _percent(axes.xaxis)
        return _svg(figure)


@contextmanager
def _figure(height: float = 2.9) -> Iterator[Figure]:
    """Yield a figure in matplotlib's default style and ours, whatever the user's settings are."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing|constrained_layout not applied"
        )  # the reader's fonts differ
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)  # type: ignore[arg-type]
        yield Figure(figsize=(5.2, height), facecolor="none")


@contextmanager
def _axes(lines: Mapping[str, Line], x_label: str, y_label: str) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure with these lines. A line without a point keeps its colour, so that a name looks alike in all."""
    with _figure() as figure:
        axes = figure.add_subplot(xlabel=x_label, ylabel=_label(y_label))
        for index, (name, values) in enumerate(lines.items()):
            points = sorted((x, y if _is_known(y) else math.nan) for x, y in values if _is_known(x))
            if all(math.isnan(y) for _, y in points):
                continue
            turn = index // len(COLORS)
            axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                label=_label(name),
                color=COLORS[index % len(COLORS)],
                linestyle=DASHES[(index + turn) % len(DASHES)],
                marker=MARKERS[(index + turn // len(DASHES)) % len(MARKERS)],
                markevery=max(1, len(points) // 7),
            )
        if axes.lines:
            _legend(axes)
        else:
            axes.text(0.5, 0.5, "no data", ha="center", transform=axes.transAxes)
        yield figure, axes


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    columns = 1 if max(map(len, labels)) > 22 else 3 if max(map(len, labels)) < 14 else 2
    axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0)


def _label(name: str) -> str:
    """Return a name of any origin as a short label; long ones lose their middle, since names differ in their ends."""
    text = one_line(name, 1000) if len(name) < 1000 else one_line(f"{name[:200]}…{name[-200:]}", 1000)
    if len(text) > LABEL_LENGTH:
        text = f"{text[: LABEL_LENGTH // 2]}…{text[1 - LABEL_LENGTH // 2 :]}"
    return f" {text}" if text.startswith("_") else text or "(no name)"  # matplotlib hides what begins with _


def _percent(*axes: Any) -> None:
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1, decimals=None))


def _svg(figure: Figure) -> str:
    """Return the figure's SVG element; the same figure gives the same bytes."""
    stream = io.StringIO()
    FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stream.getvalue()
    start = text.index(">", text.index("<svg")) + 1
    return f"{text[text.index('<svg') : start]}{INK_STYLE}{text[start:]}".replace(INK, "currentColor")


def _is_known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value) and abs(value) < LARGEST
