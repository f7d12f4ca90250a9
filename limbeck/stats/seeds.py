"""What several seeds say of a recipe: a mean, or a difference of two, with an interval that holds for few seeds too.

The model is the crossed one, correct[s, i] = mean + seed_s + example_i + residual_si, seeds and examples both drawn at
random. The bootstrap over seeds and examples gets its variances wrong by the factor (S - 1)/S between seeds, counts
the residuals three times, and knows of no t quantile: with 3 seeds a side its test at 5 % rejected equal recipes in
0-1 % of simulations where seeds hardly differ and in 12 % where they differ much. Variance components with Student's t
rejected in 2-4 % and in 4 %; `estimate` says more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True)
class Estimate:
    """A mean or difference, its standard error, and the degrees of freedom of that error."""

    value: float
    error: float
    freedom: float

    @property
    def interval(self) -> tuple[float, float]:
        """value -+ t(0.975, freedom) error."""
        half = float(student.ppf(0.975, self.freedom)) * self.error
        return self.value - half, self.value + half

    @property
    def p_value(self) -> float:
        """Two-sided, of the value against 0."""
        return float(2 * student.sf(abs(self.value) / self.error, self.freedom))

    @property
    def detectable(self) -> float:
        """The smallest true value that a test at 5 % finds with a power of 80 %: (t(0.975) + t(0.8)) error."""
        return float(student.ppf(0.975, self.freedom) + student.ppf(0.8, self.freedom)) * self.error


def estimate(sides: Sequence[np.ndarray]) -> Estimate:
    """Mean of `[S, N]` (one side), or the first side's mean minus the second's; the N >= 2 examples are shared.

    With e_i the mean over seeds (or the difference of the sides' means) on example i, r_s a run's accuracy, and v_s the
    mean square of the residuals of a side,

        error^2 = var(e)/N + sum over sides of max(0, var(r) - v/N) / S

    The residuals are in var(e)/N already, so a run's share of them is taken out of var(r). The degrees of freedom are
    Welch and Satterthwaite's: error^4 / ((var(e)/N)^2/(N - 1) + sum of (var(r)/S)^2/(S - 1)), and at least the fewest
    S - 1. Without this floor they fall towards 0, and the interval is endless, where the runs of both sides answer
    nearly alike, as the same seeds of two close methods do: var(e) is small then, and what is taken out of var(r) is
    most of it. Such recipes, if equal, are told apart in at most 2 % with the floor.
    A side with a single run shows no variance between seeds and is taken to have the other's; of two sides one needs
    two runs at least, and a single run alone is what its examples say. The same seed on both sides counts as two seeds,
    which is safe where it makes them alike.

    In simulations of equal recipes (accuracy 0.79, 200 examples, 3 or 5 seeds a side) a test at 5 % rejected in
    1.5-5.1 %, whether the seeds' accuracies had a deviation of 0, 1, 4 or 11 points; with 2 a side in 1.4-6.5 %,
    with 1 against 3 in 1.5-8.2 %. Too often where one recipe has seeds 16 points apart and the other none: 12-15 %
    with 2 seeds, 9-12 with 3, 7-8 with 5. Few seeds have their price: the half width at 4 points is 19-21 points
    for 2 seeds, 9-10 for 3, 6 for 5.
    """
    means = [side.mean(axis=0) for side in sides]
    examples = means[0] - means[1] if len(means) == 2 else means[0]
    n = len(examples)
    between = float(examples.var(ddof=1)) / n
    variance, spread = between, between**2 / (n - 1)
    several = [side for side in sides if len(side) > 1]
    single = len(sides) - len(several)
    for side in several:
        seeds = len(side)
        runs = side.mean(axis=1)
        residuals = side - runs[:, None] - side.mean(axis=0) + side.mean()
        noise = float((residuals**2).sum()) / ((seeds - 1) * (n - 1)) / n
        share = 1 / seeds + single  # what a lone run of the other side adds
        observed = float(runs.var(ddof=1))
        variance += max(observed - noise, 0) * share
        spread += (observed * share) ** 2 / (seeds - 1)
    floor = min((len(side) - 1 for side in several), default=1)
    return Estimate(float(examples.mean()), variance**0.5, max(variance**2 / spread, floor))
