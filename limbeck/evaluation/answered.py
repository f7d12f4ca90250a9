"""Graded answers as they stand in a file of predictions, a run's or anybody's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import LimbeckError
from limbeck.evaluation.graded import SUM, Floats, Ints
from limbeck.files import read_jsonl
from limbeck.tasks import same_text

MOST_CHOICES = 100  # in all rows together; more are no fixed set of labels


@dataclass(frozen=True, slots=True)
class Answered:
    """One graded answer. `where` is its file and line.

    `probabilities` are of the choices, and None where the confidence is not the answer's among them.
    """

    where: str
    id: str | None
    label: str
    correct: bool
    confidence: float | None
    probabilities: dict[str, float] | None


def read_answers(path: Path) -> list[Answered]:
    """The answers with a label in a file of JSON lines with `label`, `prediction` and, where known, `confidence`.

    A row's own `correct` says whether it is right; a row without is right where prediction and label are the same text,
    but for case, white space and a final full stop. `id` and `probabilities` (of the choices) are read where given; the
    latter not of a row whose `confidences` say that its confidence is by another definition.

    Raises:
        LimbeckError: no such file, no row with a label, an id twice, or a field that is wrong; names file and line.
    """
    answers = [_answered(row, f"{path}:{line}") for line, row in read_jsonl(path) if row.get("label") is not None]
    if not answers:
        raise LimbeckError(f"{path}: no row with a label, so nothing to be right or wrong about")
    seen: dict[str, str] = {}
    for one in answers:
        if one.id is not None and seen.setdefault(one.id, one.where) != one.where:
            raise LimbeckError(f"{one.where}: field 'id': {one.id!r:.60} stands already at {seen[one.id]}")
    return answers


def by_id(path: Path) -> dict[str, Answered]:
    """The answers of a file as `read_answers` has them, by their ids.

    Raises:
        LimbeckError: as `read_answers`, or an answer has no id.
    """
    answers = {}
    for one in read_answers(path):
        if one.id is None:
            raise LimbeckError(f"{one.where}: no `id`, so it cannot be matched with another run's answer")
        answers[one.id] = one
    return answers


def confidences(answers: Sequence[Answered]) -> Floats:
    """All confidences [N].

    Raises:
        LimbeckError: an answer has none, or one that is no probability; names its file and line.
    """
    for one in answers:
        if one.confidence is None:
            raise LimbeckError(
                f"{one.where}: no field 'confidence', a number from 0 to 1; `limbeck evaluate` and `predict` write it"
            )
        if not 0 <= one.confidence <= 1:  # also NaN
            raise LimbeckError(
                f"{one.where}: field 'confidence': a number from 0 to 1 was expected, not {one.confidence}"
            )
    return np.array([one.confidence for one in answers], dtype=np.float64)


def choices(answers: Sequence[Answered]) -> tuple[Floats, Ints] | None:
    """The probabilities of all choices [N, K] and the labels' columns [N]; None where not every answer has them
    and its confidence from them."""
    names = sorted({name for one in answers for name in one.probabilities or ()})
    if len(names) > MOST_CHOICES or not all(one.probabilities and one.label in one.probabilities for one in answers):
        return None
    column = {name: index for index, name in enumerate(names)}
    table = np.zeros((len(answers), len(names)))
    for row, one in enumerate(answers):
        for name, probability in (one.probabilities or {}).items():
            table[row, column[name]] = probability
    return table, np.array([column[one.label] for one in answers])


def _answered(row: dict[str, Any], where: str) -> Answered:
    for field in ("label", "prediction"):
        if not isinstance(row.get(field), str):
            raise LimbeckError(f"{where}: field {field!r}: text was expected, not {row.get(field)!r:.40}")
    correct, confidence, id = row.get("correct"), row.get("confidence"), row.get("id")
    if correct is None:
        correct = same_text(row["prediction"], row["label"])
    if not isinstance(correct, bool):
        raise LimbeckError(f"{where}: field 'correct': true or false was expected, not {correct!r:.40}")
    if confidence is not None and (isinstance(confidence, bool) or not isinstance(confidence, int | float)):
        raise LimbeckError(f"{where}: field 'confidence': a number from 0 to 1 was expected, not {confidence!r:.40}")
    return Answered(
        where, None if id is None else str(id), row["label"], correct, confidence, _probabilities(row, where)
    )


def _probabilities(row: dict[str, Any], where: str) -> dict[str, float] | None:
    found = row.get("probabilities")
    if found is None:
        return None
    numbers = isinstance(found, dict) and all(type(one) in (int, float) and 0 <= one <= 1 for one in found.values())
    if not numbers:
        raise LimbeckError(f"{where}: field 'probabilities': numbers from 0 to 1 by choice were expected")
    if abs(sum(found.values()) - 1) > SUM:
        raise LimbeckError(f"{where}: field 'probabilities': they sum to {sum(found.values()):.6g}, not to 1")
    said = row.get("confidences")
    if isinstance(said, dict) and said.get("choices") != row.get("confidence"):
        return None  # of another definition: what is measured over choices would not be of this confidence
    return {name: float(one) for name, one in found.items()}
