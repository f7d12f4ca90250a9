"""Which rows are held out and trained on: the carve, the nested fraction, the labels and the rationales."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from limbeck.data.overlap import Question, question_of
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import Task, is_right


def carve(
    examples: Sequence[Example], share: float, seed: int, part: Literal["test", "validation"]
) -> tuple[list[Example], list[Example]]:
    """The examples as (train, part), both in their order; the part is a random `share` of the rows, at least one.

    Rows that `question_of` says are one question may have several rationales, say. None of them is trained on
    where the part has it, so that nothing is learnt by heart; and the part has the first alone, so that what is
    measured on it counts questions.
    """
    questions: dict[Question, list[int]] = {}
    for index, example in enumerate(examples):
        questions.setdefault(question_of(example), []).append(index)
    rows = list(questions.values())
    wanted = max(1, round(share * len(examples)))
    taken: set[int] = set()
    part_rows: list[int] = []
    for place in _order(len(rows), f"{part} {seed}"):
        if len(taken) >= wanted:
            break
        taken.update(rows[place])
        part_rows.append(rows[place][0])
    train = [example for index, example in enumerate(examples) if index not in taken]
    return train, [examples[index] for index in sorted(part_rows)]


def subset(examples: Sequence[Example], fraction: float, seed: int) -> list[Example]:
    """A random `fraction` of the examples in their order, at least one; with the same seed, smaller lies in larger."""
    count = max(1, round(fraction * len(examples)))
    return [examples[index] for index in sorted(_order(len(examples), f"fraction {seed}")[:count])]


def limited(examples: Sequence[Example], limit: int | None, seed: int) -> list[Example]:
    """At most `limit` of the examples, by chance, in their order; with the same seed, fewer lie in more."""
    if limit is None or len(examples) <= limit:
        return list(examples)
    return [examples[index] for index in sorted(_order(len(examples), f"limit {seed}")[:limit])]


def _order(count: int, seed: str) -> list[int]:
    return random.Random(seed).sample(range(count), count)


def select(
    examples: Sequence[Example], task: Task, labels: Literal["gold", "teacher"], keep: Literal["all", "correct"]
) -> tuple[list[Example], dict[str, int]]:
    """The training rows as `labels` and `keep` want them, and counts of what that took away.

    `keep: correct` takes the rationale from rows where the teacher's answer is not right: the row stays, for its label.
    `labels: teacher` puts the teacher's answer in the label's place, and drops rows where it gave none.

    Raises:
        LimbeckError: either is asked for, and no row has an answer of the teacher.
    """
    rows, notes = list(examples), {}
    if (labels == "teacher" or keep == "correct") and all(row.teacher_label is None for row in rows):
        asked = "labels: teacher" if labels == "teacher" else "keep: correct"
        raise LimbeckError(f"{asked} needs the teacher's answers, and no training row has a teacher_label")
    if keep == "correct":
        right = [row.teacher_label is not None and is_right(task, row.teacher_label, row) for row in rows]
        notes["rationales_not_kept"] = sum(
            row.rationale is not None and not ok for row, ok in zip(rows, right, strict=True)
        )
        rows = [row if ok else replace(row, rationale=None) for row, ok in zip(rows, right, strict=True)]
    if labels == "teacher":
        answered = [replace(row, label=row.teacher_label) for row in rows if row.teacher_label is not None]
        notes["rows_without_teacher_label"] = len(rows) - len(answered)
        rows = answered
    return rows, notes
