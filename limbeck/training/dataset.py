"""Training sets: token ids in flat arrays, those of many examples in files that are made once a machine."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.cache import cached
from limbeck.data import View, has_target, share, source, variants
from limbeck.data.examples import ExampleTable, digest, take
from limbeck.errors import DataError
from limbeck.files import read_json, write_json
from limbeck.models.student import Student
from limbeck.models.tokenization import ExampleIds, Ids, ViewIds, progress
from limbeck.schema import Example

_BLOCK = 10_000  # examples whose ids are Python integers at a time
_TASKS = (View.PREDICT, View.EXPLAIN)
_NOTES = "notes.json"
_COLUMNS = {  # that rows need beside rationales
    View.WRONG_RATIONALE: "wrong_rationales",
    View.CHOICES: "votes",
    View.REVERSE_QUESTION: "reverse",
    View.REVERSE_RATIONALE: "reverse",
}


Blocks = Iterator[NDArray[np.int32]]
Store = Callable[[str, Blocks], NDArray[np.int32]]  # one array of all blocks, by its name


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
    lengths: NDArray[np.int32]  # of each example's longest source and its targets, `[N, K]`
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

    Lengths are of label and rationale, whatever the views, so that compared objectives share batches. The ids of an
    `ExampleTable` are mapped from files in the cache.
    """
    if not isinstance(examples, ExampleTable):
        return _tokenized(examples, views, student, draw_seed=draw_seed, store=_in_memory)
    limits = [student.max_source_length, student.max_target_length]
    key = [digest(examples), list(views), student.codec.key(), limits, draw_seed is None]

    def build(folder: Path) -> None:
        store = partial(_in_file, folder)
        _save(_tokenized(examples, views, student, draw_seed=draw_seed, store=store), folder)

    return _opened(cached("tokens", key, build), tuple(views), draw_seed)


def _tokenized(
    examples: Sequence[Example], views: Sequence[View], student: Student, *, draw_seed: int | None, store: Store
) -> TrainingSet:
    for view in views:
        if not any(has_target(example, view) for example in examples):
            column = _COLUMNS.get(view, "rationale")
            raise DataError(f"no training example has what the objective needs: rows with a column {column!r}")
    training_set = token_ids(examples, views, student, draw_seed=draw_seed, store=store)
    if training_set.views == _TASKS:
        return training_set
    usable = _usable(examples, views)
    return replace(
        training_set, lengths=token_ids(usable, _TASKS, student, draw_seed=draw_seed, store=_nowhere).lengths
    )


def _save(training_set: TrainingSet, folder: Path) -> None:
    """Write what `store` did not."""
    arrays: dict[str, NDArray[Any]] = {
        "first": training_set.first,
        "shares": training_set.shares,
        "lengths": training_set.lengths,
    }
    arrays |= {"source_offsets": training_set.sources.offsets, "target_offsets": training_set.targets.offsets}
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    write_json(folder / _NOTES, training_set.notes)


def _opened(folder: Path, views: tuple[View, ...], draw_seed: int | None) -> TrainingSet:
    arrays = {path.stem: np.load(path, mmap_mode="r").view(np.ndarray) for path in folder.glob("*.npy")}
    sources, targets = (TokenTable(arrays[f"{side}_ids"], arrays[f"{side}_offsets"]) for side in ("source", "target"))
    first, shares, lengths = (arrays[name] for name in ("first", "shares", "lengths"))
    return TrainingSet(views, sources, targets, first, shares, read_json(folder / _NOTES), lengths, draw_seed)


def _in_memory(_: str, blocks: Blocks) -> NDArray[np.int32]:
    return np.concatenate([np.empty(0, np.int32), *blocks])


def _nowhere(_: str, blocks: Blocks) -> NDArray[np.int32]:
    for _block in blocks:
        pass
    return np.empty(0, np.int32)


def _in_file(folder: Path, name: str, blocks: Blocks) -> NDArray[np.int32]:
    length = 0
    with (folder / f"{name}_ids.npy").open("wb") as file:
        for last in (False, True):  # the header has the length, for which it leaves room
            file.seek(0)
            np.lib.format.write_array_header_1_0(file, {"descr": "<i4", "fortran_order": False, "shape": (length,)})
            for block in () if last else blocks:
                file.write(block.tobytes())
                length += len(block)
    return np.load(folder / f"{name}_ids.npy", mmap_mode="r")


def _usable(examples: Sequence[Example], views: Sequence[View]) -> Sequence[Example]:
    usable = [any(has_target(example, view) for view in views) for example in examples]
    return take(examples, np.flatnonzero(usable))


def token_ids(
    examples: Sequence[Example],
    views: Sequence[View],
    student: Student,
    *,
    draw_seed: int | None = None,
    store: Store = _in_memory,
) -> TrainingSet:
    """Tokenize the examples with a target in any view; the notes count the rest, and what was cut."""
    usable = _usable(examples, views)
    notes = {"without_target": len(examples) - len(usable), "sources_cut": 0, "targets_cut": 0}
    if extra := [view for view in views if view in _COLUMNS]:
        notes["rows_without_extras"] = sum(not all(has_target(e, view) for view in extra) for e in usable)
    blocks = [(view, start) for view in views for start in range(0, len(usable), _BLOCK)]

    counts, shares = array("q", [0]), array("d")

    def table(name: str, encode: Callable[[Sequence[Example], View], tuple[list[Ids], list[int]]]) -> TokenTable:
        offsets = array("q", [0])

        def ids() -> Blocks:
            for view, start in progress(blocks, f"tokenizing {name}s"):
                groups = [variants(example, view) for example in usable[start : start + _BLOCK]]
                if name == "source":
                    counts.extend(map(len, groups))
                    shares.extend(share(example, view, len(group)) for group in groups for example in group)
                rows, cut = encode(list(chain.from_iterable(groups)), view)
                notes[f"{name}s_cut"] += len(cut)
                offsets.extend(accumulate(map(len, rows), initial=offsets.pop()))
                yield np.fromiter(chain.from_iterable(rows), np.int32)

        return TokenTable(store(name, ids()), np.asarray(offsets))

    sources = table("source", lambda block, view: student.source_ids([source(e, view) for e in block]))
    targets = table("target", student.fitted_target_ids)
    first, shape = np.cumsum(counts), (len(views), len(usable))
    longest = np.maximum.reduceat(sources.lengths, first[:-1]).reshape(shape).max(0, keepdims=True)
    gather = np.add if draw_seed is None else np.maximum
    lengths = np.concatenate([longest, gather.reduceat(targets.lengths, first[:-1]).reshape(shape)]).T
    lengths = lengths.astype(np.int32)  # of many, sampler's columns are the largest arrays
    return TrainingSet(tuple(views), sources, targets, first, np.asarray(shares), notes, lengths, draw_seed)
