"""From raw rows to examples: labels and choices in every form, accepted answers, solutions, usual names of columns."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import load, read_rows
from limbeck.data.choices import read_choices
from limbeck.data.conversations import export_rows
from limbeck.data.tables import cell_text, parse_cell
from limbeck.errors import DataError, LimbeckError
from limbeck.schema import Example
from limbeck.tasks import get
from tests.helpers.archives import file_settings, write_rows

Read = Callable[..., list[Example]]
COLOURS = ["red", "green", "blue"]
LISTED = "\nAnswer Choices:\n(a) x\n(b) a"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return `read_rows` of a file with these rows."""

    def read_written(rows: list[dict[str, Any]], columns: Any = None, **options: Any) -> list[Example]:
        return read_rows(write_rows(tmp_path / "r.jsonl", rows), columns, **options)

    return read_written


def test_the_text_of_a_cell() -> None:
    values = [1, 1.0, -3.0, 0.1, 1e20, True, 10**400, Decimal("1.00"), " x ", "cafe\u0301 ", "\u00a0x\u2003", "a\0b"]
    texts = ["1", "1", "-3", "0.1", "1e+20", "true", str(10**400), "1", "x", "caf\u00e9", "x", "ab"]
    assert list(map(cell_text, values)) == texts


def test_missing_values(tmp_path: Path, read: Read) -> None:
    words = ["nan", "NaN", "null", "NULL", "None", "NA", "N/A", "<NA>", " "]
    lines = ["input,label,rationale,teacher_label", *(f"q,{word},{word},{word}" for word in words)]
    (tmp_path / "r.csv").write_text("\n".join(lines))
    rows = read_rows(tmp_path / "r.csv", labelled=False)
    assert [(row.label, row.rationale, row.teacher_label) for row in rows] == [("", None, None)] * 9
    answer = {"input": "q", "choices": ["None", "NA"], "label": "NA", "teacher_label": "none"}  # words as answers
    (row,) = read([answer])
    assert (row.label, row.teacher_label) == ("NA", "None")


def test_integers_beside_nulls_and_short_floats(tmp_path: Path) -> None:
    table = pd.DataFrame({"input": ["a", "b", "c"], "label": [1, None, 3], "small": np.float32([0.1, 2, 0.3])})
    table.to_parquet(tmp_path / "r.parquet")
    table.to_json(tmp_path / "r.json", orient="records")
    table.to_csv(tmp_path / "r.csv")
    for name in ("r.parquet", "r.json", "r.csv"):
        assert [row.label for row in read_rows(tmp_path / name, labelled=False)] == ["1", "", "3"]
    assert [row.label for row in read_rows(tmp_path / "r.parquet", {"label": "small"})] == ["0.1", "2", "0.3"]


@pytest.mark.parametrize(
    ("row", "label", "answers"),
    [
        ({"answers": ["a", "b"]}, "a", ("b",)),
        ({"label": "b", "answers": ["a", "b", "c "]}, "b", ("a", "c")),
        ({"answers": [1.0, 2]}, "1", ("2",)),
        ({"label": "[1, 2]"}, "[1, 2]", ()),
        ({"answers": '["a", "b"]'}, "a", ("b",)),
        ({"label": "b", "answers": "['a', 'b']"}, "b", ("a",)),
    ],
)
def test_several_accepted_answers(read: Read, row: dict[str, Any], label: str, answers: tuple[str, ...]) -> None:
    (example,) = read([{"input": "q", **row}])
    assert (example.label, example.answers) == (label, answers)


def test_solutions_with_their_answer_after_a_mark(read: Read) -> None:
    answers = ["3*4 = <<3*4=12>>12.\n#### 1,200", "#### -5", "a #### b #### c", "x\n#### <<12*2=24>>24"]
    rows = [{"question": f"q{i}", "answer": answer} for i, answer in enumerate(answers)]
    rows[3]["rationale"] = "Its <<1=1>>own; cout << x; y >> z"
    rationales = ["3*4 = 12.", None, "a #### b", "Its own; cout << x; y >> z"]
    expected = list(zip(["1,200", "-5", "c", "24"], rationales, strict=True))
    assert [(row.label, row.rationale) for row in read(rows)] == expected
    assert [row.label for row in read(rows[:2], task=get("custom", answer="number"))] == ["1200", "-5"]
    with pytest.raises(LimbeckError, match=r"r.jsonl:1: .*label"):
        read([{"question": "q", "answer": "nothing after it ####"}])


def test_labels_that_are_no_numbers_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = ["$5", "12,000", "50%", "many", "#### 42", "about a dozen"] * 4
    path = write_rows(tmp_path / "r.jsonl", [{"input": f"q{i}", "label": label} for i, label in enumerate(labels)])
    splits = load(file_settings(path, answer="number"))
    rows = [*splits.train, *splits.valid, *splits.test]
    assert (splits.notes["rows_without_label"], len(rows)) == (8, 16)
    assert {row.label for row in rows} <= {"5", "12000", "50", "50%", "42"}
    write_rows(path, [{"input": f"q{i}", "label": i} for i in range(20)])
    for answer in ("number", "text"):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "limbeck"):
            load(file_settings(path, answer=answer))
        assert ("answer: number" in caplog.text) == (answer == "text")


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"prompt": "q", "completion": "a"}, "q"),
        ({"instruction": "q", "input": "", "output": "a"}, "q"),
        ({"instruction": "q", "input": "r", "output": "a"}, "q\nr"),
        ({"input": "q", "Target": "a", "question": "no"}, "q"),
        ({"question": "q", "options": ["x", "a"], "correct": "B"}, f"q{LISTED}"),
        ({"question": f"q{LISTED}", "choices": ["x", "a"], "answer": "a"}, f"q{LISTED}"),
    ],
)
def test_usual_names_of_columns(read: Read, row: dict[str, Any], question: str) -> None:
    (example,) = read([row])
    assert (example.input, example.label) == (question, "a")


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({"Frage": "q", "Antwort": "a"}, ["Frage", "Antwort"]),
        ({"question": "q", "answer": "a", "response": "b"}, ["answer", "response"]),
        ({"input": "q", "verdict": "a"}, ["verdict"]),
    ],
)
def test_ambiguous_names_of_columns_are_listed(read: Read, row: dict[str, Any], names: list[str]) -> None:
    with pytest.raises(LimbeckError) as caught:
        read([row])
    assert all(name in str(caught.value) for name in [*names, "columns: {"])


def test_mapped_columns(read: Read) -> None:
    rows: list[dict[str, Any]] = [{"text": "why", "title": "t", "a": "b", "w1": "One.", "w2": None, "w3": "Two."}]
    columns = {"input": ["title", "text"], "label": "a", "rationale": ["w1", "w2", "w3"]}
    assert read(rows, columns) == [Example("r-0", ("t", "why"), "b", "One.\nTwo.")]  # as a list of sentences
    with pytest.raises(LimbeckError, match=r"no column .*'w4'"):
        read(rows, {**columns, "rationale": ["w1", "w4"]})
    rows = [{"question": {"stem": "q"}, "result": {"value": {"text": "a"}}}]
    assert read(rows, {"input": "question.stem", "label": "result.value.text"}) == [Example("r-0", ("q",), "a")]
    rows = [{"input": "x", "gold": "y"}, {"input": "x", "label": "z"}]
    assert [row.label for row in read(rows, {"label": "gold"})] == ["y", ""]  # not taken from its old name


def test_the_fields_of_a_task(read: Read) -> None:
    labels = (1.0, "Contradiction", None, "-1", -1, "-")  # the last where annotators did not agree
    rows = [{"premise": "p", "hypothesis": "h", "label": label} for label in labels]
    examples = read(rows, labelled=False, task=get("esnli"))
    assert [row.label for row in examples] == ["neutral", "contradiction", "", "", "", ""]
    pairs = [{"a": "p", "b": "h", "gold": 2, "input": "not this", "teacher_label": "0"}]
    (mapped,) = read(pairs, {"input": ["a", "b"], "label": "gold"}, task=get("esnli"))
    assert (mapped.segments, mapped.label, mapped.teacher_label) == (("p", "h"), "contradiction", "entailment")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"label": "y"}, "input"),
        ({"input": "x", "label": [["y"]]}, ".*label"),
        ({"input": ["x", 3], "label": "y"}, ".*input"),
        ({"input": "x", "label": "y", "rationale": 3}, ".*rationale"),
        ({"input": "x", "label": "y", "id": "1"}, "id: .*l:1"),
    ],
)
def test_bad_rows_name_their_location_and_field(read: Read, row: dict[str, Any], reason: str) -> None:
    with pytest.raises(LimbeckError, match=f"r.jsonl:2: {reason}"):
        read([{"input": "x", "label": "y", "id": 1}, row])


@pytest.mark.parametrize(
    "cell",
    [
        *(["red ", "\tdark blue", None], ["A)red", "B)dark blue"], {"A": "red", "B": "dark blue", "C": None}),
        {"text": ["red", "dark blue"], "label": ["A", "B"]},
        [{"text": "red", "label": "A"}, {"label": "B", "text": "dark blue"}],
        *("['red', 'dark blue']", " red | dark blue ", "a ) red , b ) dark blue"),
    ],
)
def test_choices_in_every_form(cell: Any) -> None:
    assert read_choices(cell).texts == ("red", "dark blue")


def test_choices_that_look_like_something_else() -> None:
    for choices in (["None of the above", "None", "NA"], ["A) x", "C) y"], ["it's", 'say "so"', "a\nb"]):
        assert read_choices(choices).texts == read_choices(repr(choices)).texts == tuple(choices)
    assert (read_choices([0, 1]).texts, read_choices([True, False]).texts) == (("0", "1"), ("true", "false"))


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
def test_labels_name_their_choice(read: Read, labels: list[Any], choices: Any, expected: list[str]) -> None:
    rows = [{"input": f"q{i}", "choices": choices, "label": label} for i, label in enumerate(labels)]
    assert [row.label for row in read(rows)] == expected


@pytest.mark.parametrize(
    "rows",
    [
        *([(COLOURS, label) for label in labels] for labels in ([1, 2], [1], ["2", "1"], [0, 3], [4], ["D"], [-1])),
        [(["1", "2", "3"], 2), (COLOURS, 0)],  # one row's text would be all rows' number
        [(["B", "A"], "A"), (COLOURS, "B")],
        [(["x", "dam"], "dam"), (["B", "A"], "A"), (COLOURS, "B")],  # no single way reads all of them
    ],
)
def test_labels_that_could_mean_two_choices_or_none(read: Read, rows: list[tuple[list[Any], Any]]) -> None:
    with pytest.raises(LimbeckError, match=r"r.jsonl:\d: label"):
        read([{"input": f"q{i}", "choices": choices, "label": label} for i, (choices, label) in enumerate(rows)])


COLUMNS = ["A B C", "a b c", "option_a option_b option_c", "choice1 choice2 choice3", "ending0 ending1 ending2"]


@pytest.mark.parametrize("names", [*map(str.split, COLUMNS), ["Option A", "Option B", "Option C"]])
def test_choices_in_columns(read: Read, names: list[str]) -> None:
    rows = [{"question": "q", **dict(zip(names, COLOURS, strict=True)), "answer": "B"}]
    (example,) = read(rows)
    assert (example.choices, example.label, example.segments) == (tuple(COLOURS), "green", ("q",))
    (example,) = read(rows, {"choices": [names[1], names[0]]})
    assert (example.choices, example.label) == (("green", "red"), "red")


def test_a_row_may_have_several_rationales_a_reverse_question_and_votes(read: Read) -> None:
    row: dict[str, Any] = {"input": "1+1?", "label": "2", "rationales": ["a b", "c", "a b"], "wrong_rationales": ["x"]}
    row |= {"reverse": {"question": "2-1?", "rationale": "back"}, "votes": {"2": 3, "3": 1}, "rectified": True}
    (example,) = read([row])
    assert (example.rationale, example.rationales, example.wrong_rationales) == ("a b", ("a b", "c"), ("x",))
    assert (example.reverse, dict(example.votes)) == (("2-1?", "back"), {"2": 0.75, "3": 0.25})
    assert example.rectified
    exported, _ = export_rows([example], get("custom"), "limbeck")
    assert [replace(row, id=example.id) for row in read(exported)] == [example]


@pytest.mark.parametrize(("value", "truth"), [(True, True), ("True", True), (False, False), ("", False), (None, False)])
def test_truth_values(read: Read, value: Any, truth: bool) -> None:
    assert read([{"input": "1+1?", "label": "2", "rectified": value}])[0].rectified is truth


WRONG_CELLS = [("reverse", {"question": "q"}), ("votes", {"2": -1}), ("votes", ["2"]), ("rectified", "maybe")]


def test_votes_for_one_choice_add_up_in_any_format(read: Read, tmp_path: Path) -> None:
    rows = [
        {"input": "a?", "label": "green", "choices": COLOURS, "votes": {"green": 1, "GREEN": 2, "red": 1}},
        {"input": "b?", "label": "blue", "choices": COLOURS, "votes": {"blue": 5}},
    ]
    expected = [{"green": 0.75, "red": 0.25}, {"blue": 1.0}]
    assert [dict(row.votes) for row in read(rows)] == expected
    pd.DataFrame(rows).to_parquet(tmp_path / "votes.parquet")
    assert [dict(row.votes) for row in read_rows(tmp_path / "votes.parquet")] == expected


@pytest.mark.parametrize(("field", "value"), [*WRONG_CELLS, ("rectified", 1), ("rectified", [True])])
def test_a_wrong_reverse_question_vote_or_truth_value_is_named(read: Read, field: str, value: Any) -> None:
    with pytest.raises(DataError, match=rf"line 1: {field}:|:1: {field}:"):
        read([{"input": "1+1?", "label": "2", field: value}])
