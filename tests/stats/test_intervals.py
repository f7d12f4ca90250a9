"""Intervals against closed forms, brute force, other libraries and simulation."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize_scalar

from limbeck.stats.intervals import accuracy_interval, estimate, tango, wilson

Z = 1.959963984540054
RNG = np.random.default_rng(0)
LEVELS_A, LEVELS_B = np.array([0.71, 0.74, 0.70]), np.array([0.66, 0.69, 0.60, 0.65])
EXAMPLES_A = RNG.random(40)


def test_the_ends_of_wilson_solve_its_equation_and_are_those_of_scipy():
    for p in wilson(37, 50):
        assert abs(37 / 50 - p) == pytest.approx(Z * math.sqrt(p * (1 - p) / 50))
    assert wilson(37, 50) == pytest.approx(tuple(stats.binomtest(37, 50).proportion_ci(method="wilson")))
    assert (wilson(0, 5)[0], wilson(5, 5)[1], wilson(0, 0)) == (0, 1, None)
    correct = np.arange(200) < 150
    assert accuracy_interval(correct) == accuracy_interval(correct[None]) == wilson(150, 200)


def tango_statistic(only_a: int, only_b: int, n: int, difference: float) -> float:
    """Compute Tango's statistic with the likeliest share of `only_b` found by search instead of by formula."""

    def loss(q: float) -> float:
        cells = [(only_a, q + difference), (only_b, q), (n - only_a - only_b, 1 - 2 * q - difference)]
        return -sum(count * math.log(share) for count, share in cells if count)  # 0 log 0 = 0

    bounds = (max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12)
    q = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return (only_a - only_b - n * difference) / math.sqrt(n * (2 * q + difference - difference**2))


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(1, 7, 21), (12, 5, 200), (30, 30, 100), (400, 350, 9824)])
def test_the_ends_of_tango_solve_its_equation(only_a, only_b, n):
    low, high = tango(only_a, only_b, n)
    assert tango_statistic(only_a, only_b, n, low) == pytest.approx(Z, abs=1e-4)
    assert tango_statistic(only_a, only_b, n, high) == pytest.approx(-Z, abs=1e-4)


@settings(max_examples=40)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60))
def test_tango_holds_the_difference_and_agrees_with_chi_square(only_a, only_b, concordant):
    n = only_a + only_b + concordant
    low, high = tango(only_a, only_b, n)
    assert -1 <= low <= (only_a - only_b) / n <= high <= 1
    assert tango(only_b, only_a, n) == pytest.approx((-high, -low))
    if only_a + only_b:
        chi = abs(only_a - only_b) / math.sqrt(only_a + only_b)
        assert (low > 1e-9 or high < -1e-9) == (chi > Z)


def test_equal_examples_or_equal_seeds_leave_a_t_test_of_the_others():
    a, b = np.tile(LEVELS_A[:, None], 40), np.tile(LEVELS_B[:, None], 40)
    examples = stats.ttest_1samp(EXAMPLES_A, 0)
    cases = [
        ([a, b], stats.ttest_ind(LEVELS_A, LEVELS_B, equal_var=False)),  # Welch's
        ([b], stats.ttest_1samp(LEVELS_B, 0)),
        *(([np.tile(EXAMPLES_A, (count, 1))], examples) for count in (1, 3)),
    ]
    for sides, test in cases:
        assert estimate(sides).interval == pytest.approx(tuple(test.confidence_interval()))
        assert estimate(sides).p_value == pytest.approx(test.pvalue)


@pytest.mark.parametrize("single_first", [True, False])
def test_a_single_run_is_taken_to_vary_as_the_other_side(single_first):
    sides = [np.full((1, 40), 0.8), np.tile(LEVELS_B[:, None], 40)]
    difference = estimate(sides if single_first else sides[::-1])
    assert difference.error == pytest.approx(LEVELS_B.std(ddof=1) * (1 + 1 / 4) ** 0.5)
    assert difference.freedom == pytest.approx(3)


def test_the_variance_is_that_of_a_loop_over_the_model():
    a, b = RNG.random((3, 9)), RNG.random((5, 9))
    a[0] += 1  # one seed of each stands out
    b[0] += 1
    variance = statistics.variance(a[:, i].sum() / 3 - b[:, i].sum() / 5 for i in range(9)) / 9
    spread = variance**2 / 8
    for side in (a, b):
        seeds, mean = len(side), side.sum() / side.size
        runs, columns = [sum(row) / 9 for row in side], [sum(column) / seeds for column in side.T]
        squares = sum((side[s, i] - runs[s] - columns[i] + mean) ** 2 for s in range(seeds) for i in range(9))
        noise, observed = squares / (seeds - 1) / 8, statistics.variance(runs) / seeds
        variance += max(0, observed - noise / 9 / seeds)
        spread += observed**2 / (seeds - 1)
    difference = estimate([a, b])
    assert difference.error == pytest.approx(variance**0.5)
    assert difference.freedom == pytest.approx(variance**2 / spread)
