"""Views of an example: what a student reads and writes, and the way back."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from limbeck.schema import Example


class View(StrEnum):
    """What a student reads and writes."""

    PREDICT = "predict"  # the label
    EXPLAIN = "explain"  # the rationale
    RATIONALE_FIRST = "rationale-first"  # both
    ANSWER_FIRST = "answer-first"
    GIVEN_RATIONALE = "given-rationale"  # the label, after question and rationale
    WRONG_RATIONALE = "wrong-rationale"  # as `EXPLAIN`, a rationale that led to another answer
    CHOICES = "choices"  # as `PREDICT`, each choice, with the share of its votes
    REVERSE_QUESTION = "reverse-question"  # a question that asks for what this one gives
    REVERSE_RATIONALE = "reverse-rationale"  # as `EXPLAIN`, the reverse question's rationale


ANSWERS = (View.PREDICT, View.RATIONALE_FIRST, View.ANSWER_FIRST)  # the views that a student may answer in
RATIONALES = (View.EXPLAIN, View.RATIONALE_FIRST, View.ANSWER_FIRST)  # and those it may reason in
SHARED_PROMPTS = {  # the view whose prompt another has
    View.WRONG_RATIONALE: View.EXPLAIN,
    View.CHOICES: View.PREDICT,
    View.REVERSE_RATIONALE: View.EXPLAIN,
}
_PREFIXES = {View.EXPLAIN: "explain", View.REVERSE_QUESTION: "reverse"}
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
            parts[0] = f"{_PREFIXES.get(self.view, 'predict')}: {parts[0]}"
        return [*parts, self.rationale] if self.rationale else parts

    def text(self, separator: str) -> str:
        return separator.join(self.parts)


def variants(example: Example, view: View) -> list[Example]:
    """Return the example once for each target that a view shows: with each rationale alone, or each choice as label."""
    if view is View.CHOICES and example.votes:
        return [replace(example, label=choice) for choice in example.choices or dict(example.votes)]
    rationales = example.wrong_rationales if view is View.WRONG_RATIONALE else example.rationales
    if not rationales or view in (View.PREDICT, View.CHOICES, View.REVERSE_QUESTION, View.REVERSE_RATIONALE):
        return [example]
    return [replace(example, rationale=rationale, rationales=()) for rationale in rationales]


def share(example: Example, view: View, count: int) -> float:
    """Return the weight of one of an example's `count` variants."""
    return dict(example.votes).get(example.label, 0.0) if view is View.CHOICES else 1 / count


def source(example: Example, view: View) -> Source:
    prompt_view = SHARED_PROMPTS.get(view, view)
    if view is View.REVERSE_RATIONALE and example.reverse:
        return Source(prompt_view, example.reverse[:1])
    rationale = (example.rationale or "") if view is View.GIVEN_RATIONALE else ""
    return Source(prompt_view, example.segments, example.choices_text, rationale)


def has_target(example: Example, view: View) -> bool:
    """Return True if the example has something to write in a view."""
    return any(target(variant, view) for variant in variants(example, view))


def target(example: Example, view: View) -> str | None:
    """Return what the student is to write for one of a view's `variants` of an example; None where that lacks it."""
    label, rationale = example.label, example.rationale
    if view is View.PREDICT:
        return label
    if view is View.CHOICES:  # a single choice tells nothing
        return label if example.votes and len(example.choices or example.votes) > 1 else None
    if view in (View.REVERSE_QUESTION, View.REVERSE_RATIONALE):
        return example.reverse[view is View.REVERSE_RATIONALE] if example.reverse else None
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
    assert view in ANSWERS, f"{view} has no label"
    if view is View.PREDICT:
        return text, None
    rationale_first = view is View.RATIONALE_FIRST
    marks = [mark.span() for mark in (_ANSWER if rationale_first else _RATIONALE).finditer(text)]
    start, end = marks[-rationale_first] if marks else (len(text), len(text))
    before, after = text[:start].strip(), text[end:].strip()
    return (after, before or None) if rationale_first else (before, after or None)
