"""Figures: values where they belong, whatever is missing, and no name too strange."""

import math
import re
import sys
import warnings
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from limbeck import figures
from limbeck.figures import COLORS, Point, cascade, fractions, learning, reliability, risk_coverage

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert(1)</script>",
    "</title></svg><img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "$\\frac{1}{$ $x_2$",
    "a$",
    "two\nlines\tand\x00\x1b[31m",
    "\ud800 lone \udfff",
    "\u202eשלום עולם",
    "😀 👩‍👩‍👧",
    "",
    "_hidden",
    "名前" * 200,
    "x" * 100_000,
    "&amp; ]]>",
    "\ufffe\uffff",
]


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def bin_of(index, n, accuracy=None, confidence=None, interval=None):
    values = {"n": n, "confidence": confidence, "accuracy": accuracy, "interval": interval}
    return {"low": index / 10, "high": (index + 1) / 10, **values}


BINS = [bin_of(0, 0), *(bin_of(i, 7 * i, i / 11, i / 10 + 0.03, (i / 12, i / 10)) for i in range(1, 10))]


def risk(*points):
    return [{"coverage": x, "risk": y} for x, y in points]


def passed(*points):
    return [{"passed": x, "accuracy": y} for x, y in points]


def every_kind(name="dss"):
    """Yield one figure of each kind, with one series of that name."""
    yield reliability(BINS, name)
    yield risk_coverage({name: risk((0.2, 0.1), (1, 0.3))})
    yield cascade({name: passed((0, 0.6), (0.5, 0.8), (1, 0.75))}, 0.75)
    yield learning({name: [(1, 2.5), (2, 1.5)]}, name)
    yield fractions({name: [Point(0.5, 0.6, 0.5, 0.7), Point(1, 0.7, 0.6, 0.8)]}, name)


def words(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def paths(svg, color):
    """Return the corners of the paths that are stroked in a color and not filled, in the order they are drawn."""
    nodes = ElementTree.fromstring(svg).iter(f"{SVG}path")
    lines = [n for n in nodes if f"stroke: {color}" in n.get("style", "") and "fill: none" in n.get("style", "")]
    return [[(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", node.get("d"))] for node in lines]


def is_linear(drawn, values):
    """Return whether places on a screen are values shifted and stretched, and by how much."""
    slope, shift = np.polyfit(values, drawn, 1)
    return np.allclose(np.polyval([slope, shift], values), drawn, atol=0.02), slope


def test_points_of_lines_lie_where_values_say():
    xs, a, b = [0.1, 0.4, 0.5, 1.0], [0.0, 0.12, 0.1, 0.3], [0.2, 0.25, 0.3, 0.35]
    first, second = list(zip(xs, a, strict=True)), list(zip(xs, b, strict=True))
    for svg in (
        risk_coverage({"a": risk(*first), "b": risk(*second)}),
        cascade({"a": passed(*first), "b": passed(*second)}, 0.9),
        learning({"a": first[::-1], "b": second}, "loss"),
    ):
        points = np.array([corner for color in COLORS[:2] for corner in paths(svg, color)[0]])
        assert points.shape == (8, 2)
        fits, slope = is_linear(points[:, 0], np.array(xs + xs))
        assert fits and slope > 0
        fits, slope = is_linear(points[:, 1], np.array(a + b))
        assert fits and slope < 0  # more is higher up


def test_bars_of_reliability_are_as_high_as_accuracies():
    svg = reliability(BINS, "a run")
    clip = f"stroke: {COLORS[0]}"
    nodes = [n for n in ElementTree.fromstring(svg).iter(f"{SVG}path") if clip in n.get("style", "")]
    heights = []
    for node in nodes:
        ys = [float(y) for _, y in re.findall(r"[ML] (\S+) (\S+)", node.get("d"))]
        heights.append(max(ys) - min(ys))
    full = [row for row in BINS if row["n"]]
    assert len(heights) == len(full)
    assert np.allclose(
        np.divide(heights, [row["accuracy"] for row in full]), heights[0] / full[0]["accuracy"], rtol=0.01
    )
    assert {str(row["n"]) for row in BINS} <= set(words(svg))
    assert "a run" in words(svg)


def test_fractions_have_whiskers_and_a_gap_where_not_run():
    points = [Point(0.25, 0.5, 0.4, 0.55), Point(0.5, None), Point(0.75, 0.5), Point(1, 0.7, 0.65, 0.8)]
    svg = fractions({"dss": points}, "accuracy")
    line, *whiskers = (path for path in paths(svg, COLORS[0]) if path)
    whiskers = [whisker for whisker in whiskers if len(whisker) == 2 and whisker[0][0] == whisker[1][0]]
    assert len(whiskers) == 2
    assert len(line) == 3 and "50%" in words(svg)
    scale = (line[0][1] - line[-1][1]) / 0.2
    for (_, low), (_, high), point in ((*whiskers[0], points[0]), (*whiskers[1], points[3])):
        assert (low - high) / scale == pytest.approx(point.high - point.low, rel=0.01)


def test_a_series_without_a_point_keeps_its_color():
    svg = learning({"a": [], "b": [(1, 1.0), (2, 2.0)]}, "loss")
    assert not paths(svg, COLORS[0]) and paths(svg, COLORS[1])
    assert "b" in words(svg) and "a" not in words(svg)


def test_the_teacher_has_a_line_where_its_accuracy_is_known():
    curve = {"a": passed((0, 0.5), (1, 0.9))}
    assert "teacher alone" in words(cascade(curve, 0.7))
    for teacher in (None, math.nan):
        assert "teacher alone" not in words(cascade(curve, teacher))


def test_nothing_to_show_is_a_figure_too():
    for svg in (
        reliability([]),
        reliability([bin_of(index, 0) for index in range(10)]),
        risk_coverage({}),
        risk_coverage({"a": [], "b": []}),
        cascade({"a": []}, 0.5),
        learning({"a": [(1, math.nan), (2, None), (None, 1.0), (3, math.inf), (4, 1e300)]}, "loss"),
        fractions({"a": [Point(0.5, None), Point(1, None, 0.1, 0.2)]}, "accuracy"),
        fractions({}, "accuracy"),
    ):
        assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
    assert "no data" in words(risk_coverage({"a": []}))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text(name):
    for svg in every_kind(name):
        svg.encode()
        tags = {node.tag.removeprefix(SVG) for node in ElementTree.fromstring(svg).iter()}
        assert tags <= {"svg", "style", "defs", "g", "path", "text", "use", "clipPath", "rect", "tspan"}
        assert len(svg) < 40_000


def test_figures_are_the_same_bytes_each_time_and_leave_the_users_style_alone():
    before = dict(mpl.rcParams)
    first = list(every_kind())
    with mpl.rc_context({"font.size": 30, "axes.grid": False, "svg.hashsalt": None}):
        assert list(every_kind()) == first
    assert dict(mpl.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not mpl.pyplot.get_fignums()


def test_ink_has_the_color_of_the_page_in_both_schemes():
    for svg in every_kind():
        assert figures.INK not in svg
        assert "currentColor" in svg
        assert svg.count("<style") == 2 and "prefers-color-scheme:dark" in svg


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", COLORS)
def test_colors_can_be_seen_on_light_and_dark(color):
    for background in ("#ffffff", "#121212"):
        low, high = sorted((luminance(color), luminance(background)))
        assert (high + 0.05) / (low + 0.05) >= 3
