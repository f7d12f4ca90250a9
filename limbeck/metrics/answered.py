"""Graded answers as they stand in a file of predictions, a run's or anybody's."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.tables import read_table
from limbeck.errors import LimbeckError
from limbeck.metrics.columns import (
    column_names,
    confidences_of,
    flag_of,
    from_samples,
    json_of,
    number_in,
    text_of,
)
from limbeck.stats.graded import SUM, Floats, Ints
from limbeck.tasks import same_text

log = logging.getLogger(__name__)

MOST_CHOICES = 100  # in all rows together; more are no fixed set of labels


@dataclass(frozen=True, slots=True)
class Answered:
    """One graded answer. `where` is its file and line.

    Of a file that only says what is right, `label` is "" and `prediction` None; "" is a question without an answer.

    `confidence` is 0 where nothing was answered in a file that has confidences, and None where it is not known.
    `probabilities` are of the choices, and None where the confidence is not the answer's among them.
    """

    where: str
    id: str | None
    label: str
    prediction: str | None
    correct: bool
    confidence: float | None
    probabilities: dict[str, float] | None


def read_answers(path: Path, needs: Sequence[str] = ()) -> list[Answered]:
    """Return the graded answers in a table with `label`, `prediction` and, where known, `confidence`.

    The columns may have other names that are usual for them (`columns.NAMES`), and what was taken for what is logged.
    A row's own `correct` says whether it is right; a row without is right where prediction and label are the same text,
    but for case, white space and a final full stop, or the same number. `id` and `probabilities` (of the choices) are
    read where given; the latter not of a row whose `confidences` say that its confidence is by another definition.
    Rows with neither label nor `correct` are passed over, and counted in the log. `needs` are further columns that have
    to be there.

    Raises:
        LimbeckError: no such file, a column is missing, no row that is graded, an id twice, or a field that is wrong;
            names file and line, and of columns those that there are.
    """
    rows = from_samples(read_table(path), str(path))
    names = column_names(rows, str(path), needs)
    graded = [(where, row) for where, row in rows if _known(row, names, where)]
    if not graded:
        raise LimbeckError(f"{path}: no row with a label, so nothing to be right or wrong about")
    if left_out := len(rows) - len(graded):
        log.info("%s: %d of %d rows left out, without a label", path, left_out, len(rows))
    sure = confidences_of(graded, names["confidence"], str(path)) if "confidence" in names else [None] * len(graded)
    silence = None if all(one is None for one in sure) else 0.0
    answers = [_answered(row, names, where, stated, silence) for (where, row), stated in zip(graded, sure, strict=True)]
    if "correct" not in names and (
        by_value := sum(one.correct and not same_text(str(one.prediction), one.label) for one in answers)
    ):
        log.info("%s: %d answers are right as numbers, their text is another than the label's", path, by_value)
    seen: dict[str, str] = {}
    for one in answers:
        if one.id is not None and seen.setdefault(one.id, one.where) != one.where:
            raise LimbeckError(f"{one.where}: field 'id': {one.id!r:.60} stands already at {seen[one.id]}")
    return answers


def by_id(path: Path) -> dict[str, Answered]:
    """Return the answers of a file as `read_answers` has them, by their ids.

    Raises:
        LimbeckError: as `read_answers`, or an answer has no id.
    """
    answers = {}
    for one in read_answers(path):
        if one.id is None:
            raise LimbeckError(f"{one.where}: no `id`, so it cannot be matched with another run's answer")
        answers[one.id] = one
    return answers


def known(answers: Sequence[Answered]) -> list[Answered]:
    """Return the answers whose confidence is known: all that is said of confidences is measured on these alone.

    Raises:
        LimbeckError: there are answers, and of none it is known.
    """
    having = [one for one in answers if one.confidence is not None]
    if answers and not having:
        raise LimbeckError(
            f"{answers[0].where}: no field 'confidence', nor in any other row: a number from 0 to 1 (columns called "
            "conf or probability would do); `limbeck evaluate` and `predict` write it"
        )
    return having


def confidences(answers: Sequence[Answered]) -> Floats:
    """Return the confidences [N] of answers as `known` leaves them."""
    return np.array([one.confidence for one in answers], dtype=np.float64)


def of_choices(answers: Sequence[Answered]) -> list[Answered]:
    """Return the answers with all choices' probabilities, the label's among them; none where choices are free."""
    having = [one for one in answers if one.probabilities and one.label in one.probabilities]
    return having if len({name for one in having for name in one.probabilities or ()}) <= MOST_CHOICES else []


def choices(answers: Sequence[Answered]) -> tuple[Floats, Ints]:
    """Return all choices' probabilities [N, K] and the labels' columns [N] of answers as `of_choices` leaves them."""
    names = sorted({name for one in answers for name in one.probabilities or ()})
    column = {name: index for index, name in enumerate(names)}
    table = np.zeros((len(answers), len(names)))
    for row, one in enumerate(answers):
        for name, probability in (one.probabilities or {}).items():
            table[row, column[name]] = probability
    return table, np.array([column[one.label] for one in answers], dtype=np.int64)


def _known(row: dict[str, Any], names: Mapping[str, str], where: str) -> bool:
    """Return whether a row says what is right: by its label, or by itself."""
    label = text_of(row.get(names["label"]), where, names["label"]) if "label" in names else None
    right = flag_of(row.get(names["correct"]), where, names["correct"]) if "correct" in names else None
    return right is not None or bool(label and label.strip() and "prediction" in names)


def _answered(
    row: dict[str, Any], names: Mapping[str, str], where: str, stated: float | None, silence: float | None
) -> Answered:
    id, label, prediction, correct = (row.get(names[field]) if field in names else None for field in _FIELDS)
    label = text_of(label, where, names.get("label", "label")) or ""
    said = text_of(prediction, where, names["prediction"]) or "" if "prediction" in names else None
    right = flag_of(correct, where, names.get("correct", "correct"))
    silent = said is not None and not said.strip()
    return Answered(
        where,
        text_of(id, where, names.get("id", "id")),
        label,
        said,
        same_answer(str(said), label) if right is None else right,
        silence if silent else stated,
        _probabilities(row, names, where, silent),
    )


_FIELDS = ("id", "label", "prediction", "correct")


def same_answer(prediction: str, label: str) -> bool:
    """Return whether the two are the same text, normalised, or the same number."""
    value = number_in(label)
    return same_text(prediction, label) or (value is not None and number_in(prediction) == value)


def _probabilities(row: dict[str, Any], names: Mapping[str, str], where: str, silent: bool) -> dict[str, float] | None:
    found = json_of(row.get(names.get("probabilities", "probabilities")))
    if found in (None, "", {}):
        return None
    numbers = isinstance(found, dict) and all(type(one) in (int, float) and 0 <= one <= 1 for one in found.values())
    if not numbers:
        raise LimbeckError(f"{where}: field 'probabilities': numbers from 0 to 1 by choice were expected")
    if abs(sum(found.values()) - 1) > SUM:
        raise LimbeckError(f"{where}: field 'probabilities': they sum to {sum(found.values()):.6g}, not to 1")
    said = row.get("confidences")
    if isinstance(said, dict) and said.get("choices") != row.get("confidence") and not silent:
        return None  # of another definition: what is measured over choices would not be of this confidence
    return {str(name): float(one) for name, one in found.items()}
