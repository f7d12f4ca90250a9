"""Terms: what an objective is the weighted sum of. Values only; `losses.py` computes them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

from torch import Tensor

from limbeck.data import View

Detach = Literal["label", "none"]


@dataclass(frozen=True)
class TokenTerm:
    """Cross-entropy of a view's target tokens, the mean over tokens.

    A token's target is its label with probability `1 - smoothing`, spread evenly over the vocabulary for the rest.
    """

    name: str
    view: View
    weight: float
    smoothing: float = 0.0

    @property
    def views(self) -> tuple[View]:
        return (self.view,)

    def count(self, lengths: Mapping[View, Tensor]) -> Tensor:
        """Return the number of target tokens, given the examples' target lengths by view, `[B]`."""
        return lengths[self.view].sum()


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

    def complete(self, lengths: Mapping[View, Tensor]) -> Tensor:
        """Return True for the examples that have both targets, `[B]`, given their target lengths by view, `[B]`."""
        first, second = (lengths[view] > 0 for view in self.views)
        return first & second

    def count(self, lengths: Mapping[View, Tensor]) -> Tensor:
        """Return the number of examples that have both targets."""
        return self.complete(lengths).sum()


Term = TokenTerm | AlignmentTerm


@dataclass(frozen=True)
class Objective:
    """A named tuple of weighted terms: the loss is `sum(term.weight * value)` (Chen et al. 2024, Eq. 10)."""

    name: str
    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        if len({term.mask_padding for term in self.pools}) > 1:
            raise ValueError("alignment terms of one objective either all see the padding or none does")

    def weighted(self, values: Mapping[str, float]) -> float:
        """Return the weighted sum of the terms' values, of those there are."""
        return sum(term.weight * values[term.name] for term in self.terms if term.name in values)

    @property
    def views(self) -> tuple[View, ...]:
        """The views a batch must hold, each once, in the terms' order."""
        return tuple(dict.fromkeys(view for term in self.terms for view in term.views))

    @property
    def pools(self) -> tuple[AlignmentTerm, ...]:
        """The terms that pool next-token distributions."""
        return tuple(term for term in self.terms if isinstance(term, AlignmentTerm))

    def smoothed(self, factor: float) -> Self:
        """Return the objective with label smoothing by `factor`, from 0 to 1, in its token terms."""
        terms = (replace(term, smoothing=factor) if isinstance(term, TokenTerm) else term for term in self.terms)
        return replace(self, terms=tuple(terms))

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
