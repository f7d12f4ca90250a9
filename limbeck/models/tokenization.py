"""Texts to token ids: framing, cutting to a student's limits, and batches of ids.

A long source loses the middle of its longest segments, all cut to one length; a long target the beginning of its
rationale, never the label or the words around it. Texts are cut between words, then tokenized.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from limbeck.data.views import ANSWERS, Source, View, target
from limbeck.distributed import is_main_process
from limbeck.errors import DataError, ModelError
from limbeck.files import sha256
from limbeck.formatting import one_line
from limbeck.schema import Example

IGNORE = -100  # transformers' label of padding
MULTIPLE = 8  # of padded lengths, for matrix units
Ids = list[int]
Row = Sequence[int] | NDArray[np.int32]
Item = TypeVar("Item")
_TOKENIZING = Lock()  # a call sets options of the tokenizer, which the calls of other threads would take for theirs
_GAP = " ... "
_LABELLED = (*ANSWERS, View.CHOICES, View.GIVEN_RATIONALE)  # the views whose targets have the label


def pad(rows: Sequence[Row], value: int, multiple: int = 1, *, left: bool = False) -> Tensor:
    """Pad `rows` with `value` to their longest, at least 1, rounded up to a `multiple`: `[B, T]`, int64."""
    width = max(-(-max(map(len, rows)) // multiple) * multiple, 1)
    ids = np.full((len(rows), width), value, np.int64)
    for padded, row in zip(ids, rows, strict=True):
        begin = width - len(row) if left else 0
        padded[begin : begin + len(row)] = row
    return torch.from_numpy(ids)


def numbered(sizes: Sequence[int]) -> Tensor:
    """Number the tokens of all examples in a row, by example: `[B, T]`, -1 after its last, int64."""
    return pad([range(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)], -1)


def padded_inputs(rows: Sequence[Row], pad_id: int, multiple: int = 1, *, left: bool = False) -> dict[str, Tensor]:
    """Return `input_ids` from `pad` and their `attention_mask`, 0 on padding: `[B, T]` each, int64."""
    ids, lengths = pad(rows, pad_id, multiple, left=left), torch.tensor([[len(row)] for row in rows])
    mask = (torch.arange(ids.shape[1]) < lengths).long()
    return {"input_ids": ids, "attention_mask": mask.flip(1) if left else mask}


def progress(items: Sequence[Item], title: str | None) -> Iterable[Item]:
    """Iterate over `items`, with the main process's bar if there is a `title` and standard error is a terminal."""
    console = Console(stderr=True)
    shown = title and console.is_terminal and is_main_process()
    return track(items, escape(one_line(title or "")), console=console, disable=not shown, transient=True)


def end_ids(config: Any) -> tuple[int, ...]:
    """Return the ids that end a model's answer; `eos_token_id` may be a number or a list, or missing."""
    ends = getattr(config, "eos_token_id", None)  # a multimodal model's may lack it
    return tuple(ends) if isinstance(ends, list | tuple) else (ends,)  # type: ignore[return-value]


def end_of(ids: Sequence[int], ends: Sequence[int]) -> int | None:
    """Return the index of the first of the `ends` in `ids`, if any."""
    return next((index for index, id in enumerate(ids) if id in ends), None)


class ViewIds(NamedTuple):
    """A source's token ids and its target's, empty where there is none, whose tokens count with a weight."""

    source: Row
    target: Row
    weight: float = 1.0


# an example's ids by view, which may show it several times, once with each rationale
ExampleIds = Mapping[View, Sequence[ViewIds]]


def with_padding(examples: Sequence[ExampleIds]) -> list[ExampleIds]:
    """Return the examples with IGNORE after non-empty targets, up to the longest of a view."""
    widths = {view: max(len(ids.target) for row in examples for ids in row[view]) for view in examples[0]}

    def padded(ids: ViewIds, width: int) -> ViewIds:
        padding = [IGNORE] * (width - len(ids.target)) if len(ids.target) else []
        return ids._replace(target=[*ids.target, *padding])

    return [{view: [padded(ids, widths[view]) for ids in rows] for view, rows in row.items()} for row in examples]


def token_columns(examples: Sequence[ExampleIds]) -> dict[str, Any]:
    """Return, by view, the columns `sizes`, `index`, `weights` and `rows` of `Student.collator`."""
    sizes, weights, rows = {}, {}, {}
    for view in examples[0]:
        groups = [example[view] for example in examples]
        lengths = [len(ids.target) for group in groups for ids in group]
        shares = np.array([ids.weight for group in groups for ids in group], np.float32)
        numbers = np.array([number for group in groups for number in range(len(group))], np.int64)
        sizes[view] = [sum(len(ids.target) for ids in group) for group in groups]
        weights[view], rows[view] = (torch.from_numpy(column.repeat(lengths)) for column in (shares, numbers))
    index = {view: numbered(row) for view, row in sizes.items()}
    return {"sizes": sizes, "index": index, "weights": weights, "rows": rows}


class Codec(ABC):
    """Token ids of sources and targets; raises ModelError where no end token is in the model's vocabulary.

    A target ends with one end token, whatever the tokenizer adds. Text that spells a special token is ordinary text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, ends: Sequence[int], vocabulary: int) -> None:
        """Take the ids that end an answer, the first of which ends targets, and the size of the vocabulary."""
        self.tokenizer, self.ends, self._vocabulary = tokenizer, tuple(ends), vocabulary
        if not ends or not all(0 <= end < vocabulary for end in ends):
            raise ModelError(
                f"eos_token_id {list(ends)!r:.40} in the model's config.json is none of its {vocabulary} tokens"
            )
        self.end = ends[0]
        special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
        # ordinary text may give the unknown token, which in some tokenizers is the end too
        unknown = tokenizer.unk_token_id
        self._reserved = frozenset((special | set(tokenizer.all_special_ids)) - {unknown} | set(ends))
        self._unknown = None if unknown in ends else tokenizer.unk_token
        (bare,) = self._ids(["a"])
        framed: Ids = tokenizer("a")["input_ids"]
        begin = next(i for i in range(len(framed) + 1) if framed[i : i + len(bare)] == bare)
        self._before, self._after = framed[:begin], framed[begin + len(bare) :]

    def key(self) -> dict[str, str]:
        """Return all that ids depend on beside texts and limits."""
        settings = {name: value for name, value in vars(self).items() if name != "tokenizer"}
        key = {name: repr(sorted(x) if isinstance(x, frozenset) else x) for name, x in settings.items()}
        with TemporaryDirectory() as folder:
            self.tokenizer.save_pretrained(folder)
            return key | {path.name: sha256(path) for path in Path(folder).iterdir() if path.is_file()}

    @abstractmethod
    def sources(self, sources: Sequence[Source]) -> list[Ids]:
        """Return the ids of sources of any length."""

    def targets(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of targets of any length."""
        unique = list(dict.fromkeys(texts))  # labels are equal texts
        rows = dict(zip(unique, self._targets(unique), strict=True))
        return [[*rows[text], self.end] for text in texts]

    @abstractmethod
    def _targets(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of targets without the end token."""

    @abstractmethod
    def _clipped(self, row: Ids, limit: int) -> Ids:
        """Return `limit` ids of a source that is too long even with empty segments."""

    def fitted_sources(self, sources: Sequence[Source], limit: int) -> tuple[list[Ids], list[int]]:
        """Return the ids of sources, at most `limit` each, and the numbers of those cut."""
        rows = self.sources(sources)
        cut = [number for number, row in enumerate(rows) if len(row) > limit]
        for number in cut:
            rows[number] = self._cut_source(sources[number], limit)
        return rows, cut

    def _cut_source(self, source: Source, limit: int) -> Ids:
        def shortened(length: int) -> Ids:
            *segments, rationale = (_without_middle(text, length) for text in (*source.segments, source.rationale))
            return self.sources([replace(source, segments=tuple(segments), rationale=rationale)])[0]

        row = _longest_fit(shortened, max(map(len, (*source.segments, source.rationale))), limit)
        return row if len(row) <= limit else self._clipped(row, limit)

    def fitted_targets(self, examples: Sequence[Example], view: View, limit: int) -> tuple[list[Ids], list[int]]:
        """Return the ids of the examples' targets in a view, and the numbers of those cut to `limit` ids.

        There are none without a target, or if no word of a rationale fits. Raises DataError for a label that does not.
        """
        texts = [target(example, view) for example in examples]
        ids = self.targets([text or "" for text in texts])
        rows = [row if text else [] for row, text in zip(ids, texts, strict=True)]
        cut = [number for number, row in enumerate(rows) if len(row) > limit]
        for number in cut:
            rows[number] = self._cut_target(examples[number], view, limit)
        return rows, cut

    def _cut_target(self, example: Example, view: View, limit: int) -> Ids:
        rationale = (example.rationale if view in _LABELLED else target(example, view)) or ""

        def shortened(length: int) -> Ids:
            words = _tail(rationale, length)
            text = target(replace(example, rationale=words, reverse=(words, words)), view)
            return self.targets([str(text).strip()])[0]

        row = _longest_fit(shortened, len(rationale), limit)
        if view not in _LABELLED:
            return row if len(row) <= limit and row != shortened(0) else []
        if len(row) > limit:
            raise DataError(
                f"example {example.id!r:.60}: the label {example.label!r:.40} takes {len(row)} tokens: raise "
                f"student.max_target_length, now {limit}"
            )
        return row

    def _spells_special(self, row: Ids, text: str, expected: int) -> bool:
        """Return True if the ids of `text` have special tokens beyond the `expected` number."""
        spells_unknown = self._unknown is not None and self._unknown in text
        return spells_unknown or sum(map(self._reserved.__contains__, row)) != expected

    def _plain(self, text: str) -> Ids:
        """Return the ids of a text, none of them special."""
        ids: Ids = []
        # special tokens that are also pieces (T5) or words escape the option: they are spelled by characters
        for id in self._ids([text], split_special_tokens=True)[0]:
            rows = [[id]]
            if id in self._reserved:
                rows = self._ids(list(str(self.tokenizer.convert_ids_to_tokens(id))), split_special_tokens=True)
            ids += [id for row in rows for id in row if id not in self._reserved]
        return ids

    def _ids(self, texts: Sequence[str], **options: Any) -> list[Ids]:
        if not texts:  # tokenizers refuse none
            return []
        options |= {"return_attention_mask": False, "return_token_type_ids": False}  # they would take as long again
        with _TOKENIZING:
            encoding = self.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False, **options)
        rows: list[Ids] = encoding["input_ids"]
        if (largest := max((max(row) for row in rows if row), default=0)) >= self._vocabulary:
            raise ModelError(f"the tokenizer writes token {largest}, and the model has {self._vocabulary}: not its own")
        return rows


def _longest_fit(ids: Callable[[int], Ids], longest: int, limit: int) -> Ids:
    """Return `ids(n)` for the largest n below `longest` that gives at most `limit` of them, else for 0."""
    first_misfit = bisect_left(range(longest), True, key=lambda length: len(ids(length)) > limit)
    return ids(max(first_misfit - 1, 0))


def _tail(text: str, length: int) -> str:
    """Return the last `length` characters of a text, without part of a word in front."""
    begin = len(text) - length
    if begin <= 0:
        return text
    words = text[begin:].split(maxsplit=1)
    # else a full word, a single one, or a script without blanks
    within = not text[begin - 1].isspace() and len(words) == 2
    return words[1] if within else text[begin:].lstrip()


def _without_middle(text: str, length: int) -> str:
    """Return a text's beginning and end, at most `length` characters, with a mark between them."""
    if len(text) <= length:
        return text
    tail = _tail(text, length - length // 2) if length > 0 else ""
    head = text[: length - len(tail)]
    head = head.rpartition(" ")[0].rstrip() or head
    return f"{head}{_GAP}{tail}" if head else tail
