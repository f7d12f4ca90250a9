"""Tables as Markdown, LaTeX and CSV: the numbers, and no text that means anything there."""

import csv
import io
import math
import re
from html import unescape
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt

from limbeck.formatting import one_line, visible
from limbeck.report import render, text
from limbeck.report.assemble import Report, Section
from limbeck.report.browser import Chosen
from limbeck.report.html import html
from limbeck.report.tables import Cell, Row, Table, equals

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


def made(name="arm", **cell):
    return Table("t", "title", ("accuracy",), (Row(name, (Cell(**{"value": 12.345, **cell}),)),), unit="%")


def several(*names):
    cells = (Cell(1.0, interval=(0.5, 1.5), n=10, seeds=2), Cell(None, "not run"))
    return Table("t", "title", ("one", "two"), tuple(Row(name, cells) for name in names), notes=("A note.",))


def test_one_column_is_spread_over_columns_and_several_are_kept_together():
    table = made(interval=(10.0, 14.0), difference=-1.234, difference_interval=(-3.0, 0.5), p_value=0.0004, n=1234)
    assert render.heads(table) == ["", "accuracy", "95 % interval", "difference", "its interval", "p", "n"]
    assert render.rows(table) == [["arm", "12.35", "10.00 to 14.00", "−1.23", "−3.00 to +0.50", "<0.001", "1,234"]]
    assert render.rows(several("a")) == [["a", "1.00 (0.50 to 1.50)", "not run"]]
    assert render.notes(several("a")) == ["All of 10 examples and 2 seeds.", "A note."]


def page(table):
    """The HTML of a report's page that has this table alone."""
    chosen, origin = Chosen([], 0), {"facts": {}, "data": [], "differences": [], "recipes": [], "unknown": []}
    section = Section("tables", "Tables", "What there is.", (table,))
    return html(Report("title", ("None.",), (section,), (), (), chosen, origin, (), ()), "now")


def pair(**cell):
    return Table("t", "title", ("one", "two"), (Row("arm", (Cell(**{"value": 12.345, **cell}), Cell(1.0))),), unit="%")


@pytest.mark.parametrize(
    ("p", "adjusted", "said"),
    [
        (0.0004, 0.0216, "p < 0.001, Holm = 0.022"),
        (0.0000001, 0.0002, "p < 0.001, Holm < 0.001"),
        (0.02, None, "p = 0.020"),
    ],
)
def test_p_values_are_called_the_same_in_every_form(p, adjusted, said):
    assert said.startswith(f"p {equals(p)}")
    table = pair(difference=1.0, p_value=p, adjusted=adjusted)
    assert said in unescape(page(table))
    assert said in render.rows(table)[0][1]
    assert said.replace("<", "\\<") in render.markdown(table)
    assert said.replace("<", r"\textless{}") in render.latex(table)


def test_a_p_value_behind_its_p():
    assert [equals(p, "at most") for p in (0.0216, 0.0002, None, math.nan)] == [
        "at most 0.022", "< 0.001", "undefined", "undefined",
    ]  # fmt: skip


@pytest.mark.parametrize("table_of", [made, pair])
def test_what_stands_has_its_asterisk_in_every_form_once(table_of):
    stands = table_of(difference=5.0, p_value=0.001, adjusted=0.049)
    open_ = table_of(difference=5.0, p_value=0.001, adjusted=0.051)
    for write, star in ((page, "*"), (render.markdown, "\\*"), (render.latex, "*")):
        body = write(stands)[write(stands).index("arm") :]
        assert body.count(f"12.35{star}") == 1
        assert "An asterisk marks" in write(stands)
        assert f"12.35{star}" not in write(open_)
        assert "An asterisk marks" not in write(open_)
    assert 'content: " *"' not in page(stands)
    (row, *_) = csv.DictReader(io.StringIO(render.csv(stands)))
    assert row["value"] == "12.345"


def test_the_papers_numbers_stand_beside_ours_and_what_is_not_run_says_so():
    ran, not_run = made(paper=80.5, paper_spread=0.25), made(value=None, reason="not run", paper=80.5)
    assert render.rows(ran)[0] == ["arm", "12.35", "80.50 ± 0.25"]
    assert render.rows(not_run)[0] == ["arm", "–", "80.50", "not run"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_shown_as_none(value):
    table = made(value=value, interval=(value, 1.0), p_value=value)
    for write in (render.markdown, render.latex, render.csv):
        assert not re.search(r"\b(nan|inf)\b", write(table).lower())


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_the_text_and_nothing_else(name):
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(render.markdown(several(name)))
    kinds = {child.type for token in tokens if token.type == "inline" for child in token.children}
    assert kinds == {"text", "strong_open", "strong_close"} or kinds == {
        "text",
        "strong_open",
        "strong_close",
        "text_special",
    }
    assert [token.type for token in tokens].count("tr_open") == 2
    assert [token.type for token in tokens].count("td_open") == 3
    cells = [token for before, token in pairwise(tokens) if before.type == "td_open"]
    assert "".join(child.content for child in cells[0].children) == one_line(name)
    alone = MarkdownIt("gfm-like", {"linkify": False}).parse(text.markdown(name))
    assert [token.type for token in alone] == ["paragraph_open", "inline", "paragraph_close"]


@pytest.mark.parametrize("name", HOSTILE)
def test_latex_has_no_command_but_ours(name):
    row = next(line for line in render.latex(several(name)).splitlines() if "not run" in line)
    left = row.removesuffix(r"\\").strip()
    for ours in ["textbackslash{}", "textasciicircum{}", "textasciitilde{}", "textless{}", "textgreater{}"]:
        left = left.replace(f"\\{ours}", "")
    for ours in [r"\textbar{}", r"\textquotedbl{}", r"\textasciigrave{}", *(f"\\{sign}" for sign in "{}$&#%_")]:
        left = left.replace(ours, "")
    assert not set("\\{}$#%_^~") & set(left)
    assert left.count("&") == 2


@pytest.mark.parametrize("name", HOSTILE)
def test_csv_has_every_cell_and_no_formula(name):
    rows = list(csv.DictReader(io.StringIO(render.csv(several(name)))))
    assert [(row["column"], row["value"]) for row in rows] == [("one", "1.0"), ("two", "")]
    assert (rows[0]["interval_low"], rows[0]["interval_high"], rows[1]["reason"]) == ("0.5", "1.5", "not run")
    assert rows[0]["row"].lstrip("'") == one_line(name)
    assert rows[0]["row"][0] not in "=+-@\t\r"


def test_hidden_characters_are_shown_and_long_texts_cut():
    assert visible("a\u202eb\u2066c\x00") == "a<U+202E>b<U+2066>c<U+0000>"
    assert visible("two\n\tlines, a nbsp\u00a0and 👩\u200d👧") == "two\n\tlines, a nbsp\u00a0and 👩\u200d👧"
    assert visible("x" * 1_000_000, 10) == "xxxxxxxxxx … (cut: 1,000,000 characters)"
    assert text.plain({"a": [math.nan, 1, (math.inf,)]}) == {"a": [None, 1, [None]]}
