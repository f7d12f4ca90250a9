"""Training sets: token ids in flat arrays."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.data import View, has_target, share, source, variants
from limbeck.errors import DataError
from limbeck.models.student import Student
from limbeck.models.tokenization import ExampleIds, Ids, ViewIds, progress
from limbeck.schema import Example

_BLOCK = 10_000  # examples whose ids are Python integers at a time
_TASKS = (View.PREDICT, View.EXPLAIN)
_COLUMNS = {  # that rows need beside rationales
    View.WRONG_RATIONALE: "wrong_rationales",
    View.CHOICES: "votes",
    View.REVERSE_QUESTION: "reverse",
    View.REVERSE_RATIONALE: "reverse",
}


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


@dataclass
class TrainingSet(Dataset[ExampleIds]):
    """N examples; the tables have a row for each rationale that a view shows, view after view.

    The rows of example i in the view `views[v]` are `first[v * N + i]` up to the next. Their targets have their shares
    in the example, or with a `draw_seed` one rationale is drawn an epoch.
    """

    views: tuple[View, ...]
    sources: TokenTable
    targets: TokenTable  # empty where the example has none
    first: NDArray[np.int64]
    shares: NDArray[np.float64]
    notes: dict[str, int]  # counts of what was cut or left out
    lengths: NDArray[np.int64]  # of each example's longest source and its targets, `[N, K]`
    draw_seed: int | None = None
    epoch: int = 0  # the trainer's: accelerate would not set it in a resumed epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, example: int) -> dict[View, list[ViewIds]]:
        draw = None
        if self.draw_seed is not None:
            draw = int(np.random.default_rng((self.draw_seed, self.epoch, example)).integers(2**31))
        ids = {}
        for number, view in enumerate(self.views):
            position = number * len(self) + example
            rows = range(self.first[position], self.first[position + 1])
            shares = self.shares[rows.start : rows.stop].tolist()
            if draw is not None and view is not View.CHOICES:  # all views draw the same rationale
                rows, shares = rows[draw % len(rows) :][:1], [1.0]
            rows_and_shares = zip(rows, shares, strict=True)
            ids[view] = [ViewIds(self.sources[row], self.targets[row], share) for row, share in rows_and_shares]
        return ids

    @property
    def target_lengths(self) -> Mapping[View, Tensor]:
        """The examples' weighted, or expected, numbers of target tokens in each view, `[N]`."""
        means = np.add.reduceat(self.targets.lengths * self.shares, self.first[:-1])
        return dict(zip(self.views, torch.from_numpy(means).view(len(self.views), len(self)), strict=True))


def tokenize(
    examples: Sequence[Example], views: Sequence[View], student: Student, *, draw_seed: int | None = None
) -> TrainingSet:
    """Tokenize training examples; raise DataError where none has what a view needs.

    Lengths are of label and rationale, whatever the views, so that compared objectives share batches.
    """
    for view in views:
        if not any(has_target(example, view) for example in examples):
            column = _COLUMNS.get(view, "rationale")
            raise DataError(f"no training example has what the objective needs: rows with a column {column!r}")
    training_set = token_ids(examples, views, student, draw_seed=draw_seed)
    if training_set.views == _TASKS:
        return training_set
    usable = [example for example in examples if any(has_target(example, view) for view in views)]
    return replace(training_set, lengths=token_ids(usable, _TASKS, student, draw_seed=draw_seed).lengths)


def token_ids(
    examples: Sequence[Example], views: Sequence[View], student: Student, *, draw_seed: int | None = None
) -> TrainingSet:
    """Tokenize the examples with a target in any view; the notes count the rest, and what was cut."""
    usable = [example for example in examples if any(has_target(example, view) for view in views)]
    notes = {"without_target": len(examples) - len(usable), "sources_cut": 0, "targets_cut": 0}
    if extra := [view for view in views if view in _COLUMNS]:
        notes["rows_without_extras"] = sum(not all(has_target(e, view) for view in extra) for e in usable)
    blocks = [(view, usable[start : start + _BLOCK]) for view in views for start in range(0, len(usable), _BLOCK)]

    counts, shares = array("q", [0]), array("d")

    def table(name: str, encode: Callable[[Sequence[Example], View], tuple[list[Ids], list[int]]]) -> TokenTable:
        ids, offsets = array("i"), array("q", [0])
        for view, block in progress(blocks, f"tokenizing {name}"):
            groups = [variants(example, view) for example in block]
            if name == "sources":
                counts.extend(map(len, groups))
                shares.extend(share(example, view, len(group)) for group in groups for example in group)
            rows, cut = encode(list(chain.from_iterable(groups)), view)
            notes[f"{name}_cut"] += len(cut)
            for row in rows:
                ids.extend(row)
                offsets.append(len(ids))
        return TokenTable(np.array(ids, np.int32), np.array(offsets, np.int64))

    sources = table("sources", lambda block, view: student.source_ids([source(e, view) for e in block]))
    targets = table("targets", student.fitted_target_ids)
    first, shape = np.cumsum(counts), (len(views), len(usable))
    longest = np.maximum.reduceat(sources.lengths, first[:-1]).reshape(shape).max(0, keepdims=True)
    gather = np.add if draw_seed is None else np.maximum
    lengths = np.concatenate([longest, gather.reduceat(targets.lengths, first[:-1]).reshape(shape)]).T
    return TrainingSet(tuple(views), sources, targets, first, np.array(shares), notes, lengths, draw_seed)
