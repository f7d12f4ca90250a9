"""Conversations of other tools become examples; rows that cannot are left out by reason, and named."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from limbeck.data import read_conversations
from limbeck.errors import LimbeckError
from limbeck.files import write_jsonl
from limbeck.schema import Example
from limbeck.tasks import get

REPLY = "Trees stand in forests. The answer is forest."
TURNS = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Where?"), ("assistant", REPLY)]
OPENAI = [{"role": role, "content": words} for role, words in TURNS]
SHAREGPT = [{"from": {"user": "human", "assistant": "gpt"}.get(role, role), "value": words} for role, words in TURNS]
PARTS = [
    {"role": "user", "content": [{"type": "text", "text": "Hi."}, {"type": "text", "text": "Where?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": REPLY}]},
]


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"messages": OPENAI}, "Where?"),
        ({"messages": [*OPENAI, {"role": "user", "content": "Thanks"}]}, "Where?"),
        ({"messages": [*OPENAI[:4], {"role": "tool", "content": None, "x": 1}, OPENAI[4]]}, "Where?"),
        ({"messages": PARTS}, "Hi.\nWhere?"),
        ({"conversations": SHAREGPT, "messages": None}, "Where?"),
        ({"conversations": OPENAI, "system": "Be kind."}, "Where?"),
        ({"prompt": "Where?", "completion": REPLY}, "Where?"),
        ({"prompt": "Where?", "response": REPLY, "completion": None}, "Where?"),
        ({"prompt": OPENAI[:4], "completion": OPENAI[4:]}, "Where?"),
        ({"instruction": "Answer.", "input": "Where?", "output": REPLY}, "Answer.\nWhere?"),
        ({"instruction": "Where?", "input": "", "output": REPLY}, "Where?"),
        ({"instruction": "Where?", "output": REPLY, "history": []}, "Where?"),
    ],
)
def test_the_forms_of_other_tools(tmp_path: Path, row: dict[str, Any], question: str) -> None:
    (tmp_path / "chat.json").write_text(json.dumps([row]))
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "chat.parquet")
    expected = Example("chat-0", (question,), "forest", "Trees stand in forests.", "forest")
    for suffix in (".json", ".parquet"):
        assert read_conversations(tmp_path / f"chat{suffix}", get("custom"))[0] == [expected]


def conversation(question: str, reply: str | None, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply}], **more}


def test_labels_ids_choices_and_counts(tmp_path: Path) -> None:
    rows = [
        conversation("a?", "Why. The answer is yes.", id="a", label="no", choices=["yes", "no"]),
        conversation("b?", "Why. The answer is 7.", answer=8, label=None),
        conversation("c?", "I do not know.", label="c", answer="d"),
        conversation("d?", "I do not know."),
        conversation("e?", None, label=None),
        conversation("f?", "Why. The answer is yes.", label="", answer="no"),
        conversation("g?", "<think>hm</think>The answer is yes."),
    ]
    write_jsonl(tmp_path / "c.jsonl", rows)
    read_back, counts, left_out = read_conversations(tmp_path / "c.jsonl", get("custom"))
    assert read_back == [
        Example("a", ("a?",), "no", "Why.", "yes", ("yes", "no"), own_choices=True),
        Example("c-1", ("b?",), "8", "Why.", "7"),
        Example("c-2", ("c?",), "c"),
        Example("c-5", ("f?",), "no", "Why.", "yes"),
        Example("c-6", ("g?",), "yes", "hm", "yes"),
    ]
    assert counts == {"rows": 7, "unparsed_rationales": 1, "unparsed_labels": 1, "left_out": 2}
    assert sorted(map(len, left_out.values())) == [1, 1]


BAD_ROWS = [
    {"input": "x", "label": "y"},
    {"messages": "hi"},
    {"messages": ["hi"]},
    {"messages": []},
    {"messages": OPENAI[4:]},
    {"messages": OPENAI[:2]},
    {"conversations": [{"value": "x"}, {"from": ["gpt"]}]},
    conversation(" ", "x"),
    conversation("x", None),
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, OPENAI[4]]},
    {"messages": [OPENAI[3], {"role": "assistant", "content": [{"type": "tool_use", "name": "x", "input": {}}]}]},
    {"prompt": "x"},
    {"prompt": "x", "response": {"a": 1}},
    {"prompt": None, "completion": "x"},
    {"instruction": "x"},
    {"instruction": [], "output": "x"},
    {"instruction": "x", "input": 3, "output": "x"},
    {"prompt": "x", "completion": REPLY, "label": False},
    {"messages": OPENAI, "kto_tag": False},
    conversation("x", "I do not know."),
    conversation("x", "y", answer={"x": 1}),
    conversation("x", "y", label="z", choices=["a", "b"]),
]


def test_rows_without_a_use_are_left_out_by_reason_and_named(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [conversation("x", REPLY), *BAD_ROWS]))
    read_back, counts, left_out = read_conversations(path, get("custom"))
    assert [example.id for example in read_back] == ["c-0"]
    assert counts == {"rows": 23, "unparsed_rationales": 0, "unparsed_labels": 0, "left_out": 22}
    assert sorted(location for locations in left_out.values() for location in locations) == sorted(
        f"{path}:{line}" for line in range(2, 24)
    )
    assert all("c.jsonl" not in reason for reason in left_out)


WHY = "Trees stand in forests."
SAID = "The answer is forest."


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [OPENAI[3], {"role": "assistant", "content": SAID, "reasoning_content": WHY}]},
        {"messages": [OPENAI[3], {"role": "assistant", "content": SAID, "reasoning": WHY, "reasoning_details": []}]},
        {"messages": [OPENAI[3], {"role": "assistant", "content": "forest", "thinking": WHY}]},
        {"messages": [OPENAI[3], {"role": "assistant", "content": "forest", "reasoning_details": [
            {"type": "reasoning.text", "text": WHY, "signature": None}]}]},
        {"messages": [OPENAI[3], {"role": "assistant", "content": [
            {"type": "thinking", "thinking": WHY, "signature": "Eo"}, {"type": "text", "text": SAID}]}]},
        {"messages": [OPENAI[3], {"role": "assistant", "content": [
            {"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": f"{WHY} {SAID}"}]}]},
        {"messages": [OPENAI[3], {"role": "assistant", "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": WHY}]}, {"type": "text", "text": SAID}]}]},
        {"messages": [OPENAI[3], {"role": "model", "content": [{"text": WHY, "thought": True}, {"text": SAID}]}]},
        {"messages": [OPENAI[3], {"role": "assistant", "content": None, "reasoning_content": f"{WHY} {SAID}"}]},
        {"messages": json.dumps([OPENAI[3], {"role": "assistant", "content": f"<think>{WHY}</think>forest"}])},
        {"conversations": [SHAREGPT[3], {"from": "gpt", "value": f"<think>\n{WHY}\n</think>\n\n{SAID}"}]},
        {"conversations": [SHAREGPT[3]], "chosen": SHAREGPT[4], "rejected": {"from": "gpt", "value": "No."}},
        {"prompt": "Where?", "chosen": REPLY, "rejected": "No."},
        {"prompt": OPENAI[:4], "chosen": [OPENAI[4]], "rejected": [OPENAI[2]]},
        {"prompt": "Where?", "completion": {"role": "assistant", "content": SAID, "reasoning_content": WHY}},
        {"prompt": "Where?", "completion": REPLY, "label": True},
        {"prompt": "Where?", "reasoning": WHY, "response": SAID},
        {"question": "Where?", "thinking_trajectories": [WHY], "attempt": SAID, "solution": "forest"},
        {"question": "Where?", "deepseek_thinking_trajectory": WHY, "deepseek_attempt": "forest", "solution": "forest"},
        {"question": "Where?", "rationale": WHY, "answer": "forest"},
        {"problem": "Where?", "solution": f"{WHY} {SAID}", "answer": "forest"},
        {"problem": "Where?", "deepseek_reasoning": WHY, "deepseek_solution": SAID, "ground_truth_solution": "long"},
        {"problem": "Where?", "generated_solution": f"{WHY} {SAID}", "expected_answer": "forest"},
        {"instruction": "Where?", "context": "", "response": REPLY},
        {"prompt": "Where?", "completion": json.dumps({"rationale": WHY, "answer": "forest"})},
    ],
)  # fmt: skip
def test_thoughts_wherever_tools_put_them(tmp_path: Path, row: dict[str, Any]) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text(json.dumps(row))
    expected = Example("chat-0", ("Where?",), "forest", WHY, "forest")
    assert read_conversations(path, get("custom")) == (
        [expected], {"rows": 1, "unparsed_rationales": 0, "unparsed_labels": 0, "left_out": 0}, {}
    )  # fmt: skip


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(REPLY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
roles = st.sampled_from(["user", "human", "assistant", "gpt", "system"])
turn = st.fixed_dictionaries(
    {}, optional={"role": roles | json_values, "from": roles, "content": json_values, "value": json_values}
)
columns = ["messages", "conversations", "prompt", "completion", "response", "instruction", "input", "output"]
hostile = st.dictionaries(
    st.sampled_from([*columns, "label", "answer", "id", "choices"]),
    st.lists(turn, max_size=3) | json_values,
    max_size=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(hostile, max_size=3), st.sampled_from(["custom", "cqa", "esnli", "svamp"]))
def test_any_file_gives_examples_or_one_clear_line(tmp_path: Path, rows: list[Any], task: str) -> None:
    assume(rows)
    path = tmp_path / "fuzz.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        read_back, counts, left_out = read_conversations(path, get(task))
    except LimbeckError as error:
        assert str(error).startswith(f"{path}:")
    else:
        assert counts["rows"] == len(rows) == len(read_back) + counts["left_out"]
        assert sum(map(len, left_out.values())) == counts["left_out"]
        assert all(row.label.strip() and row.input.strip() for row in read_back)
        assert all(row.rationale is None or row.rationale.strip() for row in read_back)


def test_labels_name_their_choices_alike_in_all_rows(tmp_path: Path) -> None:
    colours = ["red", "green", "blue"]
    rows = [{"prompt": f"q{i}", "completion": "Hm.", "choices": colours, "label": i} for i in range(3)]
    path = tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    examples, counts, _ = read_conversations(path, get("custom"))
    assert ([example.label for example in examples], counts["left_out"]) == (colours, 0)
    rows[1]["choices"] = ["2", "3", "1"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(LimbeckError, match=r"r.jsonl:1: label"):
        read_conversations(path, get("custom"))
