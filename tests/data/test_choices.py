"""Choices in every form that files have them, and labels that name one by key, text, letter or number."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import read_rows
from limbeck.data.choices import read_choices
from limbeck.data.tables import parse_cell
from limbeck.errors import LimbeckError
from tests.helpers.archives import write_rows

COLOURS = ["red", "green", "blue"]
TWO = ("red", "dark blue")


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        (["red ", "\tdark blue", None], TWO),
        ({"text": ["red", "dark blue"], "label": ["A", "B"]}, TWO),
        ({"A": "red", "B": "dark blue", "C": None}, TWO),
        ([{"text": "red", "label": "A"}, {"label": "B", "text": "dark blue"}], TWO),
        (["A)red", "B)dark blue"], TWO),
        ("['red', 'dark blue']", TWO),
        (" red | dark blue ", TWO),
        ("a ) red , b ) dark blue", TWO),
        ([0, 1], ("0", "1")),
        ([True, False], ("true", "false")),
        (["None of the above", "None", "NA"], ("None of the above", "None", "NA")),
        (["A) x", "C) y"], ("A) x", "C) y")),
        (repr(["it's", 'say "so"', "a\nb"]), ("it's", 'say "so"', "a\nb")),
    ],
)
def test_choices_in_every_form(cell: Any, texts: tuple[str, ...]) -> None:
    assert read_choices(cell).texts == texts


@pytest.mark.parametrize(
    "cell", ["red, blue", 3, ["x", ["y"]], ["x", None, "y"], [], {"text": ["x", "y"], "label": [1]}, "['a' 'b']"]
)
def test_cells_without_choices(cell: Any) -> None:
    with pytest.raises(LimbeckError, match="choices"):
        read_choices(cell)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0'\""), min_size=2, max_size=8), min_size=1))
def test_lists_as_json_and_as_python_prints_them(texts: list[str]) -> None:
    assert parse_cell(json.dumps(texts)) == texts
    assert parse_cell(repr(texts)) == texts


def test_a_cell_is_never_evaluated_and_its_time_is_in_proportion() -> None:
    expressions = ("[__import__('os')]", "['a'*9999999]", "[1 for x in y]", "[f'{1}']", "[1 2 ... 9]", "(1) 5 (2) 6")
    long = ("[" * 200_000, "['" + "\\" * 200_001, "['a' " * 100_000, "{'a':" * 100_000, "[" + "1e" * 200_000)
    for cell in (*expressions, *long):
        assert parse_cell(cell) == cell


@pytest.mark.parametrize(
    ("labels", "choices", "expected"),
    [
        (["a", "(b)", "c."], COLOURS, COLOURS),
        ([0, 1, 2], COLOURS, COLOURS),
        (["1", "2", "3"], COLOURS, COLOURS),
        ([" RED ", "Green.", "blue"], COLOURS, COLOURS),
        (["A", "green", "C"], COLOURS, COLOURS),
        (["A) red", "(b) Green", "c. blue"], COLOURS, COLOURS),
        # the data's own keys go before a text, and a text before a letter or number
        (["1", "2"], {"label": ["1", "2"], "text": ["2", "1"]}, ["2", "1"]),
        ([1, 0], [1.0, 0.0], ["1", "0"]),
        (["A", "B"], ["B", "A"], ["A", "B"]),
        (["None", "x"], ["None", "x"], ["None", "x"]),
        (["US", "us"], ["us", "US"], ["US", "us"]),
    ],
)
def test_labels_name_their_choice(tmp_path: Path, labels: list[Any], choices: Any, expected: list[str]) -> None:
    rows = [{"input": f"q{i}", "choices": choices, "label": label} for i, label in enumerate(labels)]
    assert [row.label for row in read_rows(write_rows(tmp_path / "r.jsonl", rows))] == expected


@pytest.mark.parametrize(
    "rows",
    [
        *([(COLOURS, label) for label in labels] for labels in ([1, 2], [1], ["2", "1"], [0, 3], [4], ["D"], [-1])),
        [(["1", "2", "3"], 2), (COLOURS, 0)],  # one row's text would be all rows' number
        [(["B", "A"], "A"), (COLOURS, "B")],
        [(["x", "dam"], "dam"), (["B", "A"], "A"), (COLOURS, "B")],  # no single way reads all of them
    ],
)
def test_labels_that_could_mean_two_choices_or_none(tmp_path: Path, rows: list[tuple[list[Any], Any]]) -> None:
    texts = [{"input": f"q{i}", "choices": choices, "label": label} for i, (choices, label) in enumerate(rows)]
    write_rows(tmp_path / "r.jsonl", texts)
    with pytest.raises(LimbeckError, match=r"r.jsonl:\d: label"):
        read_rows(tmp_path / "r.jsonl")


@pytest.mark.parametrize(
    "names",
    [
        *("ABC", "abc", ["option_a", "option_b", "option_c"], ["Option A", "Option B", "Option C"]),
        *(["choice1", "choice2", "choice3"], ["ending0", "ending1", "ending2"]),
    ],
)
def test_choices_in_columns(tmp_path: Path, names: list[str]) -> None:
    row = {"question": "q", **dict(zip(names, COLOURS, strict=True)), "answer": "B"}
    pd.DataFrame([row]).to_csv(tmp_path / "r.csv", index=False)
    (example,) = read_rows(tmp_path / "r.csv")
    assert (example.choices, example.label, example.segments) == (tuple(COLOURS), "green", ("q",))
    (example,) = read_rows(tmp_path / "r.csv", {"choices": [names[1], names[0]]})
    assert (example.choices, example.label) == (("green", "red"), "red")
