"""Views of an example, and the way back."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from limbeck.data import View, source, split_target, target
from limbeck.schema import Example

NLI = Example("1", ("It rains.", "It is dry."), "contradiction", "Rain is wet.")


def test_sources() -> None:
    sources = {view: source(NLI, view).text("</s>") for view in View}
    assert sources == {
        View.PREDICT: "predict: It rains.</s>It is dry.",
        View.EXPLAIN: "explain: It rains.</s>It is dry.",
        View.RATIONALE_FIRST: "predict: It rains.</s>It is dry.",
        View.ANSWER_FIRST: "predict: It rains.</s>It is dry.",
    }


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


@given(stripped, stripped, st.sampled_from([View.RATIONALE_FIRST, View.ANSWER_FIRST]))
def test_the_way_there_and_back(label: str, rationale: str, view: View) -> None:
    # Where the text that comes first says the marker itself, no one could tell.
    first, marker = (label, "rationale") if view is View.ANSWER_FIRST else (label, "answer")
    assume(not re.search(rf"{marker}\s*:", first, re.IGNORECASE))
    example = Example("1", ("q",), label, rationale)
    assert split_target(str(target(example, view)), view) == (label, rationale)


def test_an_explanation_has_no_label() -> None:
    with pytest.raises(AssertionError):
        split_target("why", View.EXPLAIN)
