"""Objectives as values: weighted sums of terms, and the divergences and pools of an alignment.

A divergence takes log v of the label and log z of the rationale, `[B, V]` each, and returns `[B]`. A pool takes log P
`[N, V]` of all tokens and the numbers of each example's, `[B, T]`, -1 after the last; it returns log v `[B, V]` and its
adjoint, which turns `g = dL/d log v` into `dL/d log P`: its sums over the vocabulary, `[N]`, and a function that adds
it to a tensor. Legend: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations  # `limbeck objectives` loads no torch

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from limbeck.data.views import ANSWERS, RATIONALES, View
from limbeck.objectives.contrast import ContrastTerm, MarginTerm, count_pairs
from limbeck.objectives.soft import SoftTerm

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.objectives.fused import Chunk

    Divergence = Callable[[Tensor, Tensor], Tensor]
    AddGradient = Callable[[Tensor], object]
    Adjoint = Callable[[Tensor], tuple[Tensor, AddGradient]]
    Pool = Callable[[Tensor, Tensor], tuple[Tensor, Adjoint]]


def cross_entropy(log_v: Tensor, log_z: Tensor) -> Tensor:
    """Compute -sum_k v_k log z_k (Chen et al. 2024, Eq. 9 and 11)."""
    return -(log_v.exp() * log_z).sum(-1)


def kl(log_v: Tensor, log_z: Tensor) -> Tensor:
    """Compute sum_k v_k (log v_k - log z_k) (Chen et al. 2024, Table 5)."""
    return (log_v.exp() * (log_v - log_z)).sum(-1)


def double_softmax(log_v: Tensor, log_z: Tensor) -> Tensor:
    """Compute -sum_k v_k log_softmax(z)_k, as the released code does with z, already probabilities."""
    return -(log_v.exp() * log_z.exp().log_softmax(-1)).sum(-1)


def _by_example(log_p: Tensor, index: Tensor) -> Tensor:
    """Return log P by example, `[B, T, V]`, -inf after its last token; any numbers for one without tokens."""
    if index.shape == (1, len(log_p)):
        return log_p.unsqueeze(0)  # no copy
    padding = (index < 0) & (index >= 0).any(1, keepdim=True)
    return log_p[index.clamp(min=0)].masked_fill_(padding.unsqueeze(-1), -math.inf)


def max_pool(log_p: Tensor, index: Tensor) -> tuple[Tensor, Adjoint]:
    """Compute log max_t P_t (Chen et al. 2024, Sec. 3.3); dL/d log P_tk = g_k [t = argmax_t log P_tk], for one t."""
    log_v, tokens = _by_example(log_p, index).max(1)
    largest = index.clamp(min=0).gather(1, tokens)

    def adjoint(g: Tensor) -> tuple[Tensor, AddGradient]:
        sums = log_p.new_zeros(len(log_p)).scatter_add_(0, largest.flatten(), g.flatten())
        return sums, lambda total: total.scatter_add_(0, largest, g)

    return log_v, adjoint


def mean_pool(log_p: Tensor, index: Tensor) -> tuple[Tensor, Adjoint]:
    """Compute log 1/n sum_t P_t (Chen et al. 2024, Table 4); dL/d log P_tk = g_k P_tk / sum_t P_tk."""
    by_example, tokens = _by_example(log_p, index), index.clamp(min=0).flatten()
    log_sum = by_example.logsumexp(1)

    def adjoint(g: Tensor) -> tuple[Tensor, AddGradient]:
        shares = (by_example - log_sum.unsqueeze(1)).exp_().mul_(g.unsqueeze(1)).flatten(0, 1)
        sums = log_p.new_zeros(len(log_p)).index_add_(0, tokens, shares.sum(-1))
        return sums, lambda total: total.index_add_(0, tokens, shares)

    return log_sum - (index >= 0).sum(1, keepdim=True).clamp(min=1).to(log_p.dtype).log(), adjoint


DIVERGENCES: dict[str, Divergence] = {
    "cross-entropy": cross_entropy,
    "kl": kl,
    "double-softmax": double_softmax,
}
POOLS: dict[str, Pool] = {"max": max_pool, "mean": mean_pool}


@dataclass(frozen=True)
class TokenTerm:
    """The mean cross-entropy of a view's target tokens y, of weight w, with label smoothing e.

    L = sum_t w_t (-(1 - e) log P_t[y_t] - e/V sum_k log P_t[k]) / sum_t w_t
    """

    name: str
    view: View
    weight: float
    smoothing: float = 0.0
    mask_padding = True  # padding is never a target
    across_examples = False

    @property
    def views(self) -> tuple[View]:
        return (self.view,)

    @property
    def settings(self) -> dict[str, str]:
        """The term's fields, by the fields of a recipe that change them."""
        return {f"{'label' if self.name == 'joint' else self.name}_weight": "weight"}

    def count(self, lengths: Mapping[View, Tensor]) -> Tensor:
        """Count the target tokens of examples, from their weighted numbers by view, `[B]`."""
        return lengths[self.view].sum()

    def loss(self, chunk: Chunk, scale: Tensor, with_gradient: bool) -> Tensor:  # noqa: ARG002
        """Return the sum over a chunk's tokens; add its gradient times `scale` to the chunk."""
        # dL/d log P_t = -(1 - e) at the label and -e/V everywhere
        e, losses = self.smoothing, chunk.rows(chunk.token_losses, self.view)
        # or a scalar in float64 would be rounded to float32
        weights = chunk.targets[self.view].weights.to(losses.dtype) * chunk.rows(chunk.real, self.view)
        chunk.rows(chunk.label_gradient, self.view).add_((1 - e) * scale * weights)
        if not e:
            return (weights * losses).sum()
        log_p = chunk.rows(chunk.log_p, self.view)
        chunk.rows(chunk.sums, self.view).add_(e * scale * weights)
        spread = (e * scale * weights / log_p.shape[-1]).unsqueeze(-1)
        chunk.gradients.append((self.view, lambda total: total.sub_(spread)))
        return (weights * ((1 - e) * losses - e * log_p.mean(-1))).sum()


@dataclass(frozen=True)
class AlignmentTerm:
    """The mean divergence of the pooled next-token distributions on label and rationale.

        v = pool_t P_t, z = pool_t Q_t,   L = mean_b D(v / sum v, z / sum z)

    for P `[B, m, V]` of the predict view and Q `[B, n, V]` of the explain view; no lower bound of mutual information.
    """

    weight: float
    pool: str = "max"
    divergence: str = "cross-entropy"
    mask_padding: bool = True  # else the value depends on how a batch was padded
    normalise: bool = True  # divide v and z by their sums
    detach: Literal["label", "none"] = "label"  # the divergence's first argument is constant
    symmetric: bool = False  # the mean of D(v, z) and D(z, v)
    name = "alignment"
    across_examples = False
    views = (View.PREDICT, View.EXPLAIN)

    @property
    def settings(self) -> dict[str, str]:
        return {"alignment_weight" if field.name == "weight" else field.name: field.name for field in fields(self)}

    def count(self, lengths: Mapping[View, Tensor]) -> Tensor:
        """Count the examples that have both targets."""
        return count_pairs(lengths, self.views)

    def loss(self, chunk: Chunk, scale: Tensor, with_gradient: bool) -> Tensor:
        """Return the sum over a chunk's examples with both targets; add its gradient times `scale` to the chunk."""
        from torch.func import vjp

        sides = [(chunk.rows(chunk.log_p, view), chunk.targets[view].index) for view in self.views]
        if not all(len(log_p) for log_p, _ in sides):
            return scale.new_zeros(())
        pooled, adjoints = zip(*(POOLS[self.pool](*side) for side in sides), strict=True)
        with_label, with_rationale = ((index >= 0).any(1) for _, index in sides)
        complete = (with_label & with_rationale).to(scale.dtype)
        # a detached label side needs no gradient
        fixed = 1 if self.detach == "label" and not self.symmetric else 0
        values, pull_back = vjp(partial(self.compare, *pooled[:fixed]), *pooled[fixed:])  # type: ignore[misc]
        if with_gradient:
            by_pooled = pull_back(complete * scale)
            for view, adjoint, g in zip(self.views[fixed:], adjoints[fixed:], by_pooled, strict=True):
                sums, add_gradient = adjoint(g)
                chunk.rows(chunk.sums, view).sub_(sums)
                chunk.gradients.append((view, add_gradient))
        return (values * complete).sum()

    def compare(self, log_v: Tensor, log_z: Tensor) -> Tensor:
        """Compute each example's divergence, `[B]`, from the logarithms of pooled vectors `[B, V]`."""
        if self.normalise:
            log_v, log_z = log_v.log_softmax(-1), log_z.log_softmax(-1)

        def directed(source: Tensor, target: Tensor) -> Tensor:
            return DIVERGENCES[self.divergence](source.detach() if self.detach == "label" else source, target)

        return (directed(log_v, log_z) + directed(log_z, log_v)) / 2 if self.symmetric else directed(log_v, log_z)


Term = TokenTerm | AlignmentTerm | ContrastTerm | MarginTerm | SoftTerm


@dataclass(frozen=True)
class Objective:
    """Weighted terms: the loss is `sum(term.weight * value)` (Chen et al. 2024, Eq. 10)."""

    name: str
    terms: tuple[Term, ...]
    formula: str = ""
    summary: str = ""
    reference: str = ""
    choose: str = ""  # continues "choose it when"
    group: str = ""  # of similar objectives

    def weighted(self, values: Mapping[str, Any]) -> Any:
        """Return the weighted sum of `values`, numbers or tensors, which may lack terms."""
        return sum(term.weight * values[term.name] for term in self.terms if term.name in values)

    def counts(self, lengths: Mapping[View, Tensor]) -> dict[str, Tensor]:
        """Count what each term's mean is over, from target lengths by view, `[B]`."""
        return {term.name: term.count(lengths) for term in self.terms}

    def smoothed(self, factor: float) -> Objective:
        """Return the objective with label smoothing in token terms."""
        terms = (replace(term, smoothing=factor) if isinstance(term, TokenTerm) else term for term in self.terms)
        return replace(self, terms=tuple(terms))

    @property
    def across_examples(self) -> tuple[ContrastTerm, ...]:
        """The terms whose loss takes a batch's targets, not a chunk's."""
        return tuple(term for term in self.terms if term.across_examples)  # type: ignore[misc]

    @property
    def within_examples(self) -> tuple[TokenTerm | AlignmentTerm | MarginTerm | SoftTerm, ...]:
        return tuple(term for term in self.terms if not term.across_examples)  # type: ignore[misc]

    @property
    def views(self) -> tuple[View, ...]:
        """The views that a batch holds."""
        return tuple(dict.fromkeys(view for term in self.terms for view in term.views))

    @property
    def reads_padding(self) -> bool:
        """True if the loss depends on how a batch is padded."""
        return not all(term.mask_padding for term in self.terms)

    @property
    def reads_rationales(self) -> bool:
        """True if students learn to answer with a rationale before them, as usable information needs."""
        return View.GIVEN_RATIONALE in self.views

    @property
    def answer_view(self) -> View:
        """The view that a trained student answers in."""
        return next(view for view in self.views if view in ANSWERS)

    @property
    def rationale_view(self) -> View | None:
        """The view that it gives rationales in, if any."""
        return next((view for view in self.views if view in RATIONALES), None)
