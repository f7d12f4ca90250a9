"""The token ids of many texts in two flat arrays, which may be mapped from files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TokenTable:
    """Row i is `ids[offsets[i] : offsets[i + 1]]`; `ids` is int32 `[tokens]`, `offsets` int64 `[rows + 1]`."""

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Self:
        """The table of `rows`."""
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return cls(np.fromiter(chain.from_iterable(rows), np.int32, offsets[-1]), offsets)

    @classmethod
    def join(cls, tables: Iterable["TokenTable"]) -> Self:
        """The rows of all tables, one table after the other."""
        tables = list(tables)
        lengths = np.concatenate([table.lengths for table in tables])
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return cls(np.concatenate([table.ids for table in tables]), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> list[int]:
        return self.ids[self.offsets[row] : self.offsets[row + 1]].tolist()

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    def padded(
        self, rows: NDArray[np.int64], value: int, multiple: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The rows of these numbers, right-padded with `value` to their longest, rounded up to a `multiple`.

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
        """From each start on `width` ids, whatever rows they are of: `[B, width]`."""
        last = len(self.ids) - width
        if starts.max() > last:  # past the end any ids will do
            return self.ids.take(starts[:, None] + np.arange(width), mode="clip")
        # a view of every window there is, so that rows are copied whole instead of id by id
        return np.ndarray((last + 1, width), np.int32, self.ids, strides=self.ids.strides * 2)[starts]
