"""Terms: what an objective is the weighted sum of. Values only; `losses.py` computes them."""

from dataclasses import dataclass
from typing import Literal

from limbeck.data import View

Detach = Literal["label", "none"]


@dataclass(frozen=True)
class TokenTerm:
    """Cross-entropy of a view's target tokens, the mean over all tokens of the batch."""

    name: str
    view: View
    weight: float


@dataclass(frozen=True)
class AlignmentTerm:
    """Draws the pooled next-token distributions of label and rationale together, the mean over examples.

    `measure(v, z)` of v pooled from the predict view and z pooled from the explain view, both by `pool`.
    It bounds no mutual information from below: Eq. 7 of the paper is an upper bound.
    """

    weight: float
    pool: str = "max"
    measure: str = "cross-entropy"
    mask_padding: bool = True  # pool over real tokens only; False depends on how a batch was padded
    normalise: bool = True  # v and z are divided by their sums after pooling
    detach: Detach = "label"  # the measure's first argument is a constant for the gradient
    symmetric: bool = False  # the mean of measure(v, z) and measure(z, v)
    name: str = "alignment"
    views: tuple[View, View] = (View.PREDICT, View.EXPLAIN)


Term = TokenTerm | AlignmentTerm


@dataclass(frozen=True)
class Objective:
    """A named tuple of weighted terms: the loss is `sum(term.weight * value)` (Chen et al. 2024, Eq. 10)."""

    name: str
    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        if len({term.mask_padding for term in self.pools}) > 1:
            raise ValueError("alignment terms of one objective either all see the padding or none does")

    @property
    def views(self) -> tuple[View, ...]:
        """The views a batch must hold, each once, in the terms' order."""
        views = [term.views if isinstance(term, AlignmentTerm) else (term.view,) for term in self.terms]
        return tuple(dict.fromkeys(view for some in views for view in some))

    @property
    def pools(self) -> tuple[AlignmentTerm, ...]:
        """The terms that pool next-token distributions."""
        return tuple(term for term in self.terms if isinstance(term, AlignmentTerm))

    @property
    def sees_padding(self) -> bool:
        """Whether the loss depends on how a batch is padded, and so on which examples share it."""
        return any(not term.mask_padding for term in self.pools)

    @property
    def answer_view(self) -> View:
        """The view a trained student answers in."""
        return next(view for view in self.views if view is not View.EXPLAIN)

    @property
    def rationale_view(self) -> View | None:
        """The view it gives rationales in; None where it learnt none."""
        return next((view for view in self.views if view is not View.PREDICT), None)
