"""The records that pass between the floors. Nothing but the standard library."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """One question with its answer and, where a teacher gave one, a rationale.

    `segments` are the parts of the input: one for most tasks, premise and hypothesis for natural language
    inference. A student joins them with its tokenizer's end-of-sequence token, as the paper's code does.
    """

    id: str
    segments: tuple[str, ...]
    label: str
    rationale: str | None = None
    teacher_label: str | None = None
    choices: tuple[str, ...] = ()  # the labels allowed for this example; empty: free text
    answers: tuple[str, ...] = ()  # further texts accepted as right, besides the label

    @property
    def input(self) -> str:
        """The input as a person reads it: the segments, a line each."""
        return "\n".join(self.segments)


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
    confidences: Mapping[str, float] | None = None  # by definition; what they are: limbeck/evaluation/confidence.py
    probabilities: Mapping[str, float] | None = None  # of the choices, and of the answer if it is none of them; sum 1


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
