"""Figures: values where they belong, one element of an HTML page that minds its own business, no name too strange."""

import math
import re
import sys
import warnings
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from limbeck.figures import Point, cascade, fractions, learning, reliability, risk_coverage
from limbeck.figures.palette import COLOURS, style
from limbeck.figures.text import plain, shorten, width
from limbeck.metrics.calibration import calibrate
from limbeck.metrics.selective import selective

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert(1)</script>",
    "</title></svg><img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "$\\frac{1}{$ $x_2$",
    "a$",
    "~0~",
    "two\nlines\tand\x00\x1b[31m",
    "\ud800 lone \udfff",
    "\u202eשלום עולם",
    "😀 👩‍👩‍👧",
    "",
    "   ",
    "名前" * 200,
    "x" * 100_000,
    "z\u0301" * 500,
    "teacher alone",
    "&amp; ]]>",
    "\ufffe\uffff",
]


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def a_bin(place, n, accuracy=None, confidence=None, interval=None):
    return {"low": place / 10, "high": (place + 1) / 10, "n": n, "confidence": confidence, "accuracy": accuracy} | {
        "interval": interval
    }


def some_bins():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.25, 1, 300)
    return calibrate(confidence, rng.random(300) < confidence**2, draws=10).to_dict()["bins"]


def risk(*points):
    return [{"threshold": 0.5, "coverage": x, "risk": y} for x, y in points]


def passed(*points):
    return [{"threshold": None, "passed": x, "accuracy": y, "cost": 1.0} for x, y in points]


def every_kind(name="dss"):
    """One figure of each kind, with one series of that name."""
    yield reliability(some_bins(), name)
    yield risk_coverage({name: risk((0.2, 0.1), (1, 0.3))})
    yield cascade({name: passed((0, 0.6), (0.5, 0.8), (1, 0.75))}, 0.75)
    yield learning({name: [(1, 2.5), (2, 1.5)]}, name)
    yield fractions({name: [Point(0.5, 0.6, 0.5, 0.7), Point(1, 0.7, 0.6, 0.8)]}, name)


def nothing_known():
    yield reliability([])
    yield reliability([a_bin(place, 0) for place in range(10)], "a run")
    for none in ({}, {"a": []}, {"a": [], "b": []}):
        yield risk_coverage(none)
        yield cascade(none)
        yield cascade(none, 0.5)
        yield learning(none, "loss")
        yield fractions(none, "accuracy")
    yield learning({"a": [(1, math.nan), (2, None), (None, 1.0), (3, math.inf), (4, 1e300)]}, "loss")
    yield fractions({"a": [Point(0.5, None), Point(1, None, 0.1, 0.2)]}, "accuracy")


def parsed(svg):
    return ElementTree.fromstring(svg)


def found(svg, gid):
    """The elements whose id ends so, behind the prefix."""
    return [node for node in parsed(svg).iter() if re.fullmatch(r"f[0-9a-f]+-" + gid, node.get("id", ""))]


def corners(svg, gid):
    """Of the path in the one element with that id: (x, y), y downwards."""
    (node,) = found(svg, gid)
    path = node.find(f".//{SVG}path[@d]").get("d")
    return [(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", path)]


def box(svg, gid):
    """left, top, right, bottom"""
    x, y = zip(*corners(svg, gid), strict=True)
    return min(x), min(y), max(x), max(y)


def words(svg):
    return [node.text for node in parsed(svg).iter(f"{SVG}text")]


def stretched(drawn, values):
    """Whether places on a screen are values shifted and stretched."""
    slope, shift = np.polyfit(values, drawn, 1)
    return np.allclose(np.polyval([slope, shift], values), drawn, atol=0.02), slope


# ------------------------------------------------------------------------------------------------ values


def test_bars_of_reliability_are_as_high_as_accuracies():
    bins = some_bins()
    svg = reliability(bins, "a run")
    left, floor, right, ceiling = (*corners(svg, "diagonal")[0], *corners(svg, "diagonal")[1])
    assert left < right and ceiling < floor
    for place, one in enumerate(bins):
        if one["n"] == 0:
            assert not found(svg, f"bar-{place}") and not found(svg, f"interval-{place}")
            assert len(found(svg, f"empty-{place}")) == 1
            continue
        low, top, high, bottom = box(svg, f"bar-{place}")
        assert bottom == pytest.approx(floor, abs=0.02)
        assert (bottom - top) / (floor - ceiling) == pytest.approx(one["accuracy"], abs=2e-4)
        assert one["low"] < (low - left) / (right - left) < (high - left) / (right - left) < one["high"]
        (x, y), (same, above) = corners(svg, f"interval-{place}")
        assert x == same and (x - left) / (right - left) == pytest.approx(one["confidence"], abs=2e-4)
        drawn = sorted([(floor - y) / (floor - ceiling), (floor - above) / (floor - ceiling)])
        assert drawn == pytest.approx(one["interval"], abs=2e-4)
    assert any(one["n"] == 0 for one in bins)


def test_counts_of_reliability_are_in_proportion_and_written():
    bins = some_bins()
    svg = reliability(bins)
    full = [(place, one["n"]) for place, one in enumerate(bins) if one["n"]]
    heights = [box(svg, f"count-{place}")[3] - box(svg, f"count-{place}")[1] for place, _ in full]
    assert np.allclose(np.divide(heights, [n for _, n in full]), heights[0] / full[0][1], rtol=0.02)
    assert {str(one["n"]) for one in bins} <= set(words(svg))
    assert "no answers" in words(svg)
    assert "no answers" not in words(reliability([a_bin(place, 5, 0.5, 0.5) for place in range(10)]))
    many = [a_bin(place, n, 0.5, 0.5) for place, n in enumerate((1234, 12_345, 3_400_000))]
    assert {"1.2k", "12k", "3.4M"} <= set(words(reliability(many)))


def test_nothing_right_is_not_no_answers():
    svg = reliability([a_bin(0, 3, 0.0, 0.05, (0.0, 0.56)), a_bin(1, 0)])
    low, top, high, bottom = box(svg, "bar-0")
    assert top == bottom and high > low
    assert found(svg, "interval-0") and found(svg, "empty-1") and not found(svg, "empty-0")


def test_points_of_lines_lie_where_values_say():
    xs, a, b = [0.1, 0.4, 0.5, 1.0], [0.0, 0.12, 0.1, 0.3], [0.2, 0.25, 0.3, 0.35]
    everywhere = np.array(xs + xs), np.array(a + b)
    one, other = list(zip(xs, a, strict=True)), list(zip(xs, b, strict=True))
    drawings = [
        risk_coverage({"a": risk(*one), "b": risk(*other)}),
        cascade({"a": passed(*one), "b": passed(*other)}, 0.9),
        learning({"a": one, "b": other}, "loss"),
    ]
    for svg in drawings:
        points = np.array(corners(svg, "series-0") + corners(svg, "series-1"))
        assert points.shape == (8, 2)
        fits, slope = stretched(points[:, 0], everywhere[0])
        assert fits and slope > 0
        fits, slope = stretched(points[:, 1], everywhere[1])
        assert fits and slope < 0  # more is higher up


def test_the_teacher_is_a_level_line_at_its_accuracy():
    svg = cascade({"a": passed((0, 0.5), (1, 0.9))}, 0.7)
    (_, low), (_, high) = corners(svg, "series-0")
    (left, y), (right, same) = corners(svg, "teacher")
    assert y == same == pytest.approx((low + high) / 2, abs=0.02) and left < right
    assert "teacher alone" in words(svg)
    assert all(path.get("stroke-dasharray") for path in found(svg, "teacher")[0].iter(f"{SVG}path"))
    assert not found(cascade({"a": passed((0, 0.5), (1, 0.9))}), "teacher")
    assert not found(cascade({"a": passed((0, 0.5), (1, 0.9))}, math.nan), "teacher")


def test_fractions_have_whiskers_and_a_gap_where_not_run():
    points = [
        Point(0.25, 0.5, 0.4, 0.55),
        Point(0.5, None),
        Point(0.75, 0.6, None, None),
        Point(1, 0.7, 0.65, 0.8),
    ]
    svg = fractions({"a": points, "b": [Point(0.5, 0.3, 0.2, 0.4)]}, "accuracy")
    drawn = corners(svg, "series-0")
    assert len(drawn) == 3
    (x1, low1), (_, high1) = corners(svg, "interval-0-0")
    (x2, low2), (_, high2) = corners(svg, "interval-0-1")
    assert (x1, x2) == (drawn[0][0], drawn[2][0])
    ys = [drawn[0][1], drawn[1][1], drawn[2][1], low1, high1, low2, high2]
    assert stretched(ys, [0.5, 0.6, 0.7, 0.4, 0.55, 0.65, 0.8])[0]
    (path,) = [node.get("d") for node in found(svg, "series-0")[0].iter(f"{SVG}path") if node.get("d").count("M") == 2]
    assert path.split()[0] == "M"  # a new beginning after the gap
    assert not found(svg, "interval-0-2") and found(svg, "interval-1-0")
    assert [text for text in ("25", "50", "75", "100") if text in words(svg)] == ["25", "50", "75", "100"]


def test_whiskers_of_neighbours_do_not_cover_each_other():
    same = [Point(0.5, 0.5, 0.4, 0.6), Point(1, 0.6, 0.5, 0.7)]
    svg = fractions(dict.fromkeys("abc", same), "accuracy")
    xs = [corners(svg, f"interval-{place}-1")[0][0] for place in range(3)]
    assert all(right - left > 3 for left, right in pairwise(xs))


def test_points_are_drawn_by_rising_x():
    svg = learning({"a": [(30, 3.0), (10, 1.0), (20, 2.0)]}, "loss")
    xs, ys = zip(*corners(svg, "series-0"), strict=True)
    assert sorted(xs) == list(xs) and sorted(ys, reverse=True) == list(ys)


def test_numbers_along_axes_are_their_places():
    svg = learning({"a": [(0, -2.5), (12_000, 7.5)]}, "loss")
    texts = {text: node for node in parsed(svg).iter(f"{SVG}text") if (text := node.text) and text[-1].isdigit()}
    ticks = [text for text in texts if "," in text or text == "0"]
    assert "10,000" in ticks and "−2.5" in texts
    (x0, y0), (x1, y1) = corners(svg, "series-0")
    assert x0 + (x1 - x0) * 10 / 12 == pytest.approx(place_of(texts["10,000"])[0], abs=0.05)
    # Baselines are a constant below what they name.
    assert place_of(texts["−2.5"])[1] - place_of(texts["7.5"])[1] == pytest.approx(y0 - y1, abs=0.6)


def place_of(node):
    turned = re.search(r"translate\((\S+) (\S+)\)", node.get("transform", ""))
    return float(turned[1] if turned else node.get("x")), float(turned[2] if turned else node.get("y"))


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e-12, 1e12, 1e99, 123456.789])
def test_equal_values_and_single_points_are_drawn(value):
    for points in ([(5, value)], [(5, value), (5, value)], [(5, value), (9, value)], [(0, value)]):
        svg = learning({"a": points, "b": points}, "loss")
        numbers = [text for text in words(svg) if re.fullmatch(r"[−\d.,e]+", text)]
        assert len(corners(svg, "series-0")) == len(points) and len(numbers) >= 3
    assert found(risk_coverage({"a": risk((1.0, 0.0))}), "series-0")
    assert found(cascade({"a": passed((0.0, 1.0))}, 1.0), "series-0")
    assert found(fractions({"a": [Point(1, value, value, value)]}, "loss"), "interval-0-0")


def test_near_values_have_different_numbers_at_the_axis():
    for values in ([0.9, 0.9001], [1e-9, 3e-9], [1e9, 1.0001e9], [-1e-3, 1e-3], [0, 1e7]):
        svg = learning({"a": list(enumerate(values))}, "loss")
        at_left = [node.text for node in parsed(svg).iter(f"{SVG}text") if node.get("text-anchor") == "end"]
        assert len(at_left) == len(set(at_left)) >= 3


# ------------------------------------------------------------------------------------------------ guests on a page


def test_a_figure_is_one_element_with_a_title_and_no_size():
    for svg in every_kind():
        assert svg.startswith("<svg ") and svg.endswith("</svg>")
        root = parsed(svg)
        assert root[0].tag == f"{SVG}title" and root[0].text and root.get("role") == "img"
        assert root.get("aria-labelledby") == root[0].get("id")
        assert root.get("width") == "100%" and root.get("height") is None
        assert root.get("viewBox").split()[:3] == ["0", "0", "400"]


def test_a_figure_brings_no_style_font_colour_of_ink_or_background():
    for svg in [*every_kind(), *nothing_known()]:
        assert not re.search(r"<style|<metadata|<!|<\?|xlink|https?://(?!www\.w3\.org/2000/svg)|DejaVu", svg)
        assert svg.count("style=") == 1  # the root's widest width
        for node in parsed(svg).iter():
            for key in ("fill", "stroke", "stop-color"):
                assert node.get(key) in (None, "none", "currentColor", *COLOURS), ElementTree.tostring(node)
            if node.tag == f"{SVG}text":
                assert node.get("fill") == "currentColor" and "font-family" not in node.attrib
                assert float(node.get("font-size").removesuffix("px")) >= 10.5
        size = [float(one) for one in parsed(svg).get("viewBox").split()[2:]]
        for path in parsed(svg).iter(f"{SVG}path"):  # nothing filled covers the sheet
            numbers = [(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", path.get("d"))]
            wide, high = np.ptp(numbers, axis=0) if numbers else (0, 0)
            assert path.get("fill") == "none" or wide < size[0] * 0.9 or high < size[1] * 0.9


def test_ids_differ_between_figures_and_references_resolve():
    figures = [*every_kind("a"), *every_kind("b")]
    seen = [node.get("id") for svg in figures for node in parsed(svg).iter() if node.get("id")]
    assert len(seen) == len(set(seen)) > 40
    for svg in figures:
        own = {node.get("id") for node in parsed(svg).iter()}
        references = re.findall(r'href="#([^"]+)"', svg) + re.findall(r"url\(#([^)]+)\)", svg)
        assert references and set(references) <= own
        assert len(re.findall(r"href=|url\(", svg)) == len(references)


def test_a_name_without_points_keeps_its_place_and_is_not_shown():
    lines = {"a": [(0, 1.0), (1, 2.0)], "b": [], "c": [(0, 2.0), (1, 1.0)]}
    whole, without = learning(lines | {"b": [(0, 3.0)]}, "y"), learning(lines, "y")
    assert COLOURS[2] in whole
    assert COLOURS[2] in without
    assert (COLOURS[1] in whole, COLOURS[1] in without) == (True, False)
    assert ">b</text>" in whole
    assert ">b</text>" not in without
    assert ": a, c</title>" in without


def test_the_same_values_give_the_same_bytes(monkeypatch):
    before = list(every_kind())
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    monkeypatch.setitem(mpl.rcParams, "font.size", 30)
    monkeypatch.setitem(mpl.rcParams, "text.usetex", True)
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "red")
    assert list(every_kind()) == before
    assert not any(re.search(r"19\d\d-|20\d\d-|[Mm]atplotlib", svg) for svg in before)


def test_matplotlib_is_left_as_it_was():
    backend, settings = mpl.get_backend(auto_select=False), dict(mpl.rcParams.copy())
    pyplot = sys.modules.get("matplotlib.pyplot")
    open_figures = pyplot.get_fignums() if pyplot else None
    with pytest.raises(KeyError):
        risk_coverage({"a": [{}]})
    list(every_kind())
    assert mpl.get_backend(auto_select=False) == backend and dict(mpl.rcParams.copy()) == settings
    assert sys.modules.get("matplotlib.pyplot") is pyplot
    assert not pyplot or pyplot.get_fignums() == open_figures


def test_a_page_stays_small():
    rng = np.random.default_rng(0)
    curve = selective(rng.random(5000), rng.random(5000) < 0.5, draws=10).to_dict()["curve"]
    assert len(risk_coverage({"a": curve})) < 12_000


# ------------------------------------------------------------------------------------------------ series


def contrast(one, other):
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_colours_read_on_white_and_on_near_black():
    assert len(set(COLOURS)) == 8
    for colour in COLOURS:
        assert contrast(colour, "#ffffff") >= 3 and contrast(colour, "#121212") >= 3


def test_series_differ_by_dashes_and_marker_too():
    def looks(place, *keys):
        return tuple(str(style(place)[key]) for key in keys)

    for start in range(30):
        neighbours = range(start, start + 4)
        for key in ("color", "linestyle", "marker"):
            assert len({looks(place, key) for place in neighbours}) >= 3
    for key, at_least in (("color", 8), ("linestyle", 4), ("marker", 8)):
        assert len({looks(place, key) for place in range(8)}) == at_least
    assert len({looks(place, "color", "linestyle", "marker") for place in range(256)}) == 256


def test_the_legend_names_all_and_covers_no_data():
    names = [f"run {place}" for place in range(40)]
    svg = learning({name: [(0, 5.0), (10, 1.0)] for name in names}, "loss")
    placed = {node.text: place_of(node) for node in parsed(svg).iter(f"{SVG}text")}
    assert set(names) <= set(placed)
    top = min(y for place in range(40) for _, y in corners(svg, f"series-{place}"))
    assert all(placed[name][1] < top for name in names)
    assert len({placed[name] for name in names}) == 40
    assert placed["run 0"][1] < placed["run 39"][1] and all(0 < x < 400 for x, _ in placed.values())


# ------------------------------------------------------------------------------------------------ strange guests


def test_nothing_known_says_no_data():
    for svg in nothing_known():
        assert "no data" in words(svg) and "no data" in parsed(svg)[0].text


def test_hostile_names_are_words_and_nothing_else():
    tags = {node.tag for svg in every_kind() for node in parsed(svg).iter()}
    together = [
        risk_coverage({name: risk((0.5, 0.1)) for name in HOSTILE}),
        cascade({name: passed((0.5, 0.1)) for name in HOSTILE}, 0.5),
        learning({name: [(0, 1.0)] for name in HOSTILE}, "loss"),
        fractions({name: [Point(1, 0.7, 0.6, 0.8)] for name in HOSTILE}, "accuracy"),
    ]
    for svg in together:
        harmless(svg, tags)
        assert all(plain(name)[:10] in "\n".join(words(svg)) for name in HOSTILE)
    harmless(reliability(some_bins(), HOSTILE[1]), tags)
    for name in HOSTILE:
        for svg in (reliability([], name), learning({"a": [(0, 1.0)]}, name)):
            harmless(svg, tags)
        assert plain(name)[:10] in "\n".join(words(svg))


def harmless(svg, tags):
    nodes = list(parsed(svg).iter())
    assert svg.encode() and len(svg) < 80_000
    assert {node.tag for node in nodes} <= tags
    assert not any(key.startswith("on") for node in nodes for key in node.attrib)


def test_names_are_one_line_without_marks_of_direction():
    for name in HOSTILE:
        made = plain(name)
        assert made and made.replace("\u200d", "").isprintable() and "\u202e" not in made
        for limit in (5, 20, 40):
            assert width(shorten(made, limit)) <= limit
    assert shorten("runs/esnli/dss-seed1 and runs/esnli/dss-seed2", 12).endswith("seed2")
    assert shorten("short", 12) == "short"


def test_a_long_name_is_shown_in_full_length_by_a_pointer():
    name = "runs/" + "very-" * 10 + "long"
    svg = learning({name: [(0, 1.0), (1, 2.0)]}, "loss")
    assert name not in words(svg)
    assert found(svg, "series-0")[0][0].tag == f"{SVG}title" and found(svg, "series-0")[0][0].text == name
