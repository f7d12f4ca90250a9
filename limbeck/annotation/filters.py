"""The filters of a teacher's samples: votes, lengths, languages, leaks.

The vote, the answer of most samples, is self-consistency (Wang et al. 2022, arXiv 2203.11171).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from pydantic import Field, field_validator

from limbeck.llm.replies import RationaleSource, concluded_label, read_reply, stated_answer
from limbeck.llm.text import CHAT_TOKEN, THOUGHT_TAG
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.tasks import Task, is_right, normalise, vote_shares

# Of 31,731 released English rationales, none is taken for another language at 10, two at 5, nine at 2.
LANGUAGE_MARGIN = 10
_NO_LANGUAGE = "zxx"  # py3langid's label of code and the like
_DIGITS = re.compile(r"\d+")  # to py3langid, 0 to 59 are Volapük

# Chinese, Japanese, Thai, Lao, Burmese and Khmer have no blanks between words.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")

_ANSWER_TAG = re.compile(r"</?(?:rationale|answer)>", re.IGNORECASE)
_GIVEN = r"(?:given|provided|stated|supplied|expected|known|reference|gold)"
_ANSWER = r"(?:(?:correct|right|final|true)\s)?(?:answer|label|solution)"
_HINTED = re.compile(
    rf"\b(?:(?:the|this|that|your)\shint(?!\sof\b)|as\shinted|(?:hinted|{_GIVEN})\s{_ANSWER}"
    rf"|{_ANSWER}\s(?:(?:is|was|has\sbeen|already|that|we|were|are)\s){{0,4}}{_GIVEN}"
    r"|(?:(?:told|given|know|knowing|said)\sthat|according\sto|based\son|consistent\swith|match(?:es|ing)?)"
    rf"\sthe\s{_ANSWER})\b",
    re.IGNORECASE,
)


class FilterSettings(Settings):
    """The conditions on a teacher's rationales."""

    gold: bool = Field(True, description="keep only answers equal to the gold label; without one, to the vote")
    agreement: float = Field(0, ge=0, le=1, description="the least share of the answers that give the vote")
    min_words: int = Field(2, ge=0, description="in scripts without blanks between words, characters")
    max_words: int | None = Field(None, ge=1)
    language: str | None = Field(None, description="of the rationales, like en or zh; by py3langid")
    leaks: bool = Field(True, description="drop rationales with an answer, a chat token or talk of the hint")
    duplicates: bool = Field(True, description="drop repeated rationales of a question")

    @field_validator("language")
    @classmethod
    def _known_language(cls, code: str | None) -> str | None:
        if code is not None and (code == _NO_LANGUAGE or code not in _identifier().labels):
            raise ValueError("an ISO 639-1 code that py3langid knows, like en, de or zh, was expected")
        return code


class Outcome(StrEnum):
    """The fate of a sample: kept, or the first reason against it."""

    KEPT = "kept"
    NOT_ASKED = "not asked"
    FAILED = "failed"
    NO_ANSWER = "no answer"  # that can be read
    NO_RATIONALE = "no rationale"
    WRONG = "wrong"  # by the gold label
    OUTVOTED = "outvoted"  # where no gold label is known or wanted
    LOW_AGREEMENT = "low agreement"
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    LANGUAGE = "language"
    LEAK = "leak"
    DUPLICATE = "duplicate"


@dataclass(slots=True)
class Sample:
    """A reply to a question, or its absence; `sift` fills in the last three fields."""

    text: str | None  # raw; None: no reply
    thoughts: str = ""  # that came beside the text
    failure: str | None = None  # the last failure's kind, and its message
    reason: str | None = None
    hinted: bool = False  # the gold label was given as a hint
    rationale: str | None = None
    label: str | None = None
    outcome: Outcome = Outcome.NOT_ASKED


@dataclass(frozen=True, slots=True)
class Annotation:
    """A question, its samples in order, and the votes of those without a hint."""

    example: Example
    samples: Sequence[Sample]
    votes: Mapping[str, float]  # shares by answer

    @property
    def vote(self) -> str | None:
        """The most frequent answer, in a tie the first, its `teacher_label`; None: there are none."""
        return max(self.votes, key=self.votes.__getitem__, default=None)

    @property
    def agreement(self) -> float:
        """The vote's share of the answers."""
        return max(self.votes.values(), default=0.0)

    @property
    def rectified(self) -> bool:
        """True if rationales were kept, but only with the label as a hint."""
        hints = [sample.hinted for sample in self.samples if sample.outcome is Outcome.KEPT]
        return bool(hints) and all(hints)

    @property
    def rationales(self) -> tuple[str, ...]:
        """The rationales kept, each once: those without a hint, or if there are none those with it."""
        return self._texts(Outcome.KEPT, hinted=self.rectified)

    @property
    def wrong_rationales(self) -> tuple[str, ...]:
        """The rationales without a hint that led to a wrong answer, each once."""
        return self._texts(Outcome.WRONG, hinted=False)

    def _texts(self, outcome: Outcome, *, hinted: bool) -> tuple[str, ...]:
        samples = [sample for sample in self.samples if sample.outcome is outcome and sample.hinted is hinted]
        return tuple(dict.fromkeys(str(sample.rationale) for sample in samples))


def sift(
    example: Example, samples: Sequence[Sample], task: Task, *, filters: FilterSettings, source: RationaleSource
) -> Annotation:
    """Return a question with its votes, and give each sample an outcome.

    Hinted samples do not vote, and are held to the gold label even without `gold`.
    """
    for sample in samples:
        sample.rationale, sample.label = read_reply(sample.text or "", sample.thoughts, task, example, source=source)
    votes = [sample.label for sample in samples if sample.label and not sample.hinted]
    annotation = Annotation(example, samples, vote_shares(votes, task))
    firsts: dict[str, Sample] = {}
    for sample in samples:
        if source != "content" and sample.label is None and sample.rationale is not None:
            sample.label = concluded_label(sample.text or "", sample.thoughts, task, example)
        sample.outcome = _outcome(sample, annotation, task, filters)
        if sample.outcome is Outcome.KEPT and filters.duplicates:
            first = firsts.setdefault(normalise(str(sample.rationale)), sample)
            sample.outcome = Outcome.KEPT if first is sample else Outcome.DUPLICATE
    return annotation


def _outcome(sample: Sample, annotation: Annotation, task: Task, filters: FilterSettings) -> Outcome:
    example, vote, label, rationale = annotation.example, annotation.vote, sample.label, sample.rationale
    if sample.text is None:
        return Outcome.NOT_ASKED if sample.failure is None else Outcome.FAILED
    if label is None or rationale is None:
        return Outcome.NO_ANSWER if label is None else Outcome.NO_RATIONALE
    if example.label and (filters.gold or sample.hinted):
        if not is_right(task, label, example):
            return Outcome.WRONG
    elif vote is None or not (task.equal(label, vote) and task.equal(vote, label)):
        return Outcome.OUTVOTED
    length = words(rationale)
    faults = (
        (Outcome.LOW_AGREEMENT, not sample.hinted and annotation.agreement < filters.agreement),
        (Outcome.TOO_SHORT, length < filters.min_words),
        (Outcome.TOO_LONG, filters.max_words is not None and length > filters.max_words),
        (Outcome.LANGUAGE, filters.language is not None and foreign(rationale, filters.language)),
        (Outcome.LEAK, filters.leaks and leaks(rationale, task, example, sample.hinted)),
    )
    return next((outcome for outcome, faulty in faults if faulty), Outcome.KEPT)


def words(text: str) -> int:
    """Count words, or characters in scripts without blanks between words."""
    return len(_WORD.findall(text))


def foreign(text: str, language: str) -> bool:
    """Return whether another language is `LANGUAGE_MARGIN` times as probable as `language` (ISO 639-1)."""
    probabilities = dict(_identifier().rank(_DIGITS.sub(" ", text))) | {_NO_LANGUAGE: 0.0}
    return max(probabilities.values()) >= LANGUAGE_MARGIN * probabilities[language]


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def leaks(rationale: str, task: Task, example: Example, hinted: bool) -> bool:
    """Return whether the text has an answer's form, readable or not, a tag, a chat token, or talk of the hint.

    Talk of the hint counts in hinted samples alone, unless in the question's own words.
    """
    forms = (CHAT_TOKEN, THOUGHT_TAG, _ANSWER_TAG, _open_form(task.marker))
    talk = _HINTED.finditer(rationale) if hinted else ()
    return (
        any(form.search(rationale) for form in forms)
        or any(phrase[0].casefold() not in example.input.casefold() for phrase in talk)
        or stated_answer(rationale, task, example) is not None
    )


@cache
def _open_form(marker: str) -> re.Pattern[str]:
    """Return the pattern of "Answer:", a box, or the marker before a bracket or line end."""
    opening = r"\s{1,9}".join(map(re.escape, marker.split()))
    after = "" if marker.endswith(":") else r"\s{0,9}(?:[:(\[{$\\*_]|$)"
    form = r"^[^\w\n]{0,12}(?:final\s{1,3})?answer[*_]{0,3}\s?:|\\boxed\b"  # known to every task's parser
    return re.compile(rf"(?<!\w){opening}{after}|{form}", re.IGNORECASE | re.MULTILINE)
