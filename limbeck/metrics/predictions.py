"""Files of predictions, limbeck's own or any tool's: columns under their usual names, and the values in them."""

import json
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from limbeck.data.tables import read_table
from limbeck.errors import DataError
from limbeck.metrics.graded import SUM_TOLERANCE, Graded, graded
from limbeck.schema import Prediction
from limbeck.tasks import same_text

log = logging.getLogger(__name__)

Located = tuple[str, dict[str, Any]]
"""A row after its file and line."""
_Value = TypeVar("_Value")

# whatever their case, blanks and hyphens; the first that the file has counts
NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "uid", "doc_id", "example_id", "question_id", "sample_id", "qid", "idx", "index"),
    "label": (
        *("label", "target", "gold", "gold_label", "gold_answer", "true_label", "reference", "reference_answer"),
        *("ground_truth", "expected", "expected_answer", "correct_answer", "truth", "y_true", "ideal", "answer"),
    ),
    "prediction": (
        *("prediction", "pred", "predicted", "predicted_label", "predicted_answer", "pred_label", "pred_answer"),
        *("filtered_resps", "extracted_answer", "model_answer", "parsed_answer", "y_pred", "guess", "answer"),
        *("output", "model_output", "response", "generated_text", "generation", "completion"),
    ),
    "correct": (
        *("correct", "is_correct", "correctness", "acc", "acc_norm", "accuracy", "exact_match", "em", "match"),
        *("right", "passed"),
    ),
    "confidence": ("confidence", "conf", "confidence_score", "probability", "prob"),  # a "score" may be of anything
    "probabilities": ("probabilities", "probs"),
}
MAX_CHOICES = 100  # in all rows together; more are no fixed set of labels

# what lm-evaluation-harness logs of a sample beside its metrics
_HARNESS = {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"}
_HARNESS |= {"doc_hash", "prompt_hash", "target_hash"}
_TRUE = frozenset(("true", "t", "yes", "y", "1", "1.0", "right", "correct"))
_FALSE = frozenset(("false", "f", "no", "n", "0", "0.0", "wrong", "incorrect"))
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
    table = _harness_rows(read_table(path), path)
    columns = _columns(table, path, needs)
    rows = [row for where, values in table if (row := _Row(where, values, columns)).graded]
    if not rows:
        raise DataError("no row with a label, so nothing is right or wrong", path=path)
    if left_out := len(table) - len(rows):
        log.info("%s: %d of %d rows left out, without a label", path, left_out, len(table))
    confidences = _confidences(rows, path)
    blank = None if all(confidence is None for confidence in confidences) else 0.0
    predictions: list[Prediction] = []
    places: dict[str, str] = {}
    for row, confidence in zip(rows, confidences, strict=True):
        prediction = _prediction(row, confidence, blank)
        if prediction.id in places:
            text = f"{prediction.id!r:.60} is already at {places[prediction.id]}"
            raise DataError(text, path=row.where, field=repr(columns["id"]))
        if prediction.id:
            places[prediction.id] = row.where
        predictions.append(prediction)
    if "correct" not in columns and (
        by_value := sum(bool(p.correct) and not same_text(str(p.prediction), str(p.label)) for p in predictions)
    ):
        log.info("%s: %d answers are right as numbers, their text differs from the label's", path, by_value)
    return predictions


def predictions_by_id(path: Path) -> dict[str, Prediction]:
    """Read the predictions of a file as `read_predictions`, by their ids.

    Raises:
        DataError: as `read_predictions`, or a prediction has no id.
    """
    predictions = read_predictions(path)
    if not all(prediction.id for prediction in predictions):
        raise DataError("a row has no `id`, so it cannot be matched with another run's", path=path)
    return {prediction.id: prediction for prediction in predictions}


def with_confidence(predictions: Sequence[Prediction], path: Path | None = None) -> list[Prediction]:
    """Return the predictions whose confidence is known: metrics of confidence are measured on these alone.

    Raises:
        DataError: there are predictions, but none has a confidence.
    """
    sure = [prediction for prediction in predictions if prediction.confidence is not None]
    if predictions and not sure:
        raise DataError(
            "no row has a number from 0 to 1 there (columns called conf or probability are read too); "
            "`limbeck evaluate` and `predict` write it",
            path=path,
            field="'confidence'",
        )
    return sure


def with_choices(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return the predictions that have a probability for each choice, the label included; none where choices vary."""
    complete = [p for p in predictions if p.probabilities and p.label in p.probabilities]
    names = {name for prediction in complete for name in prediction.probabilities or ()}
    return complete if len(names) <= MAX_CHOICES else []


def as_arrays(predictions: Sequence[Prediction], *, choices: bool = False) -> Graded:
    """Return predictions from `with_confidence` as arrays; with `choices` those from `with_choices`."""
    confidence = [0.0 if prediction.confidence is None else prediction.confidence for prediction in predictions]
    correct = [bool(prediction.correct) for prediction in predictions]
    if not choices:
        return graded(confidence, correct)
    names = sorted({name for prediction in predictions for name in prediction.probabilities or ()})
    column = {name: index for index, name in enumerate(names)}
    table = np.zeros((len(predictions), len(names)))
    for row, prediction in enumerate(predictions):
        for name, probability in (prediction.probabilities or {}).items():
            table[row, column[name]] = probability
    return graded(confidence, correct, table, [column[str(prediction.label)] for prediction in predictions])


def same_answer(prediction: str, label: str) -> bool:
    """Return whether the two are the same text, normalised, or the same number."""
    value = _number(label)
    return same_text(prediction, label) or (value is not None and _number(prediction) == value)


def _number(text: str) -> Fraction | None:
    """Return the exact value of a text that is nothing but a number, with or without commas between thousands."""
    match = _NUMBER.fullmatch(text.strip())
    return Fraction(match[1] + match[2].replace(",", "")) if match else None


def _columns(rows: Sequence[Located], path: Path, needs: Sequence[str]) -> dict[str, str]:
    """Return the file's column for each of our fields that it has, and log those with another name."""
    present = {_key(name): name for _, row in reversed(rows) for name in reversed(list(row))}
    columns: dict[str, str] = {}
    for field, names in NAMES.items():
        free = (present[name] for name in names if name in present and present[name] not in columns.values())
        if (column := next(free, None)) is not None:
            columns[field] = column
    answer_fields = () if "correct" in columns else ("label", "prediction")
    for field in (*answer_fields, *needs):
        if field not in columns:
            hint = " and none that says which answers are 'correct'" if field in answer_fields else ""
            raise DataError(
                f"no column {field!r} ({', '.join(NAMES[field][1:6])} would do){hint}; "
                f"there are {sorted(map(str, present.values()))!r:.300}",
                path=path,
            )
    if renamed := [f"{field!r} is the column {column!r}" for field, column in columns.items() if field != column]:
        log.info("%s: %s", path, ", ".join(renamed))
    return columns


def _key(name: str) -> str:
    return re.sub(r"[\s-]+", "_", str(name).strip().casefold())


@dataclass(frozen=True, slots=True)
class _Row:
    """A row with its place in the file, and the file's columns by our fields."""

    where: str
    values: dict[str, Any]
    columns: Mapping[str, str]

    def get(self, field: str, parse: Callable[[Any], _Value | None]) -> _Value | None:
        """Return a field's value; None where the file has no such column."""
        if field not in self.columns:
            return None
        value = self.values.get(self.columns[field])
        try:
            return parse(value)
        except ValueError as error:
            name = repr(self.columns[field])
            raise DataError(f"{error} was expected, not {value!r:.60}", path=self.where, field=name) from None

    @property
    def graded(self) -> bool:
        """True where the row says what is right: by its label, or itself."""
        label = self.get("label", _text)
        return self.get("correct", _flag) is not None or bool(label and label.strip() and "prediction" in self.columns)


def _prediction(row: _Row, confidence: float | None, blank: float | None) -> Prediction:
    label, correct = row.get("label", _text), row.get("correct", _flag)
    text = row.get("prediction", _text) or "" if "prediction" in row.columns else None
    answered = text is None or bool(text.strip())
    probabilities = row.get("probabilities", _probabilities)
    definitions = row.values.get("confidences")
    definitions = definitions if isinstance(definitions, dict) else None
    if definitions and answered and definitions.get("choices") != row.values.get("confidence"):
        probabilities = None  # the confidence is by another definition, so metrics over choices would not be of it
    rationale = row.values.get("rationale")
    return Prediction(
        id=row.get("id", _text) or "",
        input=str(row.values.get("input") or ""),
        label=label,
        prediction=text,
        correct=same_answer(str(text), label or "") if correct is None else correct,
        exact=None,
        rationale=rationale if isinstance(rationale, str) else None,
        confidence=confidence if answered else blank,
        confidences=definitions,
        probabilities=probabilities,
    )


def _text(value: Any) -> str | None:
    """Return a label or prediction as text: a number, true, false or a list of one will do."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    match value:
        case None:
            return None
        case str():
            return value
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return None if math.isnan(value) else str(int(value) if value.is_integer() else value)
    raise ValueError("a text or a number")


def _flag(value: Any) -> bool | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    word = str(value).strip().casefold()
    if word and word not in _TRUE | _FALSE:
        raise ValueError("true or false, 1 or 0")
    return word in _TRUE if word else None


def _probabilities(value: Any) -> dict[str, float] | None:
    """Return the choices' probabilities; from a table that only knows texts they are JSON."""
    try:
        table = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        table = value
    if table in (None, "", {}):
        return None
    if not isinstance(table, dict) or not all(type(p) in (int, float) and 0 <= p <= 1 for p in table.values()):
        raise ValueError("a number from 0 to 1 for each choice")
    if abs(sum(table.values()) - 1) > SUM_TOLERANCE:
        raise ValueError(f"a sum of 1 (it is {sum(table.values()):.6g})")
    return {str(name): float(p) for name, p in table.items()}


def _confidences(rows: Sequence[_Row], path: Path) -> list[float | None]:
    """Return each row's confidence from 0 to 1, None where it has none; in a file in per cent a hundredth."""
    numbers = [row.get("confidence", _confidence) for row in rows]
    defined = [number for number in numbers if number is not None]
    percent = bool(defined) and max(defined) >= 2 and not any(0 < number < 1 for number in defined)
    highest = 100 if percent else 1
    for row, number in zip(rows, numbers, strict=True):
        if number is not None and not 0 <= number <= highest:
            column = row.columns["confidence"]
            hint = " (per cent go from 0 to 100, and nothing lies between 0 and 1)" if 1 < number <= 100 else ""
            text = f"a number from 0 to {highest} was expected, not {row.values[column]!r:.40}{hint}"
            raise DataError(text, path=row.where, field=repr(column))
    if percent:
        log.info("%s: confidences are in per cent, up to %g, and were divided by 100", path, max(defined))
    return [None if number is None else number / highest for number in numbers]


def _confidence(value: Any) -> float | None:
    text = value.strip() if isinstance(value, str) else value
    if text is None or text == "":
        return None
    try:
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise ValueError
        number = float(text.removesuffix("%")) / 100 if isinstance(text, str) and text.endswith("%") else float(text)
    except (ValueError, OverflowError):
        raise ValueError("a number from 0 to 1") from None
    return None if math.isnan(number) else number


def _harness_rows(rows: Sequence[Located], path: Path) -> list[Located]:
    """Return the samples that lm-evaluation-harness logged under our names, and other rows as they are.

    Its `filtered_resps` is a list of one answer, or of the choices' log-likelihoods, each a pair with whether greedy
    search writes it: of these the likeliest is the answer, and its share of their probability the confidence. One text
    whose likelihood alone was measured is no answer.

    Raises:
        DataError: several filters' samples stand in one file, each question once for each; or their metrics do not say
            what is right, like those of translations.
    """
    filters = {str(row["filter"]) for _, row in rows if "filtered_resps" in row and "filter" in row}
    if len(filters) > 1:
        names = ", ".join(map(repr, sorted(filters)))[:200]
        raise DataError(f"answers by several filters ({names}); keep the rows of one", path=path, field="'filter'")
    samples = [row for _, row in rows if "filtered_resps" in row and row.keys() & {"resps", "metrics"}]
    metrics = {name for row in samples for name in row} - _HARNESS
    if metrics and metrics.isdisjoint(NAMES["correct"]):
        raise DataError(
            f"no column 'correct' ({', '.join(NAMES['correct'][1:7])} would do): the metrics {sorted(metrics)!r:.200} "
            "do not say which answers are right",
            path=path,
        )
    return [(where, _harness_row(row)) for where, row in rows]


def _harness_row(row: dict[str, Any]) -> dict[str, Any]:
    responses = row.get("filtered_resps")
    if (
        not isinstance(responses, list)
        or not responses
        or not all(isinstance(r, list) and len(r) == 2 for r in responses)
    ):
        return row
    try:
        scores = [float(score) for score, _ in responses]
    except (TypeError, ValueError):
        return row
    if len(scores) == 1:
        return {name: value for name, value in row.items() if name != "filtered_resps"}
    if not scores or not math.isfinite(max(scores)):
        return row
    weights = [math.exp(score - max(scores)) for score in scores]
    probabilities = {str(choice): weight / math.fsum(weights) for choice, weight in enumerate(weights)}
    best = str(scores.index(max(scores)))
    return {"prediction": best, "confidence": probabilities[best], "probabilities": probabilities, **row}
