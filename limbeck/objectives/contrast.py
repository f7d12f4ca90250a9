"""Contrastive terms: a question's rationale against other questions', and against its own that led to a wrong answer.

Legend: B examples, T tokens, N those of all examples, D hidden size.
"""

from __future__ import annotations  # `limbeck objectives` loads no torch

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from limbeck.data import View
from limbeck.distributed import process_count, process_index

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.objectives.fused import Chunk, Targets


@dataclass(frozen=True)
class ContrastTerm:
    """InfoNCE between a question's label and its rationale, among the questions of a batch.

        h_b, g_b = mean_t of the head's input at the tokens of label and rationale,
        L = mean_b -log( e^(cos(h_b, g_b) / temperature) / sum_j e^(cos(h_b, g_j) / temperature) )

    (van den Oord et al. 2018, arXiv 1807.03748, Eq. 4). ln B - L bounds the mutual information of h and g from below
    and never exceeds ln B. Both are functions of the question: a student that recognises questions reaches it.
    """

    weight: float
    temperature: float = 0.1
    name = "contrast"
    mask_padding = True
    across_examples = True
    views = (View.PREDICT, View.EXPLAIN)

    @property
    def settings(self) -> dict[str, str]:
        return {"contrast_weight": "weight", "temperature": "temperature"}

    def count(self, lengths: Mapping[View, Tensor]) -> Tensor:
        """Count the examples that have both targets."""
        return count_pairs(lengths, self.views)

    def loss(self, targets: Mapping[View, Targets], with_gradient: bool) -> tuple[Tensor, dict[View, Tensor]]:
        """Return the sum over examples with both targets, and its gradients by the states of either view, `[N, D]`.

        In training the examples are those of all processes; each returns its share of the sum, and the sum's gradients.
        """
        import torch
        from torch.func import vjp

        sides = [targets[view] for view in self.views]
        indices = [side.index for side in sides]
        states = [side.states.to(torch.promote_types(side.states.dtype, torch.float32)) for side in sides]
        shared = with_gradient and process_count() > 1
        elsewhere = around(self._pooled(indices, *states)) if shared else None
        value, pull_back = vjp(partial(self._sum, indices, elsewhere), *states)  # type: ignore[misc]
        gradients = dict(zip(self.views, pull_back(torch.ones_like(value)), strict=True))
        return value / process_count() if shared else value, gradients

    def _pooled(self, indices: Sequence[Tensor], *states: Tensor) -> list[Tensor]:
        """Return h / |h|, g / |g|, and 1 for each example with both targets: `[B, D]` twice and `[B]`."""
        from torch.nn.functional import normalize

        label, rationale = (normalize(mean_of(*side), dim=-1) for side in zip(states, indices, strict=True))
        with_label, with_rationale = ((index >= 0).any(1) for index in indices)
        return [label, rationale, (with_label & with_rationale).to(label.dtype)]

    def _sum(
        self, indices: Sequence[Tensor], elsewhere: Sequence[tuple[Tensor, Tensor]] | None, *states: Tensor
    ) -> Tensor:
        import torch

        columns = self._pooled(indices, *states)
        if elsewhere is not None:
            columns = [torch.cat([before, own, after]) for (before, after), own in zip(elsewhere, columns, strict=True)]
        label, rationale, complete = columns
        scores = (label @ rationale.T / self.temperature).masked_fill(complete == 0, float("-inf"))
        # a row without any candidate would be nan
        scores = scores.masked_fill((complete == 0).unsqueeze(1), 0.0)
        return -(scores.log_softmax(-1).diagonal() * complete).sum()


@dataclass(frozen=True)
class MarginTerm:
    """A hinge loss that keeps a question's rationales a margin ahead of those that led to a wrong answer.

        L = mean_b max(0, margin - mean_t log P(r_t) + mean_t log P(w_t))

    over the tokens r_t of right and w_t of wrong rationales (Wang et al. 2024, arXiv 2405.13014, contrastive term).
    """

    weight: float
    margin: float = 1.0  # nats a token
    name = "margin"
    mask_padding = True
    across_examples = False
    views = (View.EXPLAIN, View.WRONG_RATIONALE)

    @property
    def settings(self) -> dict[str, str]:
        return {"margin_weight": "weight", "margin": "margin"}

    def count(self, lengths: Mapping[View, Tensor]) -> Tensor:
        """Count the examples that have both right and wrong rationales."""
        return count_pairs(lengths, self.views)

    def loss(self, chunk: Chunk, scale: Tensor, with_gradient: bool) -> Tensor:  # noqa: ARG002
        """Return the sum over a chunk's examples with both; add its gradient times `scale` to the chunk."""
        indices = [chunk.targets[view].index for view in self.views]
        right, wrong = (
            mean_of(chunk.rows(chunk.token_losses, view).unsqueeze(1), index).squeeze(1)
            for view, index in zip(self.views, indices, strict=True)
        )
        has_right, has_wrong = ((index >= 0).any(1) for index in indices)
        lacking = (self.margin + right - wrong) * (has_right & has_wrong)
        active = (lacking > 0).to(scale.dtype)
        for view, index, sign in zip(self.views, indices, (1, -1), strict=True):
            by_token = (sign * scale * active / (index >= 0).sum(1).clamp(min=1)).unsqueeze(1).expand_as(index)
            chunk.rows(chunk.label_gradient, view).add_(spread(by_token, index, len(chunk.targets[view].labels)))
        return lacking.clamp(min=0).sum()


def around(columns: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return what the processes before and after this one have of each column `[B, ...]`, with rows of 0 as padding."""
    from accelerate.utils import gather, pad_across_processes

    pairs = []
    for column in columns:
        rows = gather(pad_across_processes(column.contiguous()))
        begin = process_index() * (len(rows) // process_count())
        pairs.append((rows[:begin], rows[begin + len(column) :]))
    return pairs


def count_pairs(lengths: Mapping[View, Tensor], views: tuple[View, View]) -> Tensor:
    """Count the examples with targets in both views, from their numbers of target tokens by view, `[B]`."""
    first, second = views
    return ((lengths[first] > 0) & (lengths[second] > 0)).sum()


def mean_of(rows: Tensor, index: Tensor) -> Tensor:
    """Average `[N, D]` rows over each example's tokens, whose numbers are `[B, T]`, -1 after the last: `[B, D]`."""
    real = index >= 0
    padded = rows.new_zeros(1, rows.shape[1]) if not len(rows) else rows  # of a view without tokens
    sums = (padded[index.clamp(min=0)] * real.unsqueeze(-1)).sum(1)
    return sums / real.sum(1, keepdim=True).clamp(min=1)


def spread(values: Tensor, index: Tensor, count: int) -> Tensor:
    """Return the values of `count` tokens, `[N]`, from those by example, `[B, T]`; `index` is as for `mean_of`."""
    numbers = index.masked_fill(index < 0, count)  # padding has a number of its own
    return values.new_zeros(count + 1).scatter(0, numbers.flatten(), values.flatten())[:count]
