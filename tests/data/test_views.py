"""Views of an example, and the way back."""

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from limbeck.data import View, source, split_target, target, variants
from limbeck.schema import Example

NLI = Example(
    "1",
    ("It rains.", "It is dry."),
    "contradiction",
    "Rain is wet.",
    choices=("entailment", "contradiction"),
    wrong_rationales=("Rain is dry.",),
    votes=(("contradiction", 1.0),),
    reverse=("Is it dry where it rains?", "It is wet."),
)


def test_sources_and_targets() -> None:
    question = "It rains.</s>It is dry."
    expected = {
        View.PREDICT: [(f"predict: {question}", "contradiction")],
        View.EXPLAIN: [(f"explain: {question}", "Rain is wet.")],
        View.RATIONALE_FIRST: [(f"predict: {question}", "Rain is wet. Answer: contradiction")],
        View.ANSWER_FIRST: [(f"predict: {question}", "contradiction Rationale: Rain is wet.")],
        View.GIVEN_RATIONALE: [(f"predict: {question}</s>Rain is wet.", "contradiction")],
        View.WRONG_RATIONALE: [(f"explain: {question}", "Rain is dry.")],
        View.CHOICES: [(f"predict: {question}", choice) for choice in NLI.choices],
        View.REVERSE_QUESTION: [(f"reverse: {question}", "Is it dry where it rains?")],
        View.REVERSE_RATIONALE: [("explain: Is it dry where it rains?", "It is wet.")],
    }
    for view in View:
        shown = [(source(row, view).text("</s>"), target(row, view)) for row in variants(NLI, view)]
        assert shown == expected[view]
    bare = Example("1", NLI.segments, NLI.label)
    assert [target(bare, view) for view in View] == ["contradiction", *[None] * 8]


def test_a_rows_own_choices_are_read_in_every_view_and_a_tasks_are_not() -> None:
    own = Example("2", ("Where does it rain?",), "sea", choices=("sea", "the moon"), own_choices=True)
    listed = "Where does it rain?\nAnswer Choices:\n(a) sea\n(b) the moon"
    prefixes = ("predict", "explain", "reverse")
    assert {source(own, view).text("") for view in View} == {f"{prefix}: {listed}" for prefix in prefixes}
    assert own.input == listed
    assert source(replace(own, own_choices=False), View.PREDICT).text("") == "predict: Where does it rain?"


@pytest.mark.parametrize(
    ("text", "view", "label", "rationale"),
    [
        ("wet", View.PREDICT, "wet", None),
        ("It is an Answer: no. Answer: wet", View.RATIONALE_FIRST, "wet", "It is an Answer: no."),
        ("why answer : wet", View.RATIONALE_FIRST, "wet", "why"),
        ("why", View.RATIONALE_FIRST, "", "why"),
        ("Answer: wet", View.RATIONALE_FIRST, "wet", None),
        ("My unanswer: x", View.RATIONALE_FIRST, "", "My unanswer: x"),
        ("wet Rationale: its Rationale: two", View.ANSWER_FIRST, "wet", "its Rationale: two"),
        ("wet.rationale :why", View.ANSWER_FIRST, "wet.", "why"),
        ("wet", View.ANSWER_FIRST, "wet", None),
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
