"""Choices in every form that files have them, and labels that name one by key, text, letter or number."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import read_rows
from limbeck.data.cells import parse_cell
from limbeck.data.choices import read_choices
from limbeck.errors import LimbeckError
from limbeck.tasks import get

TWO = ("red", "dark blue")


@pytest.mark.parametrize(
    "cell",
    [
        ["red", "dark blue"],
        ("red", "dark blue"),
        {"text": ["red", "dark blue"], "label": ["A", "B"]},
        {"A": "red", "B": "dark blue"},
        {"A": "red", "B": "dark blue", "C": None},
        [{"text": "red", "label": "A"}, {"label": "B", "text": "dark blue"}],
        [{"id": "A", "content": "red"}, {"id": "B", "content": "dark blue"}],
        ["A)red", "B)dark blue"],
        ["(a) red", "(b) dark blue"],
        ["red ", "\tdark blue", None],
        "['red', 'dark blue']",
        "['red' 'dark blue']",
        "('red', 'dark blue')",
        "{'A': 'red', 'B': 'dark blue'}",
        '{"text": ["red", "dark blue"], "label": ["A", "B"]}',
        str({"text": np.array(TWO, dtype=object), "label": np.array(["A", "B"], dtype=object)}),
        repr(list(np.array(TWO, dtype=object))),
        str(np.array(TWO)),
        "red|dark blue",
        " red | dark blue ",
        "red\ndark blue\n",
        "a ) red , b ) dark blue",
        "(A) red (B) dark blue",
    ],
)
def test_the_same_choices_in_every_form(cell: Any) -> None:
    assert read_choices(cell).texts == TWO


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        ([0, 1], ("0", "1")),
        ([1.0, 2.5], ("1", "2.5")),
        ([True, False], ("true", "false")),
        ("[0 1]", ("0", "1")),
        (["None of the above", "None", "NA"], ("None of the above", "None", "NA")),
        (["A) x", "C) y"], ("A) x", "C) y")),
        (["cafe\u0301"], ("caf\u00e9",)),
        (repr(["it's", 'say "so"', "a\nb"]), ("it's", 'say "so"', "a\nb")),
    ],
)
def test_other_choices(cell: Any, texts: tuple[str, ...]) -> None:
    assert read_choices(cell).texts == texts


@pytest.mark.parametrize(
    "cell",
    [
        "red, blue",
        "red",
        3,
        {"a": 1},
        ["x", ["y"]],
        ["x", None, "y"],
        ["x", " ", "y"],
        {"text": ["x"], "label": [1, 2]},
    ],
)
def test_what_are_no_choices(cell: Any) -> None:
    with pytest.raises(LimbeckError, match="choices"):
        read_choices(cell)


printable = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(printable, min_size=1, max_size=5))
def test_lists_as_python_and_numpy_print_them(texts: list[str]) -> None:
    assert list(parse_cell(repr(texts))) == texts
    assert list(parse_cell(str(tuple(texts)))) == texts
    with np.printoptions(threshold=100):
        assert list(parse_cell(str(np.array(texts, dtype=object)))) == texts


@settings(max_examples=100, deadline=None)
@given(st.text("[](){},:'\"\\ ax1.-e\n", max_size=40))
def test_any_cell_is_a_list_a_mapping_or_itself(cell: str) -> None:
    value = parse_cell(cell)
    assert value == cell or isinstance(value, list | dict | tuple)


def test_a_cell_is_never_evaluated_and_its_time_is_in_proportion() -> None:
    for cell in ("[__import__('os')]", "[open('x')]", "['a'*9999999]", "[1 for x in y]", "[f'{1}']"):
        assert parse_cell(cell) == cell
    for cell in ("[" * 200_000, "['" + "\\" * 200_001, "['a' " * 100_000, "{'a':" * 100_000, "[" + "1e" * 200_000):
        assert parse_cell(cell) == cell


def rows_of(tmp_path: Path, labels: list[Any], choices: Any = ("red", "green", "blue")) -> Path:
    path = tmp_path / "r.jsonl"
    rows = [{"input": f"q{i}", "choices": choices, "label": label} for i, label in enumerate(labels)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


RED = ["red", "green", "blue"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["A", "B", "C"], RED),
        (["a", "(b)", "c."], RED),
        ([0, 1, 2], RED),
        (["0", "1", "2"], RED),
        ([0.0, 1.0], RED[:2]),
        ([1, 2, 3], RED),
        ([3, 1], ["blue", "red"]),
        ([0, 1], RED[:2]),
        ([" RED ", "Green.", "blue"], RED),
        (["A) red", "(b) Green", "C: blue"], RED),
        (["A", "green", "(C) blue"], RED),
    ],
)
def test_labels_name_their_choice(tmp_path: Path, labels: list[Any], expected: list[str]) -> None:
    assert [row.label for row in read_rows(rows_of(tmp_path, labels))] == expected


@pytest.mark.parametrize(
    ("labels", "choices", "expected"),
    [
        (["1", "2"], [1, 2, 3], ["1", "2"]),  # a text goes before a number
        ([0, 1], [0, 1], ["0", "1"]),
        ([1, 0], [1.0, 0.0], ["1", "0"]),
        (["1", "2"], {"label": ["1", "2"], "text": ["2", "1"]}, ["2", "1"]),  # the data's own keys before a text
        (["D"], {"label": ["E", "D"], "text": ["x", "y"]}, ["y"]),
        (["A", "B"], ["B", "A"], ["A", "B"]),
        ([True, False], ["yes", "no"], ["yes", "no"]),
        ([True, False], [False, True], ["true", "false"]),
        (["None", "x"], ["None", "x"], ["None", "x"]),
        (["US", "us"], ["us", "US"], ["US", "us"]),
    ],
)
def test_what_goes_before_what(tmp_path: Path, labels: list[Any], choices: Any, expected: list[str]) -> None:
    assert [row.label for row in read_rows(rows_of(tmp_path, labels, choices))] == expected


@pytest.mark.parametrize("labels", [[1, 2], [1], ["2", "1"], [0, 3], [4], ["D"], ["A) green"], ["purple"], [-1]])
def test_labels_that_could_mean_two_choices_or_none(tmp_path: Path, labels: list[Any]) -> None:
    with pytest.raises(LimbeckError, match=r"r.jsonl:1: label"):
        read_rows(rows_of(tmp_path, labels))


def test_choices_in_columns(tmp_path: Path) -> None:
    for names, label in [
        ("ABC", "B"),
        ("abc", "b"),
        (["option_a", "option_b", "option_c"], "B"),
        (["opa", "opb", "opc"], "b"),
        (["Option A", "Option B", "Option C"], "green"),
        (["choice1", "choice2", "choice3"], "green"),
        (["ending0", "ending1", "ending2"], "green"),
    ]:
        row = {"question": "q", **dict(zip(names, RED, strict=True)), "answer": label}
        pd.DataFrame([row]).to_csv(tmp_path / "r.csv", index=False)
        (example,) = read_rows(tmp_path / "r.csv")
        assert (example.choices, example.label, example.segments) == (tuple(RED), "green", ("q",))
    mapped: Any = {"choices": ["right", "wrong"], "label": "right"}
    pd.DataFrame([{"question": "q", "wrong": "x", "right": "y"}]).to_csv(tmp_path / "r.csv", index=False)
    (example,) = read_rows(tmp_path / "r.csv", mapped)
    assert (example.choices, example.label) == (("y", "x"), "y")


def test_commonsense_qa_as_it_is_released(tmp_path: Path) -> None:
    entries = [{"label": "A", "text": "zoo"}, {"label": "B", "text": "dam"}]
    hub = {"question": "q", "choices": {"label": ["A", "B"], "text": ["zoo", "dam"]}, "answerKey": "B"}
    for row in ({"answerKey": "B", "question": {"stem": "q", "choices": entries}}, hub):
        (tmp_path / "r.jsonl").write_text(json.dumps(row))
        for task in ("cqa", "custom"):
            (example,) = read_rows(tmp_path / "r.jsonl", task=get(task))
            assert (example.label, example.choices) == ("dam", ("zoo", "dam"))
            assert example.input == "q\nAnswer Choices:\n(a) zoo\n(b) dam"


@pytest.mark.parametrize(
    "rows",
    [
        [(["1", "2", "3"], 2), (RED, 0)],  # one row's text would be all rows' number
        [([10, 20, 30], "20"), (["3", "1", "2"], "1"), (RED, "3")],
        [(["B", "A"], "A"), (RED, "B")],
        [(["x", "dam"], "dam"), (["B", "A"], "A"), (RED, "B")],  # no one way reads all of them
    ],
)
def test_a_letter_or_number_that_is_another_choices_text(tmp_path: Path, rows: list[tuple[list[Any], Any]]) -> None:
    path = tmp_path / "r.jsonl"
    texts = [{"input": f"q{i}", "choices": choices, "label": label} for i, (choices, label) in enumerate(rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in texts))
    with pytest.raises(LimbeckError, match=r"r.jsonl:\d: label"):
        read_rows(path)


@pytest.mark.parametrize("text", ["(1) 5 (2) 6 (3) 7", "(212) 5551234", "[1 2 ... 9]"])
def test_a_text_with_brackets_is_no_list(text: str) -> None:
    assert parse_cell(text) == text
