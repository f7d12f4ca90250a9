"""Files of predictions, limbeck's own or any tool's: columns under their usual names, and the values in them."""

import logging
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from scipy.special import softmax

from limbeck.data.tables import read_table
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
_NUMBER = re.compile(r"([-+]?)((?:0|[1-9]\d{0,30}|[1-9]\d{0,2}(?:,\d{3}){1,10})(?:\.\d{1,30})?)", re.ASCII)


def read_predictions(path: Path, needs: Sequence[str] = ()) -> list[Prediction]:
    """Read the graded predictions in a table with `label` and `prediction`, or `correct`, and any other known fields.

    Columns may have other usual names (`NAMES`); what was taken for what is logged. A row's own `correct` says whether
    it is right; without it a row is right where prediction and label are the same text, but for case, white space and
    a final full stop, or the same number. Rows with neither label nor `correct` are left out, and counted in the log.

    Args:
        path: any file that `read_table` reads.
        needs: further fields that have to be there.

    Returns:
        Predictions in the file's order. `prediction` is None where the file has no such column, and "" where a question
        was not answered; its `confidence` is then 0 if the file has confidences. `probabilities` are None where the
        row's `confidences` say that its confidence is by another definition. `id` is "" where there is none.

    Raises:
        DataError: a column is missing (names it and those that there are), no row is graded, an id occurs twice, or a
            value is wrong (names file, line and field).
    """
    table = [(location, _with_likeliest_choice(values)) for location, values in read_table(path)]
    columns = _columns([values for _, values in table], path, needs)
    rows = [(location, values, _row(location, values, columns)) for location, values in table]
    confidences = [row.confidence for *_, row in rows if row.confidence is not None]
    percent = bool(confidences) and max(confidences) >= 2 and not any(0 < number < 1 for number in confidences)
    predictions: dict[str | int, Prediction] = {}
    for number, (location, values, row) in enumerate(rows):
        if row.correct is None and not (row.label and "prediction" in columns):
            continue
        if row.id in predictions:
            raise DataError(f"{row.id!r:.60} occurs twice", path=location, field=repr(columns["id"]))
        if row.confidence is not None:
            row.confidence /= 100 if percent else 1
            if row.confidence > 1:
                text = "numbers from 0 to 1, or from 0 to 100 in the whole file, were expected"
                raise DataError(text, path=location, field=repr(columns["confidence"]))
        row.prediction = (row.prediction or "") if "prediction" in columns else None
        predictions[row.id or number] = _prediction(row, values, blank_confidence=0.0 if confidences else None)
    if not predictions:
        raise DataError("no row with a label, so nothing is right or wrong", path=path)
    if left_out := len(table) - len(predictions):
        log.info("%s: %d of %d rows left out, without a label", path, left_out, len(table))
    return list(predictions.values())


def predictions_by_id(path: Path) -> dict[str, Prediction]:
    """Read the predictions of a file as `read_predictions`, by their ids.

    Raises:
        DataError: as `read_predictions`, or a prediction has no id.
    """
    predictions = read_predictions(path)
    if not all(prediction.id for prediction in predictions):
        raise DataError("a row has no `id`, so it cannot be matched with another run's", path=path)
    return {prediction.id: prediction for prediction in predictions}


def same_answer(prediction: str, label: str) -> bool:
    """Return whether the two are the same text, normalised, or the same number."""
    value = _number(label)
    return same_text(prediction, label) or (value is not None and _number(prediction) == value)


def _number(text: str) -> Fraction | None:
    """Return the exact value of a text that is nothing but a number, with or without commas between thousands."""
    match = _NUMBER.fullmatch(text.strip())
    return Fraction(match[1] + match[2].replace(",", "")) if match else None


def _as_text(value: object) -> object:
    """Return a number, true, false or a list of one as text; None for NaN and blanks."""
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(value, bool | int | float):
        return None if value != value else str(value).lower().removesuffix(".0")  # NaN
    return None if isinstance(value, str) and not value.strip() else value


def _or_none(value: object) -> object:
    """Return the value, None for NaN and a blank cell of a table, and 1 for the cell "1.0"."""
    text = str(value).strip().removesuffix(".0")
    return None if text in ("", "nan") else text if isinstance(value, str) else value


_Text = Annotated[str | None, BeforeValidator(_as_text)]
_Number = Annotated[float, Field(ge=0, le=100)]


class _Row(BaseModel):
    """A row's values by our fields; None where the file has no such column, or nothing in it."""

    id: _Text = None
    label: _Text = None
    prediction: _Text = None
    correct: Annotated[bool | None, BeforeValidator(_or_none)] = None
    confidence: Annotated[_Number | None, BeforeValidator(_or_none)] = None
    probabilities: Annotated[dict[str, _Number] | None, BeforeValidator(_or_none)] = None


def _row(location: str, values: Mapping[str, Any], columns: Mapping[str, str]) -> _Row:
    try:
        return _Row.model_validate({field: values.get(column) for field, column in columns.items()})
    except ValidationError as error:
        first = error.errors()[0]
        column = columns[str(first["loc"][0])]
        raise DataError(f"{first['msg']}: {first['input']!r:.60}", path=location, field=repr(column)) from None


def _prediction(row: _Row, values: Mapping[str, Any], *, blank_confidence: float | None) -> Prediction:
    blank = row.prediction is not None and not row.prediction.strip()
    definitions, rationale = values.get("confidences"), values.get("rationale")
    definitions = definitions if isinstance(definitions, dict) else None
    by_choices = not definitions or blank or definitions.get("choices") == values.get("confidence")
    return Prediction(
        id=row.id or "",
        input=str(values.get("input") or ""),
        label=row.label,
        prediction=row.prediction,
        correct=same_answer(row.prediction or "", row.label or "") if row.correct is None else row.correct,
        exact=None,
        rationale=rationale if isinstance(rationale, str) else None,
        confidence=blank_confidence if blank else row.confidence,
        confidences=definitions,
        # where the confidence is by another definition, metrics over choices would not be of it
        probabilities=row.probabilities if by_choices else None,
    )


def _columns(rows: Sequence[Mapping[str, Any]], path: Path, needs: Sequence[str]) -> dict[str, str]:
    """Return the file's column for each of our fields that it has, and log those with another name."""
    present = {str(name).strip().casefold(): name for row in reversed(rows) for name in reversed(list(row))}
    columns: dict[str, str] = {}
    for field, names in NAMES.items():
        free = (present[name] for name in names if name in present and present[name] not in columns.values())
        if (column := next(free, None)) is not None:
            columns[field] = column
    graded_by = ("correct",) if "correct" in columns or "filtered_resps" in present else ("label", "prediction")
    for field in (*graded_by, *needs):
        if field not in columns:
            raise DataError(
                f"no column {field!r} ({', '.join(NAMES[field][1:])} would do); "
                f"there are {sorted(map(str, present.values()))!r:.300}",
                path=path,
            )
    if len({str(row["filter"]) for row in rows if "filtered_resps" in row and "filter" in row}) > 1:
        raise DataError("answers by several filters; keep the rows of one", path=path, field="'filter'")
    if renamed := [f"{field!r} is the column {column!r}" for field, column in columns.items() if field != column]:
        log.info("%s: %s", path, ", ".join(renamed))
    return columns


def _with_likeliest_choice(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with what lm-evaluation-harness's log-likelihoods of choices say, or as it is.

    Each of its `filtered_resps` is then a pair with whether greedy search writes the choice. The likeliest is the
    answer, and its share of their probability the confidence. A single text's likelihood is no answer.
    """
    responses = row.get("filtered_resps") or ()
    if not all(isinstance(response, list) and len(response) == 2 for response in responses):
        return row
    if len(responses) < 2:
        return {name: value for name, value in row.items() if name != "filtered_resps" or not responses}
    shares = softmax([float(score) for score, _ in responses]).tolist()
    probabilities = {str(choice): share for choice, share in enumerate(shares)}
    best = max(probabilities, key=probabilities.__getitem__)
    return {"prediction": best, "confidence": probabilities[best], "probabilities": probabilities, **row}
