"""Counts, the teacher's accuracy, lengths and examples of the data, for `limbeck data show`."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

import numpy as np

from limbeck.data.examples import has
from limbeck.data.load import DataSettings, read
from limbeck.data.mismatch import teacher_mismatch
from limbeck.data.sources import ArchiveSource
from limbeck.data.splits import count_overlap, refuse_overlap
from limbeck.data.views import ANSWERS, View, source, target, variants
from limbeck.errors import DataError
from limbeck.formatting import one_line, visible
from limbeck.notes import NOTES, lines_of
from limbeck.schema import Example
from limbeck.tasks import Split, is_right

ViewTexts = Callable[[Example, View], tuple[str, str | None]]


def summarise(settings: DataSettings, splits: Mapping[str, Sequence[Example]]) -> dict[str, dict[str, Any]]:
    """Return counts for every split; `notes` are those of `limbeck.notes`.

    In an archive, every row has an output: one without rationale or answer is `unparsed`, and `teacher_accuracy` is of
    all rows; elsewhere it is `without_rationale`, and the accuracy of rows with an answer.
    """
    task, has_outputs = settings.get_task(), isinstance(settings.source, ArchiveSource)
    notes = count_overlap({split: splits.get(split, []) for split in get_args(Split)}, task)
    summaries = {}
    for split, rows in splits.items():
        explained, answers = has(rows, "rationale"), has(rows, "teacher_label")
        unexplained, answered = int((~explained).sum()), int(answers.sum())
        right = sum(is_right(task, row.teacher_label, row) for row in rows if row.teacher_label is not None)
        unparsed = int((~explained | ~answers).sum())
        summaries[split] = {
            "rows": len(rows),
            "teacher_accuracy": round(right / (len(rows) if has_outputs else answered), 4) if answered else None,
            "unparsed": has_outputs * unparsed,
            "unparsed_rationales": has_outputs * unexplained,
            "unparsed_labels": has_outputs * (len(rows) - answered),
            "without_rationale": (not has_outputs) * unexplained,
            "teacher_doubt": teacher_mismatch(rows, task),
            "words": {
                field: _lengths(text for row in rows if (text := getattr(row, field)) is not None)
                for field in ("input", "label", "rationale")
            },
            "notes": {key: count for key, count in notes.items() if NOTES[key].of == split},
        }
    return summaries


def _lengths(texts: Iterable[str]) -> dict[str, float] | None:
    counts = [len(text.split()) for text in texts]
    quantiles = {"min": 0, "median": 0.5, "p95": 0.95, "max": 1}
    return {name: round(float(np.quantile(counts, q)), 4) for name, q in quantiles.items()} if counts else None


def show(settings: DataSettings, n: int, *, texts: ViewTexts | None = None) -> str:
    """Return the counts and `n` random rows of the first split in every view, as text.

    `texts` returns what a student reads and writes; None: the parts of an encoder-decoder's.
    """
    splits = read(settings)
    summaries = summarise(settings, splits)
    sizes = {split: len(splits.get(split, [])) for split in get_args(Split)}
    lines, notes = list[str](), dict[str, int]()
    for split, counts in summaries.items():
        notes |= counts["notes"]
        accuracy = "none" if counts["teacher_accuracy"] is None else f"{counts['teacher_accuracy']:.4f}"
        lines += [
            f"{split}: {counts['rows']} rows, teacher's accuracy {accuracy}",
            f"  unparsed {counts['unparsed']} (rationales {counts['unparsed_rationales']}, "
            f"labels {counts['unparsed_labels']}), without rationale {counts['without_rationale']}",
        ]
        for field, lengths in counts["words"].items():
            quantiles = ", ".join(f"{name} {value:g}" for name, value in (lengths or {}).items())
            lines.append(f"  words of the {field}: {quantiles or 'none'}")
        lines += [f"  {line.text}" for line in lines_of(counts["notes"], sizes)]
        if counts["teacher_doubt"]:
            lines.append(f"  warning: {counts['teacher_doubt']}")
    for split, fraction in {"test": settings.test_fraction, "valid": settings.valid_fraction}.items():
        if settings.carves_splits and split not in splits:
            lines.append(f"{split}: no file of its own; a run holds out {fraction:g} of the training rows for it")
    try:
        refuse_overlap(notes, sizes, settings.max_overlap)
    except DataError as error:
        lines.append(f"a training refuses this: {error}")
    split, rows = next(iter(splits.items()))
    for row in random.Random(0).sample(rows, min(n, len(rows))):
        lines += ["", f"{one_line(row.id)} ({split})"]
        for view in View:
            variant, *others = variants(row, view)
            reads, writes = (
                texts(variant, view) if texts else (source(variant, view).text(" | "), target(variant, view))
            )
            if writes or view in (*ANSWERS, View.EXPLAIN):
                lines.append(f"  {view}" + f", the first of {1 + len(others)}" * bool(others))
                for verb, text in (("reads: ", reads), ("writes:", writes or "nothing, for the rationale is missing")):
                    lines.append(f"    {verb} {visible(text)}".replace("\n", "\n            "))
    return "\n".join(lines)
