"""Escaped text before another's parser of CommonMark and tables, and numbers against what they should look like."""

import math
import re

import pytest
from markdown_it import MarkdownIt

from limbeck import formatting
from limbeck.formatting import LONGEST, Markdown, cell, code, csv_field, interval, markdown, number, one_line, visible
from tests.runs.hostile import HOSTILE


@pytest.mark.parametrize("text", HOSTILE)
def test_a_parser_sees_escaped_text_as_text(text):
    for escaped_text in (markdown(text), code(text), cell(text)):
        tokens = MarkdownIt("commonmark").enable("table").parse(f"| a |\n|---|\n| {escaped_text} |\n")
        cells = [token for token in tokens if token.type == "inline"]
        assert len(cells) == 2
        assert {child.type for child in cells[1].children} <= {"text", "code_inline", "text_special"}
        assert "".join(child.content for child in cells[1].children) == one_line(text, LONGEST)


def test_markdown_breaks_bare_links_and_keeps_plain_text():
    for text in ("https://evil.example", "www.evil.example", "me@evil.example", ":skull:"):
        assert markdown(text) != text
    plain = "It's 3.5 (the teacher's), at 12:30 - or so: \N{MAN}\N{ZERO WIDTH JOINER}\N{ROCKET}!"
    assert markdown(plain) == plain.replace("12:", "12\\:")
    assert markdown(Markdown("*a*")) == "*a*"


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_and_csv_hold_no_command_and_no_formula(text):
    escaped = re.sub(r"\\(text[a-z]+\{\}|[{}$&#%_])", "", formatting.latex(text))
    assert not set("\\{}$#%_^~&") & set(escaped)
    for prefix in ("", "=", "\uff1d", "\uff0b1", "a;=", "a; @", ";\uff0d"):
        field = csv_field(prefix + text)
        assert field.replace("'", "") == one_line(prefix + text, LONGEST).replace("'", "")
        cells = [cell.strip() for cell in field.split(";")]
        assert not any(cell.startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20")) for cell in cells)


def test_hidden_characters_are_shown_and_long_texts_cut():
    assert visible("a\u202eb\u2066c\x00") == "a<U+202E>b<U+2066>c<U+0000>"
    assert visible("two\n\tlines, a nbsp\u00a0and 👩\u200d👧") == "two\n\tlines, a nbsp\u00a0and 👩\u200d👧"
    assert visible("x" * 1_000_000, 10) == "xxxxxxxxxx … (cut: 1,000,000 characters)"


def test_numbers_intervals_and_p_values():
    assert [number(value) for value in (None, math.nan, -math.inf, 0.25, -0.25)] == ["", "", "", "0.2500", "−0.2500"]
    assert [number(value, 1, sign=True) for value in (0.25, 0.0)] == ["+0.2", "0.0"]
    assert [number(value) for value in (0.00001, -0.00001, -1e-17)] == ["1.0e-05", "−1.0e-05", "0.0000"]
    assert interval(None) == ""
    assert interval((0.5, 1.0), 2) == "(0.50 to 1.00)"
    assert interval((-0.5, 1.0), 2, sign=True, brackets=False) == "−0.50 to +1.00"
    assert formatting.estimate(0.5, None) == "0.5000"
    assert formatting.estimate(0.5, (0.25, 0.75), 2) == "0.50 (0.25 to 0.75)"
    assert [formatting.p_value(p) for p in (None, math.nan, 0.0004, 0.012, 0.25)] == ["", "", "<0.001", "0.012", "0.25"]
    assert [formatting.p_equals(p) for p in (None, 0.0004, 0.25)] == ["undefined", "< 0.001", "= 0.25"]
    texts = [cell(value) for value in (None, 0.25, 3, [0.5, 1], "a_b")]
    assert texts == ["", "0.2500", "3", "(0.5000 to 1.0000)", r"a\_b"]
    assert formatting.finite({"a": [math.nan, 1, (math.inf,)]}) == {"a": [None, 1, [None]]}
