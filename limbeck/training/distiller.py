"""The one module that is trained: a student and its objective behind a single forward."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from limbeck.data import View
from limbeck.objectives import Objective, ViewStates, gradient_shares, losses, term_counts
from limbeck.students import Student


class Distiller(nn.Module):
    """Student and objective. One forward does it all, so that wrappers (DDP, FSDP, compile) see every parameter used.

    Legend: B examples, S source tokens, T target tokens.
    """

    def __init__(self, student: Student, objective: Objective) -> None:
        super().__init__()
        self.student = student
        self.objective = objective

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Mapping[View, Tensor],
        counts: Mapping[str, Tensor] | None = None,
        with_shares: bool = False,
    ) -> dict[str, Any]:
        """The loss of a collated batch.

        Args:
            input_ids: `[views * B, S]`, the sources view after view, with `attention_mask`.
            labels: for each view target ids `[B, T]`, -100 on padding.
            counts: what each term is divided by; None: this batch's own counts.
            with_shares: also give each term's share of the gradient norm.

        Returns:
            `loss`, a scalar; `terms`, each term's value unweighted; `shares`, empty unless asked for.
        """
        memory = self.student.encode(input_ids, attention_mask).chunk(len(labels))
        masks = attention_mask.chunk(len(labels))
        states = {
            view: ViewStates(self.student.decode(labels[view], memory[i], masks[i]), labels[view])
            for i, view in enumerate(labels)
        }
        counts = term_counts(self.objective, labels) if counts is None else counts
        head = self.student.head()
        loss, values = losses(self.objective, states, head, counts)
        shares = gradient_shares(self.objective, states, head, counts) if with_shares else {}
        return {"loss": loss, "terms": values, "shares": shares}

    def gradient_checkpointing_enable(self, **options: Any) -> None:
        """What the Hugging Face Trainer calls for `gradient_checkpointing: true`, with its own options."""
        self.student.model.gradient_checkpointing_enable(**options)
