"""The records that pass between the floors. Nothing but the standard library."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


def listing(choices: Sequence[str]) -> str:
    """Return `choices` as they follow a question, in letters, as the paper's code wrote those of CommonsenseQA."""
    names = string.ascii_lowercase if len(choices) <= 26 else [str(number + 1) for number in range(len(choices))]
    lines = [f"({name}) {choice}" for name, choice in zip(names, choices, strict=False)]
    return "\n".join(["", "Answer Choices:", *lines])


@dataclass(frozen=True, slots=True)
class Example:
    """One question with its answer and, where a teacher gave one, a rationale.

    `segments` are the parts of the input: one for most tasks, premise and hypothesis for natural language
    inference. A student joins them with its tokenizer's end-of-sequence token, as the paper's code does. Choices that
    are the row's own follow them wherever the input is shown; those of a task are the same in every row, and do not.
    """

    id: str
    segments: tuple[str, ...]
    label: str
    rationale: str | None = None
    teacher_label: str | None = None
    choices: tuple[str, ...] = ()  # the labels allowed for this example; empty: free text
    answers: tuple[str, ...] = ()  # further texts accepted as right, besides the label
    own_choices: bool = False  # `choices` are the row's own, not its task's

    @property
    def choices_text(self) -> str:
        """The row's own choices as they follow its last segment; "" where it has none of its own."""
        return listing(self.choices) if self.own_choices else ""

    @property
    def input(self) -> str:
        """The input as a person reads it: the segments, a line each, and the row's own choices."""
        return "\n".join(self.segments) + self.choices_text


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a student said to one example. `label`, `correct` and `exact` are None where no label is known."""

    id: str
    input: str
    label: str | None
    prediction: str
    correct: bool | None  # right by the task's rule: equal value, or equal normalised text
    exact: bool | None  # the very same string as the label
    rationale: str | None = None  # None: not asked for; blank: asked for, and none was given
    confidence: float | None = None  # of `confidences` the one asked for; None where it is not defined
    confidences: Mapping[str, float] | None = None  # by definition; what they are: limbeck/metrics/confidence.py
    probabilities: Mapping[str, float] | None = None  # of the choices, and of the answer if it is none of them; sum 1
    input_cut: bool | None = None  # True: the student read only a part of the input, which is too long for it


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge said of one rationale, asked once or several times over."""

    id: str  # of the example
    task: str
    run: str  # whose rationale it is
    label: str  # the answer that was shown with it
    rationale: str
    judge: str  # the model
    temperature: float
    replies: tuple[str | None, ...]  # one each time it was asked; None: no reply came
    scores: tuple[float | None, ...]  # of these replies, from 1 to 5; None: no reply, or no score in it

    @property
    def score(self) -> float | None:
        """The mean of the scores that there are."""
        read = [score for score in self.scores if score is not None]
        return sum(read) / len(read) if read else None
