"""From decoder states to the objective's value, its terms, and each term's share of the gradient.

Legend: B examples, T target tokens, D hidden size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from limbeck.data import View
from limbeck.models import VocabularyHead
from limbeck.objectives.chunk import target_lengths
from limbeck.objectives.fused import Fused, walk, weighted
from limbeck.objectives.terms import Objective


@dataclass(frozen=True)
class ViewStates:
    """What one view contributes: what the head is fed with `[B, T, D]`, and target ids `[B, T]`, IGNORE on padding."""

    hidden: Tensor
    labels: Tensor


def term_counts(objective: Objective, labels: Mapping[View, Tensor]) -> dict[str, Tensor]:
    """Count what each term's mean is over: target tokens, or for an alignment the examples that have both targets.

    Counts of several batches (accumulation, processes) may be added and given to `losses` together.
    """
    lengths = target_lengths(labels)
    return {term.name: term.count(lengths) for term in objective.terms}


def losses(
    objective: Objective,
    states: Mapping[View, ViewStates],
    head: VocabularyHead,
    counts: Mapping[str, Tensor],
    examples: int | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The objective's value, a differentiable scalar, and each term's value, unweighted, a constant.

    Its gradient can be taken once: it was made together with the value.

    Args:
        objective: the terms and their weights.
        states: for every view of the objective, its states and labels.
        head: the student's vocabulary head.
        counts: what each term's sum is divided by: `term_counts` for the means over this batch. Need not be whole.
        examples: whose logits are in memory at a time; None: as many as suit the device.
    """
    labels = {view: state.labels for view, state in states.items()}
    if not torch.is_grad_enabled():  # inside an autograd function it cannot be seen
        by_view = {view: state.hidden for view, state in states.items()}
        terms, _ = walk(objective, by_view, labels, head, counts, (False, False, False), examples)
        return weighted(objective, terms), terms
    hidden = [state.hidden for state in states.values()]
    loss, *values = Fused.apply(objective, labels, counts, examples, head.soft_cap, head.weight, head.bias, *hidden)
    return loss, {term.name: value for term, value in zip(objective.terms, values, strict=True)}


@torch.no_grad()
def gradient_shares(
    objective: Objective, states: Mapping[View, ViewStates], head: VocabularyHead, counts: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Each term's share of the gradient: the norm of its weighted gradient at the decoder states, over all norms' sum.

    Arguments as for `losses`. It costs one more pass through the head for every term.
    """
    norms = {}
    for term in objective.terms:
        alone = replace(objective, terms=(term,))
        some = {view: states[view] for view in alone.views}
        hidden = {view: state.hidden for view, state in some.items()}
        labels = {view: state.labels for view, state in some.items()}
        _, gradients = walk(alone, hidden, labels, head, counts, (True, False, False), None)
        squares = [gradient.float().square().sum() for gradient in gradients.hidden.values()]
        norms[term.name] = torch.stack(squares).sum().sqrt() / gradients.unit
    total = torch.stack(list(norms.values())).sum().clamp(min=torch.finfo(torch.float32).tiny)
    return {name: norm / total for name, norm in norms.items()}
