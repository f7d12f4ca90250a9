"""Files of predictions, limbeck's own or any tool's."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import isclose, isfinite
from pathlib import Path
from typing import Any

import scipy  # loads `special` on use
from pydantic import TypeAdapter, ValidationError

from limbeck.data.tables import cell_text, is_missing, parse_cell, read_table
from limbeck.errors import DataError
from limbeck.schema import Prediction
from limbeck.tasks import same_text

log = logging.getLogger(__name__)

# in any case; the first in the file counts
NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "doc_id", "example_id", "question_id", "idx"),
    "label": ("label", "target", "gold", "reference", "ground_truth", "expected", "answer"),
    "prediction": ("prediction", "pred", "predicted", "filtered_resps", "response", "output", "answer"),
    "correct": ("correct", "is_correct", "acc", "acc_norm", "accuracy", "exact_match"),
    "confidence": ("confidence", "conf", "probability", "prob"),
    "probabilities": ("probabilities", "probs"),
}
_TEXTS = ("id", "label", "prediction")
_FLAGS = {"right": True, "correct": True, "wrong": False, "incorrect": False}  # besides pydantic's
_SUM_TOLERANCE = 1e-3  # of their sum from one, for half precision
_PREDICTION = TypeAdapter(Prediction)
_LIKELIHOODS = TypeAdapter(list[tuple[float, Any]])
_NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d{0,30}|[1-9]\d{0,2}(?:,\d{3}){1,10})(?:\.\d{1,30})?", re.ASCII)


def read_predictions(path: Path, needs: Sequence[str] = ()) -> list[Prediction]:
    """Read the graded predictions in a table with `label` and `prediction`, or `correct`, or other usual `NAMES`.

    Without `correct` a row is right where prediction and label are the `same_answer`; without a label too it is left
    out, and counted in the log. `prediction` is "" where a question was not answered; `confidence` is then 0 if the
    file has any. Raises DataError for a column that is missing or that a caller `needs`, no graded row, an id twice, or
    a wrong value.
    """
    table = [(location, _with_likeliest_choice(values)) for location, values in read_table(path)]
    columns = _columns([values for _, values in table], path, needs)
    rows = [(location, _prediction(location, values, columns)) for location, values in table]
    confidences = [row.confidence for _, row in rows if row.confidence is not None]
    scale = 100 if max(confidences, default=0) >= 2 and not any(0 < number < 1 for number in confidences) else 1
    predictions: dict[str | int, Prediction] = {}
    for number, (location, row) in enumerate(rows):
        if row.correct is None:
            continue
        if row.id in predictions:
            raise DataError(f"{row.id!r:.60} occurs twice", path=location, field=repr(columns["id"]))
        confidence = None if row.confidence is None else row.confidence / scale
        if not 0 <= (confidence or 0) <= 1:
            raise DataError("expected 0 to 1, or 0 to 100 throughout", path=location, field=repr(columns["confidence"]))
        predictions[row.id or number] = replace(row, confidence=0.0 if row.blank and confidences else confidence)
    if not predictions:
        raise DataError("no row with a label", path=path)
    for field in needs:
        if all(getattr(prediction, field) is None for prediction in predictions.values()):
            raise DataError("no row has a value", path=path, field=repr(columns[field]))
    if left_out := len(table) - len(predictions):
        log.info("%s: %d of %d rows left out, without a label", path, left_out, len(table))
    return list(predictions.values())


def predictions_by_id(path: Path) -> dict[str, Prediction]:
    """Read a file's predictions by id. Raises DataError as `read_predictions`, and if one has no id."""
    predictions = read_predictions(path)
    if not all(prediction.id for prediction in predictions):
        raise DataError("a row has no `id` to match with another run's", path=path)
    return {prediction.id: prediction for prediction in predictions}


def same_answer(prediction: str, label: str) -> bool:
    """Return whether the two are the `same_text`, or the same number."""
    texts = [prediction.strip(), label.strip()]
    if same_text(prediction, label) or not all(map(_NUMBER.fullmatch, texts)):
        return same_text(prediction, label)
    return len({Fraction(text.replace(",", "")) for text in texts}) == 1


def _prediction(location: str, values: Mapping[str, Any], columns: Mapping[str, str]) -> Prediction:
    row: dict[str, Any] = {"id": "", **dict.fromkeys(("label", "prediction", "correct", "exact", "confidences"))}
    row |= {field: _value(field, values.get(column)) for field, column in columns.items()}
    definitions, rationale = values.get("confidences"), values.get("rationale")
    if isinstance(definitions, dict) and definitions:
        row["confidences"] = {name: number for name, number in definitions.items() if isinstance(number, int | float)}
        if definitions.get("choices") != values.get("confidence"):
            row["probabilities"] = None  # not behind this confidence
    row["rationale"] = rationale if isinstance(rationale, str) else None
    try:
        prediction = _PREDICTION.validate_python({"input": str(values.get("input") or ""), **row})
    except ValidationError as error:
        first = error.errors()[0]
        field, message = str(first["loc"][0]), f"{first['msg']}: {first['input']!r:.60}"
        raise DataError(message, path=location, field=repr(columns.get(field, field))) from None
    shares = (prediction.probabilities or {}).values()
    if shares and not (min(shares) >= 0 and isclose(sum(shares), 1, abs_tol=_SUM_TOLERANCE)):
        raise DataError("not numbers that add up to 1", path=location, field=repr(columns["probabilities"]))
    if prediction.correct is None and prediction.label and prediction.prediction is not None:
        return replace(prediction, correct=same_answer(prediction.prediction, prediction.label))
    return prediction


def _value(field: str, value: Any) -> Any:
    """Return a value that pydantic reads as the field's."""
    if field in _TEXTS:
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        return "" if is_missing(value) else value if isinstance(value, str) else cell_text(value)
    if is_missing(value):
        return None
    if not isinstance(value, str):
        return str(value) if field == "confidence" and isinstance(value, bool) else value  # true is no confidence
    text = value.strip().removesuffix(".0")  # a table's true is "1.0"
    if field == "probabilities":
        return parse_cell(text)
    return _FLAGS.get(text.casefold(), text) if field == "correct" else text


def _columns(rows: Sequence[Mapping[str, Any]], path: Path, needs: Sequence[str]) -> dict[str, str]:
    """Return the file's column for each field that it has; log those with another name."""
    present = {str(name).strip().casefold(): name for row in reversed(rows) for name in reversed(list(row))}
    columns: dict[str, str] = {}
    for field, names in NAMES.items():
        free = (present[name] for name in names if name in present and present[name] not in columns.values())
        if column := next(free, None):
            columns[field] = column
    graded_by = ("correct",) if "correct" in columns or "filtered_resps" in present else ("label", "prediction")
    for field in (*graded_by, *needs):
        if field not in columns:
            usual, header = ", ".join(NAMES[field][1:]), sorted(map(str, present.values()))
            raise DataError(f"no column {field!r}, nor {usual}; there are {header!r:.300}", path=path)
    if len({str(row["filter"]) for row in rows if "filtered_resps" in row and "filter" in row}) > 1:
        raise DataError("several filters; keep the rows of one", path=path, field="'filter'")
    if renamed := [f"{field!r} is the column {column!r}" for field, column in columns.items() if field != column]:
        log.info("%s: %s", path, ", ".join(renamed))
    return columns


def _with_likeliest_choice(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of lm-evaluation-harness with its likeliest choice; any other as it is.

    `filtered_resps` are log-likelihoods, each with whether greedy search writes the choice; a single text's is no
    answer.
    """
    try:
        scores = [score for score, _ in _LIKELIHOODS.validate_python(row.get("filtered_resps"))]
    except ValidationError:
        return row
    if len(scores) == 1:
        return {name: value for name, value in row.items() if name != "filtered_resps"}
    if not scores or not isfinite(max(scores)):
        return row
    probabilities = {str(choice): share for choice, share in enumerate(scipy.special.softmax(scores).tolist())}
    best = max(probabilities, key=probabilities.__getitem__)
    return {"prediction": best, "confidence": probabilities[best], "probabilities": probabilities, **row}
