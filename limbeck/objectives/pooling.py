"""Pooling of next-token distributions over a sequence's tokens, in the log domain so that nothing underflows.

A pool is two functions. `pool` takes log-probabilities `[B, T, V]`, -inf on the tokens that do not count (at least one
a row does), and returns the logarithm of the pooled vector, `[B, V]`, which need not sum to one. `gradient` is its
adjoint, which the fused head needs by itself. To add a pool, write both and give it a row in POOLS; a test compares
the second with the automatic gradient of the first. Legend: B batch, T tokens, V vocabulary.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Add = Callable[[Tensor], object]


@dataclass(frozen=True)
class Pool:
    """`gradient(log_p, log_v, g)`: what `g = dL/d log_v` `[B, V]` makes of dL/d log_p `[B, T, V]`.

    It returns that gradient's sums over the vocabulary, `[B, T]`, and a function that adds the gradient to a tensor in
    place: so a sparse one is never made whole.
    """

    pool: Callable[[Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Add]]


def max_pool(log_p: Tensor) -> Tensor:
    """The largest probability of every vocabulary entry over the tokens (Chen et al. 2024, Sec. 3.3)."""
    # log max_t P_t = max_t log P_t
    return log_p.amax(1)


def max_gradient(log_p: Tensor, log_v: Tensor, g: Tensor) -> tuple[Tensor, Add]:  # noqa: ARG001
    """Every column's gradient goes to its arg-max (of several, to one)."""
    # dL/d log_p_tk = g_k [t = argmax_t log_p_tk]
    index = log_p.max(1).indices  # argmax is twice as slow on CPUs
    sums = torch.zeros_like(log_p[:, :, 0]).scatter_add_(1, index, g)
    return sums, lambda total: total.scatter_add_(1, index.unsqueeze(1), g.unsqueeze(1))


def mean_pool(log_p: Tensor) -> Tensor:
    """The mean probability of every vocabulary entry over the tokens (Chen et al. 2024, Table 4)."""
    # log 1/n sum_t P_t = logsumexp_t log P_t - log n
    return log_p.logsumexp(1) - _tokens(log_p).log()


def mean_gradient(log_p: Tensor, log_v: Tensor, g: Tensor) -> tuple[Tensor, Add]:
    """Every column's gradient is shared out as its probability is."""
    # dL/d log_p_tk = g_k P_tk / sum_t P_tk
    shares = (log_p - (log_v + _tokens(log_p).log()).unsqueeze(1)).exp_().mul_(g.unsqueeze(1))
    return shares.sum(-1), lambda total: total.add_(shares)


def _tokens(log_p: Tensor) -> Tensor:
    """How many tokens count, `[B, 1]`."""
    return (log_p[:, :, :1] > -math.inf).sum(1).to(log_p.dtype)


POOLS: dict[str, Pool] = {"max": Pool(max_pool, max_gradient), "mean": Pool(mean_pool, mean_gradient)}
