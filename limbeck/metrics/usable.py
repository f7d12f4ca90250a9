"""Usable information of rationales: what a rationale tells a student about the label beyond the question.

    log q(y|x, r) - log q(y|x),   in nats

for the label y, the question x and the rationale r (Ethayarajh et al. 2022, arXiv 2110.08420, Eq. 4, given x). Its mean
is a lower bound of I(Y; R | X) (Barber and Agakov 2003) in so far as q(y|x) is the true distribution, whose entropy is
not known. It needs a student that has learnt to read rationales, as under `mi-bound`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limbeck.data import View, source
from limbeck.errors import DataError
from limbeck.models.student import Student
from limbeck.schema import Example
from limbeck.stats.intervals import Floats, Interval, Z

_VIEWS = (View.GIVEN_RATIONALE, View.PREDICT)


@dataclass(frozen=True, slots=True)
class UsableInformation:
    """The mean over questions, each with its first rationale."""

    nats: float
    interval: Interval  # normal, over questions
    positive: float  # share of rationales that make the label likelier
    cut: int  # questions or rationales that lost their middle to student.max_source_length
    n: int


def pointwise(student: Student, examples: Sequence[Example], *, batch_size: int, title: str | None = None) -> Floats:
    """Compute the usable information of each example's rationale, `[N]`, in nats.

    Raises DataError for an example without label or rationale, and a label longer than the student writes.
    """
    log_p = []
    for view in _VIEWS:
        sources = [source(example, view) for example in examples]
        bar = title and f"{title}, {view.value}"
        scores = student.score(sources, [[e.label] for e in examples], batch_size=batch_size, title=bar)
        for example, score in zip(examples, scores, strict=True):
            if not (example.label and example.rationale and score.answers):
                raise DataError(f"example {example.id!r:.60} has no rationale, or no label that the student can write")
        log_p.append([math.fsum(score.answers[0]) for score in scores])
    return np.subtract(*np.array(log_p, dtype=float).reshape(2, -1))


def usable_information(
    student: Student, examples: Sequence[Example], *, batch_size: int, title: str | None = None
) -> UsableInformation:
    """Measure the rationales of at least two examples that have label and rationale; raise DataError for fewer."""
    complete = [example for example in examples if example.label and (example.rationale or "").strip()]
    if len(complete) < 2:
        raise DataError(f"{len(complete)} questions with label and rationale; 2 at least are needed")
    gains = pointwise(student, complete, batch_size=batch_size, title=title)
    mean, half = float(gains.mean()), Z * float(gains.std(ddof=1)) / math.sqrt(len(gains))
    _, cut = student.source_ids([source(example, View.GIVEN_RATIONALE) for example in complete])
    return UsableInformation(mean, (mean - half, mean + half), float((gains > 0).mean()), len(cut), len(gains))
