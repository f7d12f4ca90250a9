"""The fused vocabulary head: an objective's value and gradients together, a chunk of examples at a time.

The logits `[N, V]`, of target tokens only, would be the largest tensor of a step: each chunk's are computed once, and
only the gradients by the states and the head's parameters stay. Nothing waits for the device, but for terms across the
examples of several processes.
Legend: B examples, N target tokens of a view, R those of a chunk, view after view, D hidden size, V vocabulary.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from limbeck.data import View
from limbeck.models.families import VocabularyHead, wide_product
from limbeck.models.tokenization import IGNORE
from limbeck.objectives.terms import Objective

_CPU_BYTES = 16 * 2**20  # of logits at a time: about a processor's cache
_GPU_FRACTION = 64  # of a GPU's memory: thousands of rows on a large one

ByView = Mapping[View, Tensor]


@dataclass(frozen=True)
class Targets:
    """A view's target tokens in a batch, one example after the other."""

    states: Tensor  # the head's input where each is predicted, [N, D]
    labels: Tensor  # their ids, [N]; IGNORE for padding that the objective reads
    weights: Tensor  # with which token terms count them, [N]
    rows: Tensor  # the number of each token's row in its example, [N]
    index: Tensor  # of each example's tokens, [B, T], -1 after its last
    sizes: Sequence[int]  # tokens of each example

    def part(self, begin: int, end: int) -> "tuple[slice, Targets]":
        """Return the tokens of examples `begin` to `end`, after their place among all."""
        first = sum(self.sizes[:begin])
        place = slice(first, first + sum(self.sizes[begin:end]))
        index = self.index[begin:end, : max(1, *self.sizes[begin:end])] - first  # negative ones stay so
        labels, weights, rows = (column[place] for column in (self.labels, self.weights, self.rows))
        return place, Targets(self.states[place], labels, weights, rows, index, self.sizes[begin:end])


def term_counts(objective: Objective, labels: ByView, weights: ByView, index: ByView) -> dict[str, Tensor]:
    """Count what each term's mean is over, in a batch with these columns of `Targets`."""
    counted = {view: weights[view] * (ids != IGNORE) for view, ids in labels.items()}
    padded = {view: torch.nn.functional.pad(row, (0, 1)) for view, row in counted.items()}  # for index -1
    return objective.counts({view: row[index[view]].sum(1) for view, row in padded.items()})


def losses(
    objective: Objective, targets: Mapping[View, Targets], *, head: VocabularyHead, counts: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the objective's value, which can be differentiated once, and each term's, unweighted and constant.

    A term's sum is divided by its count, from `term_counts` or of a larger set.
    """
    if not torch.is_grad_enabled():  # an autograd function cannot tell
        values, _ = _walk(objective, targets, counts, head=head, needs_grad=(False, False, False))
        return objective.weighted(values), values
    states = [view.states for view in targets.values()]
    # chunks would be compiled for one batch's lengths alone
    compute = _Fused.apply if _chunk_count(targets, head) == 1 else torch.compiler.disable(_Fused.apply)
    loss, *terms = compute(objective, targets, counts, head.soft_cap, head.weight, head.bias, *states)
    return loss, {term.name: value for term, value in zip(objective.terms, terms, strict=True)}


@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch 2.13 fails with dynamic sizes
@torch.no_grad()
def gradient_shares(
    objective: Objective, targets: Mapping[View, Targets], *, head: VocabularyHead, counts: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Compute each term's share of the norms of weighted gradients by the states, in a pass for each term."""
    norms = {}
    for term in objective.terms:
        inputs = replace(objective, terms=(term,)), {view: targets[view] for view in term.views}, counts
        _, gradients = _walk(*inputs, head=head, needs_grad=(True, False, False))
        squares = [gradient.float().square().sum() for gradient in gradients.hidden]
        norms[term.name] = torch.stack(squares).sum().sqrt() / gradients.unit
    total = torch.stack(list(norms.values())).sum().clamp(min=torch.finfo(torch.float32).tiny)
    return {name: norm / total for name, norm in norms.items()}


class Chunk:
    """The softmax P of a few examples' logits, used in place, and all terms' gradients by them, from G = dL/d log P:

        dL/d logits = G - P * sum_k G_k

    One tensor `[R, V]` is alive (two with a soft cap or a pool's dense gradient): logits, then log P, P, the gradient.
    Sums are in float32 at least.
    """

    def __init__(self, targets: Mapping[View, Targets], states: Tensor, head: VocabularyHead) -> None:
        """Take a chunk's targets, and their states in the product's type, `[R, D]`."""
        self.targets = targets
        labels = torch.cat([view.labels for view in targets.values()])
        self.real = labels != IGNORE
        self.ids = labels.clamp(min=0).unsqueeze(1)
        # rounding to the states' type would change arg-maxes
        logits = head.logits(states, torch.promote_types(states.dtype, torch.float32))
        # the derivative of the soft cap c tanh(x / c)
        self.slope = None if head.soft_cap is None else logits.div(head.soft_cap).square_().neg_().add_(1)
        # log sum = largest logit - log of its probability, at least 1 / V; by eighths, to need no second tensor
        eighths = logits.split(max(len(logits) // 8, 1))
        largest, log_top = logits.amax(-1), torch.cat([rows.softmax(-1).amax(-1) for rows in eighths]).log()
        # largest first, or rounding would lose a confident token's loss
        self.label_losses = (largest - logits.gather(1, self.ids).squeeze(1)) - log_top
        self.token_losses = self.label_losses.masked_fill(~self.real, 0)
        self.log_p = logits.sub_((largest - log_top).unsqueeze(1))
        self.label_gradient = torch.zeros_like(largest)  # -G at the labels
        self.sums = torch.zeros_like(largest)  # -sum_k G_k elsewhere
        self.gradients: list[tuple[View, Callable[[Tensor], object]]] = []  # add the G of pools and label smoothing

    def rows(self, tensor: Tensor, view: View) -> Tensor:
        """Return a view's part of a tensor over all tokens, without a copy."""
        return tensor.split([len(part.labels) for part in self.targets.values()])[list(self.targets).index(view)]

    def gradient(self) -> Tensor:
        """Return the gradient by the logits, `[R, V]`, and use the chunk up."""
        total = self.log_p.exp_().mul_((self.sums + self.label_gradient).unsqueeze(1))
        # at the label P - 1, small for a confident token, from its loss
        log_p = -self.label_losses
        total.scatter_(1, self.ids, (self.label_gradient * log_p.expm1() + self.sums * log_p.exp()).unsqueeze(1))
        for view, add_gradient in self.gradients:
            add_gradient(self.rows(total, view))
        return total if self.slope is None else total.mul_(self.slope)


@dataclass(frozen=True)
class _Gradients:
    """The gradients by the states, the head's weight and its bias, all multiplied by `unit`.

    It is the largest count, or a mean's gradients would vanish in float16, and at most 1,000 times the smallest, or a
    rare term's would overflow.
    """

    unit: Tensor
    hidden: list[Tensor]
    weight: Tensor | None
    bias: Tensor | None

    def add(self, places: Sequence[slice], states: Tensor, by_logits: Tensor, head: VocabularyHead) -> None:
        """Propagate a chunk's gradient by its logits, `[R, V]`, to its states at `places` by view."""
        if self.bias is not None:
            self.bias.add_(by_logits.sum(0))
        narrow = by_logits.to(states.dtype)
        if self.weight is not None and self.weight.dtype == narrow.dtype:
            self.weight.addmm_(narrow.t(), states)
        elif self.weight is not None:
            self.weight.add_(wide_product(narrow.t(), states, self.weight.dtype))
        if self.hidden:
            views = [states[place] for states, place in zip(self.hidden, places, strict=True)]
            for view, rows in zip(views, (narrow @ head.weight).split(list(map(len, views))), strict=True):
                view.add_(rows)


def _walk(
    objective: Objective,
    targets: Mapping[View, Targets],
    counts: Mapping[str, Tensor],
    *,
    head: VocabularyHead,
    needs_grad: tuple[bool, bool, bool],
) -> tuple[dict[str, Tensor], _Gradients]:
    """Compute each term's value, unweighted, and the weighted sum's gradients by states, weight and bias as needed."""
    hidden = [view.states for view in targets.values()]
    device = hidden[0].device.type
    autocast = torch.is_autocast_enabled(device) and hidden[0].dtype != torch.float64
    narrow = torch.get_autocast_dtype(device) if autocast else head.weight.dtype  # of the operands of products
    wide = torch.promote_types(narrow, torch.float32)  # of their sums
    head = head.to(narrow)
    wide_head = head if hidden[0].is_cuda else head.to(wide)  # once, not in every `wide_product`
    divisors = {term.name: counts[term.name].to(hidden[0].device, wide) for term in objective.terms}
    divisors = {name: count.masked_fill(count == 0, 1) for name, count in divisors.items()}
    smallest, largest = torch.stack(list(divisors.values())).aminmax()
    values = {name: torch.zeros_like(count) for name, count in divisors.items()}
    gradients = _Gradients(
        largest.minimum(1000 * smallest),
        [torch.zeros_like(states) for states in hidden] if needs_grad[0] else [],
        torch.zeros_like(head.weight, dtype=wide) if needs_grad[1] else None,
        torch.zeros_like(head.bias, dtype=wide) if head.bias is not None and needs_grad[2] else None,
    )
    with torch.autocast(device, enabled=False):  # every type is chosen here
        for contrast in objective.across_examples:
            value, by_states = contrast.loss(targets, any(needs_grad))
            values[contrast.name] += value / divisors[contrast.name]
            scale = contrast.weight * gradients.unit / divisors[contrast.name]
            for view, gradient in zip(targets, gradients.hidden, strict=False):
                if view in by_states:
                    gradient.add_(scale * by_states[view])
        for places, part in _chunks(targets, head) if objective.within_examples else ():
            states = torch.cat([view.states.to(narrow) for view in part.values()])
            chunk = Chunk(part, states, wide_head)
            for term in objective.within_examples:
                count = divisors[term.name]
                values[term.name] += term.loss(chunk, term.weight * gradients.unit / count, any(needs_grad)) / count
            if any(needs_grad):
                gradients.add(places, states, chunk.gradient(), head)
            del chunk  # or two would be alive
    return values, gradients


def _chunk_count(targets: Mapping[View, Targets], head: VocabularyHead) -> int:
    """Return the number of chunks that suits the device's memory."""
    budget = _CPU_BYTES
    if head.weight.is_cuda:
        budget = torch.cuda.get_device_properties(head.weight.device).total_memory // _GPU_FRACTION
    tokens = sum(len(view.labels) for view in targets.values())
    return max(-(-tokens * len(head.weight) * 4 // budget), 1)  # bytes of float32


def _chunks(
    targets: Mapping[View, Targets], head: VocabularyHead
) -> Iterator[tuple[list[slice], Mapping[View, Targets]]]:
    """Yield chunks of examples, alike in size, with their places among all tokens."""
    count = _chunk_count(targets, head)
    if count == 1:
        yield [slice(None)] * len(targets), targets
        return
    ends = np.cumsum([view.sizes for view in targets.values()], axis=1).sum(0)
    cuts = np.searchsorted(ends, ends[-1] * np.arange(1, count) / count)
    for begin, end in pairwise(np.unique([0, *cuts, len(ends)]).tolist()):
        places, parts = zip(*(view.part(begin, end) for view in targets.values()), strict=True)
        yield list(places), dict(zip(targets, parts, strict=True))


class _Fused(torch.autograd.Function):
    """`_walk` as one differentiable operation."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Any:
        objective, targets, counts, soft_cap, weight, bias, *_ = arguments
        needs_weight, needs_bias, *needs_hidden = ctx.needs_input_grad[4:]
        needs_grad = (any(needs_hidden), needs_weight, needs_bias)
        head = VocabularyHead(weight, bias, soft_cap)
        values, gradients = _walk(objective, targets, counts, head=head, needs_grad=needs_grad)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(gradients.unit, gradients.weight, gradients.bias, *gradients.hidden)
        ctx.types = [None if parameter is None else parameter.dtype for parameter in (weight, bias)]
        ctx.mark_non_differentiable(*values.values())
        return objective.weighted(values), *values.values()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        unit, weight, bias, *hidden = ctx.saved_tensors
        factor = grad / unit
        # in place where it is large: a second backward pass is an error
        weight, bias = (
            None if gradient is None else gradient.mul_(factor).to(dtype)
            for gradient, dtype in zip((weight, bias), ctx.types, strict=True)
        )
        by_hidden = [gradient * factor for gradient in hidden] or [None] * (len(ctx.needs_input_grad) - 6)
        return None, None, None, None, weight, bias, *by_hidden
