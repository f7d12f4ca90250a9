"""How an example is shown to a student, and what the student shall write; and back from what it wrote."""

import re
from dataclasses import dataclass
from enum import StrEnum

from limbeck.schema import Example


class View(StrEnum):
    """The four ways: the label alone, the rationale alone, or both in one text, in either order."""

    PREDICT = "predict"
    EXPLAIN = "explain"
    RATIONALE_FIRST = "rationale-first"
    ANSWER_FIRST = "answer-first"


RATIONALE_MARK = "Rationale:"
# Some tokenizers lose blanks around punctuation, and a student may change case: both are forgiven.
_ANSWER = re.compile(r"(?<!\w)answer\s*:", re.IGNORECASE)
_RATIONALE = re.compile(r"(?<!\w)rationale\s*:", re.IGNORECASE)


def prefix(view: View) -> str:
    """What the source of a view begins with: the paper's own words."""
    return "explain: " if view is View.EXPLAIN else "predict: "


@dataclass(frozen=True, slots=True)
class Source:
    """A student's input: a view's prefix, the segments, and the row's own choices, in one text."""

    prefix: str
    segments: tuple[str, ...]
    choices: str = ""

    @property
    def parts(self) -> list[str]:
        """The texts between which the student puts its separator: as many as there are segments."""
        parts = list(self.segments)
        parts[0] = self.prefix + parts[0]
        parts[-1] += self.choices
        return parts

    def text(self, separator: str) -> str:
        """Return the parts as one text."""
        return self.prefix + separator.join(self.segments) + self.choices


def source(example: Example, view: View) -> Source:
    """Return what the student reads of an example in a view."""
    return Source(prefix(view), example.segments, example.choices_text)


def target(example: Example, view: View) -> str | None:
    """The text that the student shall write; None where that needs a rationale and there is none."""
    if view is View.PREDICT:
        return example.label
    if example.rationale is None:
        return None
    match view:
        case View.EXPLAIN:
            return example.rationale
        case View.RATIONALE_FIRST:
            return f"{example.rationale} Answer: {example.label}"
        case View.ANSWER_FIRST:
            return f"{example.label} {RATIONALE_MARK} {example.rationale}"


def split_target(text: str, view: View) -> tuple[str, str | None]:
    """The label and the rationale in what a student wrote: the inverse of `target`, for every view but explain.

    With the rationale first, the last `Answer:` counts (the word may occur in the reasoning), and without one the
    label is "". With the answer first, the first `Rationale:` counts, and without one all is the label.
    """
    assert view is not View.EXPLAIN, "an explanation has no label"
    if view is View.PREDICT:
        return text, None
    if view is View.RATIONALE_FIRST:
        marks = list(_ANSWER.finditer(text))
        if not marks:
            return "", text.strip() or None
        return text[marks[-1].end() :].strip(), text[: marks[-1].start()].strip() or None
    mark = _RATIONALE.search(text)
    if mark is None:
        return text.strip(), None
    return text[: mark.start()].strip(), text[mark.end() :].strip() or None
