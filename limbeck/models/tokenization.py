"""Texts to token ids: framing, texts that are too long for a student, and batches of ids.

A source that is too long loses the middle of its longest segment, and its last sentence last; only where the other
segments alone are too long are all cut to one length, and only after them the row's own choices. A target loses the
beginning of its rationale, never the label or the words around it. Texts are cut, not ids, and between words: the
remainder is tokenized as any other text.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from limbeck.data import Source, View, target
from limbeck.errors import DataError, ModelError
from limbeck.schema import Example

Ids = list[int]
Text = TypeVar("Text", Source, str)
_GAP = " ... "


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """Right-pad `rows` with `value` to their longest, to one at least: `[B, longest]`, int64."""
    width = max((1, *(len(row) for row in rows)))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def padding_mask(rows: Sequence[Sequence[int]]) -> Tensor:
    """Return 1 on tokens and 0 on the padding that `pad` would add: `[B, longest]`, int64."""
    return pad([[1] * len(row) for row in rows], 0)


def by_length(ids: Sequence[Sequence[int]], batch_size: int, title: str | None) -> Iterator[list[int]]:
    """Yield indices of `ids`, those of like length together, the longest first; with a progress bar named `title`."""
    console = Console(stderr=True)
    hidden = title is None or not console.is_terminal
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    yield from track(batches, title or "", console=console, disable=hidden, transient=True)


def end_ids(config: Any) -> tuple[int, ...]:
    """Return the ids that end a model's answer; `eos_token_id` may be a number or a list of them."""
    ends = config.eos_token_id
    return tuple(ends) if isinstance(ends, list | tuple) else (ends,)


def end_of(ids: Sequence[int], config: Any) -> int | None:
    """Return the index of the first end token among `ids`; None where there is none."""
    ends = end_ids(config)
    return next((index for index, id in enumerate(ids) if id in ends), None)


class Codec:
    """Token ids of sources and of targets, of any length.

    A target ends with the model's own end token, once, whatever the tokenizer adds; a source is framed as the tokenizer
    frames any text, which is how an encoder was trained. Text that spells a special token is ordinary text: the
    special tokens among the ids are those of the frame, and the separators between segments.

    Raises:
        ModelError: the model has no end token that it could write.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, config: Any, vocabulary: int) -> None:
        self.tokenizer = tokenizer
        ends = end_ids(config)
        if not ends or not all(0 <= end < vocabulary for end in ends):
            raise ModelError(
                f"the model's configuration has eos_token_id {config.eos_token_id!r:.40}, which is none of its "
                f"{vocabulary} tokens, so that no answer would end: set it in its config.json"
            )
        candidates = [tokenizer.eos_token_id, tokenizer.sep_token_id]
        self.end = next((id for id in candidates if id in ends), ends[0])
        self._separator_id: int = next((id for id in candidates if id is not None), self.end)
        self._separator = str(tokenizer.convert_ids_to_tokens(self._separator_id))
        special = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
        # ordinary text may give the token for unknown text; some tokenizers use that for the end too
        self._reserved = (special | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id} | set(ends)
        unknown = tokenizer.unk_token_id
        self._unknown = None if unknown in (*ends, self._separator_id) else tokenizer.unk_token
        self._before, self._after = self._frame()
        # a first token that is the decoder's start token (BERT's [CLS]) is left out: the decoder is fed it anyway
        starts = self._before[:1] == [config.decoder_start_token_id]
        self._begin = self._before[1:] if starts else self._before

    def sources(self, sources: Sequence[Source]) -> list[Ids]:
        """Return the ids of sources, a separator between their segments."""
        texts = [source.text(self._separator) for source in sources]
        rows = self._ids(texts)
        for number, (row, text, source) in enumerate(zip(rows, texts, sources, strict=True)):
            if not self._is_plain(row, text, len(source.segments) - 1):
                first, *segments = map(self._plain, source.parts)
                rows[number] = first + [id for ids in segments for id in (self._separator_id, *ids)]
        return [[*self._before, *row, *self._after] for row in rows]

    def targets(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of targets."""
        rows = zip(self._ids(texts), texts, strict=True)
        plain = (row if self._is_plain(row, text) else self._plain(text) for row, text in rows)
        return [[*self._begin, *row, self.end] for row in plain]

    def cut(self, row: Ids, limit: int) -> Ids:
        """Return a source's first `limit` ids, its frame's last among them."""
        return [*row[: limit - len(self._after)], *self._after][:limit]

    def _ids(self, texts: Sequence[str], **options: Any) -> list[Ids]:
        if not texts:
            return []
        options |= {"return_attention_mask": False, "return_token_type_ids": False}  # to make them takes as long again
        encoding = self.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False, **options)
        ids: list[Ids] = encoding["input_ids"]
        return ids

    def _plain(self, text: str) -> Ids:
        """Return the ids of a text, none of them special.

        Tokenizers have an option for that, but some have their special tokens in their vocabulary of pieces (T5) or of
        words as well: these are spelled, a character at a time.
        """
        (row,) = self._ids([text], split_special_tokens=True)
        return [id for piece in row for id in ([piece] if piece not in self._reserved else self._spelled(piece))]

    def _spelled(self, special: int) -> Ids:
        characters = self._ids(list(str(self.tokenizer.convert_ids_to_tokens(special))), split_special_tokens=True)
        return [id for row in characters for id in row if id not in self._reserved]

    def _is_plain(self, row: Ids, text: str, separators: int = 0) -> bool:
        """Return True if the only special tokens in a text's ids are so many separators."""
        if self._unknown is not None and self._unknown in text:
            return False
        # the usual case first: of half a million rows each counts
        return sum(id in self._reserved for id in row) == separators if separators else self._reserved.isdisjoint(row)

    def _frame(self) -> tuple[Ids, Ids]:
        """Return the ids that the tokenizer's own template puts before and after a text."""
        (bare,) = self._ids(["a"])
        framed: Ids = self.tokenizer("a")["input_ids"]
        begin = next(i for i in range(len(framed) + 1) if framed[i : i + len(bare)] == bare)
        return framed[:begin], framed[begin + len(bare) :]


@dataclass(frozen=True)
class _Cut(Generic[Text]):
    """A text that is too long: `render(n)` is the text with n characters left of what is cut.

    Its ids fit for n = `shortest`, or never; for n = `longest` there are too many, `count`.
    """

    render: Callable[[int], Text]
    shortest: int
    longest: int
    count: int


def fitted_sources(sources: Sequence[Source], codec: Codec, limit: int) -> tuple[list[Ids], list[int]]:
    """Return the ids of sources, `limit` at most each, and the numbers of those that were cut for it."""
    ids = codec.sources(sources)
    cut = [i for i, row in enumerate(ids) if len(row) > limit]
    for cutter in (_longest_segment_cut, _all_segments_cut):
        long = [i for i in cut if len(ids[i]) > limit]
        for i, row in zip(
            long, _fit([cutter(sources[i], len(ids[i])) for i in long], codec.sources, limit), strict=True
        ):
            ids[i] = row
    return [codec.cut(row, limit) if len(row) > limit else row for row in ids], cut


def fitted_targets(examples: Sequence[Example], view: View, codec: Codec, limit: int) -> tuple[list[Ids], list[int]]:
    """Return the ids of the examples' targets in a view, and the numbers of those that were cut to `limit` ids.

    There are no ids for an example without a target, nor for a rationale of which no word fits.

    Raises:
        DataError: a label does not fit, its end token included.
    """
    texts = [target(example, view) for example in examples]
    unique = {text: number for number, text in enumerate(dict.fromkeys(text for text in texts if text))}
    rows = codec.targets(list(unique))  # equal texts, as labels are, are tokenized once
    ids = [rows[unique[text]] if text else [] for text in texts]
    long = [i for i, row in enumerate(ids) if len(row) > limit]
    fitted = _fit([_rationale_cut(examples[i], view, len(ids[i])) for i in long], codec.targets, limit)
    if view is not View.EXPLAIN:
        _check_labels([examples[i] for i in long], fitted, limit)
    (empty,) = codec.targets([""])
    for i, row in zip(long, fitted, strict=True):
        ids[i] = row if row != empty and len(row) <= limit else []
    return ids, long


def _check_labels(examples: Sequence[Example], rows: Sequence[Ids], limit: int) -> None:
    """Raise DataError if a target without its rationale is longer than `limit`."""
    long = [(len(row), example) for row, example in zip(rows, examples, strict=True) if len(row) > limit]
    if long:
        length, example = max(long, key=lambda pair: pair[0])
        raise DataError(
            f"example {example.id!r:.60}: the label {example.label!r:.40}, with its end and the words before it, has "
            f"{length} tokens, and the student writes {limit} at most: set student.max_target_length to {length} or "
            "more (if the model has fewer positions, take another)"
        )


def _longest_segment_cut(source: Source, count: int) -> _Cut[Source]:
    longest = max(range(len(source.segments)), key=lambda number: len(source.segments[number]))

    def render(length: int) -> Source:
        segments = list(source.segments)
        segments[longest] = _ends(segments[longest], length)
        return replace(source, segments=tuple(segments))

    return _Cut(render, 0, len(source.segments[longest]), count)


def _all_segments_cut(source: Source, count: int) -> _Cut[Source]:
    def render(length: int) -> Source:
        segments = tuple(_ends(segment, max(length, 0)) for segment in source.segments)
        # a negative number takes as many characters from the choices, of which none were taken before
        choices = source.choices if length >= 0 else _ends(source.choices, len(source.choices) + length)
        return replace(source, segments=segments, choices=choices)

    return _Cut(render, -len(source.choices), max(map(len, source.segments)), count)


def _rationale_cut(example: Example, view: View, count: int) -> _Cut[str]:
    rationale = example.rationale or ""

    def render(length: int) -> str:
        return str(target(replace(example, rationale=_end(rationale, length)), view)).strip()

    return _Cut(render, 0, len(rationale), count)


def _end(text: str, length: int) -> str:
    """Return the last `length` characters of a text, without the part of a word that they may begin with."""
    begin = len(text) - length
    if begin <= 0:
        return text
    tail = text[begin:]
    if not text[begin - 1].isspace():
        words = tail.split(maxsplit=1)
        tail = words[-1] if len(words) == 2 else tail  # else a single word, or a script without blanks
    return tail.lstrip()


def _ends(text: str, length: int) -> str:
    """Return a text without its middle: `length` characters at most, and a mark where they were parted.

    Its last sentence stays whole if it fits, since it may be the question.
    """
    if len(text) <= length:
        return text
    if length <= 0:
        return ""
    bare = text.rstrip()
    last = len(text) - max(bare.rfind(mark) + len(mark) for mark in ("\n", ". ", "! ", "? "))
    tail = _end(text, max(length - length // 2, last if last <= length else 0))
    head = text[: length - len(tail)]
    head = head.rpartition(" ")[0].rstrip() or head
    return f"{head}{_GAP}{tail}" if head else tail


def _fit(cuts: Sequence[_Cut[Text]], encode: Callable[[Sequence[Text]], list[Ids]], limit: int) -> list[Ids]:
    """Return, for each text, the ids of its longest rendering that has `limit` ids at most, else of its shortest.

    Every second guess is in proportion to the ids, the others halve the range, so that few guesses are needed and all
    texts come to an end.
    """
    low, high = [cut.shortest for cut in cuts], [cut.longest for cut in cuts]
    best, above = encode([cut.render(cut.shortest) for cut in cuts]), [cut.count for cut in cuts]
    proportional = True
    while active := [i for i, row in enumerate(best) if len(row) < limit and high[i] - low[i] > 1]:
        lengths = []
        for i in active:
            share = (limit - len(best[i])) / (above[i] - len(best[i])) if proportional else 0.5
            lengths.append(min(max(low[i] + int(share * (high[i] - low[i])), low[i] + 1), high[i] - 1))
        rows = encode([cuts[i].render(length) for i, length in zip(active, lengths, strict=True)])
        for i, length, row in zip(active, lengths, rows, strict=True):
            if len(row) <= limit:
                low[i], best[i] = length, row
            else:
                high[i], above[i] = length, len(row)
        proportional = not proportional
    return best
