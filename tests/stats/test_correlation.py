"""Correlations and agreement against scipy, loops, and cases where they are undefined."""

import itertools

import numpy as np
import pytest
from scipy.stats import pearsonr, pointbiserialr, spearmanr

from limbeck.stats.correlation import correlate, exact_agreement, krippendorff_alpha


@pytest.mark.parametrize("n", [4, 25, 400])
def test_coefficients_are_those_of_scipy_in_the_whole_and_in_each_draw(n):
    rng = np.random.default_rng(n)
    correct = (np.arange(n) < n // 2).astype(int)
    quality = rng.integers(1, 5, n) + correct
    correlation = correlate(quality, correct, seed=3, draws=60)
    for coefficient, expected in (
        (correlation.pearson, pearsonr(quality, correct)),
        (correlation.point_biserial, pointbiserialr(correct, quality)),
        (correlation.spearman, spearmanr(quality, correct)),
    ):
        expectation = pytest.approx((expected.statistic, expected.pvalue), abs=1e-12)
        assert (coefficient.value, coefficient.p_value) == expectation
    z, half = np.arctanh(correlation.pearson.value), 1.959963984540054 / np.sqrt(n - 3)
    assert correlation.pearson.interval == pytest.approx((np.tanh(z - half), np.tanh(z + half)), abs=1e-9)
    rows = np.random.default_rng(3).integers(0, n, (60, n))
    drawn = [(quality[i], correct[i]) for i in rows if np.ptp(quality[i]) and np.ptp(correct[i])]
    ends = np.quantile([spearmanr(*sides).statistic for sides in drawn], [0.025, 0.975])
    assert list(correlation.spearman.interval) == pytest.approx(ends.tolist(), abs=1e-12)
    assert correlation.left_out == pytest.approx(1 - len(drawn) / 60)


@pytest.mark.parametrize(
    ("quality", "correct"),
    [([], []), ([1, 2], [True, False]), ([0.1] * 3, [True, False, True]), ([1, 2, 3], [True] * 3)],
)
def test_an_undefined_correlation_has_a_reason(quality, correct):
    correlation = correlate(quality, correct)
    assert correlation.pearson is correlation.point_biserial is correlation.spearman is None
    assert correlation.reason


def naive_alpha(ratings) -> float:
    """Compute alpha from coincidences: every ordered pair of a unit's ratings, weighted by 1 / (m - 1)."""
    units = [unit for row in ratings if len(unit := [x for x in row if x is not None]) > 1]
    pairs = [(x, y, 1 / (len(unit) - 1)) for unit in units for x, y in itertools.permutations(unit, 2)]
    n = sum(weight for *_, weight in pairs)
    marginals: dict[float, float] = {}
    for x, _, weight in pairs:
        marginals[x] = marginals.get(x, 0) + weight
    observed = sum(weight * (x - y) ** 2 for x, y, weight in pairs)
    expected = sum(a * b * (x - y) ** 2 for x, a in marginals.items() for y, b in marginals.items()) / (n - 1)
    return 1 - observed / expected


def test_alpha_agrees_with_coincidences_on_random_ratings():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = rng.choice([1, 2, 3, 3.5, 4, 5], size=(rng.integers(3, 20), 4)).tolist()
        ratings = [[None if rng.random() < 0.3 else score for score in row] for row in scores] + [[1, 5]]
        assert krippendorff_alpha(ratings) == pytest.approx(naive_alpha(ratings), abs=1e-12)


def test_alpha_at_its_ends_and_where_it_is_undefined():
    assert krippendorff_alpha([[1, 1], [5, 5], [3, 3]]) == 1
    # n = 4: within units 4 * (1 - 5)^2 = 64 over 4 ratings; between all, 2 of the 3 other ratings of each differ
    assert krippendorff_alpha([[1, 5], [1, 5]]) == pytest.approx(1 - 16 / (128 / 12))
    assert krippendorff_alpha([[0.1, 0.1, 0.1], [0.1, 0.1, 0.1]]) is None
    for undefined in ([], [[]], [[4]], [[4], [2, None]], [[4, 4], [4, 4]], [[None, None]]):
        assert krippendorff_alpha(undefined) is None


def test_exact_agreement_is_over_units_rated_twice():
    assert exact_agreement([[3, 3, 3], [3, 4, None], [5, None, None]]) == 0.5
    assert exact_agreement([[3], [None, 2]]) is None
