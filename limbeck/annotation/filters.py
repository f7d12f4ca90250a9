"""The filters between a teacher's samples and the rationales to train on: votes, lengths, languages, leaks.

Every sample has one outcome: kept, or the first reason against it. The vote is that of self-consistency (Wang et al.
2022, arXiv 2203.11171): the answer that most samples give.
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from limbeck.llm import CHAT_TOKEN, THOUGHT_TAG, RationaleSource, concluded_label, read_reply, stated_answer
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.tasks import Task, is_right, normalise, same_text, same_value
from limbeck.tasks.numbers import value

# Of 31,731 released rationales, all English, none is taken for another language at 10, two at 5, nine at 2. Of 35
# short ones in German, French, Spanish and Chinese none is taken for English, at any of these.
LANGUAGE_MARGIN = 10
_NO_LANGUAGE = "zxx"  # py3langid's label of code and the like
_DIGITS = re.compile(r"\d+")  # to py3langid the numbers from 0 to 59 are Volapük

# Chinese, Japanese, Thai, Lao, Burmese and Khmer are written without blanks between words.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")

_ANSWER_TAG = re.compile(r"</?(?:rationale|answer)>", re.IGNORECASE)
_GIVEN = r"(?:given|provided|stated|supplied|expected|known|reference|gold)"
_ANSWER = r"(?:answer|label|solution)"
_THE_ANSWER = rf"the\s(?:(?:correct|right|final|true)\s)?{_ANSWER}"
_HINTED = re.compile(
    rf"\b(?:the|this|that|your)\shint\b(?!\sof\b)|\bas\shinted\b|\bhinted\s{_ANSWER}\b"
    rf"|\b{_GIVEN}\s(?:(?:correct|right|final|true)\s)?{_ANSWER}\b"
    rf"|\b{_ANSWER}\s(?:(?:is|was|has\sbeen|already|that|we|were|are)\s){{0,4}}{_GIVEN}\b"
    rf"|\b(?:told|given|know|knowing|said)\sthat\s{_THE_ANSWER}\b"
    rf"|\b(?:according\sto|based\son|consistent\swith|match(?:es|ing)?)\s{_THE_ANSWER}\b",
    re.IGNORECASE,
)


class FilterSettings(Settings):
    """Conditions that a teacher's rationales have to meet."""

    gold: bool = Field(True, description="keep only answers that are the gold label, where one is known; else the vote")
    agreement: float = Field(0, ge=0, le=1, description="the least share of the answers that give the vote")
    min_words: int = Field(2, ge=0, description="separated by white space; in Chinese, Japanese, Thai characters count")
    max_words: int | None = Field(None, ge=1)
    language: str | None = Field(None, description="of the rationales, like en, de or zh; by py3langid")
    leaks: bool = Field(True, description="drop rationales with an answer, a template's token or talk of the hint")
    duplicates: bool = Field(True, description="drop repetitions of a rationale kept for the same question")

    @field_validator("language")
    @classmethod
    def _known_language(cls, code: str | None) -> str | None:
        if code is not None and (len(code) != 2 or code not in _identifier().labels):
            raise ValueError("an ISO 639-1 code of a language that py3langid knows, like en, de or zh, was expected")
        return code

    @model_validator(mode="after")
    def _ordered_lengths(self) -> Self:
        if self.max_words is not None and self.max_words < self.min_words:
            raise ValueError(f"max_words: {self.max_words} is less than min_words, {self.min_words}")
        return self


class Outcome(StrEnum):
    """The fate of a sample: kept, or the first of these reasons against it."""

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
    """A reply to a question, or its absence."""

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
    """A sample taken apart, with its outcome."""

    rationale: str | None
    label: str | None
    outcome: Outcome
    hinted: bool


@dataclass(frozen=True, slots=True)
class Sifted:
    """A question with its vote, which becomes its `teacher_label`, and its samples in their order."""

    example: Example
    vote: str | None  # of the samples without a hint; None: none of them gave an answer
    agreement: float | None  # the vote's share of the samples without a hint that gave an answer
    samples: tuple[Judged, ...]


@dataclass(frozen=True, slots=True)
class Vote:
    """The answer of most samples to a question, and its share among the samples that gave an answer."""

    label: str
    agreement: float


@dataclass(frozen=True, slots=True)
class VoteCounts:
    """Counts of questions and of votes that are right by the gold labels.

    `right / labelled` counts a question without a vote as wrong, as a teacher's accuracy is given for the released
    data; `right / graded` leaves it out, as is fair while a job is not done.
    """

    questions: int
    voted: int  # with a vote
    labelled: int  # with a gold label
    graded: int  # with both
    right: int


def sift(
    questions: Sequence[Asked], task: Task, filters: FilterSettings, *, source: RationaleSource = "content"
) -> list[Sifted]:
    """Return every question with its vote and the outcome of each sample, in the order given.

    That order decides which of several equal rationales of one question is kept: the first. Hinted samples have no say
    in votes, and are held to the gold label, which they were told, even with `gold` off.
    """
    kept_rationales: set[tuple[str, str]] = set()  # ids of questions, with the rationales kept for them, normalised
    sifted = []
    for question in questions:
        example = question.example
        drafts = [_read(sample, task, example, source) for sample in question.samples]
        vote = majority([draft.label for draft in drafts if draft.label is not None and not draft.hinted], task)
        samples = []
        for sample, draft in zip(question.samples, drafts, strict=True):
            if source != "content" and draft.label is None and draft.rationale is not None:
                label = concluded_label(sample.text or "", sample.thoughts, task, example)
                draft = replace(draft, label=label)
            outcome = _outcome(sample, draft) or _fault_of_answer(draft, task, example, filters=filters, vote=vote)
            outcome = outcome or _fault_of_rationale(draft, task, example, filters=filters)
            key = (example.id, normalise(draft.rationale or ""))
            if outcome is None and filters.duplicates and key in kept_rationales:
                outcome = Outcome.DUPLICATE
            if outcome is None:
                kept_rationales.add(key)
            samples.append(replace(draft, outcome=outcome or Outcome.KEPT))
        label, agreement = (vote.label, vote.agreement) if vote else (None, None)
        sifted.append(Sifted(example, label, agreement, tuple(samples)))
    return sifted


def _read(sample: Sample, task: Task, example: Example, source: RationaleSource) -> Judged:
    parsed = read_reply(sample.text or "", sample.thoughts, task, example, source=source)
    return Judged(parsed.rationale, parsed.label, Outcome.KEPT, sample.hinted)


def _outcome(sample: Sample, draft: Judged) -> Outcome | None:
    if sample.text is None:
        return Outcome.NOT_ASKED if sample.failure is None else Outcome.FAILED
    if draft.label is None:
        return Outcome.NO_ANSWER
    return Outcome.NO_RATIONALE if draft.rationale is None else None


def _fault_of_answer(
    draft: Judged, task: Task, example: Example, *, filters: FilterSettings, vote: Vote | None
) -> Outcome | None:
    label = draft.label or ""
    if example.label and (filters.gold or draft.hinted):
        if not is_right(task, label, example):
            return Outcome.WRONG
    elif vote is None or not agree(label, vote.label, task):
        return Outcome.OUTVOTED
    low = not draft.hinted and vote is not None and vote.agreement < filters.agreement
    return Outcome.LOW_AGREEMENT if low else None


def _fault_of_rationale(draft: Judged, task: Task, example: Example, *, filters: FilterSettings) -> Outcome | None:
    rationale = draft.rationale or ""
    length = words(rationale)
    if length < filters.min_words:
        return Outcome.TOO_SHORT
    if filters.max_words is not None and length > filters.max_words:
        return Outcome.TOO_LONG
    if filters.language is not None and foreign(rationale, filters.language):
        return Outcome.LANGUAGE
    return Outcome.LEAK if filters.leaks and leaks(rationale, task, example, draft.hinted) else None


def counts(sifted: Sequence[Sifted]) -> dict[str, int]:
    """Return the number of samples with each outcome."""
    outcomes = Counter(sample.outcome for question in sifted for sample in question.samples)
    return {outcome.value: outcomes[outcome] for outcome in Outcome}


def count_votes(sifted: Sequence[Sifted], task: Task) -> VoteCounts:
    """Return the numbers of votes, and of right ones."""
    graded = [(question.vote, question.example) for question in sifted if question.vote and question.example.label]
    return VoteCounts(
        questions=len(sifted),
        voted=sum(question.vote is not None for question in sifted),
        labelled=sum(bool(question.example.label) for question in sifted),
        graded=len(graded),
        right=sum(is_right(task, vote, example) for vote, example in graded),
    )


def majority(labels: Sequence[str], task: Task) -> Vote | None:
    """Return the answer given most often, as it was first spelled; of equally many the first. None without any answer.

    Answers count together where each would be right if the other were the label; a rounded decimal counts apart from
    the number that it is the rounding of. The work is in proportion to the answers, however many differ.
    """
    if not labels:
        return None
    keys = [_vote_key(label, task) for label in labels]
    winner, votes = max(Counter(keys).items(), key=lambda group: group[1])  # in order of appearance; max: the first
    return Vote(labels[keys.index(winner)], votes / len(labels))


def _vote_key(label: str, task: Task) -> Hashable:
    """Return what two answers share if each is right by the other."""
    if task.equal not in (same_text, same_value):
        raise ValueError(f"task {task.name!r}: votes know no key for its way of comparing answers")
    number = value(label) if task.equal is same_value else None
    return normalise(label) if number is None else number


def agree(label: str, second_label: str, task: Task) -> bool:
    """Return whether each of the two answers is right by the other."""
    return task.equal(label, second_label) and task.equal(second_label, label)


def words(text: str) -> int:
    """Return the number of words, each character counting in the scripts that have no blanks between words."""
    return len(_WORD.findall(text))


def foreign(text: str, language: str) -> bool:
    """Return whether another language is at least `LANGUAGE_MARGIN` times as probable as `language` (ISO 639-1).

    py3langid's probabilities are tempered by the text's length, so that a short text is rarely sure of anything and
    passes.
    """
    probabilities = dict(_identifier().rank(_DIGITS.sub(" ", text)))
    probabilities.pop(_NO_LANGUAGE, None)
    return max(probabilities.values()) >= LANGUAGE_MARGIN * probabilities[language]


@cache
def _identifier() -> Any:
    """Return py3langid's classifier, a second to load; an own one, so that no other settings of it count here."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def leaks(rationale: str, task: Task, example: Example, hinted: bool) -> bool:
    """Return whether the text gives the answer away, or holds what the student should never learn to write.

    That is an answer in a form that the parser reads, or a form for one with nothing readable in it; a tag or token of
    a chat template; in a hinted sample talk of the hint, in words that the question itself does not use. "The answer
    is" in a sentence of prose ("The answer is in the text.") is none of these.
    """
    if any(form.search(rationale) for form in (CHAT_TOKEN, THOUGHT_TAG, _ANSWER_TAG, _open_form(task.marker))):
        return True
    if hinted and any(talk[0].casefold() not in example.input.casefold() for talk in _HINTED.finditer(rationale)):
        return True
    return stated_answer(rationale, task, example) is not None


@cache
def _open_form(marker: str) -> re.Pattern[str]:
    """Return the pattern of a form for an answer: "Answer:", a box, or the marker at a line's end or before a bracket.

    A marker with a colon is no prose anywhere.
    """
    marker_pattern = r"\s{1,9}".join(re.escape(word) for word in marker.split())
    after = "" if marker.endswith(":") else r"\s{0,9}(?:[:(\[{$\\*_]|$)"
    form = r"^[^\w\n]{0,12}(?:final\s{1,3})?answer[*_]{0,3}\s?:|\\boxed\b"  # known to every task's parser
    return re.compile(rf"(?<!\w){marker_pattern}{after}|{form}", re.IGNORECASE | re.MULTILINE)
