"""What is in the data: counts, the teacher's accuracy, lengths, and a few examples to look at."""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import numpy as np

from limbeck.data.hub import HubSource
from limbeck.data.joined import doubt, doubtful
from limbeck.data.load import read
from limbeck.data.local import FilesSource
from limbeck.data.overlap import count_overlap, refuse_overlap
from limbeck.data.settings import DataSettings
from limbeck.data.views import View, source, target
from limbeck.errors import LimbeckError
from limbeck.notes import NOTES, lines_of
from limbeck.schema import Example
from limbeck.tasks import Split, Task, is_right
from limbeck.tasks.settings import task_of

_Rows = dict[str, list[Example]]  # by split


def summarise(settings: DataSettings) -> dict[str, dict[str, Any]]:
    """For every split that the source has: `rows`, `teacher_accuracy`, what did not parse, and lengths in `words`.

    A row without rationale or teacher's answer counts as `unparsed` where the source reads the teacher's raw outputs
    (every row has one), and as `without_rationale` where it does not (the teacher said nothing). `teacher_accuracy` is
    over all rows of the former, over those with an answer of the latter; None where there is no answer at all.
    `teacher_doubt` says why the teacher is most likely joined to the wrong rows, where that is so. `notes` are counts
    by the keys of `limbeck.notes`: questions that an earlier split has too, and contradictory labels.

    Raises:
        LimbeckError: as `read`.
    """
    splits = read(settings)
    return _summaries(settings, splits, _notes(settings, splits))


def _summaries(settings: DataSettings, splits: _Rows, notes: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    task = task_of(settings)
    found = {}
    for split, rows in splits.items():
        shared = {key: count for key, count in notes.items() if NOTES[key].of == split}
        found[split] = {**_summary(rows, task, settings.reads_outputs), "notes": shared}
    return found


def _notes(settings: DataSettings, splits: _Rows) -> dict[str, int]:
    """Return what `count_overlap` counts; other splits than the three only add training rows."""
    parts = {split: splits.get(split, []) for split in get_args(Split)}
    parts["train"] = [row for split, rows in splits.items() if split not in ("valid", "test") for row in rows]
    return count_overlap(parts, task_of(settings))


def _summary(examples: Sequence[Example], task: Task, raw: bool) -> dict[str, Any]:
    no_rationale = sum(example.rationale is None for example in examples)
    answered = [example for example in examples if example.teacher_label is not None]
    right = sum(is_right(task, str(example.teacher_label), example) for example in answered)
    of = len(examples) if raw else len(answered)
    either = sum(example.rationale is None or example.teacher_label is None for example in examples)
    return {
        "rows": len(examples),
        "teacher_accuracy": round(right / of, 4) if answered else None,
        "unparsed": either if raw else 0,
        "unparsed_rationales": no_rationale if raw else 0,
        "unparsed_labels": len(examples) - len(answered) if raw else 0,
        "without_rationale": 0 if raw else no_rationale,
        "teacher_doubt": doubt(examples, task),
        "words": {
            "input": _lengths(example.input for example in examples),
            "label": _lengths(example.label for example in examples),
            "rationale": _lengths(example.rationale for example in examples if example.rationale is not None),
        },
    }


def _lengths(texts: Iterable[str]) -> dict[str, float] | None:
    """Quantiles of the number of words, as white space parts them; None without any text."""
    counts = [len(text.split()) for text in texts]
    if not counts:
        return None
    low, median, high, top = np.quantile(counts, [0, 0.5, 0.95, 1]).tolist()
    return {"min": round(low, 4), "median": round(median, 4), "p95": round(high, 4), "max": round(top, 4)}


def _examples(splits: _Rows, n: int, seed: int) -> list[dict[str, Any]]:
    """`n` random rows of the first split, in every view, with ` | ` for the student's separator."""
    split, rows = next(iter(splits.items()))
    chosen = random.Random(seed).sample(rows, min(n, len(rows)))
    return [
        {
            "id": row.id,
            "split": split,
            "views": {
                view.value: {"source": source(row, view).text(" | "), "target": target(row, view)} for view in View
            },
        }
        for row in chosen
    ]


def show(settings: DataSettings, n: int, seed: int = 0) -> str:
    """The counts of `summarise` and `n` random rows in every view, as text to read.

    Raises:
        LimbeckError: as `read`.
    """
    splits = read(settings)
    notes, rows_of = _notes(settings, splits), {split: len(splits.get(split, [])) for split in get_args(Split)}
    lines = []
    for split, counts in _summaries(settings, splits, notes).items():
        accuracy = "none" if counts["teacher_accuracy"] is None else f"{counts['teacher_accuracy']:.4f}"
        lines += [
            f"{split}: {counts['rows']} rows, teacher's accuracy {accuracy}",
            f"  unparsed {counts['unparsed']} (rationales {counts['unparsed_rationales']}, "
            f"labels {counts['unparsed_labels']}), without rationale {counts['without_rationale']}",
        ]
        for part, lengths in counts["words"].items():
            shown = "none" if lengths is None else ", ".join(f"{name} {value:g}" for name, value in lengths.items())
            lines.append(f"  words of the {part}: {shown}")
        lines += [f"  {line.text}" for line in lines_of(counts["notes"], rows_of)]
        if counts["teacher_doubt"]:
            lines.append(f"  warning: {doubtful(split, counts['teacher_doubt'])}")
    lines += [*_carved(settings, splits), *_refused(settings, notes, rows_of)]
    for row in _examples(splits, n, seed):
        lines += ["", f"{row['id']} ({row['split']})"]
        for view, texts in row["views"].items():
            lines += [
                f"  {view}",
                f"    reads:  {_indented(texts['source'])}",
                f"    writes: {_indented(texts['target'])}",
            ]
    return "\n".join(lines)


def _carved(settings: DataSettings, splits: _Rows) -> list[str]:
    """Return a line for each split that files or a data set lack, with what a run will do about it."""
    carved = isinstance(settings.source, FilesSource | HubSource)
    shares = {"test": settings.test_fraction, "valid": settings.valid_fraction} if carved else {}
    return [
        f"{split}: no file of its own; a run holds out {share:g} of the training rows for it, the same every time"
        for split, share in shares.items()
        if split not in splits
    ]


def _refused(settings: DataSettings, notes: Mapping[str, int], rows_of: Mapping[str, int]) -> list[str]:
    """Return what a training says to these splits, if it refuses them for what they share."""
    try:
        refuse_overlap(notes, rows_of, settings.max_overlap)
    except LimbeckError as error:
        return [f"a training refuses this: {error}"]
    return []


def _indented(text: str | None) -> str:
    """The text with its lines set in, and what a terminal would take for a command made visible."""
    if text is None:
        return "nothing, for the rationale is missing"
    lines = ("".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in text.split("\n"))
    return "\n            ".join(lines)
