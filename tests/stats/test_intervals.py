"""Intervals: what they cover, against closed forms, brute force and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from limbeck.errors import LimbeckError
from limbeck.stats.bootstrap import resampled_means
from limbeck.stats.intervals import accuracy_interval, paired_interval, wilson
from limbeck.stats.resampling import percentiles

Z = 1.959963984540054


# Wilson's own coverage swings with p, on a lattice of n + 1 values: 96.7 % at n = 200, p = 0.95.
@pytest.mark.parametrize(("n", "p", "slack"), [(200, 0.5, 0.015), (200, 0.8, 0.015), (200, 0.95, 0.0175)])
def test_wilson_covers(n, p, slack):
    intervals = [wilson(right, n) for right in range(n + 1)]
    covered = sum(binom.pmf(right, n, p) for right, (low, high) in enumerate(intervals) if low <= p <= high)
    assert covered == pytest.approx(0.95, abs=slack)


def test_wilsons_ends_solve_its_equation():
    low, high = wilson(37, 50)
    for p in (low, high):
        assert abs(37 / 50 - p) == pytest.approx(Z * math.sqrt(p * (1 - p) / 50))
    assert low < 37 / 50 < high


def test_nothing_measured_has_no_interval():
    assert wilson(0, 0) is None
    assert paired_interval(0, 0, 0) is None
    assert accuracy_interval([]) is None
    assert accuracy_interval([[], []]) is None


def test_one_seed_is_wilsons():
    correct = np.arange(200) < 150
    assert accuracy_interval(correct) == accuracy_interval(correct[None]) == wilson(150, 200)


def runs_of(rng, seeds: int, n: int, between: float) -> np.ndarray:
    """Runs whose seeds' accuracies have the deviation `between` about 0.7, on examples of unequal difficulty."""
    easiness = rng.normal(0, 1, n)
    skill = rng.normal(0, between, (seeds, 1))
    score = 0.5244 * math.sqrt(2 + between**2) + easiness + skill + rng.normal(0, 1, (seeds, n))
    return score > 0


@pytest.mark.parametrize(("seeds", "between"), [(2, 0.0), (3, 0.0), (3, 0.15), (5, 0.15)])
def test_interval_over_seeds_covers(seeds, between):
    rng = np.random.default_rng(seeds)
    covered = 0
    for _ in range(1000):
        low, high = accuracy_interval(runs_of(rng, seeds, 200, between))
        covered += low <= 0.7 <= high
    assert 0.93 <= covered / 1000 <= 0.98


def test_bootstrap_over_few_seeds_is_too_narrow_where_seeds_differ():
    # why `accuracy_interval` is no bootstrap
    rng = np.random.default_rng(1)
    covered = 0
    for number in range(400):
        low, high = percentiles(resampled_means([runs_of(rng, 3, 200, 1.0)], number, 300)[:, 0])
        covered += low <= 0.7 <= high
    assert covered / 400 < 0.85


def test_runs_that_are_always_right_leave_room_for_doubt():
    low, high = accuracy_interval(np.ones((3, 20)))
    assert 0.6 < low < 0.95
    assert high == 1
    assert accuracy_interval(np.zeros((3, 20))) == pytest.approx((0, 1 - low))


def test_what_is_not_graded_is_refused():
    for bad in ([True, None], [1.0, float("nan")], [0, 2], [[[1]]], np.zeros((0, 5)), [[1, 0], [1]]):
        with pytest.raises(LimbeckError, match="correct: "):
            accuracy_interval(bad)


def score(only_a: int, only_b: int, n: int, difference: float) -> float:
    """Tango's statistic with the likeliest share of `only_b` found by search instead of by formula."""

    def unlikely(q: float) -> float:
        # 0 log 0 = 0
        parts = [(only_a, q + difference), (only_b, q), (n - only_a - only_b, 1 - 2 * q - difference)]
        return -sum(count * math.log(share) for count, share in parts if count)

    least, most = max(0.0, -difference), (1 - difference) / 2
    q = minimize_scalar(unlikely, bounds=(least + 1e-12, most - 1e-12), method="bounded", options={"xatol": 1e-12}).x
    return (only_a - only_b - n * difference) / math.sqrt(n * (2 * q + difference - difference**2))


@pytest.mark.parametrize(
    ("only_a", "only_b", "n"), [(1, 7, 21), (12, 5, 200), (30, 30, 100), (3, 1, 10), (400, 350, 9824)]
)
def test_tangos_ends_solve_its_equation(only_a, only_b, n):
    low, high = paired_interval(only_a, only_b, n)
    assert score(only_a, only_b, n, low) == pytest.approx(Z, abs=1e-4)
    assert score(only_a, only_b, n, high) == pytest.approx(-Z, abs=1e-4)


def test_tango_as_published():
    # Fagerland, Lydersen and Laake (2014), airway hyper-responsiveness before and after transplantation
    assert paired_interval(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60))
def test_paired_interval_holds_the_difference_and_agrees_with_chi_square(only_a, only_b, rest):
    n = only_a + only_b + rest
    low, high = paired_interval(only_a, only_b, n)
    assert -1 <= low <= (only_a - only_b) / n <= high <= 1
    assert paired_interval(only_b, only_a, n) == pytest.approx((-high, -low))
    if only_a + only_b:
        chi = abs(only_a - only_b) / math.sqrt(only_a + only_b)
        assert (low > 1e-9 or high < -1e-9) == (chi > Z)


def test_paired_interval_where_runs_never_or_always_differ():
    assert paired_interval(0, 0, 20) == pytest.approx((-(Z**2) / (20 + Z**2), Z**2 / (20 + Z**2)))
    low, high = paired_interval(20, 0, 20)
    assert high == 1
    assert 0.5 < low < 1
    assert paired_interval(1, 0, 1)[0] < 0
    assert paired_interval(0, 5, 5)[0] == -1


# discordance alone, with a difference, nearly independent runs, one run better nearly everywhere
@pytest.mark.parametrize("shares", [(0.05, 0.05), (0.1, 0.05), (0.16, 0.16), (0.05, 0.2), (0.4, 0.05), (0.02, 0.02)])
@pytest.mark.parametrize("n", [200, 1000])
def test_paired_interval_covers(n, shares):
    drawn = np.random.default_rng(n).multinomial(n, [*shares, 1 - sum(shares)], size=2000)
    true = shares[0] - shares[1]
    pairs, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    intervals = [paired_interval(int(only_a), int(only_b), n) for only_a, only_b in pairs]
    covered = sum(count for count, (low, high) in zip(counts, intervals, strict=True) if low <= true <= high)
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)
