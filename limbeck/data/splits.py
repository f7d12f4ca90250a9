"""The rows held out and trained on, and the questions that splits share."""

import random
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations
from math import ceil
from typing import Literal

from limbeck.errors import DataError
from limbeck.schema import Example
from limbeck.tasks import Task, is_right

_MEANINGFUL = "%*/#&@\\-"  # at the ends of a question: "50%", "-5 + 3"
_CHARACTERS = map(chr, range(0x10000))
_PUNCTUATION = " " + "".join(c for c in _CHARACTERS if unicodedata.category(c)[0] == "P" and c not in _MEANINGFUL)
_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")

Question = tuple[tuple[str, ...], tuple[str, ...]]  # normalized segments, and choices in any order


def question_of(example: Example) -> Question:
    """Return an example's question, whatever its case, width, spacing and punctuation at the ends."""
    return tuple(map(_plain, example.segments)), tuple(sorted(map(_plain, example.choices)))


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
        text = "".join(character for character in text if unicodedata.category(character) != "Cf")  # invisible
    words = " ".join(text.casefold().split())
    return words.strip(_PUNCTUATION) or words


def count_overlap(splits: Mapping[str, Sequence[Example]], task: Task) -> dict[str, int]:
    """Count the questions that `splits` (train, valid, test) share, and those with contradictory labels.

    `test_in_train` counts rows of test whose question is in train, `contradictory_within` questions with several labels
    in a split, `contradictory_across` those whose labels differ only between splits.
    """
    by_question: dict[Question, dict[str, list[Example]]] = defaultdict(lambda: {split: [] for split in splits})
    for split, rows in splits.items():
        for example in rows:
            by_question[question_of(example)][split].append(example)
    groups = list(by_question.values())
    counts = {
        f"{later}_in_{earlier}": sum(len(group[later]) for group in groups if group[earlier])
        for earlier, later in combinations(splits, 2)
    }
    within = [any(_contradict(rows, task) for rows in group.values()) for group in groups]
    anywhere = [_contradict([*chain(*group.values())], task) for group in groups]
    across = sum(contradict and not inside for contradict, inside in zip(anywhere, within, strict=True))
    return {**counts, "contradictory_within": sum(within), "contradictory_across": across}


def _contradict(rows: Sequence[Example], task: Task) -> bool:
    return any(not is_right(task, row.label, rows[0]) and not is_right(task, rows[0].label, row) for row in rows[1:])


def refuse_overlap(counts: Mapping[str, int], sizes: Mapping[str, int], max_overlap: float) -> None:
    """Raise DataError if a split shares more than `max_overlap` of its questions with an earlier one."""
    for earlier, later in combinations(sizes, 2):
        count, rows = counts.get(f"{later}_in_{earlier}", 0), sizes[later]
        if count > max_overlap * rows:
            share = ceil(1000 * count / rows) / 1000
            reason = f"{count} of {rows} {later} rows have a question of the {earlier} split"
            raise DataError(f"{reason}; take them out, or set data.max_overlap: {share:g}")


def carve(
    examples: Sequence[Example], fraction: float, seed: int, split: Literal["test", "validation"]
) -> tuple[list[Example], list[Example]]:
    """Hold out a random `fraction` of the rows, at least one: (train, split), both in order.

    Rows of one question stay on one side; `split` has only the first.
    """
    by_question = defaultdict(list)
    for index, example in enumerate(examples):
        by_question[question_of(example)].append(index)
    groups = list(by_question.values())
    firsts = []
    removed: set[int] = set()
    for group in random.Random(f"{split} {seed}").sample(groups, len(groups)):
        if len(removed) < max(1, round(fraction * len(examples))):
            firsts.append(group[0])
            removed.update(group)
    train = [example for index, example in enumerate(examples) if index not in removed]
    return train, [examples[index] for index in sorted(firsts)]


def sample(examples: Sequence[Example], count: int | None, seed: str) -> list[Example]:
    """Return at most `count` random examples (None: all) in their order; smaller samples lie inside larger."""
    shuffled = random.Random(seed).sample(range(len(examples)), len(examples))
    return [examples[index] for index in sorted(shuffled[:count])]


def select(
    examples: Sequence[Example], task: Task, labels: Literal["gold", "teacher"], keep: Literal["all", "correct"]
) -> tuple[list[Example], dict[str, int]]:
    """Return the training rows, and counts of what `labels` and `keep` removed.

    `keep: correct` removes the rationale where the teacher's answer is wrong; `labels: teacher` replaces the label by
    that answer, and drops rows without one.
    """
    rows, counts = list(examples), {}
    if (labels, keep) != ("gold", "all") and all(row.teacher_label is None for row in rows):
        raise DataError("labels: teacher and keep: correct need a teacher_label, and no training row has one")
    if keep == "correct":
        correct = [row.teacher_label is not None and is_right(task, row.teacher_label, row) for row in rows]
        pairs = list(zip(rows, correct, strict=True))
        counts["rationales_not_kept"] = sum(row.rationale is not None and not right for row, right in pairs)
        rows = [row if right else replace(row, rationale=None, rationales=()) for row, right in pairs]
    if labels == "teacher":
        rows = [replace(row, label=row.teacher_label) for row in rows if row.teacher_label is not None]
        counts["rows_without_teacher_label"] = len(examples) - len(rows)
    return rows, counts
