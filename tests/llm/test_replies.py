"""Replies of many models taken apart: the cases in `replies.jsonl`, and properties of any text."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.llm.replies import LONGEST_REPLY, Parsed, parse, read_reply, stated_answer
from limbeck.llm.text import split_thoughts
from limbeck.schema import Example
from limbeck.tasks import TASKS, get

CUSTOM, NUMBER = get("custom"), get("custom", answer="number")
APPLES = Example("q", ("There are 84 apples in 2 boxes. How many are in each box?",), "( 84.0 / 2.0 )")
RIVERS = "What do beavers build in rivers?\nAnswer Choices:\n(a) body of water"
BEAVERS = Example("q", (RIVERS,), "dam", choices=("body of water", "dam", "zoo", "revolving door", "garder"))
HOMEWORK = "Where is math homework done?\nAnswer Choices:\n(a) park\n(b) dam\n(c) math problem\n(d) school"
CAPITAL = "What is the capital of France?"
SUBJECTS = {
    "apples": (get("svamp"), APPLES),
    "number": (NUMBER, Example("q", ("How many?",), "")),
    "homework": (get("cqa"), Example("q", (HOMEWORK,), "", choices=("park", "dam", "math problem", "school"))),
    "beavers": (get("cqa"), BEAVERS),
    "ice cream": (get("cqa"), Example("q", ("?",), "", choices=("body of water", "dam", "zoo", "town", "Ice cream "))),
    "sleeper": (get("esnli"), Example("q", ("A man is eating food.", "A man sleeps in bed."), "")),
    "capital": (CUSTOM, Example("q", (CAPITAL,), "")),
    "letters": (CUSTOM, Example("q", (f"{CAPITAL}\nA) Paris\nB) Rome\nC) Bonn",), "", choices=("A", "B", "C", "D"))),
    "yes or no": (CUSTOM, Example("q", ("Is it?",), "", choices=("yes", "no"))),
    "ticket": (CUSTOM, Example("q", ("Classify it",), "", choices=("billing", "refund", "technical issue"))),
}
CASES = [json.loads(line) for line in Path(__file__).with_name("replies.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", SUBJECTS)
def test_replies_are_read_and_never_guessed(name: str) -> None:
    task, example = SUBJECTS[name]
    mistakes = []
    for case in (case for case in CASES if case["subject"] == name):
        parsed, label = parse(case["reply"], task, example), case["label"]
        same = parsed.label is label is None or (parsed.label and label and task.equal(parsed.label, label))
        if not same or ("rationale" in case and parsed.rationale != case["rationale"]):
            mistakes.append((case, parsed))
    assert not mistakes


PIECES = ["Why. ", "The answer is ", "Answer: ", "(b) dam", "neutral", "(1)", "\n", "Q:", "yes", "**", "```json\n", "}"]
PIECES += ["\\boxed{", '{"answer":', '"', "<think>", "</think>", "\\frac{1}{2}", "$", "42", "Premise:", "\ud800"]


@given(st.sampled_from(sorted(TASKS)), st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12))
def test_any_text_gives_parts_that_are_not_blank_and_can_be_stored(name: str, pieces: list[str]) -> None:
    task = get(name)
    for example in (BEAVERS, APPLES):
        parsed = parse("".join(pieces), task, example)
        assert all(text is None or text.strip() for text in parsed)
        rationale = (parsed.rationale or "").encode()
        assert b"```" not in rationale and b"<think>" not in rationale
        choices = example.choices if name == "cqa" else task.choices
        assert parsed.label is None or not choices or parsed.label in choices


UNITS = ["Answer: ", "\\boxed{\\text{", '{"a":', "<think>", "</think>", "```\n", "**", "Q:", " ", "\n", "(", "1,000,"]
UNITS += ["\nQ: What do beavers build in rivers?\n", "\\frac{", "of a, ", "so the ", "I think that ", "(a) ", "x = "]


@pytest.mark.parametrize("unit", [*UNITS, "dam, ", "it is the ", "The answer is (b). "])
def test_work_in_proportion_to_the_text(unit: str) -> None:
    """Many characters: work that grew with their square would take minutes."""
    for name in ("svamp", "cqa"):
        parse(f"Why. The answer is {unit * (60_000 // len(unit))} Answer: b", get(name), BEAVERS)


def test_a_long_reply_is_read_as_far_as_its_limit() -> None:
    cqa = get("cqa")
    assert parse(f"<think>{'Hm. ' * LONGEST_REPLY}</think>Why.\nAnswer: b", cqa, BEAVERS) == Parsed("Why.", "dam")
    assert parse("Why. " * LONGEST_REPLY + "Answer: b", cqa, BEAVERS).label is None


def test_a_conclusion_is_an_answer_but_no_stated_one() -> None:
    text = "Therefore, Jo packs 25 things in total."
    assert parse(text, *SUBJECTS["apples"]).label == "25"
    assert stated_answer(text, *SUBJECTS["apples"]) is None
    assert stated_answer("The answer is 25.", *SUBJECTS["apples"]) == "25"


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
    ],
)
def test_thoughts_and_content_give_rationale_and_label(content, thoughts, source, parsed) -> None:
    assert read_reply(content, thoughts, NUMBER, APPLES, source=source) == parsed


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        ("<think>\nOne.\n</think>\n<think>Two.</think>Yes.", ("One.\nTwo.", "\nYes.")),
        ("Hm.</think>Yes.", ("Hm.", "Yes.")),
        ("<think>Hm.", ("Hm.", "")),
        ("[THINK]Hm.[/THINK]Yes.", ("Hm.", "Yes.")),
        ("\u25c1think\u25b7Hm.\u25c1/think\u25b7Yes.", ("Hm.", "Yes.")),
        ('<reasoning effort="high">Hm.</reasoning>Yes.', ("Hm.", "Yes.")),
        ("< analysis >Hm.</ analysis >Yes.", ("Hm.", "Yes.")),
        ("<|channel|>analysis<|message|>Hm.<|end|><|channel|>final<|message|>Yes.", ("Hm.<|end|>", "Yes.")),
        ("A model writes <think> first. Yes.", ("", "A model writes <think> first. Yes.")),
    ],
)
def test_thoughts_come_apart(raw: str, parts: tuple[str, str]) -> None:
    assert split_thoughts(raw) == parts
