"""Divergences of two pooled next-token distributions, and the pools that make them: pure functions in the log domain.

A divergence takes log v and log z, of the label and the rationale side, `[B, V]` each, and returns one number an
example, `[B]`. A pool takes log P `[B, T, V]`, -inf on the tokens that do not count (at least one a row does), and
returns the logarithm of the pooled vector, `[B, V]`, which need not sum to one, and its adjoint for the fused head:
that turns `g = dL/d log v` into `dL/d log P`, as the sums over the vocabulary, `[B, T]`, and a function that adds the
gradient to a tensor in place, so that a sparse one is never made whole. To add either, write the function and give it
a row in the table at the end. Legend: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations  # tensors are only named here: `limbeck objectives` loads no torch

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Divergence = Callable[[Tensor, Tensor], Tensor]
    AddGradient = Callable[[Tensor], object]
    Adjoint = Callable[[Tensor], tuple[Tensor, AddGradient]]
    Pool = Callable[[Tensor], tuple[Tensor, Adjoint]]


def cross_entropy(log_v: Tensor, log_z: Tensor) -> Tensor:
    """Compute -sum_k v_k log z_k, the cross-entropy of z under v (Chen et al. 2024, Eq. 9 and 11)."""
    return -(log_v.exp() * log_z).sum(-1)


def kl(log_v: Tensor, log_z: Tensor) -> Tensor:
    """Compute sum_k v_k (log v_k - log z_k), the Kullback-Leibler divergence (Chen et al. 2024, Table 5)."""
    return (log_v.exp() * (log_v - log_z)).sum(-1)


def double_softmax(log_v: Tensor, log_z: Tensor) -> Tensor:
    """Compute -sum_k v_k log_softmax(z)_k: the released code puts z, probabilities already, through softmax."""
    return -(log_v.exp() * log_z.exp().log_softmax(-1)).sum(-1)


def max_pool(log_p: Tensor) -> tuple[Tensor, Adjoint]:
    """Compute log max_t P_t, the largest probability of every vocabulary entry (Chen et al. 2024, Sec. 3.3).

    dL/d log P_tk = g_k [t = argmax_t log P_tk]; of several arg-maxes one gets it all.
    """
    log_v, index = log_p.max(1)

    def adjoint(g: Tensor) -> tuple[Tensor, AddGradient]:
        sums = log_p.new_zeros(log_p.shape[:2]).scatter_add_(1, index, g)
        return sums, lambda total: total.scatter_add_(1, index.unsqueeze(1), g.unsqueeze(1))

    return log_v, adjoint


def mean_pool(log_p: Tensor) -> tuple[Tensor, Adjoint]:
    """Compute log 1/n sum_t P_t, the mean probability of every vocabulary entry (Chen et al. 2024, Table 4).

    dL/d log P_tk = g_k P_tk / sum_t P_tk.
    """
    log_sum = log_p.logsumexp(1)
    lengths = (log_p[:, :, :1] > -math.inf).sum(1).to(log_p.dtype)

    def adjoint(g: Tensor) -> tuple[Tensor, AddGradient]:
        shares = (log_p - log_sum.unsqueeze(1)).exp_().mul_(g.unsqueeze(1))
        return shares.sum(-1), lambda total: total.add_(shares)

    return log_sum - lengths.log(), adjoint


DIVERGENCES: dict[str, Divergence] = {"cross-entropy": cross_entropy, "kl": kl, "double-softmax": double_softmax}
POOLS: dict[str, Pool] = {"max": max_pool, "mean": mean_pool}
