"""A training set: the token ids of its examples in every view, in flat arrays, and padded batches of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.data import View
from limbeck.objectives import IGNORE

MULTIPLE = 8  # matrix units like lengths to be multiples of it


@dataclass(frozen=True)
class TokenTable:
    """The token ids of many texts; the arrays may be mapped from files.

    Row i is `ids[offsets[i] : offsets[i + 1]]`; `ids` is int32 `[tokens]`, `offsets` int64 `[rows + 1]`.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Self:
        """Make the table of `rows`."""
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return cls(np.fromiter(chain.from_iterable(rows), np.int32, offsets[-1]), offsets)

    @classmethod
    def join(cls, tables: Iterable["TokenTable"]) -> Self:
        """Join the rows of all tables, one table after the other."""
        tables = list(tables)
        lengths = np.concatenate([np.zeros(1, np.int64), *(table.lengths for table in tables)])
        return cls(np.concatenate([table.ids for table in tables]), np.cumsum(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> list[int]:
        return self.ids[self.offsets[row] : self.offsets[row + 1]].tolist()

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The rows' lengths, `[rows]`."""
        return np.diff(self.offsets)

    def padded(
        self, rows: NDArray[np.int64], value: int, multiple: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the rows of these numbers, right-padded with `value` to their longest, rounded up to a `multiple`.

        Returns:
            The ids, int64 `[B, longest]`, and where they are no padding, bool of the same shape.
        """
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        width = max(-(-int(lengths.max()) // multiple) * multiple, 1)
        real = np.arange(width) < lengths[:, None]
        ids = self._windows(starts, width).astype(np.int64)
        np.copyto(ids, value, where=~real)
        return ids, real

    def _windows(self, starts: NDArray[np.int64], width: int) -> NDArray[np.int32]:
        """Return `width` ids from each start on, whatever rows they are of: `[B, width]`."""
        last = len(self.ids) - width
        if starts.max() > last:  # past the end any ids will do
            return self.ids.take(starts[:, None] + np.arange(width), mode="clip")
        # a view of every window there is, so that rows are copied in one piece instead of id by id
        return np.ndarray((last + 1, width), np.int32, self.ids, strides=self.ids.strides * 2)[starts]


@dataclass(frozen=True)
class TrainingSet(Dataset["Rows"]):
    """N tokenized examples, and counts of what was cut or left out.

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
        """Return what torch's loader asks for: a batch at once."""
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
        """Return an example's longest source, and its target in each view: `[N, 1 + views]`.

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


@dataclass(frozen=True)
class Collator:
    """Pads rows into a batch of int64 tensors.

    `labels` holds for each view the target ids `[B, T]`, IGNORE on padding. `rows` holds for each view the numbers of
    the examples that have a target in it, `[b]`: no other is read there (a view without any reads the first). Their
    sources are one encoder batch, view after view: `input_ids` and `attention_mask` `[sum of b, S]`. Lengths are
    rounded up to `multiple`.
    """

    pad_id: int
    multiple: int = MULTIPLE

    def __call__(self, rows: Rows) -> dict[str, Any]:
        data = rows.training_set
        by_view = [view * len(data) + rows.indices for view in range(len(data.views))]
        labels = [data.targets.padded(indices, IGNORE, self.multiple)[0] for indices in by_view]
        target_rows = [np.flatnonzero(ids[:, 0] != IGNORE) for ids in labels]
        target_rows = [
            rows if len(rows) else np.zeros(1, np.int64) for rows in target_rows
        ]  # some models refuse a batch of none
        sources = np.concatenate([indices[rows] for indices, rows in zip(by_view, target_rows, strict=True)])
        input_ids, real = data.sources.padded(sources, self.pad_id, self.multiple)
        return {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(real.astype(np.int64)),
            "labels": dict(zip(data.views, map(torch.from_numpy, labels), strict=True)),
            "rows": dict(zip(data.views, map(torch.from_numpy, target_rows), strict=True)),
        }
