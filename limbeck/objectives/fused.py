"""The fused vocabulary head: an objective's value and gradients together, a chunk of examples at a time.

With V = 32,128 the logits `[B, T, V]` are the largest things in a training step, so they are never made whole: each
chunk's are computed once, and only the gradients by the states and by the head's weight are kept. Matrix products take
operands of autocast's type where that is on, and add up in a wider one. Nothing waits for the device.
Legend: B examples, T target tokens, D hidden size, V vocabulary.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from limbeck.data import View
from limbeck.models import VocabularyHead, wide_product
from limbeck.objectives.chunk import Chunk
from limbeck.objectives.terms import Objective

_CPU_BYTES = 16 * 2**20  # of logits at a time: about what a processor's caches hold
_GPU_PART = 64  # this part of a GPU's memory: thousands of rows on a large one


@dataclass(frozen=True)
class Gradients:
    """Of the objective by the states, the head's weight and its bias, all multiplied by `unit`, a scalar.

    `unit` is the largest count, without which the gradients of a mean over many tokens would vanish in float16; but at
    most 1,000 times the smallest, or those of a rare term would overflow.
    """

    unit: Tensor
    hidden: dict[View, Tensor]
    weight: Tensor | None
    bias: Tensor | None


def walk(
    objective: Objective,
    hidden: Mapping[View, Tensor],
    labels: Mapping[View, Tensor],
    head: VocabularyHead,
    counts: Mapping[str, Tensor],
    wanted: tuple[bool, bool, bool],
    examples: int | None,
) -> tuple[dict[str, Tensor], Gradients]:
    """Every term's value, unweighted, and the gradients of their weighted sum.

    Args:
        objective: terms and weights.
        hidden: what the head is fed with, by view, `[B, T, D]`.
        labels: target ids by view, `[B, T]`, IGNORE on padding.
        head: the vocabulary head.
        counts: what each term's sum is divided by.
        wanted: whether gradients are, by the states, by the head's weight, and by its bias.
        examples: a chunk's; None: as many as suit the device.
    """
    first = next(iter(hidden.values()))
    narrow = _product_type(first, head)
    wide = torch.float64 if narrow == torch.float64 else torch.float32
    head = head.to(narrow)
    wide_head = head if first.is_cuda else head.to(wide)  # what `wide_product` would do for every chunk
    counts = {term.name: counts[term.name].to(wide) for term in objective.terms}
    counts = {name: count.masked_fill(count == 0, 1) for name, count in counts.items()}
    smallest, largest = torch.stack(list(counts.values())).aminmax()
    values = {name: torch.zeros_like(count) for name, count in counts.items()}
    gradients = Gradients(
        largest.minimum(1000 * smallest),
        {view: torch.zeros_like(states) for view, states in hidden.items() if wanted[0]},
        torch.zeros_like(head.weight, dtype=wide) if head.weight is not None and wanted[1] else None,
        torch.zeros_like(head.bias, dtype=wide) if head.bias is not None and wanted[2] else None,
    )
    with torch.autocast(gradients.unit.device.type, enabled=False):  # every type is chosen here
        for part in _parts(hidden, head, examples):
            rows = torch.cat([states[part].flatten(0, 1).to(narrow) for states in hidden.values()])
            chunk = Chunk(objective, rows, {view: ids[part] for view, ids in labels.items()}, wide_head, wide)
            for term in objective.terms:
                count = counts[term.name]
                values[term.name] += chunk.add(term, term.weight * gradients.unit / count, any(wanted)) / count
            if any(wanted):
                _add(gradients, part, rows, chunk.gradient(), head)
            del chunk  # or it would still be there while the next one is made
    return values, gradients


def _add(gradients: Gradients, part: slice, rows: Tensor, by_logits: Tensor, head: VocabularyHead) -> None:
    """Take a chunk's gradient by its logits `[R, V]` back through the head."""
    if gradients.bias is not None:
        gradients.bias.add_(by_logits.sum(0))
    narrow = by_logits.to(rows.dtype)
    if gradients.weight is not None and gradients.weight.dtype == narrow.dtype:
        gradients.weight.addmm_(narrow.t(), rows)
    elif gradients.weight is not None:
        gradients.weight.add_(wide_product(narrow.t(), rows, gradients.weight.dtype))
    if gradients.hidden:
        by_rows = narrow if head.weight is None else narrow @ head.weight
        chunks = [states[part] for states in gradients.hidden.values()]
        for states, some in zip(chunks, by_rows.split([len(states.flatten(0, 1)) for states in chunks]), strict=True):
            states.copy_(some.view_as(states))


def _product_type(states: Tensor, head: VocabularyHead) -> torch.dtype:
    """The type that the head's matrix products are in."""
    if head.weight is None:
        return states.dtype
    kind = states.device.type
    if torch.is_autocast_enabled(kind) and states.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
    return head.weight.dtype


def _parts(hidden: Mapping[View, Tensor], head: VocabularyHead, examples: int | None) -> Iterator[slice]:
    """The chunks of a batch; without `examples` as large as the device's memory suggests."""
    first = next(iter(hidden.values()))
    batch = len(first)
    if examples is None:
        vocabulary = first.shape[-1] if head.weight is None else len(head.weight)
        example = sum(states.shape[1] for states in hidden.values()) * vocabulary * 4  # bytes of float32
        memory = torch.cuda.get_device_properties(first.device).total_memory // _GPU_PART if first.is_cuda else 0
        examples = max((memory or _CPU_BYTES) // example, 1)
        examples = -(-batch // -(-batch // examples))  # chunks of like size
    for begin in range(0, batch, examples):
        yield slice(begin, begin + examples)


def weighted(objective: Objective, values: Mapping[str, Tensor]) -> Tensor:
    """The weighted sum of the terms' values."""
    return torch.stack([term.weight * values[term.name] for term in objective.terms]).sum()


class Fused(torch.autograd.Function):
    """`walk` as one differentiable operation: the objective's value, then every term's, which are constants."""

    @staticmethod
    def forward(
        ctx: Any,
        objective: Objective,
        labels: Mapping[View, Tensor],
        counts: Mapping[str, Tensor],
        examples: int | None,
        soft_cap: float | None,
        weight: Tensor | None,
        bias: Tensor | None,
        *hidden: Tensor,
    ) -> tuple[Tensor, ...]:
        states = dict(zip(labels, hidden, strict=True))
        wanted = (any(ctx.needs_input_grad[7:]), *ctx.needs_input_grad[5:7])
        head = VocabularyHead(weight, bias, soft_cap)
        values, gradients = walk(objective, states, labels, head, counts, wanted, examples)
        ctx.set_materialize_grads(False)
        by_hidden = [gradients.hidden.get(view) for view in labels]
        ctx.save_for_backward(gradients.unit, gradients.weight, gradients.bias, *by_hidden)
        ctx.types = [None if parameter is None else parameter.dtype for parameter in (weight, bias)]
        ctx.mark_non_differentiable(*values.values())
        return weighted(objective, values), *values.values()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        unit, weight, bias, *hidden = ctx.saved_tensors
        factor = grad / unit
        # in place where it is large; a second backward pass through the same graph is an error
        weight, bias = (
            None if gradient is None else gradient.mul_(factor).to(kind)
            for gradient, kind in zip((weight, bias), ctx.types, strict=True)
        )
        by_hidden = [None if gradient is None else gradient * factor for gradient in hidden]
        return None, None, None, None, None, weight, bias, *by_hidden
