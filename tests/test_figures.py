"""Figures: values where they belong, whatever is missing, and no name too strange."""

import math
import re
import warnings
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from limbeck import figures
from limbeck.figures import COLORS, Point, line_chart, reliability

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = ["</title></svg><img src=x onerror=alert(1)>", '" onload="alert(1)', "$\\frac{1}{$ $x_2$"]
HOSTILE += ["two\nlines\tand\x00\x1b[31m", "\ud800 lone", "\u202eשלום", "", "_hidden", "x" * 100_000, "&amp; ]]>"]


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


BINS = [{"low": i / 10, "high": (i + 1) / 10, "n": 7 * i} for i in range(10)]
for i, row in enumerate(BINS[1:], start=1):
    row |= {"accuracy": i / 11, "confidence": i / 10 + 0.03, "interval": (i / 12, i / 10)}


def kinds(name="dss"):
    """Return a figure of each kind, with a line of that name."""
    plain, intervals = [Point(1, 2.5), Point(2, 1.5)], [Point(0.5, 0.6, 0.5, 0.7), Point(1, 0.7, 0.6, 0.8)]
    charts = (
        line_chart({name: plain}, "step", name, percent="xy", reference=("teacher", 2.0)),
        line_chart({name: intervals}, "data", name),
    )
    return [reliability(BINS), *charts]


def words(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def paths(svg, color, fill="none"):
    """Return the corners of the paths that are stroked in a color, in the order they are drawn."""
    nodes = ElementTree.fromstring(svg).iter(f"{SVG}path")
    lines = [n for n in nodes if f"stroke: {color}" in n.get("style", "") and f"fill: {fill}" in n.get("style", "")]
    return [[(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", node.get("d"))] for node in lines]


def test_points_of_lines_lie_where_values_say():
    xs, a, b = [0.1, 0.4, 0.5, 1.0], [0.0, 0.12, 0.1, 0.3], [0.2, 0.25, 0.3, 0.35]
    lines = {"a": list(map(Point, xs, a))[::-1], "b": list(map(Point, xs, b))}
    svg = line_chart(lines, "share", "loss", reference=("teacher alone", 0.2))
    columns = np.array([corner for color in COLORS[:2] for corner in paths(svg, color)[0]]).T
    for column, values, direction in zip(columns, (xs + xs, a + b), (1, -1), strict=True):  # more is right, and up
        slope, shift = np.polyfit(values, column, 1)
        assert np.allclose(np.polyval([slope, shift], values), column, atol=0.02)
        assert slope * direction > 0
    assert {"a", "b", "share", "loss", "teacher alone"} <= set(words(svg))


def test_bars_of_reliability_are_as_high_as_accuracies():
    svg = reliability(BINS)
    heights = [np.ptp([y for _, y in corners]) for corners in paths(svg, COLORS[0], fill=COLORS[0])]
    accuracies = [row["accuracy"] for row in BINS if row["n"]]
    assert np.allclose(np.divide(heights, accuracies), heights[0] / accuracies[0], rtol=0.01)
    assert {str(row["n"]) for row in BINS} <= set(words(svg))


def test_points_have_whiskers_and_what_is_not_known_is_left_out():
    points = [Point(0.25, 0.5, 0.4, 0.55), Point(0.5, None), Point(0.6, math.nan), Point(1, 0.7, 0.65, 0.8)]
    line, *whiskers = (path for path in paths(line_chart({"dss": points}, "x", "y"), COLORS[0]) if path)
    whiskers = [whisker for whisker in whiskers if len(whisker) == 2 and whisker[0][0] == whisker[1][0]]
    scale = (line[0][1] - line[-1][1]) / 0.2
    assert len(line) == 2
    assert [(low - high) / scale for (_, low), (_, high) in whiskers] == pytest.approx([0.15, 0.15], rel=0.01)


def test_a_line_without_a_point_keeps_its_color_and_nothing_to_show_is_a_figure_too():
    svg = line_chart({"a": [], "b": [Point(1, 1.0), Point(2, 2.0)]}, "step", "loss")
    assert not paths(svg, COLORS[0]) and paths(svg, COLORS[1])
    assert "b" in words(svg) and "a" not in words(svg)
    assert "no data" in words(line_chart({"a": [Point(1, None)]}, "x", "y"))
    assert "confidence" in words(reliability([]))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text(name):
    for svg in kinds(name):
        tags = {node.tag.removeprefix(SVG) for node in ElementTree.fromstring(svg.encode()).iter()}
        assert tags <= {"svg", "style", "defs", "g", "path", "text", "use", "clipPath", "rect", "tspan"}
        assert len(svg) < 40_000


def test_figures_are_the_same_bytes_each_time_and_leave_the_users_style_alone():
    before, first = dict(mpl.rcParams), kinds()
    with mpl.rc_context({"font.size": 30, "axes.grid": False, "svg.hashsalt": None}):
        assert kinds() == first
    assert dict(mpl.rcParams) == before
    for svg in first:  # in the page's color, in both schemes
        assert figures.INK not in svg
        assert "currentColor" in svg and "prefers-color-scheme:dark" in svg
