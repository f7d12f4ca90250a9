"""A student's tokenizer between texts and the ids that its model is fed with and writes."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from limbeck.data import Source
from limbeck.errors import LimbeckError

Ids = list[int]


def end_ids(config: Any) -> tuple[int, ...]:
    """Return the ids that end what a model writes; `eos_token_id` may be a number or a list of them."""
    ends = config.eos_token_id
    return tuple(ends) if isinstance(ends, list | tuple) else (ends,)


def end_of(ids: Sequence[int], config: Any) -> int | None:
    """Return where the first end token stands among `ids`; None where there is none."""
    ends = end_ids(config)
    return next((place for place, id in enumerate(ids) if id in ends), None)


class Codec:
    """Token ids of sources and of targets, of any length.

    A target ends with the model's own end token, once, whatever the tokenizer adds; a source is framed as the tokenizer
    frames any text, which is how an encoder was trained. What spells a special token in a text is ordinary text: the
    special tokens among the ids are those of the frame, and the separators between segments.

    Raises:
        LimbeckError: the model has no end token that it could write.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, config: Any, vocabulary: int) -> None:
        self.tokenizer = tokenizer
        ends = end_ids(config)
        if not ends or not all(0 <= end < vocabulary for end in ends):
            raise LimbeckError(
                f"the model's configuration has eos_token_id {config.eos_token_id!r:.40}, which is none of its "
                f"{vocabulary} tokens, so that no answer would end: set it in its config.json"
            )
        own = [tokenizer.eos_token_id, tokenizer.sep_token_id]
        self.end = next((id for id in own if id in ends), ends[0])
        self._separator_id: int = next((id for id in own if id is not None), self.end)
        self._separator = str(tokenizer.convert_ids_to_tokens(self._separator_id))
        self._reserved = _special_ids(tokenizer) | set(ends)
        unknown = tokenizer.unk_token_id  # some tokenizers have one token for this and for the end
        self._unknown = None if unknown in (*ends, self._separator_id) else tokenizer.unk_token
        self._before, self._after = self._frame()
        # a first token that is the decoder's start token (BERT's [CLS]) is left out: the decoder is fed it anyway
        fed = self._before[:1] == [config.decoder_start_token_id]
        self._begin = self._before[1:] if fed else self._before

    def sources(self, sources: Sequence[Source]) -> list[Ids]:
        """Return the ids of sources, a separator between their segments."""
        texts = [source.text(self._separator) for source in sources]
        rows = self._ids(texts)
        for number, (row, text, source) in enumerate(zip(rows, texts, sources, strict=True)):
            if not self._is_plain(row, text, len(source.segments) - 1):
                first, *others = map(self._plain, source.parts)
                rows[number] = first + [id for other in others for id in (self._separator_id, *other)]
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
        unused = {"return_attention_mask": False, "return_token_type_ids": False}  # to make them takes as long again
        made = self.tokenizer(
            list(texts), add_special_tokens=False, truncation=False, verbose=False, **unused, **options
        )
        ids: list[Ids] = made["input_ids"]
        return ids

    def _plain(self, text: str) -> Ids:
        """Return the ids of a text, none of them special.

        Tokenizers have an option for that, but some have their special tokens in their vocabulary of pieces (T5) or of
        words as well: what is left of them is spelled, a character at a time.
        """
        (row,) = self._ids([text], split_special_tokens=True)
        return [id for piece in row for id in ([piece] if piece not in self._reserved else self._spelled(piece))]

    def _spelled(self, special: int) -> Ids:
        characters = self._ids(list(str(self.tokenizer.convert_ids_to_tokens(special))), split_special_tokens=True)
        return [id for row in characters for id in row if id not in self._reserved]

    def _is_plain(self, row: Ids, text: str, separators: int = 0) -> bool:
        """Return whether the only special tokens in a text's ids are so many separators."""
        if self._unknown is not None and self._unknown in text:
            return False
        # the usual case first: of half a million rows each counts
        return sum(id in self._reserved for id in row) == separators if separators else self._reserved.isdisjoint(row)

    def _frame(self) -> tuple[Ids, Ids]:
        """Return what the tokenizer's own template puts before and after a text."""
        (bare,) = self._ids(["a"])
        whole: Ids = self.tokenizer("a")["input_ids"]
        place = next(i for i in range(len(whole) + 1) if whole[i : i + len(bare)] == bare)
        return whole[:place], whole[place + len(bare) :]


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Return the ids of the special tokens but the one for unknown text, which ordinary text may give."""
    added = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
    unknown = set() if tokenizer.unk_token_id is None else {tokenizer.unk_token_id}
    return (added | set(tokenizer.all_special_ids)) - unknown
