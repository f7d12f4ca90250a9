"""Counts of rows that were cut, left out, not read or asked twice: a sentence each, and from when on it is a warning.

The log of a training, `data show`, the report and the model card all take their words from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WARN = 0.01  # of the rows


@dataclass(frozen=True, slots=True)
class Note:
    """A count's `title` as a column's head, the `sentence` that goes on from the number, and what it is a share of.

    It is a warning from the share `warns` on; None: never.
    """

    title: str
    sentence: str
    of: str = "train"  # a split's rows, or the `sources` and `targets` that were tokenised, one each a row and view
    warns: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A count that is not 0, as a sentence without its full stop."""

    key: str
    count: int
    sentence: str  # the count in it
    warning: bool

    @property
    def text(self) -> str:
        """The sentence, marked where it is a warning."""
        return f"warning: {self.sentence}" if self.warning else self.sentence


_SOURCES_CUT = "inputs that lost their middle to student.max_source_length"
# what `notes` in results.json may hold
NOTES = {
    "unparsed": Note("unparsed", "training rows whose output of the teacher could not be read as rationale and answer"),
    "rows_without_label": Note("no label", "rows left out, because they have no label"),
    "rows_without_rationale": Note("no rationale", "training rows without a rationale, which train the answer alone"),
    "rationales_not_kept": Note("not kept", "rationales not trained on, because the teacher's answer is not right"),
    "rows_without_teacher_label": Note("no teacher's answer", "rows left out, without an answer of the teacher"),
    "without_target": Note("left out", "training rows left out, because they lack what the objective trains on"),
    "sources_cut": Note("inputs cut", _SOURCES_CUT, "sources", WARN),
    "targets_cut": Note(
        "targets cut", "targets that lost the start of their rationale to student.max_target_length", "targets", WARN
    ),
    "labels_inexpressible": Note("unspellable", "labels that the student's tokenizer cannot spell", warns=WARN),
    "valid_in_train": Note(
        "valid in train", "validation rows whose question is in the training split too", "valid", warns=WARN
    ),
    "test_in_train": Note("test in train", "test rows whose question is in the training split too", "test", warns=WARN),
    "test_in_valid": Note("test in valid", "test rows whose question is in validation too", "test", warns=WARN),
    "contradictory_within": Note("contradictory", "questions with contradictory labels in one split", warns=WARN),
    "contradictory_across": Note(
        "contradictory across splits", "questions whose labels contradict each other in different splits", warns=WARN
    ),
    "doubtful_teacher": Note("teacher in doubt", "rows whose teacher is most likely joined to the wrong rows", warns=0),
}
# what stands beside an accuracy; shares are of the rows that were measured
MEASURED = {
    "sources_cut": Note("inputs cut", _SOURCES_CUT, warns=WARN),
    "unanswered": Note("no answer", "questions without an answer, which count as wrong", warns=WARN),
    "without_confidence": Note("no confidence", "answers without a confidence", warns=WARN),
    "in_training": Note("in train", "questions that were trained on", warns=WARN),
}


def lines_of(counts: Mapping[str, Any], rows: Mapping[str, int] | int) -> list[Line]:
    """Return a line for every count that is not 0.

    Args:
        counts: by the keys of `NOTES`, others by their own names; or those that stand beside an accuracy.
        rows: how many there are of what `Note.of` names, for the former; for the latter the rows that were measured.
    """
    measured = isinstance(rows, int)
    known = MEASURED if measured else NOTES
    lines = []
    for key, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or not count or (measured and key not in known):
            continue
        note = known.get(key, Note(key, key.replace("_", " ")))
        of = rows if isinstance(rows, int) else rows.get(note.of, 0)
        share = count / of if of else 0.0
        words = f"{count:,} {note.sentence}" + (f" ({share:.1%} of {of:,})" if note.warns and of else "")
        lines.append(Line(key, count, words, note.warns is not None and share > note.warns))
    return lines
