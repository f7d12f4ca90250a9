"""What becomes of every sample of a teacher: kept to train on, or the one reason why not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from limbeck.annotation.filters import FilterSettings, foreign, leaks, words
from limbeck.annotation.votes import Vote, agree, majority
from limbeck.llm import Parsed, RationaleSource, concluded_label, read_reply
from limbeck.schema import Example
from limbeck.tasks import Task, is_right, normalise


class Outcome(StrEnum):
    """Of the reasons not to keep a sample the first that holds."""

    KEPT = "kept"
    NOT_ASKED = "not asked"
    FAILED = "failed"  # asked, and no reply yet
    NO_ANSWER = "no answer"  # none that can be read
    NO_RATIONALE = "no rationale"
    WRONG = "wrong"  # by the gold label
    OUTVOTED = "outvoted"  # where no gold label is known or wanted: not the vote
    LOW_AGREEMENT = "low agreement"  # of the vote
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    LANGUAGE = "language"
    LEAK = "leak"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Sample:
    """One wanted answer to a question."""

    text: str | None  # the raw reply; None: there is none
    failure: str | None = None  # its last failure's kind, where it was asked and has no reply; both None: not asked yet
    reason: str | None = None  # that failure's message
    hinted: bool = False  # the gold label was given as a hint
    thoughts: str = ""  # that came beside the text


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the answers wanted to it."""

    example: Example
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A sample taken apart, and what becomes of it."""

    rationale: str | None
    label: str | None
    outcome: Outcome
    hinted: bool


@dataclass(frozen=True, slots=True)
class Sifted:
    """A question with its vote, which is what its teacher says (`teacher_label`), and its samples in their order."""

    example: Example
    vote: str | None  # of the samples without a hint; None: none of them gave an answer
    agreement: float | None  # the vote's share of the samples without a hint that gave an answer
    samples: tuple[Judged, ...]


@dataclass(frozen=True, slots=True)
class VoteCounts:
    """How many questions there are, and how their votes fare by the gold labels.

    `right / labelled` counts a question without a vote as wrong, as a teacher's accuracy is given for the released
    data; `right / graded` leaves it out, as is fair while a job is not done.
    """

    questions: int
    voted: int  # with a vote
    labelled: int  # with a gold label
    graded: int  # with both
    right: int


def sift(
    asked: Sequence[Asked], task: Task, filters: FilterSettings, *, source: RationaleSource = "content"
) -> list[Sifted]:
    """Return every question with its vote and the outcome of each sample, in the order given.

    That order decides which of several equal rationales of one question is kept: the first. Hinted samples have no say
    in votes, and are held to the gold label, which they were told, even with `gold` off.

    Raises:
        LimbeckError: a language is asked for, and py3langid is not installed.
    """
    sieve = _Sieve(task, filters, source, set())
    return [sieve.question(one) for one in asked]


def counts(sifted: Sequence[Sifted]) -> dict[str, int]:
    """Samples by outcome, every outcome in its order."""
    found = Counter(sample.outcome for one in sifted for sample in one.samples)
    return {outcome.value: found[outcome] for outcome in Outcome}


def count_votes(sifted: Sequence[Sifted], task: Task) -> VoteCounts:
    """How many votes there are, and how many are right."""
    graded = [(one.vote, one.example) for one in sifted if one.vote is not None and one.example.label]
    return VoteCounts(
        questions=len(sifted),
        voted=sum(one.vote is not None for one in sifted),
        labelled=sum(bool(one.example.label) for one in sifted),
        graded=len(graded),
        right=sum(is_right(task, vote, example) for vote, example in graded),
    )


@dataclass(frozen=True, slots=True)
class _Sieve:
    task: Task
    filters: FilterSettings
    source: RationaleSource
    kept: set[tuple[str, str]]  # ids of the questions so far, with the rationales kept for them, normalised

    def question(self, asked: Asked) -> Sifted:
        example = asked.example
        parsed = [self.read(sample, example) for sample in asked.samples]
        pairs = list(zip(asked.samples, parsed, strict=True))
        labels = [said.label for sample, said in pairs if said.label is not None and not sample.hinted]
        vote = majority(labels, self.task)
        pairs = [(sample, self.concluded(sample, said, example)) for sample, said in pairs]
        judged = tuple(
            Judged(said.rationale, said.label, self.outcome(sample, said, example, vote), sample.hinted)
            for sample, said in pairs
        )
        return Sifted(example, vote.label if vote else None, vote.agreement if vote else None, judged)

    def read(self, sample: Sample, example: Example) -> Parsed:
        return read_reply(sample.text or "", sample.thoughts, self.task, example, source=self.source)

    def concluded(self, sample: Sample, parsed: Parsed, example: Example) -> Parsed:
        """Return `parsed`, with the gold label where thoughts that were cut off from their answer have come to it."""
        if self.source == "content" or parsed.label is not None or parsed.rationale is None:
            return parsed
        return replace(parsed, label=concluded_label(sample.text or "", sample.thoughts, self.task, example))

    def outcome(self, sample: Sample, said: Parsed, example: Example, vote: Vote | None) -> Outcome:
        if sample.text is None:
            return Outcome.NOT_ASKED if sample.failure is None else Outcome.FAILED
        if said.label is None:
            return Outcome.NO_ANSWER
        if said.rationale is None:
            return Outcome.NO_RATIONALE
        unfit = self.by_answer(said.label, sample.hinted, example, vote) or self.by_rationale(
            said.rationale, sample.hinted, example
        )
        if unfit is None:
            self.kept.add((example.id, normalise(said.rationale)))
        return unfit or Outcome.KEPT

    def by_answer(self, label: str, hinted: bool, example: Example, vote: Vote | None) -> Outcome | None:
        if example.label and (self.filters.gold or hinted):
            if not is_right(self.task, label, example):
                return Outcome.WRONG
        elif vote is None or not agree(label, vote.label, self.task):
            return Outcome.OUTVOTED
        low = not hinted and vote is not None and vote.agreement < self.filters.agreement
        return Outcome.LOW_AGREEMENT if low else None

    def by_rationale(self, rationale: str, hinted: bool, example: Example) -> Outcome | None:
        filters, length = self.filters, words(rationale)
        if length < filters.min_words:
            return Outcome.TOO_SHORT
        if filters.max_words is not None and length > filters.max_words:
            return Outcome.TOO_LONG
        if filters.language is not None and foreign(rationale, filters.language):
            return Outcome.LANGUAGE
        if filters.leaks and leaks(rationale, self.task, example, hinted):
            return Outcome.LEAK
        seen = filters.duplicates and (example.id, normalise(rationale)) in self.kept
        return Outcome.DUPLICATE if seen else None
