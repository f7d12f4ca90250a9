"""The wording of counts of rows cut, left out, not parsed or repeated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WARN = 0.01  # share of the rows


@dataclass(frozen=True, slots=True)
class Note:
    """The wording of a count."""

    sentence: str  # that continues the number
    of: str = "train"  # what it is a share of: a split's rows, or the `sources` or `targets` of all views
    warns: float | None = None  # above this share it is a warning


@dataclass(frozen=True, slots=True)
class Line:
    """A count that is not 0, as a sentence without its full stop."""

    key: str
    count: int
    sentence: str  # with the count
    warning: bool

    @property
    def text(self) -> str:
        return f"warning: {self.sentence}" if self.warning else self.sentence


_SOURCES_CUT = "inputs that lost their middle to student.max_source_length"
# the keys of `notes` in results.json
NOTES = {
    "unparsed": Note("training rows whose output of the teacher could not be read as rationale and answer"),
    "rows_without_label": Note("rows left out, because they have no label"),
    "rows_without_rationale": Note("training rows without a rationale, which train the answer alone"),
    "rationales_not_kept": Note("rationales not trained on, because the teacher's answer is not right"),
    "rationales_left_out": Note("rationales not trained on, because `data.rationales` chose others"),
    "rows_without_extras": Note("training rows without votes, wrong rationales or a reverse question to learn from"),
    "rows_without_teacher_label": Note("rows left out, without an answer of the teacher"),
    "without_target": Note("training rows left out, because they lack what the objective trains on"),
    "sources_cut": Note(_SOURCES_CUT, "sources", WARN),
    "targets_cut": Note("targets that lost the start of their rationale to student.max_target_length", "targets", WARN),
    "labels_inexpressible": Note("labels that the student's tokenizer cannot spell", warns=WARN),
    "valid_in_train": Note("validation rows whose question is in the training split too", "valid", warns=WARN),
    "test_in_train": Note("test rows whose question is in the training split too", "test", warns=WARN),
    "test_in_valid": Note("test rows whose question is in validation too", "test", warns=WARN),
    "contradictory_within": Note("questions with contradictory labels in one split", warns=WARN),
    "contradictory_across": Note("questions whose labels contradict each other in different splits", warns=WARN),
    "doubtful_teacher": Note("rows whose teacher is most likely joined to the wrong rows", warns=0),
}
# the counts beside an accuracy, as shares of the measured rows
MEASURED = {
    "sources_cut": Note(_SOURCES_CUT, warns=WARN),
    "unanswered": Note("questions without an answer, which count as wrong", warns=WARN),
    "without_confidence": Note("answers without a confidence", warns=WARN),
    "in_training": Note("questions that were trained on", warns=WARN),
}


def lines_of(counts: Mapping[str, Any], rows: Mapping[str, int] | int) -> list[Line]:
    """Return a line for each nonzero count: of `NOTES`, with rows by `Note.of`, or of `MEASURED`."""
    table = MEASURED if isinstance(rows, int) else NOTES
    lines = []
    for key, count in counts.items():
        if count and (note := table.get(key)):
            total = rows if isinstance(rows, int) else rows.get(note.of, 0)
            share = count / total if total else 0.0
            sentence = f"{count:,} {note.sentence}" + (f" ({share:.1%} of {total:,})" if note.warns and total else "")
            lines.append(Line(key, count, sentence, note.warns is not None and share > note.warns))
    return lines
