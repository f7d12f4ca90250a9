"""Tables as Markdown, LaTeX, CSV and HTML: the numbers, and no text that means anything there."""

import csv
import io
import math
import re
from html import unescape
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt

from limbeck.formatting import one_line
from limbeck.report.cases import PageCases
from limbeck.report.html import html
from limbeck.report.sections import Section
from limbeck.report.tables import Cell, Row, Table, heads, notes, rows, to_csv, to_latex, to_markdown
from limbeck.report.write import Report

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "a | b || c",
    "`code` ``` *bold* _it_ ~~gone~~ [link](javascript:alert(1)) ![x](y)",
    "\\input{/etc/passwd} 100 % of a_b^c & d # $x$ ~ {}",
    "=cmd|' /C calc'!A0",
    "@SUM(A1)",
    "+1",
    "-1+2",
    "# heading",
    "1. list",
    "&lt; &amp;",
    "two\nlines\r\nand\ttabs",
    "\u202etxt.exe\u2028\u2029\x00\x1b[31m\ud800",
]


def one_column(name="mi", **cell):
    return Table("t", "title", ("accuracy",), (Row(name, (Cell(**{"value": 12.345, **cell}),)),), unit="%")


def two_columns(**cell):
    return Table("t", "title", ("one", "two"), (Row("mi", (Cell(**{"value": 12.345, **cell}), Cell(1.0))),), unit="%")


def named(name):
    cells = (Cell(1.0, interval=(0.5, 1.5), n=10, seeds=2), Cell(None, "not run"))
    return Table("t", "title", ("one", "two"), (Row(name, cells),), notes=("A note.",))


def page(table):
    """The HTML of a report's page that has this table alone."""
    origin = {"facts": {}, "data": [], "differences": [], "recipes": [], "unknown": []}
    section = Section("tables", "Tables", "What there is.", (table,))
    return html(Report("title", ("None.",), (section,), (), (), PageCases([], 0), origin, (), ()), "now")


def test_one_column_is_spread_over_columns_and_several_are_kept_together():
    table = one_column(
        interval=(10.0, 14.0), difference=-1.234, difference_interval=(-3.0, 0.5), p_value=0.0004, n=1234
    )
    assert heads(table) == ["", "accuracy", "95 % interval", "difference", "interval of the difference", "p", "n"]
    texts = ["mi", "12.35", "10.00 to 14.00", "−1.23", "−3.00 to +0.50", "<0.001", "1,234"]
    assert rows(table) == [[[part] for part in texts]]
    assert rows(named("a")) == [[["a"], ["1.00", "0.50 to 1.50"], ["not run"]]]
    assert notes(named("a")) == ["All of 10 examples and 2 seeds.", "A note."]


@pytest.mark.parametrize(
    ("p", "adjusted", "words"),
    [
        (0.0004, 0.0216, "p < 0.001, Holm = 0.022"),
        (0.0000001, 0.0002, "p < 0.001, Holm < 0.001"),
        (0.02, None, "p = 0.020"),
    ],
)
def test_p_values_are_the_same_in_every_form(p, adjusted, words):
    table = two_columns(difference=1.0, p_value=p, adjusted=adjusted)
    assert words in unescape(page(table))
    assert words.replace("<", "\\<") in to_markdown(table)
    assert words.replace("<", r"\textless{}") in to_latex(table)


@pytest.mark.parametrize("table_of", [one_column, two_columns])
def test_a_significant_difference_has_its_asterisk_in_every_form_once(table_of):
    significant = table_of(difference=5.0, p_value=0.001, adjusted=0.049)
    undecided = table_of(difference=5.0, p_value=0.001, adjusted=0.051)
    for write, star in ((page, "*"), (to_markdown, "\\*"), (to_latex, "*")):
        text = write(significant)
        assert text[text.index("mi") :].count(f"12.35{star}") == 1
        assert "An asterisk marks" in text
        assert f"12.35{star}" not in write(undecided)
        assert "An asterisk marks" not in write(undecided)
    (row, *_) = csv.DictReader(io.StringIO(to_csv(significant)))
    assert row["value"] == "12.345"


def test_the_papers_numbers_stand_beside_ours_and_what_is_not_run_has_its_reason():
    ran, not_run = one_column(paper=80.5, paper_spread=0.25), one_column(value=None, reason="not run", paper=80.5)
    assert rows(ran) == [[["mi"], ["12.35"], ["80.50 ± 0.25"]]]
    assert rows(not_run) == [[["mi"], ["–"], ["80.50"], ["not run"]]]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_shown_as_nothing(value):
    table = one_column(value=value, interval=(value, 1.0), p_value=value)
    for write in (to_markdown, to_latex, to_csv):
        assert not re.search(r"\b(nan|inf)\b", write(table).lower())


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_the_text_and_nothing_else(name):
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(to_markdown(named(name)))
    kinds = {child.type for token in tokens if token.type == "inline" for child in token.children}
    assert kinds - {"text_special"} == {"text", "strong_open", "strong_close"}
    assert [token.type for token in tokens].count("tr_open") == 2
    assert [token.type for token in tokens].count("td_open") == 3
    cells = [token for before, token in pairwise(tokens) if before.type == "td_open"]
    assert "".join(child.content for child in cells[0].children) == one_line(name)


@pytest.mark.parametrize("name", HOSTILE)
def test_latex_has_no_command_but_ours(name):
    row = next(line for line in to_latex(named(name)).splitlines() if "not run" in line)
    text = row.removesuffix(r"\\").strip()
    words = ("backslash", "asciicircum", "asciitilde", "less", "greater", "bar", "quotedbl", "asciigrave")
    for own in [*(rf"\text{word}{{}}" for word in words), *(f"\\{char}" for char in "{}$&#%_")]:
        text = text.replace(own, "")
    assert not set("\\{}$#%_^~") & set(text)
    assert text.count("&") == 2


@pytest.mark.parametrize("name", HOSTILE)
def test_csv_has_every_cell_and_no_formula(name):
    lines = list(csv.DictReader(io.StringIO(to_csv(named(name)))))
    assert [(line["column"], line["value"]) for line in lines] == [("one", "1.0"), ("two", "")]
    assert (lines[0]["interval_low"], lines[0]["interval_high"], lines[1]["reason"]) == ("0.5", "1.5", "not run")
    assert lines[0]["row"].lstrip("'") == one_line(name)
    assert lines[0]["row"][0] not in "=+-@\t\r"
