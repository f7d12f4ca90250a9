"""The records that pass between the floors."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean


def listing(choices: Sequence[str]) -> str:
    """Return `choices` as they follow a question, lettered as in the paper's code."""
    names = string.ascii_lowercase if len(choices) <= 26 else range(1, len(choices) + 1)
    return "\nAnswer Choices:" + "".join(f"\n({name}) {choice}" for name, choice in zip(names, choices, strict=False))


@dataclass(frozen=True, slots=True)
class Example:
    """One question with its answer and, where a teacher gave one, a rationale."""

    id: str
    segments: tuple[str, ...]  # of the input, like premise and hypothesis; mostly one
    label: str
    rationale: str | None = None
    teacher_label: str | None = None
    choices: tuple[str, ...] = ()  # the labels allowed; empty: free text
    answers: tuple[str, ...] = ()  # accepted besides the label
    own_choices: bool = False  # the row's are shown after its segments, a task's are not
    rationales: tuple[str, ...] = ()  # all, where a question has several; the first is `rationale`
    rectified: bool = False  # its rationales were written with the label as a hint
    wrong_rationales: tuple[str, ...] = ()  # that led the teacher to another answer
    reverse: tuple[str, str] | None = None  # a question that asks for what this one gives, and its rationale
    votes: tuple[tuple[str, float], ...] = ()  # shares of a teacher's answers, or probabilities, by label

    @property
    def choices_text(self) -> str:
        """The row's own choices, which follow its last segment."""
        return listing(self.choices) if self.own_choices else ""

    @property
    def input(self) -> str:
        """The input for people: a line per segment, and the row's own choices."""
        return "\n".join(self.segments) + self.choices_text


@dataclass(frozen=True, slots=True)
class Prediction:
    """A student's answer to one example. `label`, `correct` and `exact` are None without a label."""

    id: str
    input: str
    label: str | None
    prediction: str | None  # None: not in another tool's file; blank: not answered
    correct: bool | None  # by the task's rule: equal values or normalised texts
    exact: bool | None  # the very same string as the label
    rationale: str | None = None  # None: not requested; blank: none was written
    confidence: float | None = None  # the one of `confidences` requested; None if undefined
    confidences: Mapping[str, float] | None = None  # by definition, see limbeck/metrics/predict.py
    probabilities: Mapping[str, float] | None = None  # of the choices and the answer; sum 1
    input_cut: bool | None = None  # True: the student read only a part

    @property
    def blank(self) -> bool:
        return self.prediction is not None and not self.prediction.strip()


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's replies about one rationale, asked once or several times."""

    id: str
    task: str
    run: str  # whose rationale it is
    label: str  # the answer shown with it
    rationale: str
    judge: str  # a model
    temperature: float
    replies: tuple[str | None, ...]  # one per request; None: none
    scores: tuple[float | None, ...]  # of the replies, 1 to 5; None: none

    @property
    def single(self) -> bool:
        """True if the judge was asked once, at temperature 0."""
        return len(self.replies) == 1

    @property
    def score(self) -> float | None:
        scores = [score for score in self.scores if score is not None]
        return fmean(scores) if scores else None
