"""Selective prediction and the cascade against loops over every order, and closed forms."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import LimbeckError
from limbeck.metrics.selective import COVERAGES, cascade, selective


def naive_aurc(correct):
    """Of answers in their order, the surest first."""
    return np.mean([1 - np.mean(correct[:k]) for k in range(1, len(correct) + 1)])


def orders(confidence):
    """Every order of the rows that has the surest first."""
    for order in itertools.permutations(range(len(confidence))):
        if all(confidence[a] >= confidence[b] for a, b in itertools.pairwise(order)):
            yield list(order)


ROWS = st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.6, 1.0]), st.booleans()), min_size=1, max_size=6)


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_areas_and_accuracies_are_the_mean_over_all_orders_of_equal_confidences(rows):
    confidence, correct = (np.array(column) for column in zip(*rows, strict=True))
    ranked = [correct[order] for order in orders(confidence)]
    measured = selective(confidence, correct, draws=5)
    expected = np.mean([naive_aurc(one) for one in ranked])
    assert measured.aurc == pytest.approx(expected, abs=1e-12)
    assert measured.e_aurc == pytest.approx(expected - naive_aurc(np.sort(correct)[::-1]), abs=1e-12)
    assert [point.coverage for point in measured.at_coverage] == list(COVERAGES)
    for point in measured.at_coverage:
        assert point.n - 1 < point.coverage * len(rows) + 1e-9 <= point.n + 1e-8
        assert point.accuracy == pytest.approx(np.mean([one[: point.n].mean() for one in ranked]), abs=1e-12)
        assert point.threshold == np.sort(confidence)[::-1][point.n - 1]
        assert point.interval[0] <= point.accuracy + 1e-12 <= point.interval[1] + 2e-12


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_the_curve_is_what_a_threshold_does(rows):
    confidence, correct = (np.array(column) for column in zip(*rows, strict=True))
    curve = selective(confidence, correct, draws=5).curve
    assert [point.threshold for point in curve] == sorted(set(confidence), reverse=True)
    for point in curve:
        answered = confidence >= point.threshold
        assert point.coverage == pytest.approx(answered.mean())
        assert point.risk == pytest.approx(1 - correct[answered].mean())


def test_an_order_by_chance_and_an_oracles():
    rng = np.random.default_rng(0)
    correct = rng.random(4000) < 0.7
    assert selective(np.full(4000, 0.5), correct, draws=5).aurc == pytest.approx(1 - correct.mean())
    oracle = selective(np.where(correct, 0.9, 0.1), correct, draws=50)
    assert oracle.e_aurc == pytest.approx(0, abs=1e-12)
    risk = 1 - correct.mean()
    assert oracle.aurc == pytest.approx(risk + (1 - risk) * np.log(1 - risk), abs=1e-3)  # Geifman et al., par. 4


def test_the_intervals_are_those_of_resampled_rows():
    rng = np.random.default_rng(1)
    confidence = rng.random(80).round(2)
    correct = rng.random(80) < confidence
    measured = selective(confidence, correct, draws=1000, seed=1)
    again = [selective(confidence[i], correct[i], draws=1) for i in rng.integers(0, 80, (600, 80))]
    for name in ("aurc", "e_aurc"):
        drawn = [getattr(one, name) for one in again]
        close = np.std(drawn) / 3
        assert list(getattr(measured, f"{name}_interval")) == pytest.approx(
            np.quantile(drawn, [0.025, 0.975]), abs=close
        )
    assert measured == selective(confidence, correct, draws=1000, seed=1)
    assert measured != selective(confidence, correct, draws=1000, seed=2)


@given(ROWS, st.lists(st.booleans(), min_size=6, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_cascade_is_who_answers_what(rows, teacher):
    confidence, correct = (np.array(column) for column in zip(*rows, strict=True))
    teacher = np.array(teacher[: len(rows)])
    points = cascade(confidence, correct, teacher, student_cost=0.5, teacher_cost=20)
    assert [point.threshold for point in points] == [*sorted(set(confidence)), None]
    for point in points:
        keeps = confidence >= (2 if point.threshold is None else point.threshold)
        assert point.passed == pytest.approx(1 - keeps.mean(), abs=1e-12)
        assert point.accuracy == pytest.approx(np.where(keeps, correct, teacher).mean(), abs=1e-12)
        assert point.cost == pytest.approx(np.mean([0.5 + 20 * (not kept) for kept in keeps]), abs=1e-9)


def test_a_teachers_accuracy_alone_counts_for_whatever_is_passed_on():
    points = cascade([0.9, 0.5, 0.5, 0.1], [True, True, False, False], 0.8, student_cost=1, teacher_cost=10)
    assert [(one.threshold, one.passed, one.cost) for one in points] == [
        (0.1, 0, 1),
        (0.5, 0.25, 3.5),
        (0.9, 0.75, 8.5),
        (None, 1, 11),
    ]
    assert [one.accuracy for one in points] == pytest.approx([0.5, 0.7, 0.85, 0.8])


def test_long_curves_are_thinned_but_keep_their_ends():
    confidence = np.linspace(0, 1, 5000)
    correct = np.arange(5000) % 3 > 0
    curve = selective(confidence, correct, draws=2).curve
    assert len(curve) == 200
    assert (curve[0].threshold, curve[0].coverage, curve[-1].coverage) == (1, 1 / 5000, 1)
    points = cascade(confidence, correct, 1.0, 0, 1)
    assert (len(points), points[0].passed, points[-1].passed) == (200, 0, 1)


def test_nothing_and_one_answer_are_defined():
    none = selective([], [])
    assert (none.n, none.aurc, none.e_aurc, none.curve, none.at_coverage) == (0, None, None, (), ())
    one = selective([0.4], [False])
    assert (one.aurc, one.e_aurc, one.aurc_interval, one.e_aurc_interval) == (1, 0, None, None)
    assert json.loads(json.dumps(one.to_dict(), allow_nan=False))["at_coverage"][0]["n"] == 1
    assert cascade([], [], [], 1, 1) == cascade([], [], 0.5, 1, 1) == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([float("nan")], [True], 0.5, 1, 1), r"confidence\[0\] is nan"),
        (([0.5], [True], 1.5, 1, 1), r"teacher\[0\] is 1.5"),
        (([0.5], [True], [True, False], 1, 1), "confidence has 1 rows and teacher 2"),
        (([0.5], [True], [0.5], 1, 1), r"teacher\[0\] is 0.5"),
        (([0.5], [True], 0.5, -1, 1), "student_cost is -1"),
        (([0.5], [True], 0.5, 1, float("nan")), "teacher_cost is nan"),
    ],
)
def test_what_makes_no_cascade_is_named(arguments, words):
    with pytest.raises(LimbeckError, match=words):
        cascade(*arguments)


def test_a_coverage_of_whole_answers_takes_no_more():
    """0.95 * 260 and the like: a count is not rounded up because of how fractions are stored."""
    for n in range(20, 401, 20):
        counts = [point.n for point in selective(np.linspace(0, 1, n), [True] * n, draws=1).at_coverage]
        assert counts == [n * share // 20 for share in (10, 12, 14, 16, 18, 19, 20)]
