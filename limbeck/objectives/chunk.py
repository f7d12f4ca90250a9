"""The terms of a few examples: their logits, made once and used up in place, and the gradients of all terms by them.

With P = softmax(logits) and G = dL/d log P, which for a token loss lives at the label and for a max-pool at each
column's arg-max,

    dL/d logits = G - P * sum_k G_k

One tensor `[R, V]` is alive (two where logits are capped or a pool's gradient is dense): it holds logits, then log P,
then P, then the gradient. Sums are in float32 (float64 stays float64).
Legend: b examples of the chunk, T target tokens, V vocabulary, R rows: all tokens of all views, view after view.
"""

import math
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from limbeck.data import View
from limbeck.models import VocabularyHead
from limbeck.objectives.measures import MEASURES
from limbeck.objectives.pooling import POOLS, Add
from limbeck.objectives.terms import AlignmentTerm, Objective, Term, TokenTerm

IGNORE = -100  # the label of padding, as everywhere in transformers


class Chunk:
    """A chunk's softmax, what its terms have asked of it so far, and at last the gradient by its logits.

    `rows` is what the head is fed with, `[R, D]`; `labels` are target ids by view, `[b, T]`, IGNORE on padding.
    """

    def __init__(
        self, objective: Objective, rows: Tensor, labels: Mapping[View, Tensor], head: VocabularyHead, wide: torch.dtype
    ) -> None:
        self.labels = labels
        flat = torch.cat([ids.flatten() for ids in labels.values()])
        self.real = flat != IGNORE
        self.ids = flat.clamp(min=0).unsqueeze(1)
        # not rounded to the rows' type, which would change arg-maxes
        logits = head.wide_logits(rows, wide)
        # the derivative of the soft cap c tanh(x / c)
        self.slope = None if head.soft_cap is None else logits.div(head.soft_cap).square_().neg_().add_(1)
        largest, log_top = top(logits)
        # largest first: a confident token's loss would be lost in the rounding of a large log sum
        self.at_label_losses = (largest - logits.gather(1, self.ids).squeeze(1)) - log_top
        self.token_losses = self.at_label_losses.masked_fill(~self.real, 0)
        log_sum = largest - log_top
        # P = 0 on padding, so that no pool sees it
        log_sum = log_sum if objective.sees_padding else log_sum.masked_fill(self._padding(), math.inf)
        self.log_p = logits.sub_(log_sum.unsqueeze(1))
        self.at_label = torch.zeros_like(log_sum)  # -G at the labels
        self.sums = torch.zeros_like(log_sum)  # -sum_k G_k of the rest
        self.added: list[tuple[View, Add]] = []  # the G of pools and of label smoothing

    def add(self, term: Term, scale: Tensor, with_gradient: bool) -> Tensor:
        """The sum of a term over the chunk; `scale` is what its gradient is multiplied by."""
        if isinstance(term, AlignmentTerm):
            return self._align(term, scale, with_gradient)
        return self._tokens(term, scale)

    def _tokens(self, term: TokenTerm, scale: Tensor) -> Tensor:
        """Return the cross-entropy of the labels, smoothed by e."""
        # sum_t -(1 - e) log P_t[label_t] - e / V sum_k log P_t[k];  G = -(1 - e) at the label, and -e / V everywhere
        real, e = self._rows(self.real, term.view), term.smoothing
        self._rows(self.at_label, term.view).add_((1 - e) * scale * real)
        losses = self._rows(self.token_losses, term.view)
        if not e:
            return losses.sum()
        log_p = self._rows(self.log_p, term.view)
        self._rows(self.sums, term.view).add_(e * scale * real)
        spread = (e * scale * real / log_p.shape[-1]).view_as(self.labels[term.view]).unsqueeze(-1)
        self.added.append((term.view, lambda total: total.sub_(spread)))
        return ((1 - e) * losses - e * log_p.mean(-1).masked_fill(~real, 0)).sum()

    def _align(self, term: AlignmentTerm, scale: Tensor, with_gradient: bool) -> Tensor:
        """The term's measure of both sides' pooled vectors, over the examples that have both targets."""
        pool = POOLS[term.pool]
        sides = [self._rows(self.log_p, view).unflatten(0, self.labels[view].shape) for view in term.views]
        pooled = [pool.pool(side) for side in sides]
        complete = term.complete(target_lengths(self.labels)).to(scale.dtype)
        # a detached label side has no gradient, so none is asked for
        fixed = 1 if term.detach == "label" and not term.symmetric else 0
        values, pull_back = torch.func.vjp(partial(compare, term, *pooled[:fixed]), *pooled[fixed:])  # type: ignore[misc]
        if with_gradient:
            by_pooled = pull_back(complete * scale)
            free = zip(term.views[fixed:], sides[fixed:], pooled[fixed:], by_pooled, strict=True)
            for view, side, vector, g in free:
                sums, add = pool.gradient(side, vector, g)
                self._rows(self.sums, view).sub_(sums.flatten())
                self.added.append((view, add))
        return (values * complete).sum()

    def gradient(self) -> Tensor:
        """The gradient of all terms added so far by the logits, `[R, V]`; the chunk is used up."""
        total = self.log_p.exp_().mul_((self.sums + self.at_label).unsqueeze(1))
        # at the label P - 1, which is small for a confident token, from its loss
        losses = -self.at_label_losses
        total.scatter_(1, self.ids, (self.at_label * losses.expm1() + self.sums * losses.exp()).unsqueeze(1))
        for view, add in self.added:
            add(self._rows(total, view).unflatten(0, self.labels[view].shape))
        return total if self.slope is None else total.mul_(self.slope)

    def _rows(self, tensor: Tensor, view: View) -> Tensor:
        """A view's rows of a tensor over all rows; no copy."""
        views = list(self.labels)
        sizes = [ids.numel() for ids in self.labels.values()]
        begin = sum(sizes[: views.index(view)])
        return tensor[begin : begin + self.labels[view].numel()]

    def _padding(self) -> Tensor:
        """True on padding `[R]`; a row without any target counts as real: its value is masked out by example."""
        return torch.cat(
            [((ids == IGNORE) & (ids != IGNORE).any(1, keepdim=True)).flatten() for ids in self.labels.values()]
        )


def top(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The largest logit and the logarithm of its probability, each `[R]`: log sum_k exp(logits_k) is their difference.

    An eighth at a time, so that there is no second tensor of the logits' size. A largest probability is at least 1 / V.
    """
    parts = logits.split(max(len(logits) // 8, 1))
    return logits.amax(-1), torch.cat([some.softmax(-1).amax(-1) for some in parts]).log()


def compare(term: AlignmentTerm, log_v: Tensor, log_z: Tensor) -> Tensor:
    """The alignment of every example, `[B]`: the term's measure of two pooled vectors `[B, V]`, given as logarithms."""
    if term.normalise:
        log_v, log_z = log_v.log_softmax(-1), log_z.log_softmax(-1)
    measure = MEASURES[term.measure]

    def one_way(first: Tensor, second: Tensor) -> Tensor:
        return measure(first.detach() if term.detach == "label" else first, second)

    if term.symmetric:
        return (one_way(log_v, log_z) + one_way(log_z, log_v)) / 2
    return one_way(log_v, log_z)


def target_lengths(labels: Mapping[View, Tensor]) -> dict[View, Tensor]:
    """Return how many target tokens the examples have in each view, `[B]`."""
    return {view: (ids != IGNORE).sum(1) for view, ids in labels.items()}
