"""Selective prediction and the cascade: answering only when sure, and asking the teacher otherwise.

Answers of equal confidence enter together; where a count of answers divides them, errors are expectations.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from limbeck.metrics.graded import Graded
from limbeck.stats.intervals import DRAWS, Flags, Floats, Interval, Ints, bootstrap, percentiles, wilson

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
POINTS = 200  # of a curve on a page; areas are taken over all answers

T = TypeVar("T")
_TIE = 1e-12  # rounding of accuracies


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """The share of answers with confidence >= `threshold`, and the share of these that are wrong."""

    threshold: float
    coverage: float
    risk: float


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """The surest `n` answers, the share `coverage` of all rounded up; `threshold` is their least confidence."""

    coverage: float
    n: int
    threshold: float
    accuracy: float  # expected
    interval: Interval | None  # Wilson's


@dataclass(frozen=True, slots=True)
class Selective:
    """Risk and coverage of n answers. Intervals: bootstrap percentiles over answers, None for n < 2."""

    n: int
    aurc: float  # area under the risk-coverage curve, 1/n sum_{k=1..n} (errors among the k surest) / k
    aurc_interval: Interval | None
    e_aurc: float  # excess over an oracle's (Geifman et al. 2019, 1805.08206)
    e_aurc_interval: Interval | None
    at_coverage: tuple[CoveragePoint, ...]
    curve: tuple[RiskPoint, ...]


@dataclass(frozen=True, slots=True)
class CascadePoint:
    """The student answers where its confidence >= `threshold` (None: nowhere), else the teacher."""

    threshold: float | None
    cost: float  # the share of questions that the teacher gets
    accuracy: float


def selective(confidence: Floats, correct: Flags, *, seed: int = 0, draws: int = DRAWS) -> Selective:
    """Compute the risk-coverage curve of [N] answers, its area (less is better), and accuracy at `COVERAGES`."""
    n = len(correct)
    order, starts = _levels(confidence)
    levels, wrong = confidence[order][starts], (~correct[order]).astype(np.float64)

    def areas(weights_ND: Floats) -> Floats:
        counts_ND = weights_ND[order]
        return _areas(*(np.add.reduceat(rows, starts) for rows in (counts_ND, wrong[:, None] * counts_ND)))

    aurc, e_aurc = areas(np.ones((n, 1)))[:, 0].tolist()
    resampled = bootstrap(areas, n, draws=draws, seed=seed)
    intervals = [percentiles(sample) if n > 1 else None for sample in resampled]
    ends = np.append(starts[1:], n)  # last answer of each level
    errors = np.cumsum(wrong)[ends - 1]
    at_coverage = []
    for coverage in COVERAGES:
        k = int(np.ceil(coverage * n))
        right = k - float(np.interp(k, [0, *ends], [0, *errors]))
        threshold = float(levels[np.searchsorted(ends, k)])
        at_coverage.append(CoveragePoint(coverage, k, threshold, right / k, wilson(right, k)))
    columns = np.stack([levels, ends / n, errors / ends], axis=1).tolist()
    curve = thinned([RiskPoint(*point) for point in columns], POINTS)
    return Selective(n, aurc, intervals[0], e_aurc, intervals[1], tuple(at_coverage), tuple(curve))


def cascade(confidence: Floats, correct: Flags, teacher: Flags, *, points: int | None = POINTS) -> list[CascadePoint]:
    """Compute accuracy and cost of "the student where it is sure, else the teacher", from none passed on to all.

    `teacher` [N]: it is right on the question. The curve has at most `points`; None: one for every threshold.
    """
    n = len(correct)
    order, starts = _levels(confidence)
    gain = np.cumsum(correct[order].astype(np.float64) - teacher[order])
    answered = np.append(starts, n)  # by the student, by threshold
    accuracy = (teacher.mean() + np.append(0.0, gain)[answered] / n).tolist()
    thresholds = (None, *confidence[order][starts].tolist())
    return thinned(list(map(CascadePoint, thresholds, (1 - answered / n).tolist(), accuracy)), points)[::-1]


def choose_thresholds(validation: tuple[Graded, Flags], test: tuple[Graded, Flags]) -> dict[str, dict[str, Any]]:
    """Choose two cascade thresholds `on_validation`, and measure them there and on test (`here`).

    Either side is the student's answers, and whether the teacher is right. `best` is the cheapest of the highest
    accuracy, `as_teacher` the cheapest no less accurate than the teacher alone.
    """
    answers, teacher = validation
    points = cascade(answers.confidence, answers.correct, teacher, points=None)
    goals = {"best": max(point.accuracy for point in points), "as_teacher": points[-1].accuracy}
    answers, teacher = test
    thresholds = {}
    for goal, accuracy in goals.items():
        point = next(point for point in points if point.accuracy >= accuracy - _TIE)
        passed = answers.confidence < (np.inf if point.threshold is None else point.threshold)
        right = np.where(passed, teacher, answers.correct)
        interval = wilson(int(right.sum()), len(right))
        thresholds[goal] = {
            "threshold": point.threshold,
            "on_validation": {"cost": point.cost, "accuracy": point.accuracy},
            "here": {"cost": float(passed.mean()), "accuracy": float(right.mean()), "interval": interval},
        }
    return thresholds


def _levels(confidence: Floats) -> tuple[Ints, Ints]:
    """Return the order of answers, surest first, and the start of each distinct confidence in it."""
    order = np.argsort(-confidence, kind="stable")
    return order, np.flatnonzero(np.diff(confidence[order], prepend=np.inf))


def _areas(counts: Floats, errors: Floats) -> Floats:
    """Compute AURC and excess AURC [2, d] from counts of answers and errors by level, surest first, [G, d] each.

    An error at rank r adds sum_{k=r..n} 1/k, each of a level's the mean over its ranks; an oracle's are the last.
    """
    ends = np.cumsum(counts, axis=0).astype(np.int64)
    n = int(ends[-1, 0])
    added = np.cumsum(1 / np.arange(n, 0, -1.0))[::-1]  # by an error at rank 1, 2, ...
    up_to = np.concatenate([[0.0], np.cumsum(added)])
    by_level = np.diff(up_to[ends], axis=0, prepend=0.0)
    aurc = (errors / np.maximum(counts, 1) * by_level).sum(axis=0) / n
    oracle = (up_to[n] - up_to[(n - errors.sum(axis=0)).astype(np.int64)]) / n
    return np.stack([aurc, aurc - oracle])


def thinned(points: list[T], limit: int | None) -> list[T]:
    """Return at most `limit` of the points, evenly spaced with both ends; None: all."""
    count = len(points)
    return [points[i] for i in np.linspace(0, count - 1, min(count, limit or count)).round().astype(int)]
