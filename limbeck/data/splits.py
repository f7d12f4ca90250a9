"""The rows that are held out and trained on, and the questions that splits share."""

import random
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations
from math import ceil
from typing import Literal

from limbeck.errors import DataError
from limbeck.schema import Example
from limbeck.tasks import Task, is_right

MAX_OVERLAP = 0.01  # of a split's rows; real data sets that were looked at have 0.0015 at most
_MEANINGFUL = "%*/#&@\\-"  # punctuation at the ends of a question that belongs to it: "50%", "-5 + 3"
_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")

Question = tuple[tuple[str, ...], tuple[str, ...]]
"""The normalized segments of a question, and its choices in any order."""


def question_of(example: Example) -> Question:
    """Return the question of an example, the same whatever its case, width, spacing and punctuation at the ends.

    A premise with another hypothesis and a text with other choices are other questions.
    """
    return tuple(map(_plain, example.segments)), tuple(sorted(map(_plain, example.choices)))


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
        text = "".join(character for character in text if unicodedata.category(character) != "Cf")  # invisible
    words = " ".join(text.casefold().split())
    return words.strip(_punctuation()) or words


@cache
def _punctuation() -> str:
    characters = map(chr, range(0x10000))
    return " " + "".join(c for c in characters if unicodedata.category(c)[0] == "P" and c not in _MEANINGFUL)


def count_overlap(splits: Mapping[str, Sequence[Example]], task: Task) -> dict[str, int]:
    """Count the questions that splits share, and those with contradictory labels.

    Args:
        splits: in the order train, valid, test.

    Returns:
        `test_in_train` and so on: rows of the later split whose question is in the earlier one.
        `contradictory_within`: questions with several labels in one split; `contradictory_across`: those whose labels
        differ between splits alone.
    """
    questions = {split: [question_of(example) for example in rows] for split, rows in splits.items()}
    distinct = {split: set(rows) for split, rows in questions.items()}
    counts = {
        f"{later}_in_{earlier}": sum(question in distinct[earlier] for question in questions[later])
        for earlier, later in combinations(splits, 2)
    }
    examples: dict[Question, dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
    for split, rows in splits.items():
        for question, example in zip(questions[split], rows, strict=True):
            examples[question][split].append(example)
    within = across = 0
    for by_split in examples.values():
        if any(_contradict(rows, task) for rows in by_split.values()):
            within += 1
        elif _contradict([row for rows in by_split.values() for row in rows], task):
            across += 1
    return {**counts, "contradictory_within": within, "contradictory_across": across}


def _contradict(examples: Sequence[Example], task: Task) -> bool:
    first = examples[0]
    return any(
        not is_right(task, example.label, first) and not is_right(task, first.label, example)
        for example in examples[1:]
    )


def refuse_overlap(counts: Mapping[str, int], sizes: Mapping[str, int], max_overlap: float | None) -> None:
    """Refuse splits of which one has more than `max_overlap` (None: `MAX_OVERLAP`) of its questions in an earlier one.

    Args:
        counts: as `count_overlap` returns them.
        sizes: the rows of each split, in the order train, valid, test.

    Raises DataError: names the splits, both counts, and the setting that allows it.
    """
    limit = MAX_OVERLAP if max_overlap is None else max_overlap
    for earlier, later in combinations(sizes, 2):
        count, rows = counts[f"{later}_in_{earlier}"], sizes[later]
        if count > limit * rows:
            raise DataError(
                f"{count} of the {rows} rows of the {later} split ask the same as a row of the {earlier} split, more "
                f"than the share {limit:g}: take them out of one split, or allow them with data.max_overlap: "
                f"{ceil(1000 * count / rows) / 1000:g}"
            )


def carve(
    examples: Sequence[Example], fraction: float, seed: int, split: Literal["test", "validation"]
) -> tuple[list[Example], list[Example]]:
    """Hold out a random `fraction` of the rows, at least one, as (train, split), both in their order.

    All rows of one question stay on one side, so that nothing is learnt by heart; `split` has the first of them alone,
    so that it counts questions.
    """
    by_question: dict[Question, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        by_question[question_of(example)].append(index)
    indices = list(by_question.values())
    count = max(1, round(fraction * len(examples)))
    held_out: set[int] = set()
    questions: list[int] = []
    for position in _shuffled(len(indices), f"{split} {seed}"):
        if len(held_out) >= count:
            break
        held_out.update(indices[position])
        questions.append(indices[position][0])
    train = [example for index, example in enumerate(examples) if index not in held_out]
    return train, [examples[index] for index in sorted(questions)]


def subset(examples: Sequence[Example], fraction: float, seed: int) -> list[Example]:
    """Return a random `fraction` of the examples in their order, at least one; smaller ones lie inside larger ones."""
    count = max(1, round(fraction * len(examples)))
    return [examples[index] for index in sorted(_shuffled(len(examples), f"fraction {seed}")[:count])]


def limited(examples: Sequence[Example], limit: int | None, seed: int) -> list[Example]:
    """Return at most `limit` random examples in their order; fewer lie inside more."""
    if limit is None or len(examples) <= limit:
        return list(examples)
    return [examples[index] for index in sorted(_shuffled(len(examples), f"limit {seed}")[:limit])]


def _shuffled(count: int, seed: str) -> list[int]:
    return random.Random(seed).sample(range(count), count)


def select(
    examples: Sequence[Example], task: Task, labels: Literal["gold", "teacher"], keep: Literal["all", "correct"]
) -> tuple[list[Example], dict[str, int]]:
    """Return the training rows, and counts of what `labels` and `keep` took away.

    `keep: correct` takes the rationale from rows where the teacher's answer is wrong: the row stays, for its label.
    `labels: teacher` replaces the label by the teacher's answer, and drops rows without one.

    Raises:
        DataError: either is asked for, and no row has an answer of the teacher.
    """
    rows, counts = list(examples), {}
    if (labels == "teacher" or keep == "correct") and all(row.teacher_label is None for row in rows):
        setting = "labels: teacher" if labels == "teacher" else "keep: correct"
        raise DataError(f"{setting} needs the teacher's answers, and no training row has a teacher_label")
    if keep == "correct":
        right = [row.teacher_label is not None and is_right(task, row.teacher_label, row) for row in rows]
        dropped = [not ok and row.rationale is not None for row, ok in zip(rows, right, strict=True)]
        counts["rationales_not_kept"] = sum(dropped)
        rows = [replace(row, rationale=None) if drop else row for row, drop in zip(rows, dropped, strict=True)]
    if labels == "teacher":
        answered = [replace(row, label=row.teacher_label) for row in rows if row.teacher_label is not None]
        counts["rows_without_teacher_label"] = len(rows) - len(answered)
        rows = answered
    return rows, counts
