"""Thresholds of the cascade, against a loop over all there are."""

import numpy as np
import pytest

from limbeck.errors import LimbeckError
from limbeck.metrics.thresholds import Cascaded, thresholds


def drawn(n: int, seed: int, different: int = 20) -> Cascaded:
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, different, size=n) / different
    return Cascaded(confidence, rng.uniform(size=n) < confidence, rng.uniform(size=n) < 0.7)


def tried(answers: Cascaded, threshold: float) -> tuple[float, float]:
    """Accuracy, and the share passed on."""
    right = [
        taught if sure < threshold else own
        for sure, own, taught in zip(answers.confidence, answers.correct, answers.teacher, strict=True)
    ]
    return float(np.mean(right)), float(np.mean(np.asarray(answers.confidence) < threshold))


@pytest.mark.parametrize(("n", "different"), [(80, 20), (900, 100_000)])  # a curve shows 200 points, and takes all
def test_what_is_chosen_is_the_best_there_and_is_tried_here(n, different):
    for seed in range(5):
        there, here = drawn(n, seed, different), drawn(60, seed + 100)
        found = thresholds(there, here, student_cost=0.1, teacher_cost=2.0)
        options = [tried(there, threshold) for threshold in [*np.unique(there.confidence), np.inf]]
        best = max(accuracy for accuracy, _ in options)
        teacher = float(np.mean(there.teacher))
        for goal, least in (("best", best), ("as_teacher", teacher)):
            cheapest = min(passed for accuracy, passed in options if accuracy >= least - 1e-9)
            one = found[goal]
            assert one["on_validation"]["accuracy"] >= least - 1e-9
            assert one["on_validation"]["passed"] == pytest.approx(cheapest)
            threshold = np.inf if one["threshold"] is None else one["threshold"]
            accuracy, passed = tried(here, threshold)
            assert (one["here"]["accuracy"], one["here"]["passed"]) == (pytest.approx(accuracy), pytest.approx(passed))
            assert one["here"]["cost"] == pytest.approx(0.1 + 2 * passed)
            assert one["here"]["interval"][0] <= accuracy <= one["here"]["interval"][1]


def test_a_teacher_that_is_always_right_beside_a_student_that_never_is_gets_all():
    side = Cascaded([0.2, 0.9], [False, False], [True, True])
    found = thresholds(side, side)
    assert [one["threshold"] for one in found.values()] == [None, None]
    assert found["best"]["here"] | {"interval": 0} == {"passed": 1, "accuracy": 1, "cost": 1, "interval": 0}


def test_sides_of_other_lengths_are_refused():
    side = Cascaded([0.2, 0.9], [False, True], [True, True])
    with pytest.raises(LimbeckError, match="teacher"):
        thresholds(side, Cascaded([0.2, 0.9], [True, True], [True]))
