"""The one module that is trained: a student and its objective behind a single forward."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from limbeck.data import View
from limbeck.models import Student
from limbeck.objectives import Objective
from limbeck.objectives.fused import ViewStates, gradient_shares, losses, term_counts


class Distiller(nn.Module):
    """Student and objective. One forward does it all, so that wrappers (DDP, FSDP, compile) see every parameter used.

    Legend: B examples, b of them with a target in a view, S source tokens, T target tokens, D hidden size.
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
        rows: Mapping[View, Tensor] | None = None,
        counts: Mapping[str, Tensor] | None = None,
        with_shares: bool = False,
    ) -> dict[str, Any]:
        """The loss of a collated batch.

        Args:
            input_ids: `[sum of b, S]`, the sources view after view, with `attention_mask`.
            labels: for each view target ids `[B, T]`, -100 on padding.
            rows: for each view the numbers of the examples that the sources are of, `[b]`; None: of all, in each view.
            counts: what each term is divided by; None: this batch's own counts.
            with_shares: also give each term's share of the gradient norm.

        Returns:
            `loss`, a scalar; `terms`, each term's value unweighted; `shares`, empty unless asked for.
        """
        sizes = [len(ids if rows is None else rows[view]) for view, ids in labels.items()]
        memory, masks = (part.split(sizes) for part in (self.student.encode(input_ids, attention_mask), attention_mask))
        states = {
            view: ViewStates(self._states(ids, None if rows is None else rows[view], memory[i], masks[i]), ids)
            for i, (view, ids) in enumerate(labels.items())
        }
        counts = term_counts(self.objective, labels) if counts is None else counts
        head = self.student.head()
        loss, values = losses(self.objective, states, head, counts=counts)
        shares = gradient_shares(self.objective, states, head, counts=counts) if with_shares else {}
        return {"loss": loss, "terms": values, "shares": shares}

    def _states(self, labels: Tensor, rows: Tensor | None, memory: Tensor, mask: Tensor) -> Tensor:
        """Return what the head is fed with in a view, `[B, T, D]`: 0 for the examples that are not read."""
        if rows is None or len(rows) == len(labels):
            return self.student.decode(labels, memory, mask)
        states = self.student.decode(labels[rows], memory, mask)
        return states.new_zeros(len(labels), *states.shape[1:]).index_copy(0, rows, states)

    def gradient_checkpointing_enable(self, **options: Any) -> None:
        """What the Hugging Face Trainer calls for `gradient_checkpointing: true`, with its own options."""
        self.student.model.gradient_checkpointing_enable(**options)
