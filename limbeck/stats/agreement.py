"""How far several judgements of the same things agree."""

from collections.abc import Sequence


def krippendorff_alpha(ratings: Sequence[Sequence[float | None]]) -> float | None:
    """Krippendorff's alpha for interval data, `1 - D_o / D_e`; None where it is undefined.

    `D_o = 1/n * sum_u 1/(m_u - 1) * sum_{i,j in u} (x_i - x_j)^2` is the disagreement within units, over the units u
    with m_u >= 2 ratings, n of them in all; `D_e = 1/(n (n - 1)) * sum_{i,j} (x_i - x_j)^2` that between any two of
    these ratings (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"). 1: the same always; 0: no more
    alike than by chance. Undefined without a unit that has two ratings, and where all ratings are equal: nothing then
    varies that could be agreed on. Scores from 1 to 5 are taken as equally spaced, as their mean takes them.

    Args:
        ratings: a row a unit, a rating each time; None: not rated.
    """
    units = [read for row in ratings if len(read := [rating for rating in row if rating is not None]) >= 2]
    together = [rating for unit in units for rating in unit]
    n = len(together)
    expected = _squares(together) / (n * (n - 1)) if units else 0.0
    if expected == 0.0:
        return None
    observed = sum(_squares(unit) / (len(unit) - 1) for unit in units) / n
    return 1 - observed / expected


def exact_agreement(ratings: Sequence[Sequence[float | None]]) -> float | None:
    """The share of the units with two ratings or more whose ratings are all the same; None without such a unit."""
    units = [read for row in ratings if len(read := [rating for rating in row if rating is not None]) >= 2]
    return sum(len(set(unit)) == 1 for unit in units) / len(units) if units else None


def _squares(values: Sequence[float]) -> float:
    """The sum of (x - y)^2 over all ordered pairs, `2 n * sum (x - mean)^2`; exactly 0 where all are the same."""
    if len(set(values)) == 1:
        return 0.0
    mean = sum(values) / len(values)
    return 2 * len(values) * sum((value - mean) ** 2 for value in values)
