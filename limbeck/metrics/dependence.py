"""Does it do what it says? How much of each other the label side and the rationale side of a student tell.

Legend: N pairs, D hidden size, S shuffles.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from limbeck.data import View
from limbeck.errors import LimbeckError
from limbeck.metrics.critic import Array, Pairs, evaluated, fit, whitening
from limbeck.models.student import Student
from limbeck.schema import Example

_FOLDS = 5
_VALID = 0.2  # of the training folds, for early stopping
_LEAST = 100  # pairs
_CANDIDATES = 2048  # at a time: the scores take their square
_PAIRS = 10  # for a component: canonical correlations of fewer are mostly chance
# Bounds of 0.6 log K are already 8-15 % below the truth with the best critic there is (Gaussian pairs of 1 to 16
# dimensions, K = 20 to 2,000); above, the loss grows fast.
_NEAR = 0.6

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Dependence:
    """A lower bound of the mutual information of two sides, in nats, and what to hold it against.

    `nats` is None, with everything but `n`, where `reason` says why. It may be slightly negative, which means nothing.
    """

    nats: float | None  # the bound on held-out pairs
    interval: tuple[float, float] | None  # 95 %, normal, over pairs; the critics are taken as they are
    chance: float | None  # the mean of the same over shuffled pairs
    chance_upper: float | None  # the largest: a dependence of none exceeds it once in S + 1 times
    ceiling: float | None  # log K, K the fewest candidates: whatever the truth, the bound is below
    near_ceiling: bool | None  # above 0.6 of the ceiling: read it as "at least", and compare with nothing
    n: int  # pairs
    components: tuple[int, int] | None  # principal components that the critics see of each side, in most folds
    reason: str | None = None


def infonce(x: ArrayLike, y: ArrayLike, seed: int = 0, components: int = 64, shuffles: int = 10) -> Dependence:
    """The InfoNCE lower bound of the mutual information of `x` `[N, D1]` and `y` `[N, D2]` on pairs held out.

        I(x; y) >= mean_i log( e^f(x_i, y_i) / (1/K sum_j e^f(x_i, y_j)) )

    (van den Oord et al. 2018, arXiv 1807.03748, Eq. 4-5; Poole et al. 2019, arXiv 1905.06922, Eq. 12). The critic f and
    the components it sees are fitted on four fifths of the pairs, a fifth of these for early stopping, and the mean is
    over the fifth held out, each in turn; its pairs (at most 2,048 at a time) are the K candidates. Where no critic
    does better than chance on the stopping pairs, the gain of that fold is 0.

    Args:
        x: one side's features; pairs are independent of one another.
        y: the other's, row by row.
        seed: of folds, shuffles and critics.
        components: principal components of each side at most; one for ten pairs to learn from is the other limit.
        shuffles: how often the pairs are shuffled, within the parts of each fold, and all is fitted anew; 0: no
            chance level.

    Raises:
        LimbeckError: the sides have no rows in common, or values that are not finite.
    """
    x, y = _checked(x), _checked(y)
    n = len(x)
    if n != len(y):
        raise LimbeckError(f"dependence: {n} rows on one side and {len(y)} on the other; give pairs")
    if n < _LEAST:
        reason = f"{n} pairs are too few to learn from and to be measured on: {_LEAST} at least"
        return Dependence(None, None, None, None, None, None, n, None, reason)
    rng = np.random.default_rng(seed)
    folds = np.array_split(rng.permutation(n), _FOLDS)
    parts, kept = [], []
    for number, held in enumerate(folds):
        rest = np.concatenate([fold for other, fold in enumerate(folds) if other != number])
        gained, seen = _fold(x, y, rest, held, components, shuffles, rng)
        parts.append(gained)
        kept.append(seen)
    gains = np.concatenate(parts, axis=1)  # [1 + S, N]
    nats, *shuffled = gains.mean(1).tolist()
    half = 1.959964 * float(gains[0].std(ddof=1)) / math.sqrt(n)
    fewest = min(len(fold) // -(-len(fold) // _CANDIDATES) for fold in folds)
    return Dependence(
        nats=nats,
        interval=(nats - half, nats + half),
        chance=float(np.mean(shuffled)) if shuffled else None,
        chance_upper=max(shuffled, default=None),
        ceiling=math.log(fewest),
        near_ceiling=nats > _NEAR * math.log(fewest),
        n=n,
        components=max(set(kept), key=kept.count),
    )


def dependence(
    student: Student,
    examples: Sequence[Example],
    seed: int = 0,
    components: int = 4,
    shuffles: int = 10,
    batch_size: int = 64,
    title: str | None = None,
) -> Dependence:
    """`infonce` of what a student's decoder makes of the label and of the rationale of `examples`.

    The sides are the decoder's states on the label in the predict view and on the rationale in the explain view, both
    under teacher forcing and averaged over the target's tokens. Examples without a label or a rationale are left out.

    This is not the mutual information that a training objective speaks of. Both sides read the same input, and the
    rationale may contain the label, so there is dependence without any objective, and whole states tell every example
    from all others, at the ceiling. Hence few components, and only differences between runs on the same examples mean
    anything, where neither is `near_ceiling`, and over several seeds of training.

    Args:
        student: who is looked into; of one that did not learn both of these views it says nothing.
        examples: held out from its training.
        seed: as `infonce`.
        components: of each side, those that vary most: more come nearer to the ceiling.
        shuffles: as `infonce`; they take most of the time.
        batch_size: examples at a time.
        title: of a progress bar, shown on a terminal.

    Raises:
        LimbeckError: the student's states are not finite.
    """
    whole = [example for example in examples if example.label and example.rationale]
    x, y = (_states(student, whole, view, batch_size, title) for view in (View.PREDICT, View.EXPLAIN))
    return infonce(x, y, seed, components, shuffles)


def _states(student: Student, examples: Sequence[Example], view: View, batch_size: int, title: str | None) -> Array:
    pooled = student.pooled(examples, view, batch_size=batch_size, title=f"{title}, {view.value}" if title else None)
    return pooled.double().numpy()


def _checked(features: ArrayLike) -> Array:
    side = np.asarray(features, np.float64)
    if side.ndim != 2:
        raise LimbeckError(f"dependence: features of shape {side.shape}; give a table, a row for each pair")
    if not np.isfinite(side).all():
        raise LimbeckError("dependence: features that are not finite; leave such rows out")
    return side


def _fold(
    x: Array, y: Array, rest: Index, held: Index, components: int, shuffles: int, rng: np.random.Generator
) -> tuple[Array, tuple[int, int]]:
    """The gains of the pairs `held`, `[1 + S, len(held)]`, the first of them unshuffled; the components seen.

    Shuffled within the parts, the rows are the same ones, so that one whitening does for all.
    """
    valid, train = np.split(rest, [round(_VALID * len(rest))])
    most = min(components, max(len(train) // _PAIRS, 1))
    white_x, white_y = whitening(x[train], most), whitening(y[train], most)

    def pairs(rows: Index, shuffle: bool) -> Pairs:
        return white_x(x[rows]), white_y(y[rng.permutation(rows) if shuffle else rows])

    gained = []
    for draw in range(1 + shuffles):
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        learnt, stopping, measured = (pairs(rows, draw > 0) for rows in (train, valid, held))
        gained.append(evaluated(fit(learnt, stopping, generator), measured, _CANDIDATES).double().numpy())
    return np.stack(gained), (white_x(x[:1]).shape[1], white_y(y[:1]).shape[1])
