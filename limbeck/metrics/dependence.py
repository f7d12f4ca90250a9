"""Dependence of a student's label side and rationale side: an InfoNCE bound by a small learnt critic.

Legend: N pairs, B pairs scored against one another, D features, K components of them, S shuffles.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from limbeck.data import View
from limbeck.errors import DataError
from limbeck.models.student import Student
from limbeck.schema import Example
from limbeck.stats.intervals import Floats, Interval, Ints, Z

_FOLDS, _VALID = 5, 0.2  # folds, and the share of the training folds for early stopping
_MIN_PAIRS, _PAIRS_PER_COMPONENT = 100, 10  # canonical correlations of fewer pairs are mostly chance
_CANDIDATES, _VALID_CANDIDATES = 2048, 512  # at a time: the scores take their square
# Bounds of 0.6 log K are already 8-15 % below the truth with the best critic there is (Gaussian pairs of 1 to 16
# dimensions, K = 20 to 2,000); above, the loss grows fast.
_NEAR_CEILING = 0.6
_WIDTH, _HIDDEN = 32, 64
_SHRINKAGES = (1.0, 0.9, 0.75, 0.5, 0.25)  # of canonical correlations, which few pairs make too large
_STEPS, _EVAL_STEPS, _PATIENCE = 600, 20, 4
_BATCH, _LEARNING_RATE = 256, 3e-3
_CLIP = 5.0  # standard deviations, so that no single pair rules a mean

_Pairs = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Dependence:
    """A lower bound of the mutual information of two sides, in nats, and what to compare it with.

    All but `n` are None where `reason` says why. `nats` may be slightly negative, which means nothing.
    """

    nats: float | None = None  # the bound on held-out pairs
    interval: Interval | None = None  # normal, over pairs; the critics are taken as they are
    chance: float | None = None  # the mean bound over shuffled pairs
    chance_upper: float | None = None  # the largest: without dependence it is exceeded once in S + 1 times
    ceiling: float | None = None  # log K, K the fewest candidates: whatever the truth, the bound is below
    near_ceiling: bool | None = None  # above 0.6 of the ceiling: read it as "at least", and compare with nothing
    n: int = 0  # pairs
    components: tuple[int, int] | None = None  # principal components that the critics see of each side, in most folds
    reason: str | None = None


def dependence(
    student: Student, examples: Sequence[Example], *, seed: int = 0, components: int = 4, title: str | None = None
) -> Dependence:
    """Measure `infonce` between the decoder's states on the label and on the rationale of held-out `examples`.

    States are taken under teacher forcing, of the label in the predict view and the rationale in the explain view, and
    averaged over the target's tokens. Examples without a label or a rationale are left out.

    This is not the mutual information of a training objective. Both sides read the same input, and the rationale may
    contain the label, so there is dependence without any objective, and full states tell every example from all others,
    at the ceiling. Hence few `components`, those that vary most, and only differences between runs on the same examples
    mean anything, where neither is `near_ceiling`, and over several seeds of training.

    Raises:
        DataError: the student's states are not finite.
    """
    complete = [example for example in examples if example.label and example.rationale]
    titles = {view: f"{title}, {view.value}" if title else None for view in (View.PREDICT, View.EXPLAIN)}
    sides = [
        student.pooled(complete, view, batch_size=64, title=name).double().numpy() for view, name in titles.items()
    ]
    return infonce(*sides, seed=seed, components=components)


def infonce(x: ArrayLike, y: ArrayLike, *, seed: int = 0, components: int = 64, shuffles: int = 10) -> Dependence:
    """Compute the InfoNCE lower bound of the mutual information of `x` `[N, D1]` and `y` `[N, D2]` on held-out pairs.

        I(x; y) >= mean_i log( e^f(x_i, y_i) / (1/K sum_j e^f(x_i, y_j)) )

    (van den Oord et al. 2018, arXiv 1807.03748, Eq. 4-5; Poole et al. 2019, arXiv 1905.06922, Eq. 12). The critic f and
    the components it sees are fitted on four fifths of the pairs, a fifth of these for early stopping, and the mean is
    over the fifth held out, each in turn; its pairs (at most 2,048 at a time) are the K candidates. A critic that does
    no better than chance on the stopping pairs counts as 0.

    Args:
        x, y: features of either side, row by row; pairs are independent of one another.
        seed: of folds, shuffles and critics.
        components: principal components of each side at most; one for ten training pairs is the other limit.
        shuffles: how often the pairs are shuffled, within the parts of each fold, and all is fitted again.

    Raises:
        DataError: the sides differ in length, or have values that are not finite.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    n = len(x)
    if x.ndim != 2 or y.ndim != 2 or n != len(y) or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError(
            f"dependence: give two tables of finite features, a row for each pair, not {x.shape}, {y.shape}"
        )
    if n < _MIN_PAIRS:
        return Dependence(n=n, reason=f"{n} pairs are too few: {_MIN_PAIRS} at least")
    rng = np.random.default_rng(seed)
    folds = np.array_split(rng.permutation(n), _FOLDS)
    fold_gains, fold_components = [], []
    for index, test in enumerate(folds):
        valid, train = np.split(np.concatenate(folds[:index] + folds[index + 1 :]), [round(_VALID * (n - len(test)))])
        limit = min(components, max(len(train) // _PAIRS_PER_COMPONENT, 1))
        sides = [whitening(side[train], limit)(side) for side in (x, y)]
        fold_components.append((sides[0].shape[1], sides[1].shape[1]))
        fold_gains.append([_gains(sides, (train, valid, test), rng, shuffled=draw > 0) for draw in range(1 + shuffles)])
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
        components=max(set(fold_components), key=fold_components.count),
    )


def _gains(sides: Sequence[Tensor], parts: Sequence[Ints], rng: np.random.Generator, *, shuffled: bool) -> Floats:
    """Return the gains of the last part's pairs, by a critic fitted on the first and stopped by the second.

    Shuffled within the parts, the rows are the same ones, so that one whitening does for all.
    """
    pairs = [(sides[0][rows], sides[1][rng.permutation(rows) if shuffled else rows]) for rows in parts]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**62)))
        critic = fit(pairs[0], pairs[1])
    return critic.gains(pairs[2], _CANDIDATES).double().numpy() if critic else np.zeros(len(parts[2]))


def whitening(features: Floats, limit: int) -> Callable[[Floats], Tensor]:
    """Return a map from `[B, D]` to the `limit` largest principal components of `features`, each of unit variance.

    Features are standardised first. Components that do not vary are left out; none may be left.
    """
    mean, deviation = features.mean(0), features.std(0)
    scale = np.where(deviation > 1e-6 * np.abs(mean), deviation, np.inf)  # a constant varies by rounding alone
    standard = (features - mean) / scale
    variances, axes = np.linalg.eigh(standard.T @ standard / len(standard))
    largest = np.argsort(-variances)[:limit]
    largest = largest[variances[largest] > 1e-6]
    projection = axes[:, largest] / scale[:, None] / np.sqrt(variances[largest])
    return lambda rows: torch.from_numpy(((rows - mean) @ projection).clip(-_CLIP, _CLIP).astype(np.float32))


def pair_gains(scores_BB: Tensor) -> Tensor:
    """Return what each pair adds to the InfoNCE bound, `[B]`, in nats, at most log B; its own y is on the diagonal."""
    return scores_BB.diagonal() - scores_BB.logsumexp(1) + math.log(len(scores_BB))


class Critic(nn.Module):
    """`f(x, y) = g(x) . h(y) - |h(y)|^2 / 2`, where `g` and `h` are linear plus one hidden layer.

    Up to a function of x alone, which InfoNCE does not see, it is the log-density of a normal h(y) around g(x). So with
    linear `g` and `h` it holds the best critic of Gaussian pairs; the hidden layers, which begin by adding nothing, are
    for all other dependence.
    """

    def __init__(self, components: Sequence[int]) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(count, _WIDTH, bias=False) for count in components)
        self.inner = nn.ModuleList(nn.Linear(count, _HIDDEN) for count in components)
        self.outer = nn.ModuleList(nn.Linear(_HIDDEN, _WIDTH, bias=False) for _ in components)
        for layer in (*self.linear, *self.outer):
            nn.init.zeros_(layer.weight)

    def forward(self, pairs: _Pairs) -> Tensor:
        """Score every x (rows) with every y (columns), `[B, B]`."""
        layers = zip(pairs, self.linear, self.inner, self.outer, strict=True)
        g_BW, h_BW = (linear(side) + outer(inner(side).relu()) for side, linear, inner, outer in layers)
        return g_BW @ h_BW.T - h_BW.square().sum(1) / 2

    @torch.no_grad()
    def gains(self, pairs: _Pairs, candidates: int) -> Tensor:
        """Return the gains `[N]` of pairs scored against at most `candidates` at a time."""
        count = -(-len(pairs[0]) // candidates)  # of equal size, give or take one
        blocks = zip(*(side.tensor_split(count) for side in pairs), strict=True)
        return torch.cat([pair_gains(self(block)) for block in blocks])


def fit(train: _Pairs, valid: _Pairs) -> Critic | None:
    """Train a critic on whitened pairs, and return it where it gains most on `valid`; None where it gains nothing.

    Training starts at the best critic of Gaussian pairs, by canonical correlation analysis, and goes on with AdamW on
    the InfoNCE loss.
    """
    components = [side.shape[1] for side in train]
    if 0 in components:
        return None
    critic = Critic(components)
    best: tuple[float, dict[str, Tensor]] = (-math.inf, {})
    patience = _PATIENCE

    def evaluate() -> None:
        nonlocal best, patience
        gain, patience = float(critic.gains(valid, _VALID_CANDIDATES).mean()), patience - 1
        if gain > best[0]:
            best, patience = (gain, copy.deepcopy(critic.state_dict())), _PATIENCE

    # of unit variances and correlation r: log p(y|x) / p(y) = (r x y - r^2 y^2 / 2) / (1 - r^2) + a function of x
    x_axes, correlations, y_axes = torch.linalg.svd(train[0].T @ train[1] / len(train[0]), full_matrices=False)
    count = min(_WIDTH, len(correlations))
    for shrinkage in _SHRINKAGES:
        r = (shrinkage * correlations[:count]).clamp(max=1 - 1e-4)
        noise = (1 - r.square()).sqrt()
        critic.linear[0].weight.data[:count] = (x_axes[:, :count] / noise).T
        critic.linear[1].weight.data[:count] = (y_axes[:count].T * r / noise).T
        evaluate()
    critic.load_state_dict(best[1])
    patience = _PATIENCE
    optimiser = torch.optim.AdamW(critic.parameters(), lr=_LEARNING_RATE, weight_decay=0.0)
    for step in range(1, _STEPS + 1):
        rows = torch.randperm(len(train[0]))[:_BATCH]
        loss = -pair_gains(critic((train[0][rows], train[1][rows]))).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % _EVAL_STEPS == 0:
            evaluate()
            if patience == 0:
                break
    critic.load_state_dict(best[1])
    return critic if best[0] > 0 else None
