"""Divergences of two pooled next-token distributions, and the pools that make them: pure functions in the log domain.

A divergence takes log v and log z, of the label and the rationale side, `[B, V]` each, and returns one number an
example, `[B]`. A pool takes log P `[B, T, V]`, -inf on the tokens that do not count (at least one a row does), and
returns the logarithm of the pooled vector, `[B, V]`, which need not sum to one. To add either, write the function and
give it a row in the table at the end. Legend: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations  # tensors are only named here: `limbeck objectives` loads no torch

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Divergence = Callable[[Tensor, Tensor], Tensor]
    AddGradient = Callable[[Tensor], object]


def cross_entropy(log_v: Tensor, log_z: Tensor) -> Tensor:
    """Compute -sum_k v_k log z_k, the cross-entropy of z under v (Chen et al. 2024, Eq. 9 and 11)."""
    return -(log_v.exp() * log_z).sum(-1)


def kl(log_v: Tensor, log_z: Tensor) -> Tensor:
    """Compute sum_k v_k (log v_k - log z_k), the Kullback-Leibler divergence (Chen et al. 2024, Table 5)."""
    return (log_v.exp() * (log_v - log_z)).sum(-1)


def double_softmax(log_v: Tensor, log_z: Tensor) -> Tensor:
    """Compute -sum_k v_k log_softmax(z)_k: the released code puts z, probabilities already, through softmax."""
    return -(log_v.exp() * log_z.exp().log_softmax(-1)).sum(-1)


@dataclass(frozen=True)
class Pool:
    """A pool and its adjoint, which the fused head needs by itself; a test compares it with the automatic gradient.

    `gradient(log_p, log_v, g)` turns `g = dL/d log v` `[B, V]` into `dL/d log P` `[B, T, V]`: it returns the sums over
    the vocabulary, `[B, T]`, and a function that adds the gradient to a tensor in place, so that a sparse one is never
    made whole.
    """

    pool: Callable[[Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, AddGradient]]


def max_pool(log_p: Tensor) -> Tensor:
    """Compute log max_t P_t, the largest probability of every vocabulary entry (Chen et al. 2024, Sec. 3.3)."""
    return log_p.amax(1)


def max_gradient(log_p: Tensor, log_v: Tensor, g: Tensor) -> tuple[Tensor, AddGradient]:  # noqa: ARG001
    """Compute dL/d log P_tk = g_k [t = argmax_t log P_tk]; of several arg-maxes one gets it all."""
    index = log_p.max(1).indices  # argmax is twice as slow on CPUs
    sums = log_p.new_zeros(log_p.shape[:2]).scatter_add_(1, index, g)
    return sums, lambda total: total.scatter_add_(1, index.unsqueeze(1), g.unsqueeze(1))


def mean_pool(log_p: Tensor) -> Tensor:
    """Compute log 1/n sum_t P_t, the mean probability of every vocabulary entry (Chen et al. 2024, Table 4)."""
    return log_p.logsumexp(1) - _token_counts(log_p).log()


def mean_gradient(log_p: Tensor, log_v: Tensor, g: Tensor) -> tuple[Tensor, AddGradient]:
    """Compute dL/d log P_tk = g_k P_tk / sum_t P_tk."""
    shares = (log_p - (log_v + _token_counts(log_p).log()).unsqueeze(1)).exp_().mul_(g.unsqueeze(1))
    return shares.sum(-1), lambda total: total.add_(shares)


def _token_counts(log_p: Tensor) -> Tensor:
    """Count the tokens that are not masked, `[B, 1]`."""
    return (log_p[:, :, :1] > -math.inf).sum(1).to(log_p.dtype)


DIVERGENCES: dict[str, Divergence] = {"cross-entropy": cross_entropy, "kl": kl, "double-softmax": double_softmax}
POOLS: dict[str, Pool] = {"max": Pool(max_pool, max_gradient), "mean": Pool(mean_pool, mean_gradient)}
