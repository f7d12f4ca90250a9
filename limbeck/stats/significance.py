"""Is the difference between two runs, or two recipes with several seeds each, real?"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from limbeck.errors import LimbeckError
from limbeck.stats.bootstrap import DRAWS, centred_p_value, resampled_means
from limbeck.stats.correctness import Correct, as_runs
from limbeck.stats.intervals import paired_interval
from limbeck.stats.paired import cohens_g, detectable_difference, mcnemar_exact, mcnemar_mid_p, odds_ratio
from limbeck.stats.resampling import Interval, percentiles
from limbeck.stats.seeds import estimate

MCNEMAR = "McNemar, mid-p"
SEEDS = "t over seeds and examples"


@dataclass(frozen=True)
class Comparison:
    """Two sides, A and B, on the same examples; what is undefined is None.

    With one run a side it is about these two trained students: would they differ so on other examples? With several
    seeds on either side it is about the recipes: would they, with other examples and other seeds? Between one run
    each the second question has no answer.
    """

    test: str
    """What gave `p_value` and `interval`: `McNemar, mid-p` with Tango's interval, or `t over seeds and examples`."""
    n: int
    """Examples, those of every run."""
    seeds: tuple[int, int]
    """Runs on either side."""
    accuracy_a: float | None
    accuracy_b: float | None
    difference: float | None
    """accuracy_a - accuracy_b."""
    interval: Interval | None
    """95 % interval of the difference (`intervals.paired_interval`, `seeds.estimate`)."""
    p_value: float | None
    discordant: float
    """Examples that one side has right and the other wrong; with several seeds the mean over all pairs of a run of A
    and a run of B."""
    only_a: float
    """Of these, those that A has right."""
    only_b: float
    mcnemar_exact: float | None
    """Exact p-value, for who wants the guarantee; with several seeds None."""
    bootstrap_interval: Interval | None
    """Percentiles of the paired bootstrap, over seeds as well where there are several; with few of them too narrow."""
    bootstrap_p_value: float | None
    """Of the same draws, centred (`resampling.centred_p_value`); with few seeds too small."""
    cohens_g: float | None
    """Effect size of McNemar's test (`paired.cohens_g`)."""
    odds_ratio: float | None
    """only_a / only_b."""
    detectable: float | None
    """The smallest true difference that the test would find with a power of 80 % (`paired.detectable_difference` at
    this discordance, `seeds.Estimate.detectable`)."""


def compare(correct_a: Correct, correct_b: Correct, seed: int = 0, draws: int = DRAWS) -> Comparison:
    """Compares two sides on the same examples in the same order.

    Args:
        correct_a: which answers are right, `[N]` for one run or `[S, N]` for S seeds.
        correct_b: likewise, `[N]` or `[S', N]`.
        seed: of the bootstrap.
        draws: of the bootstrap.

    Raises:
        LimbeckError: different numbers of examples, or an entry that is neither right nor wrong.
    """
    a, b = as_runs(correct_a, "correct_a"), as_runs(correct_b, "correct_b")
    n = a.shape[1]
    if b.shape[1] != n:
        raise LimbeckError(f"correct_a has {n} examples and correct_b {b.shape[1]}: compare runs on the same examples")
    several = max(len(a), len(b)) > 1
    right_a, right_b = a.mean(axis=0), b.mean(axis=0)
    only_a, only_b = float((right_a * (1 - right_b)).sum()), float((right_b * (1 - right_a)).sum())
    if not several:
        only_a, only_b = int(only_a), int(only_b)
    difference = (only_a - only_b) / n if n else None
    tested = _Tested() if not n else _by_seeds(a, b) if several else _by_pairs(int(only_a), int(only_b), n)
    interval, p_value = _by_bootstrap(a, b, seed, draws) if n else (None, None)
    return Comparison(
        test=SEEDS if several else MCNEMAR,
        n=n,
        seeds=(len(a), len(b)),
        accuracy_a=float(a.mean()) if n else None,
        accuracy_b=float(b.mean()) if n else None,
        difference=difference,
        interval=tested.interval,
        p_value=tested.p_value,
        discordant=only_a + only_b,
        only_a=only_a,
        only_b=only_b,
        mcnemar_exact=tested.exact,
        bootstrap_interval=interval,
        bootstrap_p_value=p_value,
        cohens_g=cohens_g(only_a, only_b),
        odds_ratio=odds_ratio(only_a, only_b),
        detectable=tested.detectable,
    )


class _Tested(NamedTuple):
    p_value: float | None = None
    interval: Interval | None = None
    detectable: float | None = None
    exact: float | None = None


def _by_pairs(only_a: int, only_b: int, n: int) -> _Tested:
    return _Tested(
        mcnemar_mid_p(only_a, only_b),
        paired_interval(only_a, only_b, n),
        detectable_difference((only_a + only_b) / n, n),
        mcnemar_exact(only_a, only_b),
    )


def _by_seeds(a: np.ndarray, b: np.ndarray) -> _Tested:
    # Two examples are added, one right in all of A alone and one in all of B alone: Bonett and Price's (2012) interval
    # for paired proportions, which keeps a variance where the runs agree everywhere.
    for_a, for_b = [1.0, 0.0], [0.0, 1.0]
    found = estimate([np.hstack([a, np.tile(for_a, (len(a), 1))]), np.hstack([b, np.tile(for_b, (len(b), 1))])])
    low, high = found.interval
    detectable = found.detectable if found.detectable <= 1 else None
    return _Tested(found.p_value, (max(low, -1.0), min(high, 1.0)), detectable)


def _by_bootstrap(a: np.ndarray, b: np.ndarray, seed: int, draws: int) -> tuple[Interval, float | None]:
    means = resampled_means([a, b], seed, draws)
    drawn = means[:, 0] - means[:, 1]
    return percentiles(drawn), centred_p_value(drawn, float(a.mean() - b.mean()))
