"""A critic: a small function that learns from pairs which y belongs to which x.

Legend: B pairs scored against one another, D features, K components of them, W width of the critic.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]
Pairs = tuple[Tensor, Tensor]

_WIDTH, _HIDDEN = 32, 64
_SHRINKAGES = (1.0, 0.9, 0.75, 0.5, 0.25)  # of canonical correlations, which few pairs make too large
_STEPS, _EVERY, _PATIENCE = 600, 20, 4  # a look at the validation pairs every 20 steps; four without gain end it
_BATCH, _LEARNING_RATE = 256, 3e-3
_BLOCK = 512  # validation pairs scored against one another
_FAR = 5.0  # standard deviations: what is farther out is moved in, so that no single pair rules a mean


class Critic(nn.Module):
    """`f(x, y) = g(x) . h(y) - |h(y)|^2 / 2`, where `g` and `h` are linear plus one hidden layer, `[B, K]` to `[B, W]`.

    But for what depends on x alone, which InfoNCE does not see, it is the log-density of a normal h(y) around g(x). So
    with linear `g` and `h` it holds the best critic of Gaussian pairs; the hidden layers are for all other dependence.
    """

    def __init__(self, x_components: int, y_components: int, generator: torch.Generator) -> None:
        super().__init__()
        self.g = _Side(x_components, generator)
        self.h = _Side(y_components, generator)

    def forward(self, x_BK: Tensor, y_BK: Tensor) -> Tensor:
        """The scores of every x (rows) with every y (columns), `[B, B]`."""
        h_BW = self.h(y_BK)
        return self.g(x_BK) @ h_BW.T - h_BW.square().sum(1) / 2


class _Side(nn.Module):
    """To begin with it is nothing: the linear map is set by `_start`, and what the hidden layer adds is learnt."""

    def __init__(self, components: int, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = nn.Parameter(torch.zeros(components, _WIDTH))
        self.inner = nn.Parameter(torch.randn(components, _HIDDEN, generator=generator) / math.sqrt(components))
        self.bias = nn.Parameter(torch.randn(_HIDDEN, generator=generator))
        self.outer = nn.Parameter(torch.zeros(_HIDDEN, _WIDTH))

    def forward(self, x_BK: Tensor) -> Tensor:
        return x_BK @ self.linear + torch.relu(x_BK @ self.inner + self.bias) @ self.outer


def gains(scores_BB: Tensor) -> Tensor:
    """What each pair adds to the InfoNCE bound, `[B]`, in nats: its own y is on the diagonal, the others' beside it."""
    # log( e^f(x_i, y_i) / (1/B sum_j e^f(x_i, y_j)) ), which log B is above
    return scores_BB.diagonal() - scores_BB.logsumexp(1) + math.log(len(scores_BB))


@torch.no_grad()
def evaluated(critic: Critic | None, pairs: Pairs, candidates: int) -> Tensor:
    """The gains of `pairs`, `[N]`, scored against at most `candidates` of them at a time; without a critic, zeros."""
    if critic is None:
        return torch.zeros(len(pairs[0]))
    blocks = -(-len(pairs[0]) // candidates)  # of equal size, give or take one
    x_blocks, y_blocks = (side.tensor_split(blocks) for side in pairs)
    return torch.cat([gains(critic(x, y)) for x, y in zip(x_blocks, y_blocks, strict=True)])


def whitening(features: Array, most: int) -> Callable[[Array], Tensor]:
    """What standardises, keeps the `most` largest principal components and gives each unit variance, as in `features`.

    It maps `[B, D]` to `[B, K]`. Components that do not vary are left out; none may be left.
    """
    mean, deviation = features.mean(0), features.std(0)
    varies = deviation > 1e-6 * np.abs(mean)  # and not by rounding alone
    scale = np.where(varies, deviation, 1.0)
    standard = np.where(varies, (features - mean) / scale, 0.0)
    variances, axes = np.linalg.eigh(standard.T @ standard / len(standard))
    largest = np.argsort(-variances)[:most]
    largest = largest[variances[largest] > 1e-6]
    projection = np.where(varies, 1 / scale, 0.0)[:, None] * axes[:, largest] / np.sqrt(variances[largest])
    return lambda rows: torch.from_numpy(((rows - mean) @ projection).clip(-_FAR, _FAR).astype(np.float32))


def fit(train: Pairs, valid: Pairs, generator: torch.Generator) -> Critic | None:
    """Of the critics on the way the one that gains most on `valid`; None where none gains anything.

    The way begins at the best critic of Gaussian pairs, found by canonical correlation analysis, and goes on with AdamW
    on the InfoNCE loss. Both sides of `train` are whitened.
    """
    if 0 in (train[0].shape[1], train[1].shape[1]):
        return None
    critic = Critic(train[0].shape[1], train[1].shape[1], generator)
    best, kept, left = _start(critic, train, valid), _weights(critic), _PATIENCE
    optimiser = torch.optim.AdamW(critic.parameters(), lr=_LEARNING_RATE, weight_decay=0.0)
    for step, rows in zip(range(1, _STEPS + 1), _batches(len(train[0]), generator), strict=False):
        loss = -gains(critic(train[0][rows], train[1][rows])).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % _EVERY == 0:
            gained = _gain(critic, valid)
            left -= 1
            if gained > best:
                best, kept, left = gained, _weights(critic), _PATIENCE
            if left == 0:
                break
    critic.load_state_dict(kept)
    return critic if best > 0 else None


@torch.no_grad()
def _start(critic: Critic, train: Pairs, valid: Pairs) -> float:
    """Make `critic` the best one of Gaussian pairs; returns what it gains on `valid`."""
    # of unit variances and correlation r: log p(y|x) / p(y) = (r x y - r^2 y^2 / 2) / (1 - r^2) + a function of x
    x_axes, correlations, y_axes = torch.linalg.svd(train[0].T @ train[1] / len(train[0]), full_matrices=False)
    count = min(_WIDTH, len(correlations))
    best, kept = -math.inf, _weights(critic)
    for shrinkage in _SHRINKAGES:
        r = (shrinkage * correlations[:count]).clamp(max=1 - 1e-4)
        rest = (1 - r.square()).sqrt()
        critic.g.linear[:, :count] = x_axes[:, :count] / rest
        critic.h.linear[:, :count] = y_axes[:count].T * r / rest
        gained = _gain(critic, valid)
        if gained > best:
            best, kept = gained, _weights(critic)
    critic.load_state_dict(kept)
    return best


def _gain(critic: Critic, pairs: Pairs) -> float:
    return float(evaluated(critic, pairs, _BLOCK).mean())


def _weights(critic: Critic) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in critic.state_dict().items()}


def _batches(n: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Numbers of training pairs, in random order, epoch after epoch."""
    size = min(_BATCH, n)
    while True:
        yield from torch.randperm(n, generator=generator)[: n // size * size].split(size)
