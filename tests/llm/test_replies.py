"""Replies of many models taken apart: the cases in `replies.jsonl`, and properties of any text."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.llm import Parsed, concluded_label, parse, read_reply, stated_answer
from limbeck.llm.replies import LONGEST_REPLY
from limbeck.schema import Example
from limbeck.tasks import TASKS, Task, get

NLI = ("entailment", "neutral", "contradiction")
CUSTOM, NUMBER = get("custom"), get("custom", answer="number")
APPLES = Example("q", ("Luke has 84 apples and 2 friends. How many has each?",), "( 84.0 / 2.0 )")
BEAVERS = Example(
    "q",
    ("What do beavers build in rivers?\nAnswer Choices:\n(a) body of water",),
    "dam",
    choices=("body of water", "dam", "zoo", "revolving door", "garder"),
)
HOMEWORK = "Where is math homework done?\nAnswer Choices:\n(a) park\n(b) dam\n(c) math problem\n(d) school"
# Of each subject the task, the question and the choices.
SUBJECTS: dict[str, tuple[Task, str | tuple[str, ...], tuple[str, ...]]] = {
    "apples": (get("svamp"), "There are 84 apples in 2 boxes. How many are in each box?", ()),
    "apples and friends": (get("svamp"), APPLES.segments, ()),
    "arithmetic": (get("arithmetic"), "What are 1 and 2?", ()),
    "number": (NUMBER, "How many?", ()),
    "homework": (get("cqa"), HOMEWORK, ("park", "dam", "math problem", "school", "music store")),
    "beavers": (get("cqa"), BEAVERS.segments, BEAVERS.choices),
    "ice cream": (get("cqa"), "?", ("body of water", "dam", "zoo", "town", "Ice cream ")),
    "sleeper": (get("esnli"), ("A man sleeps.", "A person is resting."), NLI),
    "meal": (get("esnli"), ("A man is eating food.", "A man sleeps in bed."), NLI),
    "adversarial meal": (get("anli1"), ("A man is eating food.", "A man sleeps in bed."), NLI),
    "capital": (CUSTOM, "What is the capital of France?", ()),
    "letters": (CUSTOM, "What is the capital of France?\nA) Paris\nB) Rome\nC) Bonn", ("A", "B", "C", "D")),
    "yes or no": (CUSTOM, "Is it?", ("yes", "no")),
    "ticket": (CUSTOM, "Classify the ticket", ("billing", "refund", "technical issue")),
    "section": (CUSTOM, "Which section?", ("world", "sports", "business", "sci/tech")),
    "team": (CUSTOM, "Who handles this?", ("software", "hardware", "refunds")),
    "priority": (CUSTOM, "How urgent is it?", ("low", "medium", "high")),
}
CASES = [json.loads(line) for line in Path(__file__).with_name("replies.jsonl").read_text("utf-8").splitlines()]


@cache
def subject(name: str) -> tuple[Task, Example]:
    task, question, choices = SUBJECTS[name]
    segments = (question,) if isinstance(question, str) else question
    return task, Example("q", segments, "", choices=choices)


@pytest.mark.parametrize("name", SUBJECTS)
def test_replies_are_read_and_never_guessed(name: str) -> None:
    task, example = subject(name)
    mistakes = []
    for case in (case for case in CASES if case["subject"] == name):
        parsed, label = parse(case["reply"], task, example), case["label"]
        same = parsed.label is label is None or (parsed.label and label and task.equal(parsed.label, label))
        if not same or ("rationale" in case and parsed.rationale != case["rationale"]):
            mistakes.append((case, parsed))
    assert not mistakes


PIECES = ["Why. ", "The answer is ", "So the answer is ", "Answer: ", "(b) dam", "neutral", "(1)", "\n", "Q:", "yes"]
PIECES += ["**", "```", "```json\n", "\\boxed{", "}", "{", '{"answer":', '"', "<think>", "</think>", "\\frac{1}{2}"]
PIECES += ["$", "Final answer", "not neutral", "42", "1,000", "Premise:", "\ud800"]


@given(st.sampled_from(sorted(TASKS)), st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12))
def test_any_text_gives_parts_that_are_not_blank_and_can_be_stored(name: str, pieces: list[str]) -> None:
    task = get(name)
    for example in (BEAVERS, APPLES):
        parsed = parse("".join(pieces), task, example)
        for text in (parsed.rationale, parsed.label):
            assert text is None or text.strip()
        if parsed.rationale is not None:
            parsed.rationale.encode()
            assert "```" not in parsed.rationale
            assert "<think>" not in parsed.rationale
        choices = example.choices if name == "cqa" else task.choices
        assert parsed.label is None or not choices or parsed.label in choices


SENTENCES = ["It is so.", "The premise says 3 * 4.", "Beavers build dams.", "So 84 / 2 = 42.", "Both may be."]
LAYOUTS = [
    "{rationale} {marker} {answer}.",
    "{rationale}\n{marker} {answer}",
    "<think>The answer is no matter.</think>\n{rationale}\n\n**Answer:** {answer}",
    "Reasoning: {rationale}\r\nAnswer: {answer}\r\n",
    "Answer: {answer}\nExplanation: {rationale}",
    "```\n{rationale}\n\n{marker} {answer}\n```",
    "{rationale} {marker} {answer}.\n\n{stop} Another.\n{marker} nothing.",
]
ANSWERS = {"svamp": "(84 / 2)", "cqa": "(b) dam", "esnli": "neutral", "anli1": "contradiction", "custom": "Paris"}


@given(
    st.sampled_from(sorted(ANSWERS)),
    st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=6),
    st.sampled_from(LAYOUTS),
)
def test_a_reply_that_was_put_together_comes_apart(name: str, sentences: list[str], layout: str) -> None:
    task, rationale, answer = get(name), " ".join(sentences), ANSWERS[name]
    raw = layout.format(rationale=rationale, marker=task.marker, answer=answer, stop=task.stop)
    example = BEAVERS if name == "cqa" else APPLES
    assert parse(raw, task, example) == Parsed(rationale, answer.removeprefix("(b) "))


UNITS = ["Answer: ", "\\boxed{\\text{", "{", '{"a":', "<think>", "</think>", "```\n", "` ", "**", "Q:", " ", "\n", "("]
UNITS += ["\nQ: What do beavers build in rivers?\n", "1,000,", "\\frac{", "of a, ", "so the ", "I think that ", "# "]
UNITS += ["(a) ", "x = ", "dam, ", "it is the ", "The answer is (b). ", "The answer is ", "\\", "$"]


@pytest.mark.parametrize("unit", UNITS)
def test_work_in_proportion_to_the_text(unit: str) -> None:
    """Many characters: work that grew with their square would take an hour."""
    for name in ("svamp", "cqa"):
        parse(f"Why. The answer is {unit * (200_000 // len(unit))} Answer: b", get(name), BEAVERS)


def test_a_long_reply_is_read_as_far_as_its_limit() -> None:
    cqa = get("cqa")
    assert parse("Why. " * 1000 + "Answer: b", cqa, BEAVERS).label == "dam"
    assert parse(f"<think>{'Hm. ' * LONGEST_REPLY}</think>Why.\nAnswer: b", cqa, BEAVERS) == Parsed("Why.", "dam")
    assert parse("Why. " * LONGEST_REPLY + "Answer: b", cqa, BEAVERS).label is None


def test_the_question_told_again_does_not_end_a_reply() -> None:
    task, example = subject("meal")
    reply = (
        "**Premise:** A man is eating food.\n**Hypothesis:** A man lies there asleep.\n\nWhy.\n\n**Answer:** neutral"
    )
    assert parse(reply, task, example).label == "neutral"
    assert parse(reply.replace("A man is eating food.", "Two dogs run over green grass."), task, example).label is None


def test_a_conclusion_is_an_answer_but_no_stated_one() -> None:
    task, example = subject("apples")
    text = "Therefore, Jo packs 25 things in total."
    assert parse(text, task, example).label == "25"
    assert stated_answer(text, task, example) is None
    assert stated_answer("The answer is 25.", task, example) == "25"


@pytest.mark.parametrize(
    ("content", "thoughts", "source", "parsed"),
    [
        ("Why. The answer is 42.", "Hm.", "content", Parsed("Why.", "42")),
        ("Why. The answer is 42.", "Hm.", "thoughts", Parsed("Hm.", "42")),
        ("Why. The answer is 42.", "Hm.", "both", Parsed("Hm.\nWhy.", "42")),
        ("<think>Hm.</think>42", "", "thoughts", Parsed("Hm.", "42")),
        ("", "Hm. The answer is 42.", "content", Parsed(None, None)),
        ("", "Hm. The answer is 42.", "thoughts", Parsed("Hm.", "42")),
        ("Why. 84/2 = <<84/2=42>>42. The answer is 42.", "", "content", Parsed("Why. 84/2 = 42.", "42")),
        ("Why. The answer is 42.", "", "thoughts", Parsed(None, "42")),
    ],
)
def test_thoughts_and_content_give_rationale_and_label(
    content: str, thoughts: str, source: Any, parsed: Parsed
) -> None:
    assert read_reply(content, thoughts, NUMBER, APPLES, source=source) == parsed


@pytest.mark.parametrize(
    ("name", "thoughts", "label", "concluded"),
    [
        ("apples", "84 apples. So each has 42", "42", "42"),
        ("apples", "84 apples. So each has 43", "42", None),
        ("apples", "84 apples. So each has not 42", "42", None),
        ("homework", "It is made there. That fits math problem", "math problem", "math problem"),
        ("homework", "It is made there. That fits math problem or school", "math problem", None),
        ("homework", "It is made there.", "", None),
    ],
)
def test_thoughts_that_were_cut_off_may_have_come_to_the_label(
    name: str, thoughts: str, label: str, concluded: str | None
) -> None:
    task, example = subject(name)
    labelled = Example("q", example.segments, label, choices=example.choices)
    assert concluded_label("", thoughts, task, labelled) == concluded
    assert concluded_label("Words.", thoughts, task, labelled) is None
