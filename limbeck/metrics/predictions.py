"""Files of predictions, limbeck's own or any tool's: columns under their usual names, and the values in them."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import isclose, isfinite
from pathlib import Path
from typing import Any

import scipy  # loads `special` when it is used
from pydantic import TypeAdapter, ValidationError

from limbeck.data.tables import cell_text, is_missing, parse_cell, read_table
from limbeck.errors import DataError
from limbeck.schema import Prediction
from limbeck.tasks import same_text

log = logging.getLogger(__name__)

# in any case; the first that the file has counts
NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "doc_id", "example_id", "question_id", "idx"),
    "label": ("label", "target", "gold", "reference", "ground_truth", "expected", "answer"),
    "prediction": ("prediction", "pred", "predicted", "filtered_resps", "response", "output", "answer"),
    "correct": ("correct", "is_correct", "acc", "acc_norm", "accuracy", "exact_match"),
    "confidence": ("confidence", "conf", "probability", "prob"),
    "probabilities": ("probabilities", "probs"),
}
_TEXTS = ("id", "label", "prediction")
_FLAGS = {"right": True, "correct": True, "wrong": False, "incorrect": False}  # besides those that pydantic reads
_SUM_TOLERANCE = 1e-3  # of probabilities from one: half precision does this to a softmax
_PREDICTION = TypeAdapter(Prediction)
_LIKELIHOODS = TypeAdapter(list[tuple[float, Any]])
_NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d{0,30}|[1-9]\d{0,2}(?:,\d{3}){1,10})(?:\.\d{1,30})?", re.ASCII)


def read_predictions(path: Path, needs: Sequence[str] = ()) -> list[Prediction]:
    """Read the graded predictions in a table with `label` and `prediction`, or `correct`, or other usual `NAMES`.

    Without `correct` a row is right where prediction and label are the `same_answer`; without a label too it is left
    out, and counted in the log. `prediction` is "" where a question was not answered; `confidence` is then 0 if the
    file has any. Raises DataError for a missing column, also one that a caller `needs`, no graded row, an id twice, or
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
            text = "not from 0 to 1, nor from 0 to 100 in the whole file"
            raise DataError(text, path=location, field=repr(columns["confidence"]))
        predictions[row.id or number] = replace(row, confidence=0.0 if row.blank and confidences else confidence)
    if not predictions:
        raise DataError("no row with a label, so nothing is right or wrong", path=path)
    for field in needs:
        if all(getattr(prediction, field) is None for prediction in predictions.values()):
            raise DataError("no row has a value there", path=path, field=repr(columns[field]))
    if left_out := len(table) - len(predictions):
        log.info("%s: %d of %d rows left out, without a label", path, left_out, len(table))
    return list(predictions.values())


def predictions_by_id(path: Path) -> dict[str, Prediction]:
    """Read the predictions of a file by their ids. Raises DataError as `read_predictions`, and if one has no id."""
    predictions = read_predictions(path)
    if not all(prediction.id for prediction in predictions):
        raise DataError("a row has no `id`, so it cannot be matched with another run's", path=path)
    return {prediction.id: prediction for prediction in predictions}


def same_answer(prediction: str, label: str) -> bool:
    """Return whether the two are the `same_text`, or the same number."""
    texts = (prediction.strip(), label.strip())
    numbers = {Fraction(text.replace(",", "")) if _NUMBER.fullmatch(text) else None for text in texts}
    return same_text(prediction, label) or (len(numbers) == 1 and numbers != {None})


def _prediction(location: str, values: Mapping[str, Any], columns: Mapping[str, str]) -> Prediction:
    """Return a row as a prediction, its confidence unscaled."""
    row: dict[str, Any] = {"id": "", **dict.fromkeys(("label", "prediction", "correct", "exact", "confidences"))}
    row |= {field: _value(field, values.get(column)) for field, column in columns.items()}
    definitions, rationale = values.get("confidences"), values.get("rationale")
    if isinstance(definitions, dict) and definitions:
        row["confidences"] = {name: number for name, number in definitions.items() if isinstance(number, int | float)}
        if definitions.get("choices") != values.get("confidence"):
            row["probabilities"] = None  # metrics over choices would not be of this confidence
    row["rationale"] = rationale if isinstance(rationale, str) else None
    try:
        prediction = _PREDICTION.validate_python({"input": str(values.get("input") or ""), **row})
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        message = f"{first['msg']}: {first['input']!r:.60}"
        raise DataError(message, path=location, field=repr(columns.get(field, field))) from None
    shares = (prediction.probabilities or {}).values()
    if shares and not (min(shares) >= 0 and isclose(sum(shares), 1, abs_tol=_SUM_TOLERANCE)):
        raise DataError("not numbers that add up to 1", path=location, field=repr(columns["probabilities"]))
    if prediction.correct is None and prediction.label and prediction.prediction is not None:
        return replace(prediction, correct=same_answer(prediction.prediction, prediction.label))
    return prediction


def _value(field: str, value: Any) -> Any:
    """Return what pydantic reads as the field's value, from a word or a table's text too."""
    if field in _TEXTS:
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        return "" if is_missing(value) else value if isinstance(value, str) else cell_text(value)
    if is_missing(value):
        return None
    if not isinstance(value, str):
        return str(value) if field == "confidence" and isinstance(value, bool) else value  # true is no confidence
    text = value.strip().removesuffix(".0")  # "1.0" is how a table writes true
    if field == "probabilities":
        return parse_cell(text)
    return _FLAGS.get(text.casefold(), text) if field == "correct" else text


def _columns(rows: Sequence[Mapping[str, Any]], path: Path, needs: Sequence[str]) -> dict[str, str]:
    """Return the file's column for each field that it has, and log those with another name."""
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
            raise DataError(f"no column {field!r} ({usual} would do); there are {header!r:.300}", path=path)
    if len({str(row["filter"]) for row in rows if "filtered_resps" in row and "filter" in row}) > 1:
        raise DataError("answers by several filters; keep the rows of one", path=path, field="'filter'")
    if renamed := [f"{field!r} is the column {column!r}" for field, column in columns.items() if field != column]:
        log.info("%s: %s", path, ", ".join(renamed))
    return columns


def _with_likeliest_choice(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of lm-evaluation-harness with the likeliest of its choices, or as it is.

    Each of its `filtered_resps` is then a log-likelihood, and whether greedy search writes the choice; a single text's
    is no answer.
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
