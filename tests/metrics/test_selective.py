"""Selective prediction and the cascade against loops over every order, and closed forms."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.metrics.graded import Graded
from limbeck.metrics.selective import COVERAGES, cascade, choose_thresholds, selective

ROWS = st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.6, 1.0]), st.booleans()), min_size=1, max_size=5)


def naive_aurc(correct) -> float:
    """Compute the AURC of answers in their order, the surest first."""
    return np.mean([1 - np.mean(correct[:k]) for k in range(1, len(correct) + 1)])


def columns(rows) -> tuple[np.ndarray, np.ndarray]:
    confidence, correct = zip(*rows, strict=True)
    return np.array(confidence), np.array(correct)


@given(ROWS)
@settings(max_examples=25, deadline=None)
def test_ties_count_as_the_mean_over_all_their_orders(rows):
    confidence, correct = columns(rows)
    orders = [list(order) for order in itertools.permutations(range(len(rows)))]
    ranked = [correct[order] for order in orders if (np.diff(confidence[order]) <= 0).all()]
    metrics = selective(confidence, correct, draws=5)
    expected = np.mean([naive_aurc(order) for order in ranked])
    assert metrics.aurc == pytest.approx(expected, abs=1e-12)
    assert metrics.e_aurc == pytest.approx(expected - naive_aurc(np.sort(correct)[::-1]), abs=1e-12)
    assert [point.coverage for point in metrics.at_coverage] == list(COVERAGES)
    for point in metrics.at_coverage:
        assert point.n - 1 < point.coverage * len(rows) + 1e-9 <= point.n + 1e-8
        assert point.accuracy == pytest.approx(np.mean([order[: point.n].mean() for order in ranked]), abs=1e-12)
        assert point.threshold == np.sort(confidence)[::-1][point.n - 1]
    assert [point.threshold for point in metrics.curve] == sorted(set(confidence), reverse=True)
    for point in metrics.curve:
        answered = confidence >= point.threshold
        assert (point.coverage, point.risk) == pytest.approx((answered.mean(), 1 - correct[answered].mean()))


@given(ROWS, st.lists(st.booleans(), min_size=5, max_size=5))
@settings(max_examples=25, deadline=None)
def test_a_cascade_is_who_answers_what(rows, teacher):
    confidence, correct = columns(rows)
    teacher = np.array(teacher[: len(rows)])
    points = cascade(confidence, correct, teacher)
    assert [point.threshold for point in points] == [*sorted(set(confidence)), None]
    for point in points:
        answers = confidence >= (2 if point.threshold is None else point.threshold)
        assert point.cost == pytest.approx(1 - answers.mean(), abs=1e-12)
        assert point.accuracy == pytest.approx(np.where(answers, correct, teacher).mean(), abs=1e-12)


def test_a_single_answer_has_no_interval_and_coverage_is_exact():
    single = selective(np.array([0.4]), np.array([False]))
    assert (single.aurc, single.e_aurc, single.aurc_interval, single.e_aurc_interval) == (1, 0, None, None)
    for n in (20, 260, 400):  # 0.95 and 0.6 are stored as a little more
        counts = [point.n for point in selective(np.linspace(0, 1, n), np.ones(n, dtype=bool), draws=1).at_coverage]
        assert counts == [n * share // 20 for share in (10, 12, 14, 16, 18, 19, 20)]


def test_long_curves_are_thinned_but_keep_their_ends():
    confidence, correct = np.linspace(0, 1, 5000), np.arange(5000) % 3 > 0
    curve = selective(confidence, correct, draws=2).curve
    assert len(curve) == 200
    assert (curve[0].threshold, curve[0].coverage, curve[-1].coverage) == (1, 1 / 5000, 1)
    points = cascade(confidence, correct, correct)
    assert (len(points), points[0].cost, points[-1].cost) == (200, 0, 1)


def sample(n: int, seed: int, levels: int = 20):
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, levels, size=n) / levels
    return Graded(confidence, rng.uniform(size=n) < confidence), rng.uniform(size=n) < 0.7


def at(side, threshold: float) -> tuple[float, float]:
    """Return the accuracy at a threshold, and the share passed on."""
    answers, teacher = side
    passed = answers.confidence < threshold
    return float(np.where(passed, teacher, answers.correct).mean()), float(passed.mean())


@pytest.mark.parametrize(("n", "levels"), [(80, 20), (500, 100_000)])  # a curve shows 200 points, thresholds take all
def test_thresholds_are_the_best_on_validation_and_measured_on_test(n, levels):
    validation, test = sample(n, 1, levels), sample(60, 101)
    thresholds = choose_thresholds(validation, test)
    options = [at(validation, threshold) for threshold in [*np.unique(validation[0].confidence), np.inf]]
    goals = {"best": max(accuracy for accuracy, _ in options), "as_teacher": float(validation[1].mean())}
    for goal, minimum in goals.items():
        threshold = thresholds[goal]
        assert threshold["on_validation"]["accuracy"] >= minimum - 1e-9
        cheapest = min(passed for accuracy, passed in options if accuracy >= minimum - 1e-9)
        assert threshold["on_validation"]["cost"] == pytest.approx(cheapest)
        accuracy, passed = at(test, np.inf if threshold["threshold"] is None else threshold["threshold"])
        assert (threshold["here"]["accuracy"], threshold["here"]["cost"]) == pytest.approx((accuracy, passed))
        assert threshold["here"]["interval"][0] <= accuracy <= threshold["here"]["interval"][1]
