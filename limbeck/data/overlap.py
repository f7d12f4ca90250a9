"""The same question in several splits, and with several labels: counted, and refused where there is too much of it."""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import ceil

from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import Task, is_right

MAX_OVERLAP = 0.01  # of a split's rows; real data sets that were looked at have 0.0015 at most
_MEANING = frozenset("%*/#&@\\-")  # punctuation at the ends of a question that is part of it: "50%", "-5 + 3"
_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")

Question = tuple[tuple[str, ...], tuple[str, ...]]
"""The normalised segments of a question, and its choices in any order."""


def question_of(example: Example) -> Question:
    """Return what two examples share that ask the same: segments and choices, whatever their case, width and spacing.

    Texts are compared in Unicode's form NFKC, without punctuation at their ends. A premise with another hypothesis and
    a text with other choices are other questions.
    """
    return tuple(map(_plain, example.segments)), tuple(sorted(map(_plain, example.choices)))


def _plain(text: str) -> str:
    """Return `text` normalised, with its punctuation where there is nothing else."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
        text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")  # seen by nobody
    words = " ".join(text.casefold().split())
    first, last = 0, len(words)
    while first < last and _trimmed(words[first]):
        first += 1
    while last > first and _trimmed(words[last - 1]):
        last -= 1
    return words[first:last] or words


def _trimmed(sign: str) -> bool:
    return sign == " " or (sign not in _MEANING and unicodedata.category(sign).startswith("P"))


def count_overlap(splits: Mapping[str, Sequence[Example]], task: Task) -> dict[str, int]:
    """Count the questions that `splits`, in the order train, valid, test, share, and those of contradictory labels.

    Returns:
        `test_in_train` and so on: rows of the later split whose question is in the earlier one.
        `contradictory_within`: questions with several labels in one split; `contradictory_across`: those whose labels
        differ between splits alone.
    """
    questions = {split: [question_of(example) for example in rows] for split, rows in splits.items()}
    known = {split: set(asked) for split, asked in questions.items()}
    shared = {
        f"{later}_in_{earlier}": sum(question in known[earlier] for question in questions[later])
        for earlier, later in combinations(splits, 2)
    }
    asked: dict[Question, list[tuple[str, Example]]] = defaultdict(list)
    for split, rows in splits.items():
        for question, example in zip(questions[split], rows, strict=True):
            asked[question].append((split, example))
    within = across = 0
    for places in asked.values():
        if any(_contradict([row for split, row in places if split == name], task) for name in splits):
            within += 1
        elif _contradict([row for _, row in places], task):
            across += 1
    return {**shared, "contradictory_within": within, "contradictory_across": across}


def _contradict(examples: Sequence[Example], task: Task) -> bool:
    return any(
        not is_right(task, other.label, examples[0]) and not is_right(task, examples[0].label, other)
        for other in examples[1:]
    )


def refuse_overlap(notes: Mapping[str, int], sizes: Mapping[str, int], most: float | None) -> None:
    """Refuse splits that share more questions than the share `most` of the later one's rows (None: `MAX_OVERLAP`).

    Args:
        notes: as `count_overlap` returns them.
        sizes: the rows of each split, in the order train, valid, test.

    Raises:
        LimbeckError: names the splits, both counts, and the setting that allows it.
    """
    most = MAX_OVERLAP if most is None else most
    for earlier, later in combinations(sizes, 2):
        count, rows = notes[f"{later}_in_{earlier}"], sizes[later]
        if count > most * rows:
            raise LimbeckError(
                f"{count} of the {rows} rows of the {later} split ask the same as a row of the {earlier} split, more "
                f"than the share {most:g}, so that what is measured there says little: take them out of one split, or "
                f"allow them with data.max_overlap: {ceil(1000 * count / rows) / 1000:g}"
            )
