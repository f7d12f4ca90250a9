"""Replies as models other than the released teacher write them, and replies made to break a parser."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.llm import Parsed, parse
from limbeck.llm.replies import LONGEST_REPLY
from limbeck.schema import Example
from limbeck.tasks import TASKS, get, same_value

BEAVERS = Example(
    "q",
    ("What do beavers build in rivers?\nAnswer Choices:\n(a) body of water",),
    "dam",
    choices=("body of water", "dam", "zoo", "revolving door", "garder"),
)
MEAL = Example(
    "q",
    ("A man is eating food.", "A man sleeps in bed."),
    "contradiction",
    choices=("entailment", "neutral", "contradiction"),
)
APPLES = Example("q", ("Luke has 84 apples and 2 friends. How many has each?",), "( 84.0 / 2.0 )")


@pytest.mark.parametrize(
    ("raw", "rationale", "label"),
    [
        ("Why. So the answer is (d) revolving door.", "Why.", "revolving door"),
        ("Why.\n\nTHE ANSWER IS: **(B)**", "Why.", "dam"),
        ("Why.\nAnswer: B", "Why.", "dam"),
        ("Why.\n\n**Final Answer:** $\\boxed{B}$", "Why.", "dam"),
        ("Why.\n$$\\boxed{\\text{(B) dam}}$$", "Why.", "dam"),
        ("Why. Therefore, the correct choice is b.", "Why.", "dam"),
        ("Why. I think the answer is the dam.", "Why.", "dam"),
        ("Why. The best answer is dam, because it is so.", "Why.", "dam"),
        ("Why. The correct option is option (b) dam - it is.", "Why.", "dam"),
        ("Why.\n### Final Answer\nB", "Why.", "dam"),
        (
            "## Reasoning\n\n- Beavers build.\n- Rivers.\n\n## Answer\n\n**B. dam**",
            "- Beavers build.\n- Rivers.",
            "dam",
        ),
        ("1. Why.\n2. Answer: **b**.", "1. Why.", "dam"),
        ("Why.\n**Answer**: The answer is `dam`", "Why.", "dam"),
        ("Why.\n\n---\n\nAnswer: dam", "Why.", "dam"),
        ("Why.\r\nAnswer\uff1a\uff08\uff22\uff09\r\n", "Why.", "dam"),
        ("Why.\u00a0The answer is\u00a0\u201cdam\u201d.", "Why.", "dam"),
        ("Reasoning: Why. So the answer is (b).", "Why.", "dam"),
        # One answer said twice, and one taken back; the last before a new question counts:
        ("Of these, the best answer is the dam. So the answer is (b) dam.", None, "dam"),
        (
            "Why. The answer is (a). Wait, no. So the answer is (b).\n\nQ: New?\nThe answer is (c).",
            "Why. Wait, no.",
            "dam",
        ),
        ("Why. The answer is (b).\n\nQuestion 2: New?\nThe answer is (c).", "Why.", "dam"),
        # The answer first:
        ("Answer: B\nExplanation: Beavers build dams.", "Beavers build dams.", "dam"),
        ("Answer: B. Beavers build dams, you see.", "Beavers build dams, you see.", "dam"),
        ("Answer: B\nExplanation: Beavers build. So the answer is (b) dam.", "Beavers build.", "dam"),
        ("dam", None, "dam"),
        ("**B**", None, "dam"),
        # Its own question told again, and a new one in its place:
        ("Question: What do beavers build in rivers?\nWhy. Answer: b", None, "dam"),
        ("Question: What do foxes dig in the ground?\nWhy. Answer: b", None, None),
        # Thoughts:
        ("<think>(a)? The answer is (a).</think>Why.\nAnswer: (b)", "Why.", "dam"),
        ("Is it (a)? Answer: (a)\n</think>\n\nWhy.\nAnswer: (b)", "Why.", "dam"),
        ("<think>Hm. The answer is (a).", None, None),
        ("Why. Answer: (b)\n<think>Was that right? Answer: (a)", "Why.", "dam"),
        ("<think>One <think> two</think> three</think>Why.\nAnswer: (b)", "Why.", "dam"),
        # JSON:
        ('```json\n{"rationale": "Why.", "answer": "B"}\n```', "Why.", "dam"),
        ('{"reasoning": "Why. So the answer is (b) dam.", "Answer": "dam"}', "Why.", "dam"),
        ('Why.\n{"answer": "(b) dam"}', "Why.", "dam"),
        ('{"reasoning": "Why.", "answer": null}', None, None),
        ('{"reasoning": "Why.", "answer": "B"', None, None),
        # The letter with its text misspelled, or read as misspelled where the choice itself is:
        ("Why. The answer is (e) gardener.", "Why.", "garder"),
        # No answer, several, or a letter with another's text:
        ("Why. The answer is (a) dam.", "Why.", None),
        ("Why. The answer is (a) or (b).", "Why.", None),
        ("Why. The answer is dam, zoo.", "Why.", None),
        ("Why. The answer is either A or B.", "Why.", None),
        ("Why. The answer must be a dam.", None, None),
        ("Answer Choices:\n(a) body of water\n(b) dam", None, None),
    ],
)
def test_choices(raw: str, rationale: str | None, label: str | None) -> None:
    parsed = parse(raw, get("cqa"), BEAVERS)
    assert parsed.label == label
    if rationale is not None or label is None:
        assert parsed.rationale == rationale


@pytest.mark.parametrize(
    ("raw", "rationale", "label"),
    [
        ("Why.\n\\boxed{\\text{entailment}}", "Why.", "entailment"),
        ("Why. Thus, the label is **Neutral**.", "Why.", "neutral"),
        ("Why. The relationship is one of contradiction", "Why.", "contradiction"),
        ("Label: contradiction\nReason: eating is not sleeping.", "eating is not sleeping.", "contradiction"),
        ("Why.\nAnswer: neutral (neither entailment nor contradiction)", "Why.", "neutral"),
        ("Why.\nAnswer: neutral, since nothing is said.", "Why.", "neutral"),
        ("Why. The answer is: The premise contradicts the hypothesis.", "Why.", "contradiction"),
        ("Why.\nAnswer: entails", "Why.", "entailment"),
        ("Why.\nAnswer: Yes", "Why.", "entailment"),
        ("Why.\nAnswer: No.", "Why.", "contradiction"),
        ("Why.\nAnswer: maybe", "Why.", "neutral"),
        ("Entailment", None, "entailment"),
        ("Why.\nAnswer: not entailment", "Why.", None),
        ("Why.\nAnswer: no entailment", "Why.", None),
        ("Why.\nAnswer: neutral or contradiction", "Why.", None),
        ("Why.\nAnswer: neutral, or contradiction", "Why.", None),
        ("Why.\nAnswer: entailment/neutral", "Why.", None),
        ("Why.\nAnswer: the premise does not contradict it", "Why.", None),
        ("Why.\nAnswer: it entails or contradicts", "Why.", None),
        ("The premise entails nothing here.", None, None),
    ],
)
@pytest.mark.parametrize("task", ["esnli", "anli1"])
def test_labels(task: str, raw: str, rationale: str | None, label: str | None) -> None:
    assert parse(raw, get(task), MEAL) == Parsed(rationale, label)


def test_the_question_told_again_does_not_end_a_reply() -> None:
    told = (
        "**Premise:** A man is eating food.\n**Hypothesis:** A man sleeps in bed.\n\nWhy.\n\n**Answer:** contradiction"
    )
    assert parse(told, get("esnli"), MEAL).label == "contradiction"
    assert parse(told.replace("sleeps in bed", "lies there asleep"), get("esnli"), MEAL).label == "contradiction"
    other = told.replace("A man is eating food.", "Two dogs run over green grass.")
    assert parse(other, get("esnli"), MEAL).label is None


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("\n\n**Final Answer:** $\\boxed{42}$", "42"),
        (" The final answer is: $\\boxed{42 \\text{ apples}}$.", "42"),
        ("\n\\[ \\boxed{\\dfrac{84}{2}} \\]", "84 / 2"),
        (" The answer is \\frac{84}{\\frac{4}{2}}.", "42"),
        (" The answer is $84 \\div 2 = 42$.", "42"),
        ("\nAnswer: (84 \u00d7 2) \u2212 1", "167"),
        ("\nAnswer: 2 \\times \\left( 3 + 4 \\right)", "14"),
        ("\nAnswer: \\$1,200", "1200"),
        ("\nAnswer: 1,200 apples.", "1200"),
        ("\n**Answer: 84 / 2**", "42"),
        ("\n### Answer: 2**3", "8"),
        (" The answer is x = 42.", "42"),
        (" The answer is 42. Each has as many.", "42"),
        (" The answer is 84 / 2 = 43.", None),
        (" The answer is 5 less than 8.", None),
        ("\nAnswer: 50%", "50"),
        ("\nAnswer: 3 1/2", "3.5"),
        ("\nAnswer: 12:30", None),
        ("\nAnswer: 2 hundred", "200"),
        ("\nAnswer: 42 or 43", None),
        ("\nAnswer: __import__('os')", None),
        ("\nAnswer: 9**9**9**9", None),
    ],
)
def test_equations(answer: str, label: str | None) -> None:
    parsed = parse(f"So 26 * 2 ** 3 is that.{answer}", get("svamp"), APPLES)
    assert parsed.rationale == "So 26 * 2 ** 3 is that."
    if label is None:
        assert parsed.label is None
    else:
        assert parsed.label is not None
        assert same_value(parsed.label, label)


def test_a_users_own_task() -> None:
    assert parse("Why.\n**Answer:** **Paris**.", get("custom"), APPLES) == Parsed("Why.", "Paris")
    assert parse("Answer: Paris\nExplanation: Why.", get("custom"), APPLES) == Parsed("Why.", "Paris")


SIGNS = ["**", "```", "```json\n", "\\boxed{", "}", "{", '{"answer":', '"', "<think>", "</think>", "\\frac{1}{2}", "$"]
SAID = ["Answer: ", "Final answer", "B", "dam", "not neutral", "yes", "42", "1,000", "\n", "Q:", "Premise:", "\ud800"]


@given(st.sampled_from(sorted(TASKS)), st.lists(st.sampled_from(SIGNS + SAID) | st.text(max_size=4), max_size=12))
def test_whatever_is_said_nothing_is_raised(name: str, parts: list[str]) -> None:
    for example in (BEAVERS, APPLES):
        parsed = parse("".join(parts), get(name), example)
        for part in (parsed.rationale, parsed.label):
            assert part is None or part.strip()
        if parsed.rationale is not None:
            json.loads(json.dumps(parsed.rationale).encode())
            assert "```" not in parsed.rationale
            assert "<think>" not in parsed.rationale


WORDS = [
    "It is so.",
    "The premise says 3 * 4.",
    "Beavers build dams.",
    "So 84 / 2 = 42.",
    "Both may be.",
    "A man eats.",
]
sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6)
layouts = st.sampled_from(
    [
        "{rationale} {marker} {answer}.",
        "{rationale}\n{marker} {answer}",
        "<think>The answer is no matter.</think>\n{rationale}\n\n**Answer:** {answer}",
        "Reasoning: {rationale}\r\nAnswer: {answer}\r\n",
        "Answer: {answer}\nExplanation: {rationale}",
        "```\n{rationale}\n\n{marker} {answer}\n```",
        "{rationale} {marker} {answer}.\n\n{stop} Another.\n{marker} nothing.",
    ]
)
ANSWERS = {"svamp": "(84 / 2)", "cqa": "(b) dam", "esnli": "neutral", "anli1": "contradiction", "custom": "Paris"}


@given(st.sampled_from(sorted(ANSWERS)), sentences, layouts)
def test_what_was_put_together_comes_apart(name: str, parts: list[str], layout: str) -> None:
    task, rationale, answer = get(name), " ".join(parts), ANSWERS[name]
    raw = layout.format(rationale=rationale, marker=task.marker, answer=answer, stop=task.stop)
    assert parse(raw, task, BEAVERS if name == "cqa" else APPLES) == Parsed(rationale, answer.removeprefix("(b) "))


@pytest.mark.parametrize(
    "unit",
    [
        *[
            "Answer: ",
            "\\boxed{",
            "\\boxed{\\text{",
            "{",
            "[",
            '{"a":',
            "<think>",
            "</think>",
            "```",
            "```\n",
            "` ",
            "**",
        ],
        *[
            "Q:",
            "\nQ: What do beavers build in rivers?\n",
            " ",
            "\n",
            "(",
            "1+",
            "1,000,",
            "\\frac{",
            "of a, ",
            "so the ",
        ],
        *[
            "I think that ",
            "# ",
            "B. ",
            "(a) ",
            "x = ",
            "dam, ",
            "it is the ",
            "Answer\n",
            "The answer is (b). ",
            "\\",
            "$",
        ],
    ],
)
def test_work_in_proportion_to_the_text(unit: str) -> None:
    """A million characters: work that grew with their square would take hours."""
    for name in ("svamp", "cqa", "esnli"):
        parse(f"Why. The answer is {unit * (1_000_000 // len(unit))} Answer: b", get(name), BEAVERS)


def test_a_long_reply_is_read_as_far_as_its_limit() -> None:
    assert parse("Why. " * 1000 + "Answer: b", get("cqa"), BEAVERS).label == "dam"
    assert parse(f"<think>{'Hm. ' * LONGEST_REPLY}</think>Why.\nAnswer: b", get("cqa"), BEAVERS) == Parsed(
        "Why.", "dam"
    )
    assert parse("Why. " * LONGEST_REPLY + "Answer: b", get("cqa"), BEAVERS).label is None
