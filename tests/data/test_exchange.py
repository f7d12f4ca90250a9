"""Rows out, for limbeck and for other trainers, and conversations in: what goes out comes back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from limbeck.data import Form, export_rows, read, read_conversations, read_rows
from limbeck.data.cells import cell_text, is_missing
from limbeck.files import write_jsonl
from limbeck.llm import parse
from limbeck.schema import Example
from limbeck.tasks import get
from tests.archives import archive_settings

TEXT_OF: dict[Form, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "prompt-completion": lambda row: (row["prompt"], row["completion"]),
    "messages": lambda row: tuple(turn["content"] for turn in row["messages"]),  # type: ignore[return-value]
    "instruction": lambda row: (row["input"], row["output"]),
}
in_a_folder = hypothesis_settings(
    max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
anything = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda words: not is_missing(words) and "\0" not in words and "####" not in words
)
canonical = anything.filter(lambda words: cell_text(words) == words)  # as labels are read
choices = st.lists(canonical, min_size=1, max_size=3)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    allowed = draw(st.just([]) | choices)
    answer = st.sampled_from(allowed) if allowed else canonical
    segments = tuple(draw(st.lists(anything, min_size=1, max_size=3)))
    optional = st.none() | anything
    teacher = draw(st.none() | answer)
    label, own = draw(answer), bool(allowed)
    others = [] if own else draw(st.lists(canonical, max_size=2, unique=True).filter(lambda texts: label not in texts))
    known = {"answers": tuple(others), "own_choices": own}
    return Example(draw(canonical), segments, label, draw(optional), teacher, tuple(allowed), **known)


@in_a_folder
@given(st.lists(examples(), min_size=1, max_size=5, unique_by=lambda example: example.id))
def test_our_own_rows_are_read_back_as_the_very_same_examples(tmp_path: Path, given: list[Example]) -> None:
    rows, left_out = export_rows(given, get("custom"), "limbeck")
    write_jsonl(tmp_path / "r.jsonl", rows)
    assert read_rows(tmp_path / "r.jsonl") == given
    assert left_out == 0
    assert all(value is not None for row in rows for value in row.values())


def test_own_rows_as_they_are() -> None:
    several = [
        Example("x", ("p", "h"), "neutral", "Because.", None, ("neutral", "not")),
        Example("x#2", ("q",), "", None, "no"),
    ]
    assert export_rows(several, get("custom"), "limbeck")[0] == [
        {"id": "x", "input": ["p", "h"], "label": "neutral", "rationale": "Because.", "choices": ["neutral", "not"]},
        {"id": "x#2", "input": "q", "teacher_label": "no"},
    ]


def test_the_released_rows_go_out_and_come_back(dss: Path, tmp_path: Path) -> None:
    for task in ("svamp", "anli1"):
        released = read(archive_settings(dss, task))["test"]
        write_jsonl(tmp_path / "r.jsonl", export_rows(released, get(task), "limbeck")[0])
        assert read_rows(tmp_path / "r.jsonl", task=get(task)) == released


def test_the_forms_for_other_trainers() -> None:
    row = Example("1", ("Where does a beaver find wood?",), "forest", "Beavers fell trees.\nTrees make forests.")
    reply = "Beavers fell trees.\nTrees make forests.\nThe answer is forest."
    custom = get("custom")
    assert export_rows([row], custom, "prompt-completion") == ([{"prompt": row.input, "completion": reply}], 0)
    turns = [{"role": "user", "content": row.input}, {"role": "assistant", "content": reply}]
    assert export_rows([row], custom, "messages") == ([{"messages": turns}], 0)
    instruction = 'Reason step by step, then write "The answer is" and the answer.'
    asked = {"instruction": instruction, "input": row.input, "output": reply}
    assert export_rows([row], custom, "instruction") == ([asked], 0)
    (nli,) = export_rows([Example("1", ("p", "h"), "neutral", "So.")], get("esnli"), "instruction")[0]
    assert nli["instruction"].endswith('"Answer:" and the answer, which is one of: entailment, neutral, contradiction.')
    assert nli["input"] == "p\nh"


@pytest.mark.parametrize("form", TEXT_OF)
def test_without_rationale_or_label_there_is_nothing_to_learn(form: Form) -> None:
    rows = [Example("1", ("q",), "a", "r"), Example("2", ("q",), "a"), Example("3", ("q",), "", "r")]
    exported, left_out = export_rows(rows, get("custom"), form)
    assert (len(exported), left_out) == (1, 2)


def test_every_form_is_tested() -> None:
    assert set(get_args(Form)) == {"limbeck", *TEXT_OF}


word = st.text("abcdefgh", min_size=2, max_size=6)
words = st.lists(word, min_size=1, max_size=6).map(" ".join)
rationale = st.lists(words, min_size=1, max_size=4).flatmap(
    lambda sentences: st.sampled_from([". ", ".\n", "\n\n", "; "]).map(lambda end: end.join(sentences) + end.strip())
)
number = st.integers(0, 999).map(lambda value: f"{value}.0")
equation = st.tuples(number, st.sampled_from("+-*/"), number).map(lambda parts: f"( {' '.join(parts)} )")
LABELS = ("entailment", "neutral", "contradiction")
answered = st.one_of(
    st.tuples(st.just("custom"), words, st.just(())),
    st.tuples(st.sampled_from(["svamp", "arithmetic"]), equation, st.just(())),
    st.tuples(st.sampled_from(["esnli", "anli1"]), st.sampled_from(LABELS), st.just(LABELS)),
    st.tuples(st.sampled_from(["custom", "cqa"]), st.permutations(["dam", "wood", "the wood", "river dam", "big"])).map(
        lambda drawn: (drawn[0], drawn[1][0], tuple(drawn[1]))
    ),
)


@hypothesis_settings(max_examples=300, deadline=None)
@given(answered, rationale, st.sampled_from(list(TEXT_OF)))
def test_our_parser_takes_apart_what_other_trainers_learn(
    drawn: tuple[str, str, tuple[str, ...]], reasoning: str, form: Form
) -> None:
    name, label, allowed = drawn
    example = Example("1", ("What is it?",), label, reasoning.strip(), None, allowed)
    ((row,), _) = export_rows([example], get(name), form)
    question, reply = TEXT_OF[form](row)
    parsed = parse(reply, get(name), example)
    assert (question, parsed.rationale, parsed.label) == (example.input, example.rationale, label)


def test_the_parser_takes_apart_every_released_rationale(dss: Path) -> None:
    for name in ("svamp", "cqa", "anli1"):
        task = get(name)
        given = [row for row in read(archive_settings(dss, name))["test"] if row.rationale is not None]
        rows, _ = export_rows(given, task, "messages")
        for example, row in zip(given, rows, strict=True):
            parsed = parse(row["messages"][1]["content"], task, example)
            assert (parsed.rationale, parsed.label) == (example.rationale, example.label)


@in_a_folder
@given(
    st.lists(st.tuples(words, rationale), min_size=1, max_size=4), st.sampled_from(["messages", "prompt-completion"])
)
def test_conversations_come_back(tmp_path: Path, drawn: list[tuple[str, str]], form: Form) -> None:
    path = tmp_path / "c.jsonl"
    given = [Example(f"c-{i}", ("Why?",), label, why.strip(), label) for i, (label, why) in enumerate(drawn)]
    write_jsonl(path, export_rows(given, get("custom"), form)[0])
    counts = {"rows": len(given), "unparsed_rationales": 0, "unparsed_labels": 0, "left_out": 0}
    assert read_conversations(path, get("custom")) == (given, counts, {})
