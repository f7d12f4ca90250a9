"""Rows out, for limbeck and for other trainers, and conversations in: what goes out comes back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from limbeck.data import Form, export_rows, read, read_conversations, read_rows
from limbeck.errors import LimbeckError
from limbeck.files import write_jsonl
from limbeck.schema import Example
from limbeck.tasks import get
from limbeck.teacher import parse
from tests.archives import archive_settings

TEXT_OF: dict[Form, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "prompt-completion": lambda row: (row["prompt"], row["completion"]),
    "messages": lambda row: tuple(turn["content"] for turn in row["messages"]),  # type: ignore[return-value]
    "instruction": lambda row: (row["input"], row["output"]),
}
in_a_folder = hypothesis_settings(
    max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
anything = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(str.strip)
choices = st.lists(anything, min_size=1, max_size=3)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    allowed = draw(st.just([]) | choices)
    answer = st.sampled_from(allowed) if allowed else anything
    segments = tuple(draw(st.lists(anything, min_size=1, max_size=3)))
    optional = st.none() | anything
    teacher = draw(st.none() | answer)
    own = bool(allowed)
    return Example(draw(anything), segments, draw(answer), draw(optional), teacher, tuple(allowed), own_choices=own)


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
    assert read_conversations(path, get("custom")) == (given, counts)


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
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_the_forms_of_other_tools(tmp_path: Path, row: dict[str, Any], question: str, suffix: str) -> None:
    path = tmp_path / f"chat{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        path.write_text(json.dumps([row]) if suffix == ".json" else json.dumps(row))
    expected = Example("chat-0", (question,), "forest", "Trees stand in forests.", "forest")
    assert read_conversations(path, get("custom"))[0] == [expected]


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
    read_back, counts = read_conversations(tmp_path / "c.jsonl", get("custom"))
    assert read_back == [
        Example("a", ("a?",), "no", "Why.", "yes", ("yes", "no"), own_choices=True),
        Example("c-1", ("b?",), "8", "Why.", "7"),
        Example("c-2", ("c?",), "c"),
        Example("c-5", ("f?",), "no", "Why.", "yes"),
        Example("c-6", ("g?",), "yes", None, "yes"),
    ]
    assert counts == {"rows": 7, "unparsed_rationales": 4, "unparsed_labels": 3, "left_out": 2}


def test_a_task_of_fixed_choices(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "c.jsonl", [conversation("p\nh", "Why.\nAnswer: Neutral", label="neutral")])
    ((example,), _) = read_conversations(tmp_path / "c.jsonl", get("esnli"))
    assert (example.label, example.teacher_label, example.choices) == ("neutral", "neutral", LABELS)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            {"input": "x", "label": "y"},
            r"field 'messages': missing; messages, conversations, .* has \['input', 'label'\]",
        ),
        ({"messages": "hi"}, "field 'messages': a list of turns .* not 'hi'"),
        ({"messages": ["hi"]}, "field 'messages': a list of turns"),
        ({"messages": []}, r"field 'messages': a turn of the user and one of the assistant after it .* not \[\]"),
        ({"messages": OPENAI[4:]}, r"not \['assistant'\]"),
        ({"messages": OPENAI[:2]}, r"not \['system', 'user'\]"),
        ({"conversations": [{"value": "x"}, {"from": ["gpt"]}]}, "field 'conversations': a turn of the user"),
        (conversation(" ", "x"), "field 'messages': it is blank"),
        (conversation("x", "y\ud800"), "field 'messages': not valid Unicode"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, OPENAI[4]]}, "parts of type text"),
        ({"messages": [{"role": "user", "content": 3}, OPENAI[4]]}, "field 'messages': .* not 3"),
        ({"prompt": "x"}, r"field 'completion': missing beside 'prompt'; the row has \['prompt'\]"),
        ({"prompt": "x", "response": {"a": 1}}, "field 'response': a list of turns"),
        ({"prompt": None, "completion": "x"}, "field 'messages': missing"),
        ({"instruction": "x"}, "field 'output': missing beside 'instruction'"),
        ({"instruction": [], "output": "x"}, "field 'instruction': text was expected"),
        ({"instruction": "x", "input": 3, "output": "x"}, "field 'input': text was expected"),
        (conversation("x", "y", answer=[1]), "field 'label': text was expected.*'label' is the column 'answer'"),
        (conversation("x", "y", label="z", choices=["a"]), "field 'label': 'z' is none of the choices"),
        (conversation("y", "x", id="first", label="z"), "field 'id': 'first' stands already at .*c.jsonl:1"),
    ],
)
def test_bad_rows(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    rows = [conversation("x", "The answer is y.", id="first"), row]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(LimbeckError, match=rf"c.jsonl:2: .*{says}"):
        read_conversations(tmp_path / "c.jsonl", get("custom"))


def test_bad_lists(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    for content, says in {
        "[]": "c.json: no rows",
        "[3]": "c.json: item 1: a JSON object was expected, not int",
        ' [{"prompt": "x"}]': "c.json: item 1: field 'completion'",
        '[\n{"prompt"': "c.json:2: not JSON",
        '{"prompt": "x"}': "c.json:1: field 'completion'",
    }.items():
        path.write_text(content)
        with pytest.raises(LimbeckError, match=says):
            read_conversations(path, get("custom"))


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


@in_a_folder
@given(st.lists(hostile, max_size=3), st.sampled_from(["custom", "cqa", "esnli", "svamp"]))
def test_any_file_gives_examples_or_one_clear_line(tmp_path: Path, rows: list[Any], task: str) -> None:
    assume(rows)
    path = tmp_path / "fuzz.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        read_back, counts = read_conversations(path, get(task))
    except LimbeckError as error:
        assert str(error).startswith(f"{path}:")
    else:
        assert counts["rows"] == len(rows) == len(read_back) + counts["left_out"]
        assert all(row.label.strip() and row.input.strip() for row in read_back)
        assert all(row.rationale is None or row.rationale.strip() for row in read_back)
