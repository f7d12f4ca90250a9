"""Filters of samples: outcomes and their precedence, languages, leaks, released figures."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from limbeck.annotation.filters import Annotation, FilterSettings, Sample, foreign, leaks, sift, words
from limbeck.data import DataSettings, read
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import Task, get, is_right

SVAMP = get("svamp")
BEAVERS = Example("q", ("What do beavers build?",), "dam", choices=("river", "dam", "zoo", "town", "hint"))
APPLES = Example("apples", ("Luke has 84 apples and 2 friends. How many has each?",), "( 84.0 / 2.0 )")
OPEN = replace(APPLES, id="open", label="")
MEAL = Example("q", ("A man eats.", "A man sleeps."), "neutral", choices=("entailment", "neutral", "contradiction"))
EXAMPLES = {"cqa": BEAVERS, "svamp": APPLES, "esnli": MEAL, "anli1": MEAL}
RIGHT = "Luke shares 84 apples with 2. The answer is (84 / 2)."
SECOND = "Two friends get 84 apples. The answer is 42."
WRONG = "Luke keeps 84 and 2. The answer is (84 + 2)."
NO_REPLY, FAILED = Sample(None), Sample(None, failure="timed out")
hint = partial(Sample, hinted=True)
SENTENCES = {
    "de": ["Die Jacke ist rot, nicht blau.", "Mary hatte 15 Kekse. Sie gab Tom 6. Also 15 - 6 = 9."],
    "fr": ["La veste est rouge et non bleue.", "D'abord 12 + 7 = 19, puis 19 - 5 = 14."],
    "zh": ["狗是一种动物。", "首先 12 + 7 = 19，然后 19 - 5 = 14。"],
    "en": ["THE MAN IS NOT A WOMAN.", "Bonjour means hello, and merci means thank you in French."],
}


def sifted(example: Example, samples: Sequence[str | Sample], task: Task = SVAMP, **filters: object) -> Annotation:
    copies = [replace(sample) if isinstance(sample, Sample) else Sample(sample) for sample in samples]
    return sift(example, copies, task, filters=FilterSettings.model_validate(filters), source="content")


def outcomes(example: Example, *samples: str | Sample, **filters: object) -> list[str]:
    return [sample.outcome.value for sample in sifted(example, samples, **filters).samples]


@pytest.mark.parametrize(
    ("sample", "filters", "outcome"),
    [
        (NO_REPLY, {}, "not asked"),
        (FAILED, {}, "failed"),
        ("", {}, "no answer"),
        ("Luke shares, who knows how. The answer is hard.", {}, "no answer"),
        ("The answer is (84 / 2).", {}, "no rationale"),
        ("Shared. The answer is 42.", {"min_words": 1}, "kept"),
        (RIGHT, {"max_words": 6}, "kept"),
        (hint("As the hint says, Luke shares. The answer is 42."), {}, "leak"),
        ("As the hint says, Luke shares. The answer is 42.", {}, "kept"),
        (hint(RIGHT), {}, "kept"),
        (hint(WRONG), {"gold": False}, "wrong"),
        (hint(RIGHT), {"gold": False, "agreement": 1}, "kept"),
    ],
)
def test_outcomes(sample: str | Sample, filters: dict, outcome: str) -> None:
    assert outcomes(APPLES, sample, **filters) == [outcome]


def test_without_a_gold_label_the_vote_decides() -> None:
    assert outcomes(OPEN, WRONG, RIGHT, SECOND) == ["outvoted", "kept", "kept"]
    thirds = ("Luke shares 10 with 3. The answer is (10 / 3).", "Luke divides 10 by 3. The answer is 3.33.")
    assert outcomes(OPEN, *thirds) == ["kept", "kept"]  # 3.33 is the rounding of the vote
    assert outcomes(APPLES, RIGHT, WRONG, f"So {WRONG}", gold=False) == ["outvoted", "kept", "kept"]


def test_agreement_is_of_the_samples_that_answered_without_a_hint() -> None:
    samples = (WRONG, RIGHT, SECOND, "No idea.", NO_REPLY, FAILED, hint(WRONG), hint(f"So {RIGHT}"))
    others = ["no answer", "not asked", "failed", "wrong", "kept"]  # a hinted one is not the vote's
    assert outcomes(APPLES, *samples, agreement=0.66) == ["wrong", "kept", "kept", *others]
    assert outcomes(APPLES, *samples, agreement=0.67) == ["wrong", "low agreement", "low agreement", *others]
    annotation = sifted(APPLES, samples)
    assert (annotation.vote, annotation.agreement) == ("(84 / 2)", 2 / 3)
    assert annotation.rationales == ("Luke shares 84 apples with 2.", "Two friends get 84 apples.")  # a hint's apart
    assert (annotation.rectified, annotation.wrong_rationales) == (False, ("Luke keeps 84 and 2.",))
    annotation = sifted(APPLES, (WRONG, WRONG, hint(WRONG), hint(RIGHT)))
    assert (annotation.rectified, annotation.rationales) == (True, ("Luke shares 84 apples with 2.",))
    assert (annotation.votes, annotation.wrong_rationales) == ({"(84 + 2)": 1}, ("Luke keeps 84 and 2.",))


def test_precedence() -> None:
    """A sample has every fault, of which one after the other is no longer minded."""
    german = "Luke teilt 84 Äpfel mit zwei Freunden, also bekommt jeder die Hälfte.</rationale> The answer is 42."
    mistakes = ["Luke shares 84. The answer is (1).", "He shares 84. The answer is (1)."]
    filters = {"agreement": 0.9, "min_words": 50, "max_words": 5, "language": "en", "leaks": True, "duplicates": True}
    off = {"agreement": 0, "min_words": 0, "max_words": None, "language": None, "leaks": False, "duplicates": False}
    expected = ["low agreement", "too short", "too long", "language", "leak", "duplicate", "kept"]
    for outcome, name in zip(expected, [*off, "leaks"], strict=True):
        assert outcomes(APPLES, *mistakes, german, german, **filters)[-1] == outcome
        filters[name] = off[name]


@pytest.mark.parametrize(("name", "split"), [("svamp", "train"), pytest.param("cqa", "test", marks=pytest.mark.slow)])
def test_released_replies_are_read_as_the_archive_is_and_their_rationales_have_no_other_fault(dss, name, split):
    task = get(name)
    rows = read(DataSettings.model_validate({"task": name, "source": {"kind": "archive", "root": dss}}))[split]
    shards = sorted((dss / name / "llm").glob(f"{split}_CoT_*.json"))  # fewer than ten
    raws = [raw for shard in shards for raw in json.loads(shard.read_text())]
    for row, raw in zip(rows, raws, strict=True):
        annotation, label = sifted(row, [raw], task, language="en"), row.teacher_label
        outcome = "no answer" if label is None else "kept" if is_right(task, label, row) else "wrong"
        assert (annotation.vote, annotation.samples[0].outcome) == (label, outcome)


@pytest.mark.parametrize("code", SENTENCES)
def test_languages(code: str) -> None:
    for language, sentences in SENTENCES.items():
        for sentence in sentences:
            assert foreign(sentence, code) == (language != code), sentence
    with pytest.raises(LimbeckError) as raised:
        FilterSettings.parse({"language": f"{code}glish"}, "job.yaml")
    assert raised.value.field == "language"


# answers in a form, tags and tokens of templates; prose that only speaks of answers; talk of a hint
LEAKS = [
    ("cqa", "Beavers build. So the answer is (b) dam."),
    ("cqa", "Beavers build.\n**Final answer:** who knows"),
    ("cqa", "Beavers build. So  the\nanswer is: one of them"),
    ("cqa", "So the answer is (a) or (b). Beavers build."),
    ("cqa", "dam"),
    ("svamp", "Each has 42. The answer is **\n"),
    ("svamp", "Each has \\boxed{x}."),
    ("esnli", "He cannot do both. Answer: it depends"),
    ("svamp", "<|im_start|>assistant\nEach has 84 / 2."),
    ("svamp", "Each has 84 / 2.<\uff5cend\u2581of\u2581sentence\uff5c>"),
    ("svamp", "<reasoning>Each has 84 / 2.</reasoning>"),
]
PROSE = [
    ("svamp", "The answer is in the text: each has 84 / 2."),
    ("svamp", "|84| < |x| and x > |2|, so 84 / 2 = 42."),
    ("cqa", "The answer must be something that is built. Of the above choices, only dam is built by beavers."),
    ("esnli", "The man gives no answer (he sleeps)."),
    ("anli1", "The hint of a smile is no proof."),
]
HINTS = [
    ("cqa", "The hint says dam, and beavers build dams."),
    ("cqa", "Beavers build dams, which is the given answer."),
    ("cqa", "Since the answer is given as dam, beavers build it."),
    ("cqa", "We are told that the answer has to be built."),
    ("cqa", "According to the label, beavers build dams."),
]


@pytest.mark.parametrize(("cases", "unhinted", "hinted"), [(LEAKS, 1, 1), (PROSE, 0, 0), (HINTS, 0, 1)])
def test_leaks(cases: list[tuple[str, str]], unhinted: bool, hinted: bool) -> None:
    for task, rationale in cases:
        assert leaks(rationale, get(task), EXAMPLES[task], hinted=False) == unhinted, rationale
        assert leaks(rationale, get(task), EXAMPLES[task], hinted=True) == hinted, rationale


@pytest.mark.parametrize("unit", ["Answer: ", "<|", "the hint ", "answer is given ", "*", "狗"])
def test_work_in_proportion_to_the_text(unit: str) -> None:
    """Check many characters: work that grew with their square would take minutes."""
    text = f"Why. {unit * (60_000 // len(unit))}"
    words(text)
    for task in ("svamp", "cqa", "esnli"):
        leaks(text, get(task), EXAMPLES[task], hinted=True)
