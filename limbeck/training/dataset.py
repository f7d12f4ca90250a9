"""A training set: the token ids of its examples in every view, and which of its rows make a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.data import View
from limbeck.training.tokens import TokenTable


@dataclass(frozen=True)
class TrainingSet(Dataset["Rows"]):
    """N tokenised examples, and counts of what was cut or left out.

    The tables hold the views one after the other: row `v * N + i` is example i in the view `views[v]`. A target is
    empty where the example has no rationale. `tasks` is the same examples as two tasks, the label and the rationale,
    where that is not this set itself.
    """

    views: tuple[View, ...]
    sources: TokenTable
    targets: TokenTable
    notes: dict[str, int] = field(default_factory=dict)
    tasks: "TrainingSet | None" = None

    def __len__(self) -> int:
        return len(self.sources) // len(self.views)

    def __getitems__(self, indices: Sequence[int]) -> "Rows":
        """What torch's loader asks for: a batch at once."""
        return Rows(self, np.asarray(indices, np.int64))

    def target_lengths(self) -> Mapping[View, Tensor]:
        """Return the examples' target lengths in each view, `[N]`."""
        lengths = torch.from_numpy(self.targets.lengths).view(len(self.views), len(self))
        return dict(zip(self.views, lengths, strict=True))

    def lengths(self) -> NDArray[np.int64]:
        """Return what batches are made by: the examples' `widths` as two tasks, `[N, 3]`.

        They are the same for every objective, so that objectives that are compared share their batches.
        """
        return (self.tasks or self).widths()

    def widths(self) -> NDArray[np.int64]:
        """What decides how wide a batch is: an example's longest source, and its target in each view `[N, 1 + views]`.

        The sources of all views are one encoder batch, so they share a width.
        """
        shape = (len(self.views), len(self))
        sources, targets = self.sources.lengths.reshape(shape), self.targets.lengths.reshape(shape)
        return np.concatenate([sources.max(0, keepdims=True), targets]).T


@dataclass(frozen=True)
class Rows:
    """Some examples of a training set, by their numbers `[B]`."""

    training_set: TrainingSet
    indices: NDArray[np.int64]
