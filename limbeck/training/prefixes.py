"""The sources of two views differ in their prefix alone: when the ids of one view give those of the other."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

# Beginnings of every kind, beside those of the data: a boundary between words must not depend on what follows it.
_BEGINNINGS = ("a", "The", "3", "(", "'", '"', "-")


def heads(tokenizer: PreTrainedTokenizerBase, prefixes: Sequence[str], rests: Sequence[str]) -> list[list[int]] | None:
    """The ids that texts begin with for their prefix, one list a prefix; None where exchanging them is not exact.

    A fast tokenizer cuts a text into words first, and the ids of a word depend on no other. So where a word ends with
    the prefix, the ids that follow are the same after any other prefix that ends a word too. Here both are checked, on
    `rests`: that a word ends there, and that all the ids come out right.
    """
    if not tokenizer.is_fast or not all(prefix.endswith(" ") for prefix in prefixes):
        return None
    found, tails = [], []
    for prefix in prefixes:
        texts = [prefix + rest for rest in (*rests, *_BEGINNINGS)]
        encodings: Any = tokenizer(texts, truncation=False, verbose=False).encodings
        ends = [_end(encoding, len(prefix) - 1) for encoding in encodings]
        ids = [(encoding.ids[:end], encoding.ids[end:]) for encoding, end in zip(encodings, ends, strict=True)]
        if None in ends or any(head != ids[0][0] for head, _ in ids):
            return None
        found.append(ids[0][0])
        tails.append([tail for _, tail in ids])
    return found if all(tail == tails[0] for tail in tails) else None


def _end(encoding: Any, length: int) -> int | None:
    """How many tokens hold the first `length` characters, if a word ends there."""
    words = encoding.word_ids  # None for tokens that stand for no text, like [CLS]
    after = (i for i, (start, _) in enumerate(encoding.offsets) if words[i] is not None and start >= length)
    end = next(after, 0)
    return end if end > 0 and words[end - 1] is not None and words[end - 1] != words[end] else None
