"""Escaped text before another's parser of CommonMark and tables."""

import pytest
from markdown_it import MarkdownIt

from limbeck.markdown import LONGEST, Markdown, cell, code, number, table, text
from tests.runs.hostile import HOSTILE


@pytest.mark.parametrize("words", HOSTILE)
def test_escaped_text_is_text_to_a_parser(words):
    for shown in (text(words), code(words), cell(words)):
        tokens = MarkdownIt("commonmark").enable("table").parse(f"| a |\n|---|\n| {shown} |\n")
        cells = [token for token in tokens if token.type == "inline"]
        assert len(cells) == 2
        assert {child.type for child in cells[1].children} <= {"text", "code_inline", "text_special"}
        said = "".join(child.content for child in cells[1].children)
        wanted = " ".join(words.split())[:LONGEST].replace("\u202e", "<U+202E>")
        assert said == wanted + (" … (cut: 1,000 characters)" if len(words) > LONGEST else "")


def test_what_is_made_a_link_without_any_sign_is_broken():
    for words in ("https://evil.example", "www.evil.example", "me@evil.example", ":skull:"):
        assert text(words) != words
    plain = "It's 3.5 (the teacher's), at 12:30 - or so: \N{MAN}\N{ZERO WIDTH JOINER}\N{ROCKET}!"
    assert text(plain) == plain.replace("12:", "12\\:")
    assert text(Markdown("*a*")) == "*a*"


def test_values_in_a_table():
    assert [cell(value) for value in (None, 0.25, -0.25, 0.00001, 0.0, 3, (0.5, 1.0), [0.5, 1], "a_b")] == [
        *("", "0.2500", "-0.2500", "1.0e-05", "0.0000", "3", "(0.5000 to 1.0000)", "(0.5000 to 1.0000)", r"a\_b"),
    ]
    assert [number(value) for value in (None, 0.25, 0.00001)] == ["not measured", "0.250", "1.0e-05"]
    assert table(("a", "b"), [(1, "x|y")]) == ["| a | b |", "| --- | --- |", r"| 1 | x\|y |", ""]
