"""McNemar's tests, effect sizes, detectable differences: hand-computed cases, scipy, and how often they reject."""

import bisect
import math

import pytest
from scipy.stats import binom, binomtest

from limbeck.stats.paired import cohens_g, detectable_difference, mcnemar_exact, mcnemar_mid_p, odds_ratio


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (1, 7), (7, 1), (5, 5), (59, 6), (430, 500)])
def test_exact_is_the_two_sided_binomial_test(only_a, only_b):
    both = only_a + only_b
    expected = binomtest(only_a, both).pvalue if both else 1
    assert mcnemar_exact(only_a, only_b) == pytest.approx(expected)


def test_exact_is_that_of_statsmodels():
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    for only_a, only_b in [(1, 7), (12, 25), (5, 5)]:
        assert mcnemar_exact(only_a, only_b) == pytest.approx(tables.mcnemar([[9, only_a], [only_b, 9]]).pvalue)


def test_by_hand():
    # 1 against 7: 2 (1 + 8)/256, and with half of P(X = 1) on either side 2 (1 + 8/2)/256
    # (0.070 and 0.039 in Fagerland, Lydersen and Laake 2013, who took the case from Bentur and others 2009)
    assert mcnemar_exact(1, 7) == pytest.approx(18 / 256)
    assert mcnemar_mid_p(1, 7) == mcnemar_mid_p(7, 1) == pytest.approx(10 / 256)
    assert mcnemar_exact(0, 4) == pytest.approx(2 / 16)
    assert mcnemar_mid_p(0, 4) == pytest.approx(1 / 16)


def test_equal_counts_are_no_evidence():
    for count in (0, 1, 8, 300):
        assert mcnemar_exact(count, count) == 1
        assert mcnemar_mid_p(count, count) == pytest.approx(1)
        assert mcnemar_mid_p(count, count) <= 1


def rejections(test, n: int, discordance: float, difference: float = 0.0) -> float:
    """Share of experiments on n examples in which `test` rejects at 5 %: summed over every outcome."""
    total = 0.0
    lead = (discordance + difference) / 2 / discordance
    for both in range(int(binom.ppf(1e-9, n, discordance)), int(binom.isf(1e-9, n, discordance)) + 1):
        # the first count that is not rejected: p-values rise towards equal counts
        first = bisect.bisect_left(range(both // 2), 0.05, key=lambda fewer, both=both: test(fewer, both - fewer))
        tails = binom.cdf(first - 1, both, lead) + binom.sf(both - first, both, lead)
        total += binom.pmf(both, n, discordance) * tails
    return total


@pytest.mark.parametrize(("n", "discordance"), [(50, 0.1), (200, 0.1), (200, 0.3), (1000, 0.1)])
def test_equal_runs_are_told_apart_in_one_case_of_twenty_at_most(n, discordance):
    exact, mid_p = (rejections(test, n, discordance) for test in (mcnemar_exact, mcnemar_mid_p))
    assert exact < mid_p <= 0.06
    assert exact <= 0.05
    if n * discordance >= 20:
        assert mid_p == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(("n", "discordance"), [(200, 0.3), (1000, 0.1)])
def test_detectable_difference_is_detected_four_times_in_five(n, discordance):
    difference = detectable_difference(discordance, n)
    assert rejections(mcnemar_mid_p, n, discordance, difference) == pytest.approx(0.8, abs=0.015)
    # and it has the sample size that Connor's formula gives
    root = 1.959963984540054 * math.sqrt(discordance) + 0.8416212335729143 * math.sqrt(discordance - difference**2)
    assert (root / difference) ** 2 == pytest.approx(n)


def test_detectable_difference_where_there_is_none():
    assert detectable_difference(0.0, 100) is None
    assert detectable_difference(0.0, 0) is None
    assert detectable_difference(1.0, 1) is None
    assert detectable_difference(0.02, 50) is None  # one discordant example to be expected
    assert detectable_difference(1.0, 4000) < detectable_difference(1.0, 1000) < 0.1


def test_effect_sizes():
    assert cohens_g(30, 10) == 0.25
    assert cohens_g(10, 30) == -0.25
    assert cohens_g(0, 0) is None
    assert odds_ratio(30, 10) == 3
    assert odds_ratio(0, 4) == 0
    assert odds_ratio(4, 0) is None
