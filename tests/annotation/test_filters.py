"""Filters of samples: outcomes and their precedence, votes beside a naive count, languages, leaks, released figures."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from limbeck.annotation.filters import (
    Asked,
    FilterSettings,
    Outcome,
    Sample,
    Sifted,
    Vote,
    VoteCounts,
    agree,
    count_votes,
    counts,
    foreign,
    leaks,
    majority,
    sift,
    words,
)
from limbeck.data import DataSettings, read
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import TASKS, Task, get

SVAMP = get("svamp")
BEAVERS = Example("q", ("What do beavers build?",), "dam", choices=("river", "dam", "zoo", "town", "hint"))
APPLES = Example("apples", ("Luke has 84 apples and 2 friends. How many has each?",), "( 84.0 / 2.0 )")
OPEN = replace(APPLES, id="open", label="")
MEAL = Example("q", ("A man eats.", "A man sleeps."), "neutral", choices=("entailment", "neutral", "contradiction"))
EXAMPLES = {"cqa": BEAVERS, "svamp": APPLES, "esnli": MEAL, "anli1": MEAL}
RIGHT = "Luke shares 84 apples with 2. The answer is (84 / 2)."
ALSO = "Two friends get 84 apples. The answer is 42."
WRONG = "Luke keeps 84 and 2. The answer is (84 + 2)."
EQUATION = get("custom", answer="equation")
LONG = f"1{' ' * 600}+ 1"  # past an equation's longest length, until its blanks are taken away
PIECES = ["1", "2", "1 + 1", "2.0", "( 2 )", "( 1.0 + 1.0 )", "1 +", "(2 * x)", "(2  * X).", "1 / 0", LONG, "1 + 1."]
labels = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12)
tasks = st.sampled_from([EQUATION, *TASKS.values()])
SENTENCES = {
    "de": ["Die Jacke ist rot, nicht blau.", "Mary hatte 15 Kekse. Sie gab Tom 6. Also 15 - 6 = 9."],
    "fr": ["La veste est rouge et non bleue.", "D'abord 12 + 7 = 19, puis 19 - 5 = 14."],
    "es": ["La chaqueta es roja, no azul.", "Mary tenía 15 galletas. Le dio 6 a Tom. Quedan 15 - 6 = 9."],
    "zh": ["狗是一种动物。", "首先 12 + 7 = 19，然后 19 - 5 = 14。"],
    "en": ["THE MAN IS NOT A WOMAN.", "Bonjour means hello, and merci means thank you in French."],
}


def outcomes(example: Example, *texts: str | Sample, **filters: object) -> list[str]:
    samples = tuple(text if isinstance(text, Sample) else Sample(text) for text in texts)
    [question] = sift([Asked(example, samples)], SVAMP, FilterSettings.model_validate(filters))
    return [sample.outcome.value for sample in question.samples]


def hint(text: str) -> Sample:
    return Sample(text, hinted=True)


@pytest.mark.parametrize(
    ("sample", "filters", "outcome"),
    [
        (RIGHT, {}, "kept"),
        (ALSO, {}, "kept"),
        (Sample(None), {}, "not asked"),
        (Sample(None, "timed out"), {}, "failed"),
        (Sample(RIGHT, "timed out"), {}, "kept"),
        ("", {}, "no answer"),
        ("Luke shares, who knows how. The answer is hard.", {}, "no answer"),
        ("The answer is (84 / 2).", {}, "no rationale"),
        (WRONG, {}, "wrong"),
        ("Shared. The answer is 42.", {}, "too short"),
        ("Shared. The answer is 42.", {"min_words": 1}, "kept"),
        (RIGHT, {"max_words": 6}, "kept"),
        (RIGHT, {"max_words": 5}, "too long"),
        ("Luke shares 84 apples.</rationale> The answer is 42.", {}, "leak"),
        ("Luke shares 84 apples.</rationale> The answer is 42.", {"leaks": False}, "kept"),
        (hint("As the hint says, Luke shares. The answer is 42."), {}, "leak"),
        ("As the hint says, Luke shares. The answer is 42.", {}, "kept"),
        (hint(RIGHT), {}, "kept"),
        (hint(WRONG), {}, "wrong"),
        (hint(WRONG), {"gold": False}, "wrong"),
        (hint(RIGHT), {"gold": False, "agreement": 1}, "kept"),
    ],
)
def test_one_sample(sample: str | Sample, filters: dict, outcome: str) -> None:
    assert outcomes(APPLES, sample, **filters) == [outcome]


def test_without_a_gold_label_the_vote_decides() -> None:
    assert outcomes(OPEN, WRONG, RIGHT, ALSO) == ["outvoted", "kept", "kept"]
    assert outcomes(APPLES, RIGHT, WRONG, f"So {WRONG}", gold=False) == ["outvoted", "kept", "kept"]
    assert outcomes(APPLES, RIGHT, WRONG, f"So {WRONG}") == ["kept", "wrong", "wrong"]
    assert outcomes(OPEN, WRONG, RIGHT) == ["kept", "outvoted"]  # a tie
    assert outcomes(OPEN, hint(RIGHT), WRONG) == ["outvoted", "kept"]  # its label is gone since: nothing speaks for it


def test_agreement_is_of_the_samples_that_answered_without_a_hint() -> None:
    samples = (WRONG, RIGHT, ALSO, "No idea.", Sample(None), Sample(None, "HTTP 500"), hint(WRONG), hint(f"So {RIGHT}"))
    assert outcomes(APPLES, *samples, agreement=0.66) == [
        *["wrong", "kept", "kept", "no answer", "not asked", "failed"],
        *["wrong", "kept"],
    ]
    low = outcomes(APPLES, *samples, agreement=0.67)
    assert low[:3] == ["wrong", "low agreement", "low agreement"]
    assert low[-1] == "kept"  # a hinted one is not the vote's
    assert outcomes(APPLES, WRONG, RIGHT, agreement=0.5) == ["wrong", "kept"]
    [question] = sift(
        [Asked(APPLES, tuple(s if isinstance(s, Sample) else Sample(s) for s in samples))], SVAMP, FilterSettings()
    )
    assert (question.vote, question.agreement) == ("(84 / 2)", 2 / 3)


def test_precedence() -> None:
    """A sample with every fault, of which one after the other is mended, or no longer minded."""
    german = "Luke teilt 84 Äpfel mit zwei Freunden, also bekommt jeder die Hälfte.</rationale>"
    mistakes = ("Luke shares 84. The answer is (1).", "He shares 84. The answer is (1).")
    strict = {"agreement": 0.9, "min_words": 50, "max_words": 60, "language": "en"}

    def last(sample: Sample, example: Example = APPLES, **mild: object) -> str:
        """The outcome of the sample, whose rationale was kept at another question before."""
        before = Sample(f"{german} The answer is 42.")
        survivors, _ = sift(
            [Asked(APPLES, (before,)), Asked(example, (*map(Sample, mistakes), sample))],
            SVAMP,
            FilterSettings.model_validate({"leaks": False, "min_words": 0}),
        )
        assert survivors.samples[0].outcome is Outcome.KEPT
        filters = FilterSettings.model_validate(strict | mild)
        first = Asked(APPLES, (before,) if not filters.leaks else ())
        _, question = sift([first, Asked(example, (*map(Sample, mistakes), sample))], SVAMP, filters)
        return question.samples[-1].outcome.value

    assert last(Sample(None)) == "not asked"
    assert last(Sample(None, "timed out")) == "failed"
    assert last(Sample("<|im_end|>")) == "no answer"
    assert last(Sample("The answer is (3).")) == "no rationale"
    assert last(Sample(f"{german} The answer is (3).")) == "wrong"
    assert last(Sample(f"{german} The answer is (3)."), gold=False) == "outvoted"
    assert last(Sample(f"{german} The answer is (3)."), OPEN) == "outvoted"
    right = Sample(f"{german} The answer is 42.")
    assert last(right) == "low agreement"
    mild: dict[str, object] = {"agreement": 0}
    for after, field in [
        ("too short", {"min_words": 0, "max_words": 5}),
        ("too long", {"max_words": None}),
        ("language", {"language": None}),
        ("leak", {"leaks": False}),
        ("duplicate", {"duplicates": False}),
    ]:
        assert last(right, **mild) == after
        mild |= field
    assert last(right, **mild) == "kept"


def test_of_equal_rationales_the_first_that_is_kept_stays() -> None:
    again = RIGHT.upper().replace("THE ANSWER", "the answer").replace(" SHARES", "   SHARES")
    assert outcomes(APPLES, RIGHT, again, ALSO) == ["kept", "duplicate", "kept"]
    assert outcomes(APPLES, RIGHT, again, duplicates=False) == ["kept", "kept"]
    second = replace(APPLES, id="other", label="( 84.0 + 2.0 )")
    first, second = sift(
        [
            Asked(second, (Sample(RIGHT), Sample(None))),  # wrong there: it was not kept, and takes nobody's place
            Asked(APPLES, (Sample(RIGHT), hint(RIGHT))),
        ],
        SVAMP,
        FilterSettings(),
    )
    assert [sample.outcome for sample in first.samples] == [Outcome.WRONG, Outcome.NOT_ASKED]
    assert [sample.outcome for sample in second.samples] == [Outcome.KEPT, Outcome.DUPLICATE]
    second = replace(APPLES, id="other")  # many questions have the same short reason: "A man is a person."
    sifted = sift([Asked(row, (Sample(RIGHT),)) for row in (APPLES, second)], SVAMP, FilterSettings())
    assert [question.samples[0].outcome for question in sifted] == [Outcome.KEPT, Outcome.KEPT]


def test_counts() -> None:
    batch = [
        Asked(APPLES, (Sample(RIGHT), Sample(WRONG), Sample(ALSO))),
        Asked(OPEN, (Sample(WRONG),)),  # a vote, and no gold label
        Asked(APPLES, (Sample(WRONG), Sample(None))),
        Asked(APPLES, (Sample(None, "HTTP 500"), hint(f"So {RIGHT}"))),  # a hint gives no vote
        Asked(OPEN, ()),
    ]
    sifted = sift(batch, SVAMP, FilterSettings())
    assert counts(sifted) == dict.fromkeys(Outcome, 0) | {"kept": 4, "not asked": 1, "failed": 1, "wrong": 2}
    assert list(counts(sifted)) == [
        *["kept", "not asked", "failed", "no answer", "no rationale", "wrong", "outvoted", "low agreement"],
        *["too short", "too long", "language", "leak", "duplicate"],
    ]
    assert count_votes(sifted, SVAMP) == VoteCounts(questions=5, voted=3, labelled=3, graded=2, right=1)
    assert counts([]) == dict.fromkeys(Outcome, 0)
    assert count_votes([], SVAMP) == VoteCounts(0, 0, 0, 0, 0)


samples = st.builds(
    Sample,
    st.none() | st.sampled_from([RIGHT, ALSO, WRONG, "So. The answer is 42.", "No.", "The answer is (1)."]),
    st.none() | st.just("timed out"),
    st.booleans(),
)
questions = st.lists(
    st.builds(Asked, st.sampled_from([APPLES, OPEN]), st.lists(samples, max_size=6).map(tuple)), max_size=4
)
settings = st.builds(
    FilterSettings, gold=st.booleans(), agreement=st.sampled_from([0, 0.5, 1]), duplicates=st.booleans()
)


@given(questions, settings)
def test_what_is_kept_has_no_fault(batch: list[Asked], filters: FilterSettings) -> None:
    sifted = sift(batch, SVAMP, filters)
    assert [question.example for question in sifted] == [question.example for question in batch]
    assert sum(counts(sifted).values()) == sum(len(question.samples) for question in batch)
    survivors = [
        (question, sample) for question in sifted for sample in question.samples if sample.outcome is Outcome.KEPT
    ]
    for question, sample in survivors:
        assert sample.rationale
        assert sample.label
        if question.example.label and (filters.gold or sample.hinted):
            assert SVAMP.equal(sample.label, question.example.label)
        else:
            assert question.vote is not None
            assert SVAMP.equal(sample.label, question.vote)
        if not sample.hinted:
            assert question.agreement is not None
            assert question.agreement >= filters.agreement
    if filters.duplicates:
        assert (
            max(Counter((question.example.id, sample.rationale) for question, sample in survivors).values(), default=1)
            == 1
        )


@given(questions, settings)
def test_hints_change_no_vote(batch: list[Asked], filters: FilterSettings) -> None:
    without = [replace(question, samples=tuple(s for s in question.samples if not s.hinted)) for question in batch]

    def votes(sifted: list[Sifted]) -> list[tuple[str | None, float | None]]:
        return [(question.vote, question.agreement) for question in sifted]

    assert votes(sift(batch, SVAMP, filters)) == votes(sift(without, SVAMP, filters))


@pytest.mark.parametrize(
    ("name", "split", "accuracy", "unread"),
    [
        ("svamp", "train", 0.745, 13),
        pytest.param("cqa", "test", 0.7838, 29, marks=pytest.mark.slow),
        pytest.param("esnli", "test", 0.7299, 0, marks=pytest.mark.slow),
    ],
)
def test_with_one_sample_the_vote_is_the_parsers_answer(
    dss: Path, name: str, split: str, accuracy: float, unread: int
) -> None:
    task = get(name)
    rows = read(DataSettings.model_validate({"task": name, "source": {"kind": "archive", "root": dss}}))[split]
    shards = sorted((dss / name / "llm").glob(f"{split}_CoT_*.json"))  # fewer than ten
    raws = [raw for shard in shards for raw in json.loads(shard.read_text())]
    batch = [Asked(row, (Sample(raw),)) for row, raw in zip(rows, raws, strict=True)]
    sifted = sift(batch, task, FilterSettings(duplicates=False))
    votes, outcome_counts = count_votes(sifted, task), counts(sifted)
    assert round(votes.right / votes.labelled, 4) == accuracy
    assert votes.questions - votes.voted == outcome_counts["no answer"] == unread
    assert [question.vote for question in sifted] == [row.teacher_label for row in rows]
    assert outcome_counts["kept"] == votes.right  # nothing else is wrong with any of them
    assert outcome_counts["wrong"] == votes.graded - votes.right


def mutual(question: str, second: str, task: Task) -> bool:
    return task.equal(question, second) and task.equal(second, question)


def naive(answers: list[str], task: Task) -> Vote | None:
    best: tuple[str, int] | None = None
    for label in answers:
        votes = sum(mutual(label, second, task) for second in answers)
        if best is None or votes > best[1]:
            best = (label, votes)
    return None if best is None else Vote(best[0], best[1] / len(answers))


@pytest.mark.parametrize(
    ("task", "answers", "vote"),
    [
        ("cqa", [], None),
        ("cqa", ["dam"], Vote("dam", 1.0)),
        ("cqa", ["zoo", "dam", "dam", "town"], Vote("dam", 0.5)),
        ("cqa", ["zoo", "dam", "dam", "zoo"], Vote("zoo", 0.5)),  # a tie: who came first
        ("cqa", ["town", "dam", "zoo"], Vote("town", 1 / 3)),
        ("custom", ["Rome", "paris.", "Paris", "PARIS "], Vote("paris.", 0.75)),  # the first spelling
        ("custom", ["2", "1 + 1", "2.0", "2"], Vote("2", 0.75)),  # text is no sum
        ("svamp", ["3", "( 84.0 / 2.0 )", "42", "3", "84 / 2"], Vote("( 84.0 / 2.0 )", 0.6)),
        ("svamp", ["(2 * x)", "4", "(2  * X)"], Vote("(2 * x)", 2 / 3)),  # without a value, by their text
        ("svamp", ["0.1", "1 / 10", "0.3 - 0.2", "0.10000000000000001"], Vote("0.1", 0.75)),  # exactly
    ],
)
def test_by_hand(task: str, answers: list[str], vote: Vote | None) -> None:
    assert majority(answers, get(task)) == vote


@given(labels, tasks)
@example([LONG, "1 + 1", "1 + 1", LONG, LONG], EQUATION)
def test_the_same_as_counting_by_loops(answers: list[str], task: Task) -> None:
    assert majority(answers, task) == naive(answers, task)


@given(labels, tasks, st.randoms(use_true_random=False))
def test_the_order_decides_ties_alone(answers: list[str], task: Task, rng: random.Random) -> None:
    shuffled = answers.copy()
    rng.shuffle(shuffled)
    question, second = majority(answers, task), majority(shuffled, task)
    assert (question and question.agreement) == (second and second.agreement)
    if question and second and question.agreement > 0.5:
        assert agree(question.label, second.label, task)


def test_work_in_proportion_to_the_answers() -> None:
    """All different: comparing every pair would take hours."""
    answers = [f"{n} / 7" for n in range(30_000)]
    assert majority([*answers, "60 / 14"], EQUATION) == Vote("30 / 7", 2 / 30_001)


def test_a_way_of_comparing_that_votes_do_not_know_is_no_silent_mistake() -> None:
    with pytest.raises(ValueError):
        majority(["1"], replace(EQUATION, equal=lambda prediction, label: True))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" \n", 0),
        ("84 / 2 = 42.", 5),
        ("It is\nso.", 3),
        ("狗是一种动物", 6),
        ("有84个 apples", 4),
        ("개는 동물이다", 2),
    ],
)
def test_words(text: str, count: int) -> None:
    assert words(text) == count


@pytest.mark.parametrize("code", SENTENCES)
def test_languages(code: str) -> None:
    for language, sentences in SENTENCES.items():
        for sentence in sentences:
            assert foreign(sentence, code) == (language != code), sentence


@pytest.mark.parametrize(
    ("task", "split"),
    [
        ("svamp", "train"),
        pytest.param("cqa", "test", marks=pytest.mark.slow),
        pytest.param("esnli", "test", marks=pytest.mark.slow),
    ],
)
def test_released_rationales_are_english_and_leak_nothing(dss: Path, task: str, split: str) -> None:
    settings = DataSettings.model_validate({"task": task, "source": {"kind": "archive", "root": dss}})
    rows = [row for row in read(settings)[split] if row.rationale is not None and row.teacher_label is not None]
    assert [row.rationale for row in rows if foreign(str(row.rationale), "en")] == []
    assert [row.rationale for row in rows if leaks(str(row.rationale), get(task), row, hinted=False)] == []


@pytest.mark.parametrize(
    ("task", "rationale"),
    [
        ("cqa", "Beavers build. So the answer is (b) dam."),
        ("cqa", "Beavers build.\n**Answer:** B"),
        ("cqa", "Beavers build.\n**Final answer:** who knows"),
        ("cqa", "Beavers build. So the answer is"),
        ("cqa", "Beavers build. So  the\nanswer is: one of them"),
        ("cqa", "So the answer is (a) or (b). Beavers build."),
        ("cqa", "dam"),
        ("svamp", "Each has 42. The answer is 42."),
        ("svamp", "Each has 42. The answer is"),
        ("svamp", "Each has 42. The answer is **\n"),
        ("svamp", "Each has \\boxed{x}."),
        ("esnli", "He cannot do both. Answer: it depends"),
        ("anli1", "He cannot do both. So the answer is **unclear** to me."),
        ("svamp", "Each has 84 / 2.<|im_end|>"),
        ("svamp", "<|im_start|>assistant\nEach has 84 / 2."),
        ("svamp", "Each has 84 / 2.</s>"),
        ("svamp", "Each has 84 / 2.<\uff5cend\u2581of\u2581sentence\uff5c>"),
        ("svamp", "[INST] Each has 84 / 2. [/INST]"),
        ("svamp", "Each has 84 / 2.<end_of_turn>"),
        ("svamp", "<reasoning>Each has 84 / 2.</reasoning>"),
        ("svamp", "\u25c1think\u25b7Each has 84 / 2."),
    ],
)
def test_leaks(task: str, rationale: str) -> None:
    assert leaks(rationale, get(task), EXAMPLES[task], hinted=False)


@pytest.mark.parametrize(
    ("task", "rationale"),
    [
        ("svamp", "The answer is in the text: each has 84 / 2."),
        ("svamp", "The answer is, of course, that they share."),
        ("svamp", "To find the answer is to divide 84 by 2."),
        ("svamp", "|84| < |x| and x > |2|, so 84 / 2 = 42."),
        ("cqa", "The answer must be something that is built. Of the above choices, only dam is built by beavers."),
        ("cqa", "So the answer is something that is built in rivers."),
        ("esnli", "The man gives no answer (he sleeps)."),
        ("esnli", "He does not answer\nbecause he sleeps."),
        ("anli1", "The hint of a smile is no proof."),
    ],
)
@pytest.mark.parametrize("hinted", [False, True])
def test_prose_leaks_nothing(task: str, rationale: str, hinted: bool) -> None:
    assert not leaks(rationale, get(task), EXAMPLES[task], hinted)


@pytest.mark.parametrize(
    "rationale",
    [
        *("The hint says dam, and beavers build dams.", "As hinted, beavers build dams."),
        *("Beavers build dams, which is the given answer.", "The provided correct answer is about dams."),
        *("Since the answer is given as dam, beavers build it.", "We are told that the answer has to be built."),
        *("Knowing that the correct answer is built by beavers, dams.",),
        *("Beavers build dams, which matches the answer.", "According to the label, beavers build dams."),
    ],
)
def test_talk_of_the_hint_leaks_where_there_was_one(rationale: str) -> None:
    assert leaks(rationale, get("cqa"), BEAVERS, hinted=True)
    assert not leaks(rationale, get("cqa"), BEAVERS, hinted=False)


def test_the_questions_own_words_are_no_talk_of_a_hint() -> None:
    riddle = Example("q", ("What does the hint of the riddle mean?",), "dam", choices=("dam", "zoo"))
    assert not leaks("The hint means that beavers build it.", get("cqa"), riddle, hinted=True)
    assert leaks("The hint means the given answer.", get("cqa"), riddle, hinted=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"agreement": 1.5}, "job.yaml: agreement: "),
        ({"min_words": -1}, "job.yaml: min_words: "),
        ({"min_words": 5, "max_words": 4}, "job.yaml: max_words: 4 is less than min_words, 5"),
        ({"max_word": 4}, "did you mean 'max_words'?"),
        ({"language": "English"}, "job.yaml: language: an ISO 639-1 code .*, not 'English'"),
        ({"language": "xx"}, "not 'xx'"),
        ({"language": "zxx"}, "not 'zxx'"),
    ],
)
def test_settings_that_cannot_be(values: dict, message: str) -> None:
    with pytest.raises(LimbeckError, match=message):
        FilterSettings.parse(values, "job.yaml")


@pytest.mark.parametrize(
    "unit", ["Answer: ", "<|", "the hint ", "given ", "answer is given ", "So the answer is ", "*", " ", "狗"]
)
def test_work_in_proportion_to_the_text(unit: str) -> None:
    """Many characters: work that grew with their square would take an hour."""
    text = unit * (200_000 // len(unit))
    words(text)
    for task in ("svamp", "cqa", "esnli"):
        leaks(f"Why. {text}", get(task), EXAMPLES[task], hinted=True)
