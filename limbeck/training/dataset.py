"""Training sets: token ids in flat arrays."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.data import View, source, target
from limbeck.errors import DataError
from limbeck.models.student import Student
from limbeck.models.tokenization import Ids, ViewIds, progress
from limbeck.schema import Example

_BLOCK = 10_000  # examples whose ids are Python integers at a time
_TASKS = (View.PREDICT, View.EXPLAIN)


@dataclass(frozen=True)
class TokenTable:
    """The token ids of many texts: row i is `ids[offsets[i] : offsets[i + 1]]`."""

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)


@dataclass(frozen=True)
class TrainingSet(Dataset[dict[View, ViewIds]]):
    """N examples; row `v * N + i` of a table is example i in the view `views[v]`."""

    views: tuple[View, ...]
    sources: TokenTable
    targets: TokenTable  # empty where the example has none
    notes: dict[str, int]  # counts of what was cut or left out
    lengths: NDArray[np.int64]  # of each example's longest source and its targets, `[N, K]`

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, example: int) -> dict[View, ViewIds]:
        rows = {view: number * len(self) + example for number, view in enumerate(self.views)}
        return {view: ViewIds(self.sources[row], self.targets[row]) for view, row in rows.items()}

    @property
    def target_lengths(self) -> Mapping[View, Tensor]:
        """The examples' target lengths in each view, `[N]`."""
        lengths = torch.from_numpy(self.targets.lengths).view(len(self.views), len(self))
        return dict(zip(self.views, lengths, strict=True))


def tokenize(examples: Sequence[Example], views: Sequence[View], student: Student) -> TrainingSet:
    """Tokenize training examples; raise DataError where none has what a view needs.

    Lengths are of label and rationale, whatever the views, so that compared objectives share batches.
    """
    for view in views:
        if not any(target(example, view) for example in examples):
            raise DataError(f"no training example has a rationale, which the {view.value} view needs")
    training_set = token_ids(examples, views, student)
    if training_set.views == _TASKS:
        return training_set
    usable = [example for example in examples if any(target(example, view) for view in views)]
    return replace(training_set, lengths=token_ids(usable, _TASKS, student).lengths)


def token_ids(examples: Sequence[Example], views: Sequence[View], student: Student) -> TrainingSet:
    """Tokenize the examples with a target in any view; the notes count the rest, and what was cut."""
    usable = [example for example in examples if any(target(example, view) for view in views)]
    notes = {"without_target": len(examples) - len(usable), "sources_cut": 0, "targets_cut": 0}
    blocks = [(view, usable[start : start + _BLOCK]) for view in views for start in range(0, len(usable), _BLOCK)]

    def table(name: str, encode: Callable[[Sequence[Example], View], tuple[list[Ids], list[int]]]) -> TokenTable:
        ids, offsets = array("i"), array("q", [0])
        for view, block in progress(blocks, f"tokenizing {name}"):
            rows, cut = encode(block, view)
            notes[f"{name}_cut"] += len(cut)
            for row in rows:
                ids.extend(row)
                offsets.append(len(ids))
        return TokenTable(np.array(ids, np.int32), np.array(offsets, np.int64))

    sources = table("sources", lambda block, view: student.source_ids([source(e, view) for e in block]))
    targets = table("targets", student.fitted_target_ids)
    shape = (len(views), len(usable))
    longest = sources.lengths.reshape(shape).max(0, keepdims=True)
    lengths = np.concatenate([longest, targets.lengths.reshape(shape)]).T
    return TrainingSet(tuple(views), sources, targets, notes, lengths)
