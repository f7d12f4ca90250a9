"""Rows out, for limbeck and for other trainers: what goes out comes back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from limbeck.data import Form, export_rows, read, read_conversations, read_rows
from limbeck.data.cells import cell_text, is_missing
from limbeck.files import write_jsonl
from limbeck.llm import parse
from limbeck.schema import Example
from limbeck.tasks import get
from tests.helpers.archives import archive_settings

EXCHANGES: dict[Form, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "prompt-completion": lambda row: (row["prompt"], row["completion"]),
    "messages": lambda row: tuple(turn["content"] for turn in row["messages"]),  # type: ignore[return-value]
    "instruction": lambda row: (row["input"], row["output"]),
}
fuzzed = hypothesis_settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda words: not is_missing(words) and "\0" not in words and "####" not in words
)
canonical = texts.filter(lambda words: cell_text(words) == words)  # as labels are read


@st.composite
def examples(draw: st.DrawFn) -> Example:
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
@given(st.lists(examples(), min_size=1, max_size=5, unique_by=lambda example: example.id))
def test_limbecks_rows_are_read_back_as_the_same_examples(tmp_path: Path, given: list[Example]) -> None:
    rows, left_out = export_rows(given, get("custom"), "limbeck")
    write_jsonl(tmp_path / "r.jsonl", rows)
    assert read_rows(tmp_path / "r.jsonl") == given
    assert left_out == 0


def test_limbecks_rows_have_no_empty_fields() -> None:
    several = [
        Example("x", ("p", "h"), "neutral", "Because.", None, ("neutral", "not")),
        Example("x#2", ("q",), "", None, "no"),
    ]
    assert export_rows(several, get("custom"), "limbeck")[0] == [
        {"id": "x", "input": ["p", "h"], "label": "neutral", "rationale": "Because.", "choices": ["neutral", "not"]},
        {"id": "x#2", "input": "q", "teacher_label": "no"},
    ]


def test_the_forms_for_other_trainers() -> None:
    row = Example("1", ("Where does a beaver find wood?",), "forest", "Beavers fell trees.\nTrees make forests.")
    reply = "Beavers fell trees.\nTrees make forests.\nThe answer is forest."
    custom = get("custom")
    incomplete = [Example("2", ("q",), "a"), Example("3", ("q",), "", "r")]
    instruction = 'Reason step by step, then write "The answer is" and the answer.'
    turns = [{"role": "user", "content": row.input}, {"role": "assistant", "content": reply}]
    expected: dict[Form, dict[str, Any]] = {
        "prompt-completion": {"prompt": row.input, "completion": reply},
        "messages": {"messages": turns},
        "instruction": {"instruction": instruction, "input": row.input, "output": reply},
    }
    for form, exported in expected.items():
        assert export_rows([row, *incomplete], custom, form) == ([exported], 2)
    (nli,) = export_rows([Example("1", ("p", "h"), "neutral", "So.")], get("esnli"), "instruction")[0]
    assert nli["instruction"].endswith('"Answer:" and the answer, which is one of: entailment, neutral, contradiction.')
    assert nli["input"] == "p\nh"


def test_released_rows_go_out_and_come_back(dss: Path, tmp_path: Path) -> None:
    for name in ("svamp", "anli1"):
        task, released = get(name), read(archive_settings(dss, name))["test"]
        write_jsonl(tmp_path / "r.jsonl", export_rows(released, task, "limbeck")[0])
        assert read_rows(tmp_path / "r.jsonl", task=task) == released
        explained = [row for row in released if row.rationale is not None]
        for example, row in zip(explained, export_rows(explained, task, "messages")[0], strict=True):
            parsed = parse(row["messages"][1]["content"], task, example)
            assert (parsed.rationale, parsed.label) == (example.rationale, example.label)


word = st.text("abcdefgh", min_size=2, max_size=6)
words = st.lists(word, min_size=1, max_size=6).map(" ".join)
rationale = st.lists(words, min_size=1, max_size=4).flatmap(
    lambda sentences: st.sampled_from([". ", ".\n", "\n\n", "; "]).map(lambda end: end.join(sentences) + end.strip())
)
number = st.integers(0, 999).map(lambda value: f"{value}.0")
equation = st.tuples(number, st.sampled_from("+-*/"), number).map(lambda operands: f"( {' '.join(operands)} )")
LABELS = ("entailment", "neutral", "contradiction")
answered = st.one_of(
    st.tuples(st.just("custom"), words, st.just(())),
    st.tuples(st.sampled_from(["svamp", "arithmetic"]), equation, st.just(())),
    st.tuples(st.sampled_from(["esnli", "anli1"]), st.sampled_from(LABELS), st.just(LABELS)),
    st.tuples(st.sampled_from(["custom", "cqa"]), st.permutations(["dam", "wood", "the wood", "river dam", "big"])).map(
        lambda drawn: (drawn[0], drawn[1][0], tuple(drawn[1]))
    ),
)


@hypothesis_settings(max_examples=100, deadline=None)
@given(answered, rationale, st.sampled_from(list(EXCHANGES)))
def test_the_parser_splits_the_targets_of_other_trainers(
    drawn: tuple[str, str, tuple[str, ...]], reasoning: str, form: Form
) -> None:
    name, label, choices = drawn
    example = Example("1", ("What is it?",), label, reasoning.strip(), None, choices)
    ((row,), _) = export_rows([example], get(name), form)
    question, reply = EXCHANGES[form](row)
    parsed = parse(reply, get(name), example)
    assert (question, parsed.rationale, parsed.label) == (example.input, example.rationale, label)


@fuzzed
@given(
    st.lists(st.tuples(words, rationale), min_size=1, max_size=4), st.sampled_from(["messages", "prompt-completion"])
)
def test_conversations_come_back(tmp_path: Path, drawn: list[tuple[str, str]], form: Form) -> None:
    path = tmp_path / "c.jsonl"
    given = [Example(f"c-{i}", ("Why?",), label, why.strip(), label) for i, (label, why) in enumerate(drawn)]
    write_jsonl(path, export_rows(given, get("custom"), form)[0])
    counts = {"rows": len(given), "unparsed_rationales": 0, "unparsed_labels": 0, "left_out": 0}
    assert read_conversations(path, get("custom")) == (given, counts, {})
