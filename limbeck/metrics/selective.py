"""Selective prediction: what answering only when sure is worth, and what asking the teacher otherwise costs.

Answers of equal confidence enter together. Where a count of answers parts them, each of them is as likely as the
others to be in, and errors are expectations.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from limbeck.errors import LimbeckError
from limbeck.stats.graded import Floats, Ints, flags, graded, same_length, unit_interval
from limbeck.stats.intervals import DRAWS, Interval, group_sums, percentiles, resample, wilson

COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)

POINTS = 200  # of a curve, so that a page stays small; areas are taken over all answers


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """Answering where confidence >= `threshold`: the share answered, and the share of these that are wrong."""

    threshold: float
    coverage: float
    risk: float


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """The surest `n` answers, the share `coverage` of all rounded up: `threshold` is the least confidence of them.

    `accuracy` is the expected share right, `interval` Wilson's, 95 %.
    """

    coverage: float
    n: int
    threshold: float
    accuracy: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Selective:
    """Risk and coverage of n answers. With n = 0 the areas are None and the curves empty.

    `aurc`: the area under the risk-coverage curve, 1/n sum_{k=1..n} (errors among the k surest) / k. `e_aurc`: its
    excess over that of an oracle, whose errors are all less sure than its right answers (Geifman, Uziel and El-Yaniv
    2019, arXiv 1805.08206, eq. 1 and par. 4, the oracle's taken exactly). Less is better; an order by chance has
    aurc = 1 - accuracy. Intervals: 95 %, percentile bootstrap over answers, None for n < 2.
    """

    n: int
    aurc: float | None
    aurc_interval: Interval | None
    e_aurc: float | None
    e_aurc_interval: Interval | None
    at_coverage: tuple[CoveragePoint, ...]
    curve: tuple[RiskPoint, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CascadePoint:
    """The student answers where its confidence >= `threshold`, the teacher elsewhere; None: the teacher everywhere.

    `passed` is the share that the teacher gets, `cost` that of one question, in the unit of the costs given.
    """

    threshold: float | None
    passed: float
    accuracy: float
    cost: float


def selective(confidence: ArrayLike, correct: ArrayLike, seed: int = 0, draws: int = DRAWS) -> Selective:
    """Risk-coverage curve, its area, and accuracy at `COVERAGES`, of `confidence` [N] in [0, 1] and `correct` [N].

    Raises:
        LimbeckError: as `graded`.
    """
    answers = graded(confidence, correct)
    n = len(answers.correct)
    if n == 0:
        return Selective(0, None, None, None, None, (), ())
    sure, group = _groups(answers.confidence)
    answered, wrong = group_sums(group, len(sure)), group_sums(group, len(sure), ~answers.correct)

    def areas(weights: Floats) -> Floats:
        counts, errors = answered @ weights, wrong @ weights
        area = _aurc(counts, errors)
        return np.stack([area, area - _oracle(n, errors.sum(axis=0))])

    area, excess = areas(np.ones((n, 1)))[:, 0]
    drawn = np.concatenate([areas(block) for block in resample(n, draws, seed)], axis=1) if n > 1 else None
    size, bad = _running(answered), _running(wrong)
    curve = [
        RiskPoint(float(sure[i]), float(size[i + 1] / n), float(bad[i + 1] / size[i + 1]))
        for i in _thinned(len(sure), POINTS)
    ]
    return Selective(
        n=n,
        aurc=float(area),
        aurc_interval=percentiles(drawn[0]) if drawn is not None else None,
        e_aurc=float(excess),
        e_aurc_interval=percentiles(drawn[1]) if drawn is not None else None,
        at_coverage=tuple(_at(coverage, n, sure, size, bad) for coverage in COVERAGES),
        curve=tuple(curve),
    )


def cascade(
    confidence: ArrayLike,
    correct: ArrayLike,
    teacher: ArrayLike,
    student_cost: float,
    teacher_cost: float,
    points: int | None = POINTS,
) -> tuple[CascadePoint, ...]:
    """Accuracy and cost of "the student where it is sure, else the teacher", from none passed on to all.

    Every question costs `student_cost`, since its confidence is wanted, and one passed on `teacher_cost` besides.
    Points chosen by their accuracy on these very answers promise more than they keep: choose on validation.

    Args:
        confidence, correct: the student's, [N].
        teacher: whether the teacher is right, [N]; or its accuracy, one number, which is then taken to be the same on
            whatever is passed on. That flatters a teacher that finds hard what the student does.
        student_cost, teacher_cost: of one question.
        points: of the curve at most, evenly chosen; None: one for every threshold that there is.

    Raises:
        LimbeckError: as `graded`; a teacher's accuracy outside [0, 1], a cost that is negative or no number.
    """
    answers = graded(confidence, correct)
    n = len(answers.correct)
    for name, cost in (("student_cost", student_cost), ("teacher_cost", teacher_cost)):
        if not (np.isfinite(cost) and cost >= 0):
            raise LimbeckError(f"{name} is {cost}: a number from 0 up was expected")
    if np.ndim(teacher) == 0:
        expected = np.full(n, unit_interval("teacher", np.reshape(teacher, 1), 1)[0])
    else:
        expected = flags("teacher", teacher).astype(np.float64)
        same_length("confidence", answers.confidence, "teacher", expected)
    if n == 0:
        return ()
    sure, group = _groups(answers.confidence)
    kept = _running(group_sums(group, len(sure))) / n
    right = expected.mean() + _running(group_sums(group, len(sure), answers.correct - expected)) / n
    thresholds = (None, *map(float, sure))
    return tuple(
        CascadePoint(
            thresholds[i],
            float(1 - kept[i]),
            float(right[i]),
            float(student_cost + (1 - kept[i]) * teacher_cost),
        )
        for i in _thinned(len(kept), points)[::-1]
    )


def _groups(confidence: Floats) -> tuple[Floats, Ints]:
    """The different confidences [G], surest first, and the group of each answer [N]."""
    values, where = np.unique(-confidence, return_inverse=True)
    return -values, where


def _running(sums: Any) -> Floats:
    """The sums over no group, the first, the first two, ...: [G + 1], of a matrix that `group_sums` made."""
    return np.concatenate([[0.0], np.cumsum(sums.sum(axis=1))])


def _aurc(counts: Floats, errors: Floats) -> Floats:
    """AURC [d] of groups, surest first, with so many answers and errors, [G, d] each.

    An error that ranks r-th is among the k surest from k = r on, so it adds H(n) - H(r - 1), H the harmonic numbers.
    Over the ranks a + 1 to a + c of a group H(r - 1) sums to S(a + c) - S(a), where S(m) = m (H(m) - 1); each of the
    group's e errors has the mean of them expected.
    """
    ends = np.cumsum(counts, axis=0, dtype=np.int64)
    n = int(ends[-1, 0])
    harmonic = _harmonic(n)
    summed = (np.arange(n + 1) * (harmonic - 1))[ends]
    summed[1:] -= summed[:-1].copy()
    return (errors.sum(axis=0) * harmonic[n] - np.einsum("gd,gd->d", errors / np.maximum(counts, 1), summed)) / n


def _oracle(n: int, errors: Floats) -> Floats:
    """AURC [d] with the right answers first: 1/n sum_{j=1..E} j / (n - E + j) = (E - (n - E)(H(n) - H(n - E))) / n."""
    harmonic = _harmonic(n)
    right = n - errors
    return (errors - right * (harmonic[n] - harmonic[right.astype(np.int64)])) / n


def _harmonic(n: int) -> Floats:
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])


def _at(coverage: float, n: int, sure: Floats, size: Floats, bad: Floats) -> CoveragePoint:
    """`sure` [G]; `size` and `bad` [G + 1], answers and errors in the groups before each."""
    k = int(np.ceil(coverage * n))
    right = k - float(np.interp(k, size, bad))
    threshold = float(sure[np.searchsorted(size, k) - 1])
    return CoveragePoint(coverage, k, threshold, right / k, wilson(right, k))


def _thinned(points: int, most: int | None) -> Ints:
    """The places of at most `most` of so many points, evenly, both ends among them; None: all."""
    return np.unique(np.linspace(0, points - 1, min(points, most or points)).round().astype(np.int64))
