"""Comparing runs: what is reported, for one run a side and for several seeds, and where there is nothing to compare."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from limbeck.errors import LimbeckError
from limbeck.stats.intervals import paired_interval
from limbeck.stats.paired import detectable_difference, mcnemar_exact, mcnemar_mid_p
from limbeck.stats.significance import MCNEMAR, SEEDS, compare

# of 100 examples both runs have 60 right, A alone 18, B alone 7
A = np.repeat([1, 1, 0, 0], [60, 18, 7, 15])
B = np.repeat([1, 0, 1, 0], [60, 18, 7, 15])


def seeded(seeds: int, n: int = 100, level: float = 0.7) -> np.ndarray:
    rng = np.random.default_rng(0)
    easiness = rng.random(n)
    rng = np.random.default_rng(int(100 * level))
    return easiness + rng.normal(0, 0.2, (seeds, n)) < level


def test_one_run_a_side():
    found = compare(A, B)
    assert (found.test, found.n, found.seeds) == (MCNEMAR, 100, (1, 1))
    assert (found.accuracy_a, found.accuracy_b) == (0.78, 0.67)
    assert found.difference == 0.11
    assert (found.discordant, found.only_a, found.only_b) == (25, 18, 7)
    assert found.p_value == mcnemar_mid_p(18, 7)
    assert found.mcnemar_exact == mcnemar_exact(18, 7)
    assert found.interval == paired_interval(18, 7, 100)
    assert found.cohens_g == pytest.approx(0.22)
    assert found.odds_ratio == pytest.approx(18 / 7)
    assert found.detectable == detectable_difference(0.25, 100)
    assert found.bootstrap_interval == pytest.approx((0.01, 0.21), abs=0.011)
    assert found.bootstrap_p_value == pytest.approx(0.027, abs=0.012)  # 0.11 at an error of 0.0488, normally


def test_several_seeds():
    a, b = seeded(3), seeded(4, level=0.6)
    found = compare(a, b)
    assert (found.test, found.n, found.seeds) == (SEEDS, 100, (3, 4))
    assert found.difference == pytest.approx(a.mean() - b.mean())
    pairs = [(one & ~other).sum() for one in a for other in b], [(other & ~one).sum() for one in a for other in b]
    assert found.only_a == pytest.approx(np.mean(pairs[0]))
    assert found.only_b == pytest.approx(np.mean(pairs[1]))
    assert found.discordant == pytest.approx(np.sum(pairs) / 12)
    assert found.mcnemar_exact is None
    low, high = found.interval
    assert -1 <= low < found.difference < high <= 1
    assert (low > 0) == (found.p_value < 0.05)
    assert found.bootstrap_interval[0] < found.difference < found.bootstrap_interval[1]


def test_two_pairs_are_added_as_bonett_and_price_do():
    # seeds that agree with each other everywhere leave their interval for paired proportions, with t for z
    found = compare([A, A], [B, B])
    p, q = 19 / 102, 8 / 102
    error = ((p + q - (p - q) ** 2) / 101) ** 0.5
    assert found.interval == pytest.approx((p - q - 1.98373 * error, p - q + 1.98373 * error), abs=1e-5)


@pytest.mark.parametrize(
    ("one", "other"), [(A, B), (seeded(3), seeded(3, level=0.6)), (seeded(1), seeded(3, level=0.6))]
)
def test_sides_swapped(one, other):
    found, swapped = compare(one, other), compare(other, one)
    assert swapped.difference == pytest.approx(-found.difference)
    assert swapped.interval == pytest.approx((-found.interval[1], -found.interval[0]))
    assert swapped.p_value == pytest.approx(found.p_value)
    assert swapped.cohens_g == pytest.approx(-found.cohens_g)
    assert (swapped.only_a, swapped.only_b) == pytest.approx((found.only_b, found.only_a))
    assert swapped.detectable == pytest.approx(found.detectable)
    assert swapped.bootstrap_p_value == pytest.approx(found.bootstrap_p_value, abs=0.02)


def test_order_of_examples_and_shape_of_one_run_do_not_matter():
    order = np.random.default_rng(0).permutation(100)
    assert compare(A[order], B[order]) == compare(A, B) == compare([A], [B.astype(bool)]) == compare(list(A), list(B))


def test_a_seed_gives_the_same_bootstrap_and_nothing_else_depends_on_it():
    a, b = seeded(3), seeded(3, level=0.65)
    assert compare(a, b, seed=1) == compare(a, b, seed=1)
    one, other = compare(a, b, seed=1), compare(a, b, seed=2)
    assert one.bootstrap_p_value != other.bootstrap_p_value
    assert (one.p_value, one.interval) == (other.p_value, other.interval)


@pytest.mark.parametrize(("one", "other"), [(A, B), ([], []), ([[], []], [[]]), ([1], [0]), (seeded(2), seeded(2))])
def test_goes_into_json_and_never_as_nan(one, other):
    written = json.dumps(asdict(compare(one, other, draws=100)), allow_nan=False)
    assert {"difference", "interval", "p_value", "n", "discordant", "test"} <= set(json.loads(written))


@pytest.mark.parametrize("seeds", [1, 2])
def test_no_examples(seeds):
    found = compare(np.zeros((seeds, 0)), np.zeros((seeds, 0)))
    assert (found.n, found.discordant) == (0, 0)
    named = ("accuracy_a", "accuracy_b", "difference", "interval", "p_value", "mcnemar_exact", "bootstrap_interval")
    for name in (*named, "bootstrap_p_value", "cohens_g", "odds_ratio", "detectable"):
        assert getattr(found, name) is None


def test_one_example():
    found = compare([1], [0])
    assert (found.difference, found.p_value, found.mcnemar_exact) == (1, pytest.approx(0.5), 1)
    assert found.interval[0] < 0 < found.interval[1] == 1
    assert found.bootstrap_p_value is None
    assert found.detectable is None
    several = compare([[1], [1]], [[0], [0]])
    assert several.p_value > 0.05
    assert several.detectable is None


@pytest.mark.parametrize("seeds", [1, 3])
def test_runs_that_never_differ(seeds):
    same = np.tile(A, (seeds, 1))
    found = compare(same, same)
    assert (found.difference, found.p_value, found.bootstrap_p_value, found.discordant) == (0, 1, 1, 0)
    assert found.interval[0] < 0 < found.interval[1]
    assert found.cohens_g is found.odds_ratio is None


@pytest.mark.parametrize("seeds", [1, 3])
def test_runs_that_always_differ_one_way(seeds):
    found = compare(np.ones((seeds, 50)), np.zeros((seeds, 50)))
    assert (found.difference, found.cohens_g, found.odds_ratio) == (1, 0.5, None)
    assert found.p_value < 1e-6
    assert 0.8 < found.interval[0] < found.interval[1] == 1


def test_the_paired_bootstrap_tells_equal_runs_apart_in_one_case_of_twenty_at_most():
    rng = np.random.default_rng(0)
    apart = rng.binomial(200, 0.3, size=1000)
    rejected = 0
    for number, (both, only_a) in enumerate(zip(apart, rng.binomial(apart, 0.5), strict=True)):
        a, b = np.zeros((2, 200))
        a[:only_a], b[only_a:both] = 1, 1
        p_value = compare(a, b, seed=number, draws=400).bootstrap_p_value
        rejected += p_value < 0.05
    assert 0.02 <= rejected / 1000 <= 0.06


def test_runs_on_different_examples_are_refused():
    with pytest.raises(LimbeckError, match="correct_a has 100 examples and correct_b 99: compare runs on the same"):
        compare(A, B[1:])
    with pytest.raises(LimbeckError, match="correct_b: an entry is neither right nor wrong"):
        compare([True], [None])
