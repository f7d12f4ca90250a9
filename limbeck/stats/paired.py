"""Two runs on the same examples: McNemar's test, effect sizes, and the difference that this n could show.

Only the *discordant* examples, which one run has right and the other wrong, tell the runs apart: `only_a` and `only_b`.
"""

from math import sqrt

from scipy.special import ndtri
from scipy.stats import binom


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """McNemar's exact p-value, two-sided: 2 P(X <= min(only_a, only_b)), X ~ Binomial(only_a + only_b, 1/2), at most 1.

    Never rejects too often, and at 5 % far too seldom (in 2-4 % of the cases). 1 without discordant examples.
    """
    return min(1.0, 2 * float(binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))


def mcnemar_mid_p(only_a: int, only_b: int) -> float:
    """McNemar's mid-p (Fagerland, Lydersen and Laake 2013): the exact one less P(X = min(only_a, only_b)).

    Counts just as extreme as the observed go in by half: close to 5 % where the exact test wastes power.
    1 if the counts are equal.
    """
    fewer, both = min(only_a, only_b), only_a + only_b
    return min(1.0, 2 * float(binom.cdf(fewer, both, 0.5)) - float(binom.pmf(fewer, both, 0.5)))


def cohens_g(only_a: float, only_b: float) -> float | None:
    """Cohen's g (1988), signed: only_a / (only_a + only_b) - 1/2, between -1/2 and 1/2, positive where A is better.

    The effect that McNemar's test tests: where the runs differ, how lopsided (0.05 small, 0.15 medium, 0.25
    large), however many examples both found easy. None without discordant examples.
    """
    both = only_a + only_b
    return only_a / both - 0.5 if both else None


def odds_ratio(only_a: float, only_b: float) -> float | None:
    """Conditional odds ratio of paired answers, only_a / only_b; None where `only_b` is 0 (undefined or infinite)."""
    return only_a / only_b if only_b else None


def detectable_difference(discordance: float, n: int) -> float | None:
    """The smallest true difference of accuracies that McNemar's test at 5 % finds with a power of 80 % on n examples.

    `discordance` is the share of examples on which the runs differ. Miettinen's (1968) and Connor's (1987) sample size,

        n d^2 = (z(0.975) sqrt(discordance) + z(0.8) sqrt(discordance - d^2))^2,

    solved for d. None where no d up to `discordance`, the largest there can be, is found that often, and for n = 0.
    """
    level, power = float(ndtri(0.975)), float(ndtri(0.8))
    if n < level**2 - power**2 or discordance == 0:
        return None
    root = level * sqrt(n) + power * sqrt(n - level**2 + power**2)
    difference = sqrt(discordance) * root / (n + power**2)
    return difference if difference <= discordance else None
