"""The bootstrap over seeds and examples, against its exact moments."""

import numpy as np
import pytest

from limbeck.stats import bootstrap
from limbeck.stats.bootstrap import centred_p_value, resampled_means
from limbeck.stats.resampling import percentiles

RNG = np.random.default_rng(4)
EASY = RNG.random(60)
A = (RNG.random((3, 60)) < EASY).astype(float)
B = (RNG.random((2, 60)) < 0.9 * EASY).astype(float)


def variance(runs: np.ndarray) -> float:
    """Of a draw's mean: S seeds and N examples drawn with replacement, each of the S N cells with every other."""
    seeds, n = runs.shape
    total = 0.0
    cells = runs - runs.mean()
    total += (cells**2).mean()  # the same seed, the same example
    total += (n - 1) * (cells.mean(axis=1) ** 2).mean()  # the same seed
    total += (seeds - 1) * (cells.mean(axis=0) ** 2).mean()  # the same example
    return total / (seeds * n)


def test_moments_are_the_exact_ones():
    drawn = resampled_means([A, B], 0, 40_000)
    assert drawn.mean(axis=0) == pytest.approx([A.mean(), B.mean()], abs=2e-3)
    assert drawn.var(axis=0) == pytest.approx([variance(A), variance(B)], rel=0.03)
    shared = np.cov(A.mean(axis=0), B.mean(axis=0), ddof=0)[0, 1] / 60
    assert np.cov(drawn.T)[0, 1] == pytest.approx(shared, rel=0.05)


def test_one_run_is_the_bootstrap_over_examples():
    drawn = resampled_means([A[:1]], 0, 40_000)[:, 0]
    p = A[0].mean()
    assert drawn.var() == pytest.approx(p * (1 - p) / 60, rel=0.03)


def test_memory_is_bounded_and_the_pieces_make_one_sample(monkeypatch):
    monkeypatch.setattr(bootstrap, "_CELLS", 100)  # a few draws at a time
    drawn = resampled_means([A, B], 0, 5_001)
    assert drawn.shape == (5_001, 2)
    assert drawn.var(axis=0) == pytest.approx([variance(A), variance(B)], rel=0.08)


def test_a_seed_gives_the_same_draws():
    assert (resampled_means([A, B], 3, 100) == resampled_means([A, B], 3, 100)).all()
    assert (resampled_means([A, B], 3, 100) != resampled_means([A, B], 4, 100)).any()


def test_p_value_counts_what_is_as_far_from_the_centre_as_that_from_nothing():
    drawn = np.array([0.1, 0.2, 0.2, 0.3, 0.4, 0.0])
    # 0.4 and 0.0 are 0.2 from 0.2
    assert centred_p_value(drawn, 0.2) == pytest.approx(3 / 7)
    assert centred_p_value(-drawn, -0.2) == pytest.approx(3 / 7)
    assert centred_p_value(drawn, 0.0) == 1
    assert centred_p_value(np.ones(5), 1.0) is None
    assert centred_p_value(np.zeros(5), 0.0) == 1


def test_percentiles_leave_out_a_fortieth_on_either_side():
    assert percentiles(np.arange(1001.0)) == (25, 975)
