"""Significance of differences, shown by discordant examples: right on one side and wrong on the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from limbeck.stats.intervals import Interval, Z, estimate, tango

MCNEMAR = "McNemar, mid-p"
SEEDS = "t over seeds and examples"


def mcnemar_mid_p(only_a: int, only_b: int) -> float:
    """Return McNemar's mid-p (Fagerland, Lydersen and Laake 2013), P(X <= fewer) + P(X < fewer).

    X ~ Binomial(only_a + only_b, 1/2), `fewer` the smaller count. The exact test at 5 % rejects in 2-4 % only.
    """
    fewer, n = min(only_a, only_b), only_a + only_b
    below = sum(comb(n, count) for count in range(fewer))
    return (2 * below + comb(n, fewer)) / 2**n


def detectable_difference(discordance: float, n: int) -> float | None:
    """Return the smallest true difference that McNemar's test at 5 % finds with a power of 80 %, if any.

    Solves the sample size of Miettinen (1968) and Connor (1987) for d; `discordance` is the discordant examples' share:
    n d^2 = (z(0.975) sqrt(discordance) + z(0.8) sqrt(discordance - d^2))^2.
    """
    power = NormalDist().inv_cdf(0.8)
    if n < Z**2 - power**2 or discordance == 0:
        return None
    root = Z * sqrt(n) + power * sqrt(n - Z**2 + power**2)
    difference = sqrt(discordance) * root / (n + power**2)
    return difference if difference <= discordance else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides, A and B, on the same examples; what is undefined is None."""

    test: str  # MCNEMAR, with Tango's interval, or SEEDS
    n: int  # examples
    seeds: tuple[int, int]  # runs on either side
    accuracy_a: float | None = None
    accuracy_b: float | None = None
    difference: float | None = None  # accuracy_a - accuracy_b
    interval: Interval | None = None  # of the difference, 95 %
    p_value: float | None = None
    discordant: float = 0  # with several seeds the mean over pairs of runs
    only_a: float = 0  # discordant examples that A has right
    only_b: float = 0
    cohens_g: float | None = None  # (1988), only_a / discordant - 1/2: 0.05 is small, 0.15 medium, 0.25 large
    detectable: float | None = None  # smallest true difference found with a power of 80 %


def compare(correct_a: ArrayLike, correct_b: ArrayLike) -> Comparison:
    """Compare two sides, `[N]` for one run or `[S, N]` for S seeds, on the same examples in the same order.

    With several seeds an example that only A has right is added, and one that only B has (Bonett and Price 2012, for
    paired proportions): a variance is left where the runs agree everywhere.
    """
    a, b = (np.atleast_2d(np.asarray(side, dtype=np.float64)) for side in (correct_a, correct_b))
    n, seeds = a.shape[1], (len(a), len(b))
    test = MCNEMAR if max(seeds) == 1 else SEEDS
    if n == 0:
        return Comparison(test, n, seeds)
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    only_a, only_b = float(mean_a @ (1 - mean_b)), float(mean_b @ (1 - mean_a))
    if test == MCNEMAR:
        only_a, only_b = int(only_a), int(only_b)
        p_value, interval = mcnemar_mid_p(only_a, only_b), tango(only_a, only_b, n)
        detectable = detectable_difference((only_a + only_b) / n, n)
    else:
        sides = [np.hstack([a, np.tile([1.0, 0.0], (len(a), 1))]), np.hstack([b, np.tile([0.0, 1.0], (len(b), 1))])]
        seeded = estimate(sides)
        p_value, detectable = seeded.p_value, seeded.detectable if seeded.detectable <= 1 else None
        interval = max(seeded.interval[0], -1.0), min(seeded.interval[1], 1.0)
    return Comparison(
        test=test,
        n=n,
        seeds=seeds,
        accuracy_a=float(a.mean()),
        accuracy_b=float(b.mean()),
        difference=(only_a - only_b) / n,
        interval=interval,
        p_value=p_value,
        discordant=only_a + only_b,
        only_a=only_a,
        only_b=only_b,
        cohens_g=only_a / (only_a + only_b) - 0.5 if only_a + only_b else None,
        detectable=detectable,
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values for their number by Holm's step-down (1979); None (not tested) stays None and is not counted.

    The k-th smallest of m becomes the maximum over j <= k of (m - j + 1) p_(j), at most 1.
    """
    adjusted: list[float | None] = [None] * len(p_values)
    ranked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    largest = 0.0
    for rank, (p, index) in enumerate(ranked):
        adjusted[index] = largest = max(largest, min(1.0, (len(ranked) - rank) * p))
    return adjusted
