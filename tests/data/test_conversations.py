"""Rows from and for other tools: conversations become examples, and what goes out comes back."""

import json
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from limbeck.data import read_rows
from limbeck.data.conversations import Form, export_rows, read_conversations
from limbeck.data.tables import cell_text, is_missing
from limbeck.errors import LimbeckError
from limbeck.files import write_jsonl
from limbeck.schema import Example
from limbeck.tasks import get

WHY, ANSWER = "Trees stand in forests.", "The answer is forest."
REPLY = f"{WHY} {ANSWER}"
TURNS = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Where?"), ("assistant", REPLY)]
OPENAI = [{"role": role, "content": words} for role, words in TURNS]
SHAREGPT = [{"from": {"user": "human", "assistant": "gpt"}.get(role, role), "value": words} for role, words in TURNS]
PARTS = [{"role": role, "content": [{"type": "text", "text": words}]} for role, words in TURNS]
THINKING = [{"type": "thinking", "thinking": WHY}, {"type": "text", "text": ANSWER}]


def asked(**reply: Any) -> dict[str, Any]:
    return {"messages": [OPENAI[3], {"role": "assistant", **reply}]}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [*OPENAI[:4], {"role": "tool", "content": None, "x": 1}, OPENAI[4]]},
        {"messages": PARTS},
        {"conversations": SHAREGPT, "messages": None},
        {"prompt": OPENAI[:4], "completion": OPENAI[4:]},
        {"instruction": "Answer.", "input": "Where?", "output": REPLY},
        {"problem": "Where?", "solution": REPLY, "answer": "forest"},
        {"messages": [*PARTS[:4], {"role": "assistant", "content": THINKING}]},
        {"conversations": [SHAREGPT[3], {"from": "gpt", "value": f"<think>{WHY}</think>{ANSWER}"}]},
        {"prompt": "Where?", "reasoning": WHY, "response": ANSWER},
        {"question": "Where?", "solution": "x", "thinking_trajectories": [WHY], "attempt": ANSWER},
        {"prompt": "Where?", "completion": REPLY, "label": True},
        *(asked(content=ANSWER, reasoning_content=WHY), asked(content=None, reasoning_content=REPLY)),
    ],
)
def test_the_forms_of_other_tools(tmp_path: Path, row: dict[str, Any]) -> None:
    (tmp_path / "chat.json").write_text(json.dumps([row]))
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "chat.parquet")
    question = "Answer.\nWhere?" if "instruction" in row else "Where?"
    expected = Example("chat-0", (question,), "forest", WHY, "forest")
    for suffix in (".json", ".parquet"):
        assert read_conversations(tmp_path / f"chat{suffix}", get("custom"))[0] == [expected]


def test_labels_ids_choices_and_counts(tmp_path: Path) -> None:
    rows = [
        {**asked(content="Why. The answer is yes."), "id": "a", "label": "B", "choices": ["yes", "no"]},
        {**asked(content="Why. The answer is 7."), "answer": 8, "label": None},
        {**asked(content="I do not know."), "label": "c", "answer": "d"},
        asked(content="I do not know."),
        {**asked(content="Why. The answer is yes."), "label": "", "answer": "no"},
    ]
    write_jsonl(tmp_path / "c.jsonl", rows)
    examples, left_out = read_conversations(tmp_path / "c.jsonl", get("custom"))
    assert examples == [
        Example("a", ("Where?",), "no", "Why.", "yes", ("yes", "no"), own_choices=True),
        Example("c-1", ("Where?",), "8", "Why.", "7"),
        Example("c-2", ("Where?",), "c"),
        Example("c-4", ("Where?",), "no", "Why.", "yes"),
    ]
    assert list(left_out.values()) == [[f"{tmp_path / 'c.jsonl'}:4"]]
    row = {"prompt": "Where?", "completion": REPLY, "answer": "The answer is 5."}
    write_jsonl(tmp_path / "c.jsonl", [row, {**row, "answer": r"\boxed{5}"}, {**row, "kto_tag": False}])
    examples, left_out = read_conversations(tmp_path / "c.jsonl", get("custom"))
    assert ([example.label for example in examples], len(left_out)) == (["5", "5"], 1)
    rows = [{**row, "choices": ["red", "green", "blue"], "answer": answer} for answer in (1, 0)]
    write_jsonl(tmp_path / "c.jsonl", rows)
    assert [example.label for example in read_conversations(tmp_path / "c.jsonl", get("custom"))[0]] == ["green", "red"]


def test_numbers_that_may_count_from_0_or_1_leave_out_their_rows_alone(tmp_path: Path) -> None:
    chosen = {**asked(content=REPLY), "choices": ["forest", "tree", "desert"]}
    write_jsonl(tmp_path / "c.jsonl", [{**chosen, "answer": 1}, chosen, {**chosen, "answer": 2}, asked(content=REPLY)])
    examples, left_out = read_conversations(tmp_path / "c.jsonl", get("custom"))
    assert [(example.id, example.label) for example in examples] == [("c-1", "forest"), ("c-3", "forest")]
    (reason,) = left_out
    assert "from 0 or from 1" in reason
    assert left_out[reason] == [f"{tmp_path / 'c.jsonl'}:{line}" for line in (1, 3)]


BAD_ROWS = [
    {"input": "x", "label": "y"},
    {"messages": "hi"},
    {"messages": OPENAI[4:]},
    {"messages": OPENAI[:2]},
    asked(content=None),
    asked(content=[{"type": "tool_use", "name": "x", "input": {}}]),
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, OPENAI[4]]},
    {"prompt": "x"},
    {"prompt": "x", "completion": REPLY, "label": False},
    {**asked(content="y"), "label": "z", "choices": ["a", "b"]},
]


def test_unusable_rows_are_left_out_by_reason_with_their_location(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    write_jsonl(path, [asked(content=REPLY), *BAD_ROWS])
    (example,), left_out = read_conversations(path, get("custom"))
    assert example.id == "c-0"
    assert sorted(chain(*left_out.values())) == sorted(f"{path}:{line}" for line in range(2, 12))
    assert all("c.jsonl" not in reason for reason in left_out)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(REPLY)
json_values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=3), scalars, max_size=3)
turn = st.dictionaries(st.sampled_from(["role", "content"]), st.sampled_from(["user", "assistant"]) | json_values)
columns = ["messages", "conversations", "prompt", "completion", "response", "instruction", "input", "output"]
fields = st.sampled_from([*columns, "label", "answer", "id", "choices"])
hostile = st.dictionaries(fields, st.lists(turn, max_size=3) | json_values, max_size=6)
fuzzed = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@fuzzed
@given(st.lists(hostile, max_size=3), st.sampled_from(["custom", "cqa", "esnli", "svamp"]))
def test_any_file_gives_examples_or_one_clear_line(tmp_path: Path, rows: list[Any], task: str) -> None:
    assume(rows)
    path = tmp_path / "fuzz.jsonl"
    write_jsonl(path, rows)
    try:
        examples, left_out = read_conversations(path, get(task))
    except LimbeckError as error:
        assert str(error).startswith(f"{path}:")
    else:
        assert len(rows) == len(examples) + sum(map(len, left_out.values()))
        assert all(row.label.strip() and row.input.strip() for row in examples)
        assert all(row.rationale is None or row.rationale.strip() for row in examples)


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda words: not is_missing(words) and "\0" not in words and "####" not in words
)
canonical = texts.filter(lambda words: cell_text(words) == words)  # as labels are read


@st.composite
def read_examples(draw: st.DrawFn) -> Example:
    choices = draw(st.just([]) | st.lists(canonical, min_size=1, max_size=3))
    answer = st.sampled_from(choices) if choices else canonical
    label = draw(answer)
    further = st.lists(canonical, max_size=2, unique=True).filter(lambda answers: label not in answers)
    return Example(
        draw(canonical),
        tuple(draw(st.lists(texts, min_size=1, max_size=3))),
        label,
        draw(st.none() | texts),
        draw(st.none() | answer),
        tuple(choices),
        answers=() if choices else tuple(draw(further)),
        own_choices=bool(choices),
    )


@fuzzed
@given(st.lists(read_examples(), min_size=1, max_size=5, unique_by=lambda example: example.id))
def test_limbecks_rows_are_read_back_as_the_same_examples(tmp_path: Path, examples: list[Example]) -> None:
    rows, left_out = export_rows(examples, get("custom"), "limbeck")
    write_jsonl(tmp_path / "r.jsonl", rows)
    assert read_rows(tmp_path / "r.jsonl") == examples
    assert left_out == 0
    assert all(value for row in rows for value in row.values())  # no empty fields


def test_the_forms_for_other_trainers(tmp_path: Path) -> None:
    row = Example("c-0", ("Where does a beaver find wood?",), "forest", "Beavers fell trees.\nTrees make forests.")
    reply, instruction = f"{row.rationale}\n{ANSWER}", 'Reason step by step, then write "The answer is" and the answer.'
    incomplete = [Example("2", ("q",), "a"), Example("3", ("q",), "", "r")]
    turns = [{"role": "user", "content": row.input}, {"role": "assistant", "content": reply}]
    expected: dict[Form, dict[str, Any]] = {
        "prompt-completion": {"prompt": row.input, "completion": reply},
        "messages": {"messages": turns},
        "instruction": {"instruction": instruction, "input": row.input, "output": reply},
    }
    for form, exported in expected.items():
        assert export_rows([row, *incomplete], get("custom"), form) == ([exported], 2)
        write_jsonl(tmp_path / "c.jsonl", [exported])
        (example,), _ = read_conversations(tmp_path / "c.jsonl", get("custom"))
        question = f"{instruction}\n{row.input}" if form == "instruction" else row.input
        assert example == replace(row, segments=(question,), teacher_label="forest")
    (nli,) = export_rows([Example("1", ("p", "h"), "neutral", "So.")], get("esnli"), "instruction")[0]
    assert nli["instruction"].endswith('"Answer:" and the answer, which is one of: entailment, neutral, contradiction.')
