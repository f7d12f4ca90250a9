"""Views of an example: what a student reads and writes, and the way back."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from limbeck.schema import Example


class View(StrEnum):
    """What a student writes: the label, the rationale, or both in one text, in either order.

    `GIVEN_RATIONALE` is the label, after the question and its rationale; `WRONG_RATIONALE` a rationale that led to
    another answer, from the prompt of `EXPLAIN`.
    """

    PREDICT = "predict"
    EXPLAIN = "explain"
    RATIONALE_FIRST = "rationale-first"
    ANSWER_FIRST = "answer-first"
    GIVEN_RATIONALE = "given-rationale"
    WRONG_RATIONALE = "wrong-rationale"


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
    rationale: str = ""  # that it is given

    @property
    def parts(self) -> list[str]:
        """The segments with the paper's prefix, between which an encoder-decoder puts its separator."""
        parts = list(self.segments)
        parts[-1] += self.choices
        if self.view is not None:
            parts[0] = f"{'explain' if self.view is View.EXPLAIN else 'predict'}: {parts[0]}"
        return [*parts, self.rationale] if self.rationale else parts

    def text(self, separator: str) -> str:
        return separator.join(self.parts)


def by_rationale(example: Example, view: View) -> list[Example]:
    """Return the example with each of its rationales alone; once where the view shows none."""
    rationales = example.wrong_rationales if view is View.WRONG_RATIONALE else example.rationales
    if view is View.PREDICT or not rationales:
        return [example]
    return [replace(example, rationale=rationale, rationales=()) for rationale in rationales]


def source(example: Example, view: View) -> Source:
    rationale = (example.rationale or "") if view is View.GIVEN_RATIONALE else ""
    shown = View.EXPLAIN if view is View.WRONG_RATIONALE else view
    return Source(shown, example.segments, example.choices_text, rationale)


def target(example: Example, view: View) -> str | None:
    """Return what the student is to write in a view; None where that lacks its rationale."""
    label, rationale = example.label, example.rationale
    if view is View.PREDICT:
        return label
    if rationale is None or (view is View.WRONG_RATIONALE and not example.wrong_rationales):
        return None
    return {
        View.EXPLAIN: rationale,
        View.WRONG_RATIONALE: rationale,
        View.GIVEN_RATIONALE: label,
        View.RATIONALE_FIRST: f"{rationale} Answer: {label}",
        View.ANSWER_FIRST: f"{label} {RATIONALE_MARK} {rationale}",
    }[view]


def split_target(text: str, view: View) -> tuple[str, str | None]:
    """Return the label and the rationale in a student's text: the inverse of `target`, except for explain.

    With the rationale first, the last `Answer:` counts, and without one the label is ""; with the answer first, the
    first `Rationale:`, and without one all is the label.
    """
    assert view is not View.EXPLAIN, "an explanation has no label"
    if view in (View.PREDICT, View.GIVEN_RATIONALE):
        return text, None
    rationale_first = view is View.RATIONALE_FIRST
    marks = [mark.span() for mark in (_ANSWER if rationale_first else _RATIONALE).finditer(text)]
    start, end = marks[-rationale_first] if marks else (len(text), len(text))
    before, after = text[:start].strip(), text[end:].strip()
    return (after, before or None) if rationale_first else (before, after or None)
