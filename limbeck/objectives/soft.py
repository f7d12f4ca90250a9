"""Soft targets: a teacher's distribution over the choices.

Legend: B examples, T tokens, N those of all examples.
"""

from __future__ import annotations  # `limbeck objectives` loads no torch

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limbeck.data import View
from limbeck.objectives.contrast import spread

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.objectives.fused import Chunk


@dataclass(frozen=True)
class SoftTerm:
    """The divergence of the student's distribution over the choices from a teacher's, both softened.

        L = mean_b T^2 sum_c p_c (log p_c - log q_c),   p_c ~ w_c^(1/T),   q_c ~ P(c)^(1/T)

    for the weights w of the choices c, a teacher's votes or probabilities, and P the student's likelihood of a choice's
    whole text (Hinton et al. 2015, arXiv 1503.02531; Lee et al. 2024, arXiv 2410.09037).
    """

    weight: float
    temperature: float = 2.0
    name = "soft"
    mask_padding = True
    across_examples = False
    views = (View.CHOICES,)

    @property
    def settings(self) -> dict[str, str]:
        return {"soft_weight": "weight", "temperature": "temperature"}

    def count(self, lengths: Mapping[View, Tensor]) -> Tensor:
        """Count the examples with weights of choices."""
        return (lengths[View.CHOICES] > 0).sum()

    def loss(self, chunk: Chunk, scale: Tensor, with_gradient: bool) -> Tensor:  # noqa: ARG002
        """Return the sum over a chunk's examples; add its gradient times `scale` to the chunk."""
        targets, t = chunk.targets[View.CHOICES], self.temperature
        token_losses, index = chunk.rows(chunk.token_losses, View.CHOICES), targets.index
        real, count = index >= 0, len(token_losses)
        if not count:
            return scale.new_zeros(())
        places = index.clamp(min=0)
        # by choice, `[B, T]`: there are at most as many as tokens
        rows = targets.rows[places]
        log_q = -token_losses.new_zeros(index.shape).scatter_add(1, rows, token_losses[places] * real)
        weights = (targets.weights[places] * real).to(token_losses.dtype)
        teacher = token_losses.new_zeros(index.shape).scatter_reduce(1, rows, weights, "amax")
        present = token_losses.new_zeros(index.shape).scatter_reduce(1, rows, real.to(log_q.dtype), "amax") > 0
        present = present | ~present.any(1, keepdim=True)
        log_q = (log_q / t).masked_fill(~present, float("-inf")).log_softmax(-1)
        log_p = (teacher.log() / t).masked_fill(~present, float("-inf"))
        log_p = log_p.masked_fill(~(log_p > float("-inf")).any(1, keepdim=True), 0.0).log_softmax(-1)
        p, voted = log_p.exp(), (teacher > 0).any(1).to(log_p.dtype)
        losses = t * t * (p * (log_p - log_q)).masked_fill(p == 0, 0).sum(-1)
        # dL/d log P(c) = T (q_c - p_c), for each of its tokens
        by_choice = scale * t * (p - log_q.exp()) * voted.unsqueeze(1)
        chunk.rows(chunk.label_gradient, View.CHOICES).add_(spread(by_choice.gather(1, rows), index, count))
        return (losses * voted).sum()
