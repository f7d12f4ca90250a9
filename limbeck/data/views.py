"""Views of an example: what a student reads and writes, and the way back."""

import re
from dataclasses import dataclass
from enum import StrEnum

from limbeck.schema import Example


class View(StrEnum):
    """The label alone, the rationale alone, or both in one text, in either order."""

    PREDICT = "predict"
    EXPLAIN = "explain"
    RATIONALE_FIRST = "rationale-first"
    ANSWER_FIRST = "answer-first"


RATIONALE_MARK = "Rationale:"
# Some tokenizers lose blanks around punctuation, and a student may change case.
_ANSWER = re.compile(r"(?<!\w)answer\s*:", re.IGNORECASE)
_RATIONALE = re.compile(r"(?<!\w)rationale\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """A student's input in a view: the segments, and the row's own choices."""

    view: View | None  # None: a text as it stands
    segments: tuple[str, ...]
    choices: str = ""

    @property
    def parts(self) -> list[str]:
        """The segments with the paper's prefix, between which an encoder-decoder puts its separator."""
        parts = list(self.segments)
        if self.view is not None:
            parts[0] = f"{'explain' if self.view is View.EXPLAIN else 'predict'}: {parts[0]}"
        parts[-1] += self.choices
        return parts

    def text(self, separator: str) -> str:
        return separator.join(self.parts)


def source(example: Example, view: View) -> Source:
    return Source(view, example.segments, example.choices_text)


def target(example: Example, view: View) -> str | None:
    """Return what the student is to write in a view; None where that lacks its rationale."""
    label, rationale = example.label, example.rationale
    if view is View.PREDICT or rationale is None:
        return label if view is View.PREDICT else None
    return {
        View.EXPLAIN: rationale,
        View.RATIONALE_FIRST: f"{rationale} Answer: {label}",
        View.ANSWER_FIRST: f"{label} {RATIONALE_MARK} {rationale}",
    }[view]


def split_target(text: str, view: View) -> tuple[str, str | None]:
    """Return the label and the rationale in a student's text: the inverse of `target`, except for explain.

    With the rationale first, the last `Answer:` counts, and without one the label is ""; with the answer first, the
    first `Rationale:`, and without one all is the label.
    """
    assert view is not View.EXPLAIN, "an explanation has no label"
    if view is View.PREDICT:
        return text, None
    rationale_first = view is View.RATIONALE_FIRST
    marks = [mark.span() for mark in (_ANSWER if rationale_first else _RATIONALE).finditer(text)]
    start, end = marks[-rationale_first] if marks else (len(text), len(text))
    before, after = text[:start].strip(), text[end:].strip()
    return (after, before or None) if rationale_first else (before, after or None)
