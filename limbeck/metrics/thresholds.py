"""From which confidence on the student is to answer, not the teacher: chosen on validation, tried on other answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck.metrics.selective import CascadePoint, cascade
from limbeck.stats.graded import flags, graded, same_length
from limbeck.stats.intervals import wilson

_TIE = 1e-12  # accuracies that close are equal: their sums were taken in another order


@dataclass(frozen=True, slots=True)
class Cascaded:
    """N answers of a student, and whether its teacher is right on the same questions, all [N]."""

    confidence: Sequence[float]
    correct: Sequence[bool]
    teacher: Sequence[bool]


def thresholds(
    validation: Cascaded, answers: Cascaded, student_cost: float = 0.0, teacher_cost: float = 1.0
) -> dict[str, dict[str, Any]]:
    """Two thresholds chosen on `validation`, and what each then gives on `answers`, JSON-ready.

    `best`: the highest accuracy, and of the thresholds that reach it the cheapest. `as_teacher`: the cheapest that is
    no less accurate than the teacher alone. Each has `threshold` (None: the teacher answers all), `on_validation` and
    `here`, both with `passed` (the share that the teacher gets), `accuracy` and `cost`; and `here` Wilson's `interval`.

    Both sides have answers.

    Raises:
        LimbeckError: as `cascade`.
    """
    points = cascade(validation.confidence, validation.correct, validation.teacher, student_cost, teacher_cost, None)
    alone = points[-1].accuracy  # passed on without exception
    goals = {"best": max(point.accuracy for point in points), "as_teacher": alone}
    chosen = {
        goal: min((point for point in points if point.accuracy >= least - _TIE), key=lambda point: point.cost)
        for goal, least in goals.items()
    }
    return {goal: _tried(point, answers, student_cost, teacher_cost) for goal, point in chosen.items()}


def _tried(point: CascadePoint, answers: Cascaded, student_cost: float, teacher_cost: float) -> dict[str, Any]:
    given, teacher = graded(answers.confidence, answers.correct), flags("teacher", answers.teacher)
    same_length("confidence", given.confidence, "teacher", teacher)
    passed = given.confidence < (np.inf if point.threshold is None else point.threshold)
    right = np.where(passed, teacher, given.correct)
    share = float(passed.mean())
    return {
        "threshold": point.threshold,
        "on_validation": {"passed": point.passed, "accuracy": point.accuracy, "cost": point.cost},
        "here": {
            "passed": share,
            "accuracy": float(right.mean()),
            "interval": wilson(int(right.sum()), len(right)),
            "cost": student_cost + share * teacher_cost,
        },
    }
