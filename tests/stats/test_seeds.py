"""Variance components over seeds and examples: the t tests they contain, and how often they reject."""

import numpy as np
import pytest
from scipy import stats

from limbeck.stats.bootstrap import centred_p_value, resampled_means
from limbeck.stats.seeds import estimate

RNG = np.random.default_rng(0)
LEVELS_A, LEVELS_B = np.array([0.71, 0.74, 0.70]), np.array([0.66, 0.69, 0.60, 0.65])
EXAMPLES_A, EXAMPLES_B = RNG.random(40), RNG.random(40)


def test_equal_examples_leave_welchs_t_test_between_seeds():
    found = estimate([np.tile(LEVELS_A[:, None], 40), np.tile(LEVELS_B[:, None], 40)])
    welch = stats.ttest_ind(LEVELS_A, LEVELS_B, equal_var=False)
    assert found.p_value == pytest.approx(welch.pvalue)
    assert found.interval == pytest.approx(tuple(welch.confidence_interval()))


def test_equal_seeds_leave_the_paired_t_test_over_examples():
    found = estimate([np.tile(EXAMPLES_A, (3, 1)), np.tile(EXAMPLES_B, (2, 1))])
    paired = stats.ttest_rel(EXAMPLES_A, EXAMPLES_B)
    assert found.value == pytest.approx((EXAMPLES_A - EXAMPLES_B).mean())
    assert found.p_value == pytest.approx(paired.pvalue)
    assert found.interval == pytest.approx(tuple(paired.confidence_interval()))


def test_one_side_is_the_t_test_of_one_sample():
    seeds = stats.ttest_1samp(LEVELS_B, 0).confidence_interval()
    assert estimate([np.tile(LEVELS_B[:, None], 40)]).interval == pytest.approx(tuple(seeds))
    examples = stats.ttest_1samp(EXAMPLES_A, 0).confidence_interval()
    for seeds in (1, 3):
        assert estimate([np.tile(EXAMPLES_A, (seeds, 1))]).interval == pytest.approx(tuple(examples))


@pytest.mark.parametrize("first", [True, False])
def test_a_lone_run_is_taken_to_vary_as_the_others_do(first):
    alone, several = np.full((1, 40), 0.8), np.tile(LEVELS_B[:, None], 40)
    found = estimate([alone, several] if first else [several, alone])
    assert found.error == pytest.approx(LEVELS_B.std(ddof=1) * (1 + 1 / 4) ** 0.5)
    assert found.freedom == pytest.approx(3)


def test_variance_is_what_a_loop_over_the_model_says():
    a, b = RNG.random((3, 9)), RNG.random((5, 9))
    a[0] += 1  # one seed of each stands out
    b[0] += 1
    e = [a[:, i].sum() / 3 - b[:, i].sum() / 5 for i in range(9)]
    between = sum((x - sum(e) / 9) ** 2 for x in e) / 8 / 9
    variance, spread = between, between**2 / 8
    for side in (a, b):
        seeds = len(side)
        runs = [sum(row) / 9 for row in side]
        columns = [sum(side[s, i] for s in range(seeds)) / seeds for i in range(9)]
        mean = sum(runs) / seeds
        ms = sum((side[s, i] - runs[s] - columns[i] + mean) ** 2 for s in range(seeds) for i in range(9))
        ms /= (seeds - 1) * 8
        seen = sum((run - mean) ** 2 for run in runs) / (seeds - 1) / seeds
        variance += max(0, seen - ms / 9 / seeds)
        spread += seen**2 / (seeds - 1)
    found = estimate([a, b])
    assert found.error == pytest.approx(variance**0.5)
    assert found.freedom == pytest.approx(variance**2 / spread)


def equal_recipes(rng, seeds: int, other: int, deviation: float) -> list[np.ndarray]:
    """Two recipes of the same expected accuracy, 0.76, whose seeds differ by `deviation`, on the same 200 examples."""
    easiness = rng.normal(0, 1, 200)
    level = 0.7 * (1 + 0.3**2 + 0.5**2 + deviation**2) ** 0.5
    return [
        (
            level
            + easiness
            + rng.normal(0, 0.3, 200)
            + rng.normal(0, deviation, (count, 1))
            + rng.normal(0, 0.5, (count, 200))
            > 0
        ).astype(float)
        for count in (seeds, other)
    ]


@pytest.mark.parametrize("deviation", [0.0, 0.1, 0.5])
@pytest.mark.parametrize(("seeds", "other"), [(3, 3), (5, 5), (1, 3)])
def test_rejects_equal_recipes_at_most_as_often_as_it_says(seeds, other, deviation):
    rng = np.random.default_rng(seeds)
    rejected = sum(estimate(equal_recipes(rng, seeds, other, deviation)).p_value < 0.05 for _ in range(800))
    assert rejected / 800 <= 0.07


def close_recipes(rng, seeds: int) -> list[np.ndarray]:
    """Two recipes of the same expected accuracy whose runs of one seed answer nearly alike; 200 examples."""
    easiness, noise = rng.normal(0, 1, 200), rng.normal(0, 0.7, (seeds, 200))
    return [(0.3 + easiness + noise + rng.normal(0, 0.15, (seeds, 200)) > 0).astype(float) for _ in range(2)]


def test_runs_that_answer_nearly_alike_make_no_interval_endless():
    rng = np.random.default_rng(9)
    found = [estimate(close_recipes(rng, 3)) for _ in range(800)]
    assert min(one.freedom for one in found) == 2
    assert sum(one.p_value < 0.05 for one in found) / 800 <= 0.03
    assert max(one.interval[1] - one.value for one in found) < 0.25


def test_bootstrap_rejects_equal_recipes_with_few_seeds_too_often():
    # why the p-value of several seeds is no bootstrap's
    rng = np.random.default_rng(2)
    rejected = 0
    for number in range(300):
        a, b = equal_recipes(rng, 3, 3, 0.5)
        drawn = resampled_means([a, b], number, 300)
        rejected += centred_p_value(drawn[:, 0] - drawn[:, 1], a.mean() - b.mean()) < 0.05
    assert rejected / 300 > 0.1


def test_detectable_difference_is_detected_four_times_in_five():
    rng = np.random.default_rng(6)
    noise = rng.normal(0, 0.05, (4000, 6))
    found = estimate([np.tile(noise[0, :, None], 300), np.tile(noise[1, :, None], 300)])
    # with the true deviation of seeds in place of the estimated one
    detectable = found.detectable / found.error * 0.05 * (2 / 6) ** 0.5
    tests = stats.ttest_ind(noise[:2000].T, noise[2000:].T - detectable, equal_var=False)
    assert (tests.pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.05)
