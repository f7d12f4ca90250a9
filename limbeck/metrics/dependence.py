"""Dependence of a student's label side and rationale side: an InfoNCE bound from canonical correlations.

Legend: N pairs, B pairs scored against one another, D features, K components of them, S shuffles.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from sklearn.preprocessing import PolynomialFeatures

from limbeck.data import View
from limbeck.errors import DataError
from limbeck.models.student import Student
from limbeck.schema import Example
from limbeck.stats.intervals import Floats, Interval, Ints, Z

_FOLDS, _VALID = 5, 0.2  # and the share of the training folds by which a critic is chosen
_MIN_PAIRS, _PAIRS_PER_COMPONENT = 100, 10  # fewer pairs correlate by chance
_CANDIDATES = 2048  # at a time, for their square in memory
_NEAR_CEILING = 0.6  # of log K: above it the best critic of Gaussian pairs is 8-15 % below the truth
_SHRINKAGES = (1.0, 0.9, 0.75, 0.5, 0.25)  # of canonical correlations, too large with few pairs
_CLIP = 5.0  # standard deviations, so that no pair dominates


@dataclass(frozen=True, slots=True)
class Dependence:
    """A lower bound of the mutual information of two sides; None with a `reason`."""

    nats: float | None = None  # of held-out pairs; slightly negative by chance
    interval: Interval | None = None  # normal, over pairs, for these critics
    chance: float | None = None  # the mean bound over shuffled pairs
    chance_upper: float | None = None  # the largest: without dependence it is exceeded once in S + 1 times
    ceiling: float | None = None  # log K, K the fewest candidates: no bound exceeds it
    near_ceiling: bool | None = None  # read `nats` as "at least", and compare with nothing
    n: int = 0  # pairs
    reason: str | None = None


def dependence(
    student: Student, examples: Sequence[Example], *, seed: int = 0, components: int = 4, title: str | None = None
) -> Dependence:
    """Measure `infonce` between the decoder's mean states on the label and on the rationale of held-out `examples`.

    Examples without either are left out. Both sides read the same input, so full states identify the example and reach
    the ceiling: hence few `components`, and only differences between runs mean anything.
    """
    complete = [example for example in examples if example.label and example.rationale]
    x, y = (
        student.pooled(complete, view, batch_size=64, title=title and f"{title}, {view.value}").double().numpy()
        for view in (View.PREDICT, View.EXPLAIN)
    )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("the student's hidden states are not finite")
    return infonce(x, y, seed=seed, components=components)


def infonce(x: Floats, y: Floats, *, seed: int = 0, components: int = 64, shuffles: int = 10) -> Dependence:
    """Compute the InfoNCE lower bound of the mutual information of `x` `[N, D1]` and `y` `[N, D2]` on held-out pairs.

        I(x; y) >= mean_i log( e^f(x_i, y_i) / (1/K sum_j e^f(x_i, y_j)) )

    (van den Oord et al. 2018, arXiv 1807.03748, Eq. 4-5; Poole et al. 2019, arXiv 1905.06922, Eq. 12). The critic f of
    principal components (at most `components` a side, and one for ten training pairs) is fitted on four fifths of the
    pairs, a fifth of these to choose it; the K candidates are in the fifth held out, each in turn. A critic no better
    than chance counts as 0. For `chance`, all is fitted again with pairs shuffled in each part of a fold.
    """
    n = len(x)
    if n < _MIN_PAIRS:
        return Dependence(n=n, reason=f"{n} pairs are too few: {_MIN_PAIRS} at least")
    rng = np.random.default_rng(seed)
    folds = np.array_split(rng.permutation(n), _FOLDS)
    fold_gains = []
    for index, test in enumerate(folds):
        valid, train = np.split(np.concatenate(folds[:index] + folds[index + 1 :]), [round(_VALID * (n - len(test)))])
        limit = max(len(train) // _PAIRS_PER_COMPONENT, 1)
        linear = [whitening(side[train], min(components, limit))(side) for side in (x, y)]
        squared = [PolynomialFeatures(2, include_bias=False).fit_transform(side) for side in linear if side.size]
        quadratic = [whitening(side[train], limit)(side) for side in squared]
        features = [(views[0], views[1]) for views in (linear, quadratic) if len(views) == 2]
        splits = (train, valid, test)
        fold_gains.append([_gains(features, splits, rng if draw else None) for draw in range(1 + shuffles)])
    gains_SN = np.concatenate(fold_gains, axis=1)  # first the unshuffled pairs'
    nats, *shuffled = gains_SN.mean(1).tolist()
    half = Z * float(gains_SN[0].std(ddof=1)) / math.sqrt(n)
    ceiling = math.log(min(len(fold) // -(-len(fold) // _CANDIDATES) for fold in folds))
    return Dependence(
        nats=nats,
        interval=(nats - half, nats + half),
        chance=float(np.mean(shuffled)) if shuffled else None,
        chance_upper=max(shuffled, default=None),
        ceiling=ceiling,
        near_ceiling=nats > _NEAR_CEILING * ceiling,
        n=n,
    )


def whitening(features: Floats, limit: int) -> Callable[[Floats], Floats]:
    """Return a map from `[B, D]` to the `limit` largest principal components of standardised `features`."""
    mean, deviation = features.mean(0), features.std(0)
    scale = np.where(deviation > 1e-6 * np.abs(mean), deviation, np.inf)  # or constant but for rounding
    standard = (features - mean) / scale
    variances, axes = np.linalg.eigh(standard.T @ standard / len(standard))
    largest = np.argsort(-variances)[:limit]
    largest = largest[variances[largest] > 1e-6]
    projection = axes[:, largest] / scale[:, None] / np.sqrt(variances[largest])
    return lambda rows: ((rows - mean) @ projection).clip(-_CLIP, _CLIP)


def _gains(
    features: Sequence[tuple[Floats, Floats]], splits: Sequence[Ints], rng: np.random.Generator | None
) -> Floats:
    """Return the gains of the last split's pairs by the critic that gains most on the second's; shuffled by `rng`.

    Of unit variances and correlation r, log p(y|x) / p(y) = (r x y - r^2 y^2 / 2) / (1 - r^2) + a function of x: the
    best critic of Gaussian pairs, with the canonical correlations of the first split.
    """
    orders = [rng.permutation(rows) if rng else rows for rows in splits]
    best, test_gains = 0.0, np.zeros(len(splits[-1]))
    for x, y in features:
        covariance = x[splits[0]].T @ y[orders[0]] / len(splits[0])
        x_axes, correlations, y_axes = np.linalg.svd(covariance, full_matrices=False)
        for shrinkage in _SHRINKAGES:
            r = np.minimum(shrinkage * correlations, 1 - 1e-4)
            x_weights, y_weights = x_axes / np.sqrt(1 - r**2), y_axes.T * r / np.sqrt(1 - r**2)
            g, h = x @ x_weights, y @ y_weights
            valid, test = (pair_gains(g[rows], h[order]) for rows, order in zip(splits[1:], orders[1:], strict=True))
            if valid.mean() > best:
                best, test_gains = float(valid.mean()), test
    return test_gains


def pair_gains(g: Floats, h: Floats) -> Floats:
    """Return each pair's term of the InfoNCE bound, `[N]`, in nats, by the critic f(x, y) = g . h - |h|^2 / 2."""
    gains = []
    for g_BK, h_BK in zip(*(np.array_split(side, -(-len(g) // _CANDIDATES)) for side in (g, h)), strict=True):
        scores_BB = g_BK @ h_BK.T - (h_BK**2).sum(1) / 2
        gains.append(scores_BB.diagonal() - logsumexp(scores_BB, axis=1) + math.log(len(scores_BB)))
    return np.concatenate(gains)
