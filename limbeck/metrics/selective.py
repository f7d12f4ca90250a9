"""Selective prediction: what answering only when sure is worth, and what asking the teacher otherwise costs.

Answers of equal confidence enter together. Where a count of answers divides them, each of them is equally likely to be
included, and errors are expectations.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from limbeck.errors import DataError
from limbeck.metrics.graded import Graded, flags, graded
from limbeck.stats.intervals import DRAWS, Flags, Floats, Interval, Ints, group_sums, percentiles, resample, wilson

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
POINTS = 200  # of a curve, so that a page stays small; areas are taken over all answers

_TIE = 1e-12  # accuracies this close are equal: they were summed in another order


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """Answering where confidence >= `threshold`: the share answered, and the share of these that are wrong."""

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
    """Risk and coverage of n answers; with n = 0 the areas are None and the curves empty.

    `aurc`: the area under the risk-coverage curve, 1/n sum_{k=1..n} (errors among the k surest) / k. `e_aurc`: its
    excess over that of an oracle that is surer of each right answer than of any error (Geifman, Uziel and El-Yaniv
    2019, arXiv 1805.08206, eq. 1 and par. 4). Less is better; a random order has aurc = 1 - accuracy. Intervals:
    bootstrap percentiles over answers, None for n < 2.
    """

    n: int
    aurc: float | None
    aurc_interval: Interval | None
    e_aurc: float | None
    e_aurc_interval: Interval | None
    at_coverage: tuple[CoveragePoint, ...]
    curve: tuple[RiskPoint, ...]


@dataclass(frozen=True, slots=True)
class CascadePoint:
    """The student answers where its confidence >= `threshold`, the teacher elsewhere; None: the teacher always."""

    threshold: float | None
    passed: float  # the share that the teacher gets
    accuracy: float
    cost: float  # of one question


def selective(confidence: ArrayLike, correct: ArrayLike, *, seed: int = 0, draws: int = DRAWS) -> Selective:
    """Compute the risk-coverage curve, its area, and accuracy at `COVERAGES`, of [N] answers.

    Raises:
        DataError: as `graded`.
    """
    answers = graded(confidence, correct)
    n = len(answers)
    if n == 0:
        return Selective(0, None, None, None, None, (), ())
    levels, level_of_row = _levels(answers.confidence)
    counts, errors = group_sums(level_of_row, len(levels)), group_sums(level_of_row, len(levels), ~answers.correct)

    def areas(weights: Floats) -> Floats:
        counts_Gd, errors_Gd = counts @ weights, errors @ weights
        area = _aurc(counts_Gd, errors_Gd)
        return np.stack([area, area - _oracle_aurc(n, errors_Gd.sum(axis=0))])

    aurc, e_aurc = areas(np.ones((n, 1)))[:, 0].tolist()
    resampled = np.concatenate([areas(weights) for weights in resample(n, draws, seed)], axis=1) if n > 1 else None
    size, wrong = _cumulative(counts), _cumulative(errors)  # of the answers above each level
    curve = [
        RiskPoint(float(levels[i]), float(size[i + 1] / n), float(wrong[i + 1] / size[i + 1]))
        for i in _thinned(len(levels), POINTS)
    ]
    at_coverage = []
    for coverage in COVERAGES:
        k = int(np.ceil(coverage * n))
        right = k - float(np.interp(k, size, wrong))
        threshold = float(levels[np.searchsorted(size, k) - 1])
        at_coverage.append(CoveragePoint(coverage, k, threshold, right / k, wilson(right, k)))
    return Selective(
        n=n,
        aurc=aurc,
        aurc_interval=None if resampled is None else percentiles(resampled[0]),
        e_aurc=e_aurc,
        e_aurc_interval=None if resampled is None else percentiles(resampled[1]),
        at_coverage=tuple(at_coverage),
        curve=tuple(curve),
    )


def cascade(
    confidence: ArrayLike,
    correct: ArrayLike,
    teacher: ArrayLike,
    *,
    student_cost: float = 0.0,
    teacher_cost: float = 1.0,
    points: int | None = POINTS,
) -> tuple[CascadePoint, ...]:
    """Compute accuracy and cost of "the student where it is sure, else the teacher", from none passed on to all.

    Points chosen by their accuracy on these very answers promise more than they keep: choose on validation.

    Args:
        confidence, correct: the student's, [N].
        teacher: whether the teacher is right on the same questions, [N].
        student_cost: of every question, since its confidence is needed.
        teacher_cost: of every question passed on, besides.
        points: of the curve at most, evenly chosen; None: one for every threshold.

    Raises:
        DataError: as `graded`; `teacher` of another length; a cost that is negative or not finite.
    """
    answers, right = graded(confidence, correct), flags("teacher", teacher)
    n = len(answers)
    if len(right) != n:
        raise DataError(f"{len(right):,} rows were given, and {n:,} confidences", field="teacher")
    for name, cost in (("student_cost", student_cost), ("teacher_cost", teacher_cost)):
        if not 0 <= cost < np.inf:
            raise DataError(f"{cost}: a number from 0 up was expected", field=name)
    teacher_right = right.astype(np.float64)
    if n == 0:
        return ()
    levels, level_of_row = _levels(answers.confidence)
    answered = _cumulative(group_sums(level_of_row, len(levels))) / n
    gain = _cumulative(group_sums(level_of_row, len(levels), answers.correct - teacher_right)) / n
    accuracy = teacher_right.mean() + gain
    thresholds = (None, *levels.tolist())
    return tuple(
        CascadePoint(
            thresholds[i],
            float(1 - answered[i]),
            float(accuracy[i]),
            float(student_cost + (1 - answered[i]) * teacher_cost),
        )
        for i in _thinned(len(answered), points)[::-1]
    )


def choose_thresholds(
    validation: tuple[Graded, Flags],
    test: tuple[Graded, Flags],
    *,
    student_cost: float = 0.0,
    teacher_cost: float = 1.0,
) -> dict[str, dict[str, Any]]:
    """Choose two cascade thresholds on validation answers, and measure what each gives on test answers.

    Args:
        validation: at least one answer of the student, and whether the teacher is right on the same questions.
        test: likewise, what is measured.
        student_cost, teacher_cost: as `cascade` has them.

    Returns:
        `best`: the highest accuracy, and of the thresholds that reach it the cheapest; `as_teacher`: the cheapest that
        is no less accurate than the teacher alone. Each with `threshold` (None: the teacher answers all),
        `on_validation` and `here`, both with `passed`, `accuracy` and `cost`; `here` also with Wilson's `interval`.
    """
    answers, teacher = validation
    costs = {"student_cost": student_cost, "teacher_cost": teacher_cost}
    points = cascade(answers.confidence, answers.correct, teacher, **costs, points=None)
    goals = {"best": max(point.accuracy for point in points), "as_teacher": points[-1].accuracy}
    thresholds = {}
    for goal, accuracy in goals.items():
        point = min((p for p in points if p.accuracy >= accuracy - _TIE), key=lambda p: p.cost)
        thresholds[goal] = {
            "threshold": point.threshold,
            "on_validation": {"passed": point.passed, "accuracy": point.accuracy, "cost": point.cost},
            "here": _at_threshold(point.threshold, test[0], test[1], **costs),
        }
    return thresholds


def _at_threshold(
    threshold: float | None, answers: Graded, teacher: Flags, *, student_cost: float, teacher_cost: float
) -> dict[str, Any]:
    passed = answers.confidence < (np.inf if threshold is None else threshold)
    right = np.where(passed, teacher, answers.correct)
    share = float(passed.mean())
    return {
        "passed": share,
        "accuracy": float(right.mean()),
        "interval": wilson(int(right.sum()), len(right)),
        "cost": student_cost + share * teacher_cost,
    }


def _levels(confidence: Floats) -> tuple[Floats, Ints]:
    """Return the distinct confidences [G], surest first, and the index of each answer's [N]."""
    values, level_of_row = np.unique(-confidence, return_inverse=True)
    return -values, level_of_row


def _cumulative(sums: Any) -> Floats:
    """Return the sums over no level, the first, the first two, ... [G + 1] of a `group_sums` matrix."""
    return np.concatenate([[0.0], np.cumsum(sums.sum(axis=1))])


def _aurc(counts: Floats, errors: Floats) -> Floats:
    """Compute the AURC [d] of levels, surest first, with so many answers and errors, [G, d] each.

    An error at rank r is among the k surest from k = r on, so it adds H(n) - H(r - 1), H the harmonic numbers. Over the
    ranks a + 1 to a + c of a level H(r - 1) sums to S(a + c) - S(a), where S(m) = m (H(m) - 1); each of the level's
    errors is expected to have their mean.
    """
    ends = np.cumsum(counts, axis=0, dtype=np.int64)
    n = int(ends[-1, 0])
    harmonic = _harmonic(n)
    summed = (np.arange(n + 1) * (harmonic - 1))[ends]
    summed[1:] -= summed[:-1].copy()
    return (errors.sum(axis=0) * harmonic[n] - np.einsum("gd,gd->d", errors / np.maximum(counts, 1), summed)) / n


def _oracle_aurc(n: int, errors: Floats) -> Floats:
    """Compute the AURC [d] with right answers first: 1/n sum_{j=1..E} j / (n - E + j)."""
    harmonic = _harmonic(n)
    right = n - errors
    return (errors - right * (harmonic[n] - harmonic[right.astype(np.int64)])) / n


def _harmonic(n: int) -> Floats:
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])


def _thinned(count: int, limit: int | None) -> Ints:
    """Return at most `limit` of `count` indices, evenly spaced, both ends included; None: all."""
    return np.unique(np.linspace(0, count - 1, min(count, limit or count)).round().astype(np.int64))
