"""Texts that are too long for a student: what is cut, so that what matters most is not.

A source loses the middle of its longest segment, and its last sentence last; only where the other segments alone are
too long are all cut to one length, and only after them the row's own choices. A target loses the beginning of its
rationale, never the label or the words around it. Texts are cut, not ids, and between words: what is left is tokenised
as any other text is.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from limbeck.data import Source, View, target
from limbeck.errors import LimbeckError
from limbeck.models.codec import Codec, Ids
from limbeck.schema import Example

Text = TypeVar("Text")
_GAP = " ... "


def fitted_sources(sources: Sequence[Source], codec: Codec, limit: int) -> tuple[list[Ids], list[int]]:
    """Return the ids of sources, `limit` at most each, and the numbers of those that were cut for it."""
    ids = codec.sources(sources)
    cut = [i for i, row in enumerate(ids) if len(row) > limit]
    for renderer in (_with_longest_cut, _with_all_cut):
        long = [i for i in cut if len(ids[i]) > limit]
        renders = [renderer(sources[i]) for i in long]
        least = [-len(sources[i].choices) if renderer is _with_all_cut else 0 for i in long]
        wholes = [(max(map(len, sources[i].segments)), len(ids[i])) for i in long]
        for i, row in zip(long, _longest(renders, least, wholes, codec.sources, limit), strict=True):
            ids[i] = row
    return [codec.cut(row, limit) if len(row) > limit else row for row in ids], cut


def fitted_targets(examples: Sequence[Example], view: View, codec: Codec, limit: int) -> tuple[list[Ids], list[int]]:
    """Return the ids of the examples' targets in a view, and the numbers of those that were cut to `limit` ids.

    The ids of an example without a target are none, and so are those of a rationale of which no word fits.

    Raises:
        LimbeckError: a label does not fit, its end token included.
    """
    texts = [target(example, view) for example in examples]
    unique = {text: number for number, text in enumerate(dict.fromkeys(text for text in texts if text))}
    whole = codec.targets(list(unique))  # equal texts, as labels are, are tokenised once
    ids = [whole[unique[text]] if text else [] for text in texts]
    long = [i for i, row in enumerate(ids) if len(row) > limit]
    renders = [_target_renderer(examples[i], view) for i in long]
    wholes = [(len(examples[i].rationale or ""), len(ids[i])) for i in long]
    fitted = _longest(renders, [0] * len(long), wholes, codec.targets, limit)
    if view is not View.EXPLAIN:
        _check_labels([examples[i] for i in long], fitted, limit)
    (nothing,) = codec.targets([""])
    for i, row in zip(long, fitted, strict=True):
        ids[i] = row if nothing != row and len(row) <= limit else []
    return ids, long


def _check_labels(examples: Sequence[Example], rows: Sequence[Ids], limit: int) -> None:
    """Raise LimbeckError if what cannot be cut of a target is longer than `limit`."""
    long = [(len(row), example) for row, example in zip(rows, examples, strict=True) if len(row) > limit]
    if long:
        needed, example = max(long, key=lambda pair: pair[0])
        raise LimbeckError(
            f"example {example.id!r:.60}: the label {example.label!r:.40}, with its end and the words before it, has "
            f"{needed} tokens, and the student writes {limit} at most: set student.max_target_length to {needed} or "
            "more (if the model has fewer positions, take another)"
        )


def _with_longest_cut(source: Source) -> Callable[[int], Source]:
    """Return a function of a number of characters: the source with so many left of its longest segment."""
    longest = max(range(len(source.segments)), key=lambda number: len(source.segments[number]))

    def render(length: int) -> Source:
        segments = list(source.segments)
        segments[longest] = _ends(segments[longest], length)
        return replace(source, segments=tuple(segments))

    return render


def _with_all_cut(source: Source) -> Callable[[int], Source]:
    """Return a function of a number of characters: the source with so many left of each segment, at most.

    A negative number takes as many from the choices, too, of which nothing was taken before.
    """

    def render(length: int) -> Source:
        segments = tuple(_ends(segment, max(length, 0)) for segment in source.segments)
        choices = source.choices if length >= 0 else _ends(source.choices, len(source.choices) + length)
        return replace(source, segments=segments, choices=choices)

    return render


def _target_renderer(example: Example, view: View) -> Callable[[int], str]:
    """Return a function of a number of characters: the target with so many left of its rationale."""

    def render(length: int) -> str:
        cut = replace(example, rationale=_end(example.rationale or "", length))
        return str(target(cut, view)).strip()

    return render


def _end(text: str, length: int) -> str:
    """Return the last `length` characters of a text, without the part of a word that they may begin with."""
    begin = len(text) - length
    if begin <= 0:
        return text
    rest = text[begin:]
    if not text[begin - 1].isspace():
        words = rest.split(maxsplit=1)
        rest = words[-1] if len(words) == 2 else rest  # else a single word, or a script without blanks
    return rest.lstrip()


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


def _longest(
    renders: Sequence[Callable[[int], Text]],
    least: Sequence[int],
    wholes: Sequence[tuple[int, int]],
    encode: Callable[[Sequence[Text]], list[Ids]],
    limit: int,
) -> list[Ids]:
    """Return, for each text, the ids of its longest rendering that has `limit` ids at most.

    `renders[i](n)` is text i of length n: from `least[i]`, whose ids are returned even if they are too many, up to the
    first of `wholes[i]`, which gives the second many, too many. Every other guess is in proportion to the ids, the rest
    are the middle, so that few are needed and all texts come to an end.
    """
    low, high = list(least), [length for length, _ in wholes]
    best, above = encode([render(length) for render, length in zip(renders, low, strict=True)]), [n for _, n in wholes]
    proportional = True
    while active := [i for i, row in enumerate(best) if len(row) < limit and high[i] - low[i] > 1]:
        lengths = []
        for i in active:
            share = (limit - len(best[i])) / (above[i] - len(best[i])) if proportional else 0.5
            lengths.append(min(max(low[i] + int(share * (high[i] - low[i])), low[i] + 1), high[i] - 1))
        rows = encode([renders[i](length) for i, length in zip(active, lengths, strict=True)])
        for i, length, row in zip(active, lengths, rows, strict=True):
            if len(row) <= limit:
                low[i], best[i] = length, row
            else:
                high[i], above[i] = length, len(row)
        proportional = not proportional
    return best
