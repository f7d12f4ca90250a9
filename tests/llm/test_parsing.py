"""A teacher's words taken apart: the styles of the released data, what is forgiven, and what is not guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.llm import Parsed, parse
from limbeck.schema import Example
from limbeck.tasks import TASKS, get

BEAVER = Example("q", ("?",), "dam", choices=("body of water", "dam", "zoo", "town", "Ice cream "))
PLAIN = Example("q", ("?",), "( 84.0 / 2.0 )")


@pytest.mark.parametrize(
    ("raw", "rationale", "label"),
    [
        ("84 / 2 = 42. The answer is (84 / 2).\n\nQ: There are 120. The answer is (1).", "84 / 2 = 42.", "(84 / 2)"),
        ("Why. The answer is (16 * 17) * 4.", "Why.", "(16 * 17) * 4"),
        ("Why. the ANSWER  is(84 / 2)", "Why.", "(84 / 2)"),
        ("Why. The answer is 42.", "Why.", "42"),
        ("Why. The answer is (2 * x).", "Why.", "(2 * x)"),  # an answer, and a wrong one
        ("Why. The answer is ((491 - 21", "Why.", None),  # cut off
        ("Why. The answer is unknown.", "Why.", None),
        ("Why. The answer is", "Why.", None),
        ("Why. No end", None, None),
        ("The answer is (84 / 2).", None, "(84 / 2)"),
        ("Q: What is the width of the grove, and who works there?\nThe answer is (84 / 2).", None, None),
        ("", None, None),
        # The marker's words in the reasoning, and after the answer:
        ("The answer is in the text. The answer is (84 / 2).", "The answer is in the text.", "(84 / 2)"),
        ("Why. The answer is (84 / 2).\nThe answer is (1 + 1).", "Why.", None),  # which of them, nothing says
        ("FAQ: why. The answer is (1).", "FAQ: why.", "(1)"),
    ],
)
def test_svamp(raw: str, rationale: str | None, label: str | None) -> None:
    assert parse(raw, get("svamp"), PLAIN) == Parsed(rationale, label)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("(b) dam.", "dam"),
        ("(b) dam", "dam"),
        ("(B) Dam.", "dam"),
        ("(b)dam.", "dam"),
        ("b) dam.", "dam"),
        ("(b).", "dam"),
        ("b.", "dam"),
        ("dam.", "dam"),
        ("body  of water.", "body of water"),
        ("(e) ice cream.", "Ice cream "),  # the choice's own spelling
        ("(b) dam.\nMore words.", "dam"),
        ("either (a) body of water or (b) dam.", None),
        ("(a) body of water or (b) dam.", None),
        ("(a) dam.", None),  # letter and text contradict each other
        ("(b) river.", None),
        ("(f) dam.", None),
        ("f", None),
        ("(\u017f) dam.", None),  # its lower case is no letter from a to z
        ("one of these.", None),
        ("beaver.", None),
        (".", None),
        ("", None),
    ],
)
def test_choices(answer: str, label: str | None) -> None:
    assert parse(f"Why. So the answer is {answer}", get("cqa"), BEAVER) == Parsed("Why.", label)


@pytest.mark.parametrize(
    ("task", "raw", "parsed"),
    [
        ("esnli", "Why.\nAnswer: neutral\n\nPremise: More.\nAnswer: entailment", Parsed("Why.", "neutral")),
        ("esnli", "Why.\nAnswer: entailment\n\nPre", Parsed("Why.", "entailment")),
        ("esnli", "Why.\nanswer:Contradiction.", Parsed("Why.", "contradiction")),
        ("esnli", "Why.\nAnswer: entailmen", Parsed("Why.", None)),
        ("esnli", "Why.\nAnswer: not neutral", Parsed("Why.", None)),
        ("anli1", "Why. So the answer is neutral.\n\nPremise: More.", Parsed("Why.", "neutral")),
        ("anli1", "So the answer is neutral.", Parsed(None, "neutral")),
        ("custom", "Why. The answer is yes, Sir.\nMore.", Parsed("Why.", "yes, Sir")),
        ("arithmetic", "Why. The answer is ( 1.0 + 2.0 ).", Parsed("Why.", "( 1.0 + 2.0 )")),
    ],
)
def test_other_tasks(task: str, raw: str, parsed: Parsed) -> None:
    assert parse(raw, get(task), PLAIN) == parsed


pieces = st.sampled_from(
    ["Why. ", "The answer is ", "So the answer is ", "Answer: ", "(b) dam", "neutral", "(1)", "\n", "Q:"]
)


@given(st.sampled_from(sorted(TASKS)), st.lists(pieces | st.text(max_size=5), max_size=8))
def test_nothing_blank_and_nothing_that_was_not_said(name: str, parts: list[str]) -> None:
    raw = "".join(parts)
    task = get(name)
    parsed = parse(raw, task, BEAVER)
    for part in (parsed.rationale, parsed.label):
        assert part is None or (part.strip() and part == part.strip()) or part in BEAVER.choices
    if parsed.rationale is not None:
        said = iter(raw)
        assert all(character in said for character in parsed.rationale if not character.isspace())  # in raw's order
    if parsed.label is not None and name == "cqa":
        assert parsed.label in BEAVER.choices
    elif parsed.label is not None and name in ("esnli", "anli1"):
        assert parsed.label in get(name).choices


@pytest.mark.parametrize("name", ["svamp", "cqa", "esnli", "anli1"])
def test_a_teacher_that_repeats_itself_without_end_is_read_in_its_length(name):
    """A megabyte of markers: work that grew with its square would take hours."""
    task = get(name)
    example = Example("1", ("?",), "dam", choices=("dam", "bridge"))
    assert parse(f"{task.marker} " * (1_000_000 // len(task.marker)), task, example).label is None
