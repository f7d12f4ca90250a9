"""Every task: its rows, its labels, and the errors that name the field."""

from typing import Any

import pytest

from limbeck.data.rows import read_examples
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import TASKS, get

NLI_SEGMENTS = ("A man sleeps.", "A man is awake.")
NLI = {"premise": NLI_SEGMENTS[0], "hypothesis": NLI_SEGMENTS[1], "label": 2}
CQA = {"question": "Where do beavers live?", "choices": ["zoo", "dam"], "answer": "dam", "id": "q1"}
PUBLISHED = {"ID": "chal-1", "Body": "A costs 76.", "Question": "How much?", "Equation": "( 76.0 - 25.0 )"}
ROWS: dict[str, dict[str, Any]] = {
    "svamp": {"input": "Luke has 3.\nHow many?", "label": "( 3.0 + 1.0 )"},
    "cqa": CQA,
    "esnli": NLI,
    "anli1": {**NLI, "uid": "u1"},
    "arithmetic": {"input": "Ada has 3. How many?", "label": "( 3.0 + 1.0 )"},
    "custom": {"input": "Why?", "label": "because"},
}


def read(name: str, row: dict[str, Any]) -> Example:
    return read_examples({"": [[("rows.jsonl:1", "x", row)]]}, {}, get(name), labelled=False)[""][0]


@pytest.mark.parametrize("name", TASKS)
def test_a_label_is_right_by_its_own_rule_and_read_from_its_own_words(name: str) -> None:
    task, example = get(name), read(name, ROWS[name])
    assert task.equal(example.label, example.label)
    assert not task.equal("", example.label)
    assert task.equal(str(task.read_answer(f" {example.label}.", example)), example.label)
    assert task.read_answer("", example) is None
    assert not task.choices or example.label in task.choices
    unlabelled = {field: value for field, value in ROWS[name].items() if field not in ("label", "answer")}
    assert read(name, unlabelled).label == ""


@pytest.mark.parametrize(
    ("name", "row", "example"),
    [
        ("esnli", NLI, Example("x", NLI_SEGMENTS, "contradiction", choices=get("esnli").choices)),
        ("anli1", {**NLI, "label": "Neutral"}, Example("x", NLI_SEGMENTS, "neutral", choices=get("esnli").choices)),
        ("cqa", CQA, Example("q1", ("Where do beavers live?",), "dam", choices=("zoo", "dam"), own_choices=True)),
        ("svamp", PUBLISHED, Example("chal-1", ("A costs 76.\nHow much?",), "( 76.0 - 25.0 )")),
    ],
)
def test_a_row_gives_its_example(name: str, row: dict[str, Any], example: Example) -> None:
    assert read(name, row) == example


@pytest.mark.parametrize(
    ("task", "row", "field"),
    [
        ("svamp", {"Body": "x"}, "Question"),
        ("svamp", {"input": "\n ", "label": "1"}, "input"),
        ("anli1", {"premise": None, "hypothesis": "y", "label": 0}, "premise"),
        *[("esnli", {**NLI, "label": label}, "label") for label in (3, True, "maybe")],
        ("cqa", {**CQA, "choices": None}, "choices"),
        ("custom", {"input": "a \ud800", "label": "b"}, "input"),
        ("custom", {"input": "a", "label": "b", "id": "\udfff"}, "id"),
    ],
)
def test_a_bad_row_names_its_field(task: str, row: dict[str, Any], field: str) -> None:
    with pytest.raises(LimbeckError, match=r"^rows.jsonl:1: ") as error:
        read(task, row)
    assert error.value.field == field
    assert "\n" not in str(error.value)
