"""What becomes of samples: every outcome, their precedence, votes, and the figures of the released data."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.annotation.filters import FilterSettings
from limbeck.annotation.sifting import Asked, Outcome, Sample, Sifted, VoteCounts, count_votes, counts, sift
from limbeck.data import DataSettings, read
from limbeck.llm import parse
from limbeck.schema import Example
from limbeck.tasks import get

SVAMP = get("svamp")
APPLES = Example("apples", ("Luke has 84 apples and 2 friends. How many has each?",), "( 84.0 / 2.0 )")
OPEN = replace(APPLES, id="open", label="")
RIGHT = "Luke shares 84 apples with 2. The answer is (84 / 2)."
ALSO = "Two friends get 84 apples. The answer is 42."
WRONG = "Luke keeps 84 and 2. The answer is (84 + 2)."


def outcomes(example: Example, *texts: str | Sample, **filters: object) -> list[str]:
    samples = tuple(text if isinstance(text, Sample) else Sample(text) for text in texts)
    [one] = sift([Asked(example, samples)], SVAMP, FilterSettings.model_validate(filters))
    return [judged.outcome.value for judged in one.samples]


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
    [one] = sift(
        [Asked(APPLES, tuple(s if isinstance(s, Sample) else Sample(s) for s in samples))], SVAMP, FilterSettings()
    )
    assert (one.vote, one.agreement) == ("(84 / 2)", 2 / 3)


def test_precedence() -> None:
    """A sample with every fault, of which one after the other is mended, or no longer minded."""
    pytest.importorskip("py3langid", reason="languages need limbeck[teacher]")
    german = "Luke teilt 84 Äpfel mit zwei Freunden, also bekommt jeder die Hälfte.</rationale>"
    others = ("Luke shares 84. The answer is (1).", "He shares 84. The answer is (1).")
    strict = {"agreement": 0.9, "min_words": 50, "max_words": 60, "language": "en"}

    def last(sample: Sample, example: Example = APPLES, **mild: object) -> str:
        """The outcome of the sample, whose rationale was kept at another question before."""
        before = Sample(f"{german} The answer is 42.")
        kept, _ = sift(
            [Asked(APPLES, (before,)), Asked(example, (*map(Sample, others), sample))],
            SVAMP,
            FilterSettings.model_validate({"leaks": False, "min_words": 0}),
        )
        assert kept.samples[0].outcome is Outcome.KEPT
        filters = FilterSettings.model_validate(strict | mild)
        first = Asked(APPLES, (before,) if not filters.leaks else ())
        _, one = sift([first, Asked(example, (*map(Sample, others), sample))], SVAMP, filters)
        return one.samples[-1].outcome.value

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
    other = replace(APPLES, id="other", label="( 84.0 + 2.0 )")
    first, second = sift(
        [
            Asked(other, (Sample(RIGHT), Sample(None))),  # wrong there: it was not kept, and takes nobody's place
            Asked(APPLES, (Sample(RIGHT), hint(RIGHT))),
        ],
        SVAMP,
        FilterSettings(),
    )
    assert [judged.outcome for judged in first.samples] == [Outcome.WRONG, Outcome.NOT_ASKED]
    assert [judged.outcome for judged in second.samples] == [Outcome.KEPT, Outcome.DUPLICATE]
    other = replace(APPLES, id="other")  # many questions have the same short reason: "A man is a person."
    sifted = sift([Asked(each, (Sample(RIGHT),)) for each in (APPLES, other)], SVAMP, FilterSettings())
    assert [one.samples[0].outcome for one in sifted] == [Outcome.KEPT, Outcome.KEPT]


def test_parts_of_a_sample_are_the_parsers() -> None:
    [one] = sift([Asked(APPLES, (Sample(WRONG), hint(RIGHT)))], SVAMP, FilterSettings())
    assert one.example is APPLES
    for judged, (text, hinted) in zip(one.samples, [(WRONG, False), (RIGHT, True)], strict=True):
        said = parse(text, SVAMP, APPLES)
        assert (judged.rationale, judged.label, judged.hinted) == (said.rationale, said.label, hinted)
    assert one.vote == "(84 + 2)"


def test_counts() -> None:
    asked = [
        Asked(APPLES, (Sample(RIGHT), Sample(WRONG), Sample(ALSO))),
        Asked(OPEN, (Sample(WRONG),)),  # a vote, and no gold label
        Asked(APPLES, (Sample(WRONG), Sample(None))),
        Asked(APPLES, (Sample(None, "HTTP 500"), hint(f"So {RIGHT}"))),  # a hint gives no vote
        Asked(OPEN, ()),
    ]
    sifted = sift(asked, SVAMP, FilterSettings())
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
def test_what_is_kept_has_no_fault(asked: list[Asked], filters: FilterSettings) -> None:
    sifted = sift(asked, SVAMP, filters)
    assert [one.example for one in sifted] == [one.example for one in asked]
    assert sum(counts(sifted).values()) == sum(len(one.samples) for one in asked)
    kept = [(one, judged) for one in sifted for judged in one.samples if judged.outcome is Outcome.KEPT]
    for one, judged in kept:
        assert judged.rationale
        assert judged.label
        if one.example.label and (filters.gold or judged.hinted):
            assert SVAMP.equal(judged.label, one.example.label)
        else:
            assert one.vote is not None
            assert SVAMP.equal(judged.label, one.vote)
        if not judged.hinted:
            assert one.agreement is not None
            assert one.agreement >= filters.agreement
    if filters.duplicates:
        assert max(Counter((one.example.id, judged.rationale) for one, judged in kept).values(), default=1) == 1


@given(questions, settings)
def test_hints_change_no_vote(asked: list[Asked], filters: FilterSettings) -> None:
    without = [replace(one, samples=tuple(s for s in one.samples if not s.hinted)) for one in asked]

    def votes(sifted: list[Sifted]) -> list[tuple[str | None, float | None]]:
        return [(one.vote, one.agreement) for one in sifted]

    assert votes(sift(asked, SVAMP, filters)) == votes(sift(without, SVAMP, filters))


@pytest.mark.parametrize(
    ("name", "split", "accuracy", "unread"),
    [("svamp", "train", 0.745, 13), ("cqa", "test", 0.7838, 29), ("esnli", "test", 0.7299, 0)],
)
def test_with_one_sample_the_vote_is_the_parsers_answer(
    dss: Path, name: str, split: str, accuracy: float, unread: int
) -> None:
    task = get(name)
    rows = read(DataSettings.model_validate({"task": name, "source": {"kind": "archive", "root": dss}}))[split]
    shards = sorted((dss / name / "llm").glob(f"{split}_CoT_*.json"))  # fewer than ten
    raws = [raw for shard in shards for raw in json.loads(shard.read_text())]
    asked = [Asked(row, (Sample(raw),)) for row, raw in zip(rows, raws, strict=True)]
    sifted = sift(asked, task, FilterSettings(duplicates=False))
    votes, found = count_votes(sifted, task), counts(sifted)
    assert round(votes.right / votes.labelled, 4) == accuracy
    assert votes.questions - votes.voted == found["no answer"] == unread
    assert [one.vote for one in sifted] == [row.teacher_label for row in rows]
    assert found["kept"] == votes.right  # nothing else is wrong with any of them
    assert found["wrong"] == votes.graded - votes.right
