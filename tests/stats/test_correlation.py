"""Correlations against scipy, loops over resampled pairs, and cases that have none."""

import json

import numpy as np
import pytest
from scipy.stats import pearsonr, pointbiserialr, spearmanr

from limbeck.errors import LimbeckError
from limbeck.stats.correlation import correlate


def pairs(n, seed=0):
    rng = np.random.default_rng(seed)
    correct = rng.random(n) < 0.6
    return rng.integers(1, 5, n) + correct, correct


@pytest.mark.parametrize("n", [4, 50, 1000])
def test_coefficients_are_scipys(n):
    quality, correct = pairs(n, seed=n)
    measured = correlate(quality, correct, draws=50)
    for name, expected in (
        ("pearson", pearsonr(quality, correct)),
        ("point_biserial", pointbiserialr(correct, quality)),
        ("spearman", spearmanr(quality, correct)),
    ):
        found = getattr(measured, name)
        assert (found.value, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-12)
    assert (measured.n, measured.reason) == (n, None)


def test_point_biserial_is_a_difference_of_means():
    quality, correct = pairs(40)
    share = correct.mean()
    gap = quality[correct].mean() - quality[~correct].mean()
    expected = gap / quality.std() * np.sqrt(share * (1 - share))
    assert correlate(quality, correct, draws=5).point_biserial.value == pytest.approx(expected, abs=1e-12)


def test_the_interval_is_fishers():
    quality, correct = pairs(50)
    measured = correlate(quality, correct, draws=5).pearson
    z, half = np.arctanh(measured.value), 1.959963984540054 / np.sqrt(47)
    assert measured.interval == pytest.approx((np.tanh(z - half), np.tanh(z + half)), abs=1e-9)


def test_spearmans_interval_is_that_of_pairs_drawn_and_ranked_anew():
    quality, correct = pairs(25)
    measured = correlate(quality, correct, draws=3000, seed=1)
    rng = np.random.default_rng(5)
    drawn = [spearmanr(quality[i], correct[i]).statistic for i in rng.integers(0, 25, (1500, 25))]
    expected = np.quantile(drawn, [0.025, 0.975])
    assert list(measured.spearman.interval) == pytest.approx(expected, abs=0.04)
    assert measured == correlate(quality, correct, draws=3000, seed=1)
    assert measured != correlate(quality, correct, draws=3000, seed=2)


def test_draws_without_a_correlation_are_left_out_and_counted():
    quality, correct = np.arange(10), np.arange(10) == 9
    measured = correlate(quality, correct, draws=4000)
    assert measured.left_out == pytest.approx(0.9**10, abs=0.03)  # the one right answer not drawn
    assert -1 <= measured.spearman.interval[0] < measured.spearman.interval[1] <= 1
    json.dumps(measured.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("quality", "correct", "reason"),
    [
        ([], [], "0 answers"),
        ([1, 2], [True, False], "2 answers"),
        ([3, 3, 3], [True, False, True], "every answer has the quality 3"),
        ([0.1, 0.1, 0.1], [True, False, True], "every answer has the quality 0.1"),
        ([1, 2, 3], [True] * 3, "every answer is right"),
        ([1, 2, 3], [False] * 3, "every answer is wrong"),
    ],
)
def test_where_there_is_none_it_says_why(quality, correct, reason):
    measured = correlate(quality, correct)
    assert (measured.pearson, measured.point_biserial, measured.spearman) == (None, None, None)
    assert reason in measured.reason


def test_three_answers_and_a_perfect_correlation_have_no_fisher_interval():
    assert correlate([1, 2, 4], [True, False, True], draws=20).pearson.interval is None
    perfect = correlate([1, 1, 2, 2, 2], [False, False, True, True, True], draws=20).pearson
    assert perfect.value == pytest.approx(1)
    assert perfect.interval is None or perfect.interval[0] > 0.99
    json.dumps(correlate([1, 1, 2, 2], [False, False, True, True], draws=50).to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("quality", "correct", "words"),
    [
        ([1, float("nan"), 3], [True, False, True], r"quality\[1\] is nan"),
        ([1, 2, float("inf")], [True, False, True], r"quality\[2\] is inf"),
        ([1, 2, 3], [True, False, 2], r"correct\[2\] is 2"),
        ([1, 2, 3], [True, False], "quality has 3 rows and correct 2"),
    ],
)
def test_what_is_no_quality_is_named(quality, correct, words):
    with pytest.raises(LimbeckError, match=words) as caught:
        correlate(quality, correct)
    assert "\n" not in str(caught.value)
