"""Figures: values where they belong, whatever is missing, and no name too strange."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from limbeck.figures import BOTTOM, COLORS, TOP, Point, line_chart, reliability

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = ["</title></svg><img src=x onerror=alert(1)>", '" onload="alert(1)', "{{ 7 * 7 }}", "&amp; ]]>"]
HOSTILE += ["two\nlines\tand\x00\x1b[31m", "\ud800 lone", "\u202eשלום", "", "x" * 100_000]


def bin_of(index, n, **values):
    return {"low": index / 10, "high": (index + 1) / 10, "n": n, **values}


BINS = [bin_of(0, 0)] + [
    bin_of(i, 7 * i, accuracy=i / 11, confidence=i / 10 + 0.03, interval=(i / 12, i / 10)) for i in range(1, 10)
]


def words(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def paths(svg, **attributes):
    """Return the paths of a figure that have these attributes, in the order they are drawn."""
    nodes = ElementTree.fromstring(svg).iterfind(f"{SVG}path")
    return [node.get("d") for node in nodes if attributes.items() <= node.attrib.items()]


def corners(path):
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](\S+?) ([^ML]+)", path)]


def test_points_of_lines_lie_where_values_say():
    xs, a, b = [0.1, 0.4, 0.5, 1.0], [0.0, 0.12, 0.1, 0.3], [0.2, 0.25, 0.3, 0.35]
    lines = {"a": list(map(Point, xs, a))[::-1], "b": list(map(Point, xs, b))}
    svg = line_chart(lines, "share", "loss", reference=("teacher alone", 0.2))
    points = np.array([corner for color in COLORS[:2] for corner in corners(paths(svg, stroke=color)[0])])
    assert points.shape == (8, 2)
    for axis, values, direction in ((0, xs + xs, 1), (1, a + b, -1)):  # more is to the right, and higher up
        slope, shift = np.polyfit(values, points[:, axis], 1)
        assert np.allclose(np.polyval([slope, shift], values), points[:, axis], atol=0.02)
        assert slope * direction > 0
    assert {"a", "b", "share", "loss", "teacher alone"} <= set(words(svg))


@pytest.mark.parametrize("low, high", [(0, 1), (-3, 250), (0.0412, 0.0413), (1e-9, 2e-9), (5, 5), (0, 0), (1e8, 3e8)])
def test_an_axis_has_a_few_round_numbers_at_their_places(low, high):
    svg = line_chart({"a": [Point(0, low), Point(1, high)]}, "x", "y")
    nodes = [node for node in ElementTree.fromstring(svg).iterfind(f"{SVG}text") if node.get("text-anchor") == "end"]
    values = [float(node.text.replace(",", "")) for node in nodes]
    assert 2 <= len(values) <= 7
    heights = [float(node.get("y")) - 5 for node in nodes]
    assert all(TOP <= height <= BOTTOM for height in heights)
    if low < high:
        ends = [y for _, y in corners(paths(svg, stroke=COLORS[0])[0])]
        expected = np.clip(values, low, high)
        assert np.allclose(np.interp(heights, ends[::-1], [high, low]), expected, atol=1e-3 * (high - low))


def test_bars_of_reliability_are_as_high_as_accuracies():
    svg = reliability(BINS)
    bars = [re.match(r"M\S+ (\S+)V(\S+)H", bar).groups() for bar in paths(svg, **{"fill-opacity": ".4"})]
    heights = [(float(low) - float(high)) / (BOTTOM - TOP) for low, high in bars]
    assert np.allclose(heights, [row["accuracy"] for row in BINS if row["n"]], atol=1e-3)
    assert {str(row["n"]) for row in BINS} <= set(words(svg))


def test_points_have_whiskers_and_what_is_not_known_is_left_out():
    points = [Point(0.25, 0.5, 0.4, 0.55), Point(0.5, None), Point(0.6, math.nan), Point(1, 0.7, 0.65, 0.8)]
    svg = line_chart({"dss": points}, "x", "y", percent="x")
    line, *whiskers = paths(svg, stroke=COLORS[0])
    first, last = corners(line)
    assert len(whiskers) == 2
    for whisker, point in zip(whiskers, (points[0], points[-1]), strict=True):
        low, high = map(float, re.match(r"M\S+ (\S+)V(\d+\.?\d*)", whisker).groups())
        assert (low - high) / (first[1] - last[1]) == pytest.approx((point.high - point.low) / 0.2, rel=0.01)
    assert {"25%", "100%"} <= set(words(svg)) and "40%" not in words(svg)  # ticks where something was measured


def test_a_line_without_a_point_keeps_its_color_and_nothing_to_show_is_a_figure_too():
    svg = line_chart({"a": [], "b": [Point(1, 1.0), Point(2, 2.0)]}, "step", "loss")
    assert not paths(svg, stroke=COLORS[0]) and paths(svg, stroke=COLORS[1])
    assert "b" in words(svg) and "a" not in words(svg)
    assert "no data" in words(line_chart({"a": [Point(1, None)]}, "x", "y"))
    assert "confidence" in " ".join(words(reliability([])))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text(name):
    svg = line_chart({name: [Point(1, 2.5, 2, 3), Point(2, 1.5)]}, "step", name, reference=("teacher", 2.0))
    svg.encode()
    tags = {node.tag.removeprefix(SVG) for node in ElementTree.fromstring(svg).iter()}
    assert tags == {"svg", "style", "g", "path", "text"}
    assert len(svg) < 10_000
