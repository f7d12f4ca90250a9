"""Every task: its rows, its labels, and the errors that name the field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize("name", TASKS)
def test_a_label_is_right_by_its_own_rule_and_read_from_its_own_words(name: str) -> None:
    task = get(name)
    example = task.read(ROWS[name], "train-0")
    assert task.equal(example.label, example.label)
    assert not task.equal("", example.label)
    answer = task.read_answer(f" {example.label}.", example)
    assert answer is not None
    assert task.equal(answer, example.label)
    assert task.read_answer("", example) is None
    assert not task.choices or example.label in task.choices
    unlabelled = {field: value for field, value in ROWS[name].items() if field != task.label_field}
    assert task.read(unlabelled, "x").label == ""


def test_unknown_task_is_met_with_the_nearest() -> None:
    with pytest.raises(LimbeckError, match="svamp"):
        get("svmp")


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
    assert get(name).read(row, "x") == example


@pytest.mark.parametrize(
    ("task", "row", "field"),
    [
        ("svamp", {"label": "1"}, "input"),
        ("svamp", {"Body": "x"}, "Question"),
        ("svamp", {"input": "\n ", "label": "1"}, "input"),
        ("svamp", {"input": "x", "label": 4}, "label"),
        ("anli1", {"premise": None, "hypothesis": "y", "label": 0}, "premise"),
        *[("esnli", {**NLI, "label": label}, "label") for label in (-1, 3, True, 1.0, "maybe", "", [0])],
        *[("cqa", {**CQA, "choices": choices}, "choices") for choices in ("zoo", ["zoo"], ["zoo", 1], ["x"] * 27)],
        ("custom", {"input": "a \ud800", "label": "b"}, "input"),
        ("custom", {"input": "a", "label": "b", "id": "\udfff"}, "id"),
    ],
)
def test_a_bad_row_names_its_field(task: str, row: dict[str, Any], field: str) -> None:
    with pytest.raises(LimbeckError, match=f"field '{field}'") as error:
        get(task).read(row, "x")
    assert "\n" not in str(error.value)


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=3)
names = st.sampled_from(
    ["input", "label", "id", "uid", "premise", "hypothesis", "question", "choices", "answer", "Body", "Question", "x"]
)


@given(st.sampled_from(sorted(TASKS)), st.dictionaries(names | st.text(), values, max_size=6))
def test_any_row_gives_an_example_or_one_clear_line(name: str, row: dict[str, Any]) -> None:
    try:
        example = get(name).read(row, "x")
    except LimbeckError as error:
        assert "field '" in str(error)
        str(error).encode()  # can be printed
    else:
        assert all(segment.strip() for segment in example.segments)
        "".join([example.id, example.label, *example.segments, *example.choices]).encode()
