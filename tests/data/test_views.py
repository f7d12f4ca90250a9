"""Views of an example, and the way back."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from limbeck.data import View, read_rows, source, split_target, target
from limbeck.files import write_jsonl
from limbeck.schema import Example
from limbeck.tasks import get

NLI = Example("1", ("It rains.", "It is dry."), "contradiction", "Rain is wet.")


def test_sources() -> None:
    sources = {view: source(NLI, view).text("</s>") for view in View}
    assert sources == {
        View.PREDICT: "predict: It rains.</s>It is dry.",
        View.EXPLAIN: "explain: It rains.</s>It is dry.",
        View.RATIONALE_FIRST: "predict: It rains.</s>It is dry.",
        View.ANSWER_FIRST: "predict: It rains.</s>It is dry.",
    }


OWN = Example("2", ("Where does it rain?",), "sea", "Rain is wet.", choices=("sea", "the moon"), own_choices=True)


def test_a_rows_own_choices_are_read_in_every_view_and_a_tasks_are_not() -> None:
    listed = "Where does it rain?\nAnswer Choices:\n(a) sea\n(b) the moon"
    assert {source(OWN, view).text("") for view in View} == {f"predict: {listed}", f"explain: {listed}"}
    assert OWN.input == listed
    assert source(replace(OWN, own_choices=False), View.PREDICT).text("") == "predict: Where does it rain?"


def test_choices_in_files_are_shown_once_if_they_are_the_rows_own(tmp_path: Path) -> None:
    listed = "Where?\nAnswer Choices:\n(a) sea\n(b) moon"
    rows = [{"input": "Where?", "choices": ["sea", "moon"]}, {"input": listed, "choices": ["sea", "moon"]}]
    rows += [{"input": "Where?"}, {"input": "Where?", "choices": ["no", "yes"]}]
    write_jsonl(tmp_path / "rows.jsonl", ({**row, "label": ""} for row in rows))
    examples = read_rows(tmp_path / "rows.jsonl", labelled=False, task=get("custom", choices=["yes", "no"]))
    assert [source(example, View.PREDICT).text("") for example in examples] == [
        f"predict: {text}" for text in (listed, listed, "Where?", "Where?")
    ]


def test_targets() -> None:
    assert [target(NLI, view) for view in View] == [
        "contradiction",
        "Rain is wet.",
        "Rain is wet. Answer: contradiction",
        "contradiction Rationale: Rain is wet.",
    ]


def test_targets_without_rationale() -> None:
    bare = Example("1", ("It rains.",), "wet")
    assert [target(bare, view) for view in View] == ["wet", None, None, None]


@pytest.mark.parametrize(
    ("text", "view", "label", "rationale"),
    [
        ("wet", View.PREDICT, "wet", None),
        ("It is an Answer: no. Answer: wet", View.RATIONALE_FIRST, "wet", "It is an Answer: no."),
        ("why answer : wet", View.RATIONALE_FIRST, "wet", "why"),
        ("why.ANSWER:wet ", View.RATIONALE_FIRST, "wet", "why."),
        ("why", View.RATIONALE_FIRST, "", "why"),
        ("Answer: wet", View.RATIONALE_FIRST, "wet", None),
        ("why Answer:", View.RATIONALE_FIRST, "", "why"),
        ("My unanswer: x", View.RATIONALE_FIRST, "", "My unanswer: x"),
        ("", View.RATIONALE_FIRST, "", None),
        ("wet Rationale: its Rationale: two", View.ANSWER_FIRST, "wet", "its Rationale: two"),
        ("wet.rationale :why", View.ANSWER_FIRST, "wet.", "why"),
        ("wet", View.ANSWER_FIRST, "wet", None),
        ("wet Rationale:", View.ANSWER_FIRST, "wet", None),
    ],
)
def test_splitting(text: str, view: View, label: str, rationale: str | None) -> None:
    assert split_target(text, view) == (label, rationale)


stripped = st.text(min_size=1, max_size=30).map(str.strip).filter(bool)


@hypothesis_settings(max_examples=50, deadline=None)
@given(stripped, stripped, st.sampled_from([View.RATIONALE_FIRST, View.ANSWER_FIRST]))
def test_the_way_there_and_back(label: str, rationale: str, view: View) -> None:
    # Where the text that comes first says the marker itself, no one could tell.
    first, marker = (label, "rationale") if view is View.ANSWER_FIRST else (label, "answer")
    assume(not re.search(rf"{marker}\s*:", first, re.IGNORECASE))
    example = Example("1", ("q",), label, rationale)
    assert split_target(str(target(example, view)), view) == (label, rationale)
