"""Comparisons of runs: McNemar's tests, several seeds, effect sizes, Holm's correction."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.stats.intervals import tango
from limbeck.stats.significance import MCNEMAR, SEEDS, Comparison, compare, detectable_difference, holm, mcnemar_mid_p

# of 100 examples both runs have 60 right, A alone 18, B alone 7
A = np.repeat([1, 1, 0, 0], [60, 18, 7, 15])
B = np.repeat([1, 0, 1, 0], [60, 18, 7, 15])


def seeded(seeds: int, n: int = 100, level: float = 0.7) -> np.ndarray:
    difficulty = np.random.default_rng(0).random(n)
    return difficulty + np.random.default_rng(int(100 * level)).normal(0, 0.2, (seeds, n)) < level


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (1, 7), (7, 1), (5, 5), (59, 6), (430, 500)])
def test_mcnemar_is_the_binomial_test(only_a, only_b):
    *below, equal = (math.comb(only_a + only_b, k) for k in range(min(only_a, only_b) + 1))
    assert mcnemar_mid_p(only_a, only_b) == pytest.approx((2 * sum(below) + equal) / 2 ** (only_a + only_b))


def test_a_detectable_difference_has_the_sample_size_of_connor():
    difference = detectable_difference(0.3, 200)
    root = 1.959963984540054 * math.sqrt(0.3) + 0.8416212335729143 * math.sqrt(0.3 - difference**2)
    assert (root / difference) ** 2 == pytest.approx(200)
    too_few = [(0.0, 100), (0.0, 0), (1.0, 1), (0.02, 50)]
    assert [detectable_difference(discordance, n) for discordance, n in too_few] == [None] * 4


def test_one_run_a_side():
    assert compare(A, B) == Comparison(
        test=MCNEMAR, n=100, seeds=(1, 1), accuracy_a=0.78, accuracy_b=0.67, difference=0.11, discordant=25, only_a=18,
        only_b=7, p_value=mcnemar_mid_p(18, 7), interval=tango(18, 7, 100), cohens_g=18 / 25 - 0.5,
        detectable=detectable_difference(0.25, 100),
    )  # fmt: skip


def test_several_seeds():
    a, b = seeded(3), seeded(4, level=0.6)
    comparison = compare(a, b)
    assert (comparison.test, comparison.n, comparison.seeds) == (SEEDS, 100, (3, 4))
    assert comparison.difference == pytest.approx(a.mean() - b.mean())
    pairs = [((x & ~y).sum(), (y & ~x).sum()) for x in a for y in b]
    assert [comparison.only_a, comparison.only_b] == pytest.approx(np.mean(pairs, axis=0))
    low, high = comparison.interval
    assert -1 <= low < comparison.difference < high <= 1
    assert (low > 0) == (comparison.p_value < 0.05)


def test_two_examples_are_added_as_bonett_and_price_do():
    # seeds that agree with each other everywhere leave their interval for paired proportions, with t for z
    p, q = 19 / 102, 8 / 102
    half = 1.98373 * ((p + q - (p - q) ** 2) / 101) ** 0.5
    assert compare([A, A], [B, B]).interval == pytest.approx((p - q - half, p - q + half), abs=1e-5)


@pytest.mark.parametrize(("a", "b"), [(A, B), (seeded(3), seeded(3, level=0.6)), (seeded(1), seeded(3, level=0.6))])
def test_sides_swapped(a, b):
    comparison, swapped = compare(a, b), compare(b, a)
    assert swapped.difference == pytest.approx(-comparison.difference)
    assert swapped.interval == pytest.approx((-comparison.interval[1], -comparison.interval[0]))
    assert (swapped.p_value, swapped.detectable) == pytest.approx((comparison.p_value, comparison.detectable))
    assert (swapped.only_a, swapped.only_b) == pytest.approx((comparison.only_b, comparison.only_a))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([None, 0.04, None, 0.01]) == [None, *holm([0.04, 0.01])[:1], None, *holm([0.04, 0.01])[1:]]


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.5))
def test_holm_rejects_what_its_steps_reject(p_values, level):
    rejected = set()
    for step, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] * (len(p_values) - step) > level:
            break
        rejected.add(index)
    assert {index for index, p in enumerate(holm(p_values)) if p <= level} == rejected
