"""Every task: its rows, its labels, and the errors that name the field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import TASKS, get

NLI = {"premise": "A man sleeps.", "hypothesis": "A man is awake.", "label": 2}
CQA = {"question": "Where do beavers live?", "choices": ["zoo", "dam"], "answer": "dam", "id": "q1"}
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
    if task.choices:
        assert example.label in task.choices


@pytest.mark.parametrize("name", TASKS)
def test_a_row_without_label_has_a_blank_one(name: str) -> None:
    task = get(name)
    row = {field: value for field, value in ROWS[name].items() if field != task.label_field}
    assert task.read(row, "x").label == ""


def test_unknown_task_is_met_with_the_nearest() -> None:
    with pytest.raises(LimbeckError, match="did you mean 'svamp'"):
        get("svmp")


def test_nli() -> None:
    for name in ("esnli", "anli1"):
        assert get(name).read(NLI, "valid-7") == Example(
            "valid-7",
            ("A man sleeps.", "A man is awake."),
            "contradiction",
            choices=("entailment", "neutral", "contradiction"),
        )
    labels = [0, 1, 2, "0", "Neutral", "contradiction"]
    assert [get("anli1").read({**NLI, "label": label}, "").label for label in labels] == [
        "entailment", "neutral", "contradiction", "entailment", "neutral", "contradiction",
    ]  # fmt: skip
    assert get("anli1").read(ROWS["anli1"], "valid-7").id == "u1"


@pytest.mark.parametrize("label", [-1, 3, True, 1.0, "maybe", "", [0], {"label": 0}])
def test_nli_label_out_of_range(label: Any) -> None:
    with pytest.raises(LimbeckError, match="field 'label'"):
        get("esnli").read({**NLI, "label": label}, "")


def test_cqa() -> None:
    assert get("cqa").read(CQA, "train-0") == Example(
        "q1", ("Where do beavers live?",), "dam", choices=("zoo", "dam"), own_choices=True
    )


@pytest.mark.parametrize("choices", [None, "zoo", ["zoo"], ["zoo", 1], ["zoo", " "], ["x"] * 27, {"a": "b"}])
def test_cqa_choices(choices: Any) -> None:
    with pytest.raises(LimbeckError, match="field 'choices'"):
        get("cqa").read({**CQA, "choices": choices}, "")


def test_svamp_as_first_published() -> None:
    row = {
        "ID": "chal-1",
        "Body": "A costs 76.",
        "Question": "How much?",
        "Equation": "( 76.0 - 25.0 )",
        "Answer": 51.0,
    }
    assert get("svamp").read(row, "x") == Example("chal-1", ("A costs 76.\nHow much?",), "( 76.0 - 25.0 )")


@pytest.mark.parametrize(
    ("task", "row", "field"),
    [
        ("svamp", {"label": "1"}, "input"),
        ("svamp", {"Body": "x"}, "Question"),
        ("svamp", {"input": "\n ", "label": "1"}, "input"),
        ("svamp", {"input": "x", "label": 4}, "label"),
        ("esnli", {"premise": "x", "label": 0}, "hypothesis"),
        ("anli1", {"premise": None, "hypothesis": "y", "label": 0}, "premise"),
        ("cqa", {**CQA, "question": 3}, "question"),
        ("custom", {"input": ["a"], "label": "b"}, "input"),
        ("custom", {"input": "a \ud800", "label": "b"}, "input"),
        ("custom", {"input": "a", "label": "b", "id": "\udfff"}, "id"),
    ],
)
def test_a_bad_row_names_its_field(task: str, row: dict[str, Any], field: str) -> None:
    with pytest.raises(LimbeckError, match=f"field '{field}'") as caught:
        get(task).read(row, "x")
    assert "\n" not in str(caught.value)
    str(caught.value).encode()  # can be printed


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
        str(error).encode()
    else:
        assert all(segment.strip() for segment in example.segments)
        "".join([example.id, example.label, *example.segments, *example.choices]).encode()


def test_tasks_are_named_as_they_are_filed() -> None:
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in ROWS}
