"""The rows held out and trained on, and the questions that splits share."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations
from math import ceil
from typing import Literal

import numpy as np

from limbeck.data.examples import ExampleTable, digest, has, questions, take
from limbeck.errors import DataError
from limbeck.schema import Example
from limbeck.tasks import Task, is_right

Labels = Literal["gold", "teacher"]
Keep = Literal["all", "correct"]


def count_overlap(splits: Mapping[str, Sequence[Example]], task: Task) -> dict[str, int]:
    """Count the questions that `splits` (train, valid, test) share, and those with contradictory labels.

    `test_in_train` counts rows of test whose question is in train, `contradictory_within` questions with several labels
    in a split, `contradictory_across` those whose labels differ only between splits.
    """
    keys = {split: questions(rows) for split, rows in splits.items()}
    counts = {
        f"{later}_in_{earlier}": int(np.isin(keys[later], keys[earlier]).sum())
        for earlier, later in combinations(splits, 2)
    }
    values, sizes = np.unique(np.concatenate(list(keys.values())), return_counts=True)
    repeated = values[sizes > 1]
    groups: dict[int, dict[str, list[Example]]] = defaultdict(lambda: {split: [] for split in splits})
    for split, rows in splits.items():
        for row in np.flatnonzero(np.isin(keys[split], repeated)).tolist():
            labels = Example("", (), rows[row].label, answers=rows[row].answers)  # without texts, as rows may be many
            groups[int(keys[split][row])][split].append(labels)
    within = [any(_contradict(rows, task) for rows in group.values()) for group in groups.values()]
    anywhere = [_contradict([*chain(*group.values())], task) for group in groups.values()]
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
) -> tuple[Sequence[Example], Sequence[Example]]:
    """Hold out a random `fraction` of the rows, at least one: (train, split), both in order.

    Rows of one question stay on one side; `split` has only the first.
    """
    _, firsts, numbers, sizes = np.unique(
        questions(examples), return_index=True, return_inverse=True, return_counts=True
    )
    by_appearance = np.argsort(firsts)
    order = by_appearance[random.Random(f"{split} {seed}").sample(range(len(firsts)), len(firsts))]
    rows = max(1, round(fraction * len(examples)))
    order = order[: int(np.searchsorted(np.cumsum(sizes[order]), rows)) + 1]
    removed = np.zeros(len(firsts), bool)
    removed[order] = True
    return take(examples, np.flatnonzero(~removed[numbers])), take(examples, np.sort(firsts[order]))


def sample(examples: Sequence[Example], count: int | None, seed: str) -> Sequence[Example]:
    """Return at most `count` random examples (None: all) in their order; smaller samples lie inside larger."""
    if count is None or count >= len(examples):
        return examples
    rows = random.Random(seed).sample(range(len(examples)), len(examples))[:count]
    return take(examples, np.sort(np.array(rows, np.int64)))


def select(
    examples: Sequence[Example], task: Task, labels: Labels, keep: Keep
) -> tuple[Sequence[Example], dict[str, int]]:
    """Return the training rows, and counts of what `labels` and `keep` removed.

    `keep: correct` removes the rationale where the teacher's answer is wrong; `labels: teacher` replaces the label by
    that answer, and drops rows without one.
    """
    if (labels, keep) == ("gold", "all"):
        return examples, {}
    if not has(examples, "teacher_label").any():
        raise DataError("labels: teacher and keep: correct need a teacher_label, and no training row has one")
    selected = _selected(examples, task, labels, keep)
    rows: Sequence[Example]
    if isinstance(examples, ExampleTable):
        rows = ExampleTable.cached([digest(examples), task.key, labels, keep], selected)
    else:
        rows = list(selected)
    counts = {}
    if keep == "correct":  # rows that are dropped have no right answer
        counts["rationales_not_kept"] = int(has(examples, "rationale").sum() - has(rows, "rationale").sum())
    if labels == "teacher":
        counts["rows_without_teacher_label"] = len(examples) - len(rows)
    return rows, counts


def _selected(examples: Sequence[Example], task: Task, labels: Labels, keep: Keep) -> Iterator[Example]:
    for row in examples:
        label = row.teacher_label
        if keep == "correct" and (label is None or not is_right(task, label, row)):
            row = replace(row, rationale=None, rationales=())
        if labels == "gold":
            yield row
        elif label is not None:
            yield replace(row, label=label)
