"""The reliability diagram: how often answers given with a confidence are right, and how many there are."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from limbeck.figures.axis import Axis, share
from limbeck.figures.palette import COLOURS, INK
from limbeck.figures.points import known
from limbeck.figures.sheet import FONT, Sheet, empty, own_style
from limbeck.figures.text import plain

Style = dict[str, Any]

_INSET = 0.06  # of a bar's width, on both sides
_HEADROOM = 1.45  # above the highest count, for its number
_BAR: Style = {"facecolor": COLOURS[0] + "66", "edgecolor": COLOURS[0], "linewidth": 1.2}
_COUNT: Style = {"facecolor": INK, "alpha": 0.45, "linewidth": 0}
_EMPTY: Style = {"facecolor": INK, "alpha": 0.09, "linewidth": 0}
_DOT: Style = {"color": INK, "marker": "o", "markersize": 4, "linewidth": 1.2, "markeredgewidth": 0, "clip_on": False}
_DIAGONAL: Style = {"color": INK, "linestyle": (0, (4, 3)), "linewidth": 1.1, "alpha": 0.75}
_LEGEND = {
    "accuracy": _BAR,
    "with 95 % interval": _DOT,
    "perfectly calibrated": _DIAGONAL,
    "no answers": _EMPTY,
}


@own_style()
def reliability(bins: Sequence[Mapping[str, Any]], title: str = "") -> str:
    """Accuracy in each bin of confidence with its interval, against the diagonal; below, how many answers it is of.

    Args:
        bins: as `Calibration.to_dict()["bins"]`: low, high, n, and where n > 0 confidence, accuracy, interval.
        title: shown above.
    """
    n = sum(one["n"] for one in bins)
    words = f"Reliability diagram of {plain(title)}" if title else "Reliability diagram"
    if n == 0:
        return empty(words, title)
    gaps = any(one["n"] == 0 for one in bins)
    sheet = Sheet([(name, how) for name, how in _LEGEND.items() if gaps or how is not _EMPTY], [200, 52], title)
    above = sheet.panel(share("Confidence"), share("Accuracy"), last=False)
    most = max(one["n"] for one in bins)
    below = sheet.panel(share("Confidence"), Axis("Answers", 0, most * _HEADROOM, ()))
    (diagonal,) = above.plot([0, 1], [0, 1], zorder=2.5, **_DIAGONAL)
    sheet.name(diagonal, "diagonal")
    for place, one in enumerate(bins):
        _bin(sheet, above, below, place, one)
    return sheet.svg(f"{words}: accuracy by confidence, {n:,} answers")


def _bin(sheet: Sheet, above: Axes, below: Axes, place: int, one: Mapping[str, Any]) -> None:
    low, n, accuracy, confidence = one["low"], one["n"], one["accuracy"], one["confidence"]
    span = one["high"] - low
    middle = low + span / 2
    edges: Style = {"x": low + span * _INSET, "width": span * (1 - 2 * _INSET), "align": "edge", "clip_on": False}
    told = f"confidence over {100 * low:.3g} to {100 * one['high']:.3g} %: {n:,} answers"
    below.text(middle, n, _short(n), ha="center", va="bottom", color=INK, fontsize=FONT - 2)
    if n == 0 or not known(accuracy):
        for name, axes in (("empty", above), ("none", below)):
            (box,) = axes.bar(height=axes.get_ylim()[1], **edges, **_EMPTY)
            sheet.name(box, f"{name}-{place}", told)
        return
    (bar,) = above.bar(height=accuracy, **edges, **_BAR)
    sheet.name(bar, f"bar-{place}", f"{told}, {100 * accuracy:.1f} % right")
    (count,) = below.bar(height=n, **edges, **_COUNT)
    sheet.name(count, f"count-{place}", told)
    at = confidence if known(confidence) else middle
    (dot,) = above.plot([at], [accuracy], zorder=4, **_DOT)
    sheet.name(dot, f"dot-{place}")
    if one["interval"] is not None:
        (whisker,) = above.plot([at, at], list(one["interval"]), zorder=3, **{**_DOT, "marker": ""})
        sheet.name(whisker, f"interval-{place}")


def _short(n: int) -> str:
    """A count in at most four signs: 950, 1.2k, 12k, 3.4M."""
    for unit, sign in ((1_000_000, "M"), (1_000, "k")):
        if n >= unit:
            return f"{n / unit:.1f}{sign}" if n < 9.95 * unit else f"{n / unit:.0f}{sign}"
    return str(n)
