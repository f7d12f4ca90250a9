"""The sheet a figure is drawn on: words and legend above, panels below, all large enough for a telephone."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import IdentityTransform

from limbeck.figures.axis import Axis
from limbeck.figures.palette import INK
from limbeck.figures.svg import render
from limbeck.figures.text import plain, shorten, width

WIDTH = 400  # units of the viewBox; a telephone shows it nearly one to one
FONT = 12.5
_EDGE, _ABOVE, _BETWEEN, _BOTTOM, _ROW, _SAMPLE, _GAP = 4, 26, 8, 42, 18, 30, 16
_FEW = 6  # entries of a legend
DPI = 72  # a point is a unit, and matplotlib's display coordinates are those of the sheet


@contextmanager
def own_style() -> Iterator[None]:
    """Draw by matplotlib's defaults and ours, whatever the user's settings are, and leave these as they were."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "limbeck", "text.parse_math": False})
        yield


class Sheet:
    """Filled from the top: `title`, the legend `entries` (a name, how its sample is drawn), then `panels` [units]."""

    def __init__(
        self, entries: Sequence[tuple[str, Mapping[str, Any]]], panels: Sequence[float], title: str = ""
    ) -> None:
        self.texts: dict[str, str] = {}
        self.named: dict[str, str] = {}
        places = _flow([name for name, _ in entries])
        rows = places[-1][1] + 1 if places else 0
        begin = 8 + (24 if title else 0)
        top = begin + rows * _ROW + (6 if rows else 0)
        self.height = top + sum(panels) + _ABOVE * len(panels) + _BETWEEN * (len(panels) - 1) + _BOTTOM
        self.figure = Figure(figsize=(WIDTH / DPI, self.height / DPI), dpi=DPI)
        self.figure.patch.set_visible(False)
        if title:
            self.write(title, _EDGE, 20, weight="bold", size=FONT + 1)
        for (name, how), (x, row) in zip(entries, places, strict=True):
            self._entry(name, how, x, begin + row * _ROW + 6)
        self._panels = list(panels)
        self._down, self._left = float(top), 0.0  # where the next panel begins; how far right the panels do

    def write(self, words: str, x: float, y: float, limit: float = WIDTH - 2 * _EDGE, **how: Any) -> Artist:
        """Words of any origin at (x, y) units from the upper left, baseline, in at most `limit` units."""
        size = how.setdefault("size", FONT)
        stand_in = f"~{len(self.texts)}~"
        self.texts[stand_in] = shorten(plain(words), limit / size)
        return self.figure.text(x, self.height - y, stand_in, color=INK, transform=IdentityTransform(), **how)

    def panel(self, x: Axis, y: Axis, last: bool = True) -> Axes:
        """The next panel, y's name above it and x's below the last."""
        height = self._panels.pop(0)
        self._left = left = max(self._left, 12 + max((width(text) for _, text in y.ticks), default=0) * FONT)
        right = WIDTH - max(14, _EDGE + width(x.ticks[-1][1]) * FONT / 2 if x.ticks else 0)
        self.write(y.label, _EDGE, self._down + 13)
        self._down += _ABOVE + height
        room = (left / WIDTH, 1 - self._down / self.height, (right - left) / WIDTH, height / self.height)
        axes = self.figure.add_axes(room, xlim=(x.low, x.high), ylim=(y.low, y.high), facecolor="none")
        axes.spines[["left", "top", "right"]].set_visible(False)
        axes.spines["bottom"].set(color=INK, linewidth=1)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color=INK, alpha=0.16, linewidth=0.8)
        axes.tick_params(color=INK, labelcolor=INK, labelsize=FONT, length=4)
        axes.tick_params(axis="y", length=0, pad=6)
        axes.set_xticks([value for value, _ in x.ticks], [text if last else "" for _, text in x.ticks])
        axes.set_yticks([value for value, _ in y.ticks], [text for _, text in y.ticks])
        if not last:
            self._down += _BETWEEN
        else:
            self.write(x.label, (left + right) / 2, self._down + 36, ha="center")
        return axes

    def name(self, artist: Artist, gid: str, words: str | None = None) -> None:
        """Give an artist an id and the words that a pointer over it shows."""
        artist.set_gid(gid)
        if words is not None:
            self.named[gid] = shorten(plain(words), 120)

    def svg(self, title: str) -> str:
        """The whole sheet; `title` is for those who cannot see it."""
        return render(self.figure, shorten(plain(title), 400), self.texts, self.named)

    def _entry(self, name: str, how: Mapping[str, Any], x: float, y: float) -> None:
        middle = self.height - y
        if "facecolor" in how:
            box = Rectangle((x, middle - 5), _SAMPLE - 8, 10, transform=IdentityTransform(), **how)
            self.figure.add_artist(box)
        else:
            where = ([x, x + _SAMPLE / 2 - 4, x + _SAMPLE - 8], [middle] * 3)
            self.figure.add_artist(Line2D(*where, transform=IdentityTransform(), **{**how, "markevery": [1]}))
        self.write(name, x + _SAMPLE, y + 4.5, WIDTH - _EDGE - x - _SAMPLE)


def empty(title: str, heading: str = "") -> str:
    """A figure that says that there is nothing to show."""
    sheet = Sheet([], [90], heading)
    box = Rectangle((_EDGE, _BOTTOM - 20), WIDTH - 2 * _EDGE, 100, transform=IdentityTransform())
    box.set(facecolor="none", edgecolor=INK, alpha=0.35, linestyle=(0, (4, 3)))
    sheet.figure.add_artist(box)
    sheet.write("no data", WIDTH / 2, sheet.height - 68, ha="center")
    return sheet.svg(f"{title}: no data")


def _flow(names: Sequence[str]) -> list[tuple[float, int]]:
    """Where each legend entry begins, (x, row): a few one after the other, many in columns."""
    room = WIDTH - 2 * _EDGE
    widths = [min(width(plain(name)[:200]) * FONT + _SAMPLE + _GAP, room) for name in names]
    if len(names) > _FEW:
        cell = room / max(1, int(room / max(widths)))
        widths = [cell] * len(names)
    places, x, row = [], 0.0, 0
    for wide in widths:
        if x + wide > room + 1e-6 + _GAP:
            x, row = 0.0, row + 1
        places.append((_EDGE + x, row))
        x += wide
    return places
