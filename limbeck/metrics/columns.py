"""The columns of anybody's file of predictions, under the names that tools give them, and the values in them."""

import json
import logging
import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from limbeck.errors import LimbeckError

log = logging.getLogger(__name__)

Located = tuple[str, dict[str, Any]]
"""A row after the words that say where it stands."""

# by case, blanks and hyphens alike; of several the first, and "answer" is the label unless the file has another
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
# what lm-evaluation-harness logs of a sample beside the metrics
_LOGGED = {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"}
_LOGGED |= {"doc_hash", "prompt_hash", "target_hash"}
_TRUE = frozenset(("true", "t", "yes", "y", "1", "1.0", "right", "correct"))
_FALSE = frozenset(("false", "f", "no", "n", "0", "0.0", "wrong", "incorrect"))
_NUMBER = re.compile(r"([-+]?)((?:0|[1-9]\d{0,30}|[1-9]\d{0,2}(?:,\d{3}){1,10})(?:\.\d{1,30})?)", re.ASCII)


def column_names(rows: Sequence[Located], path: str, needs: Sequence[str] = ()) -> dict[str, str]:
    """Return the file's names of our fields, as far as it has them, and log those that differ.

    Raises:
        LimbeckError: nothing tells right from wrong, or one of `needs` is missing; names it and those there are.
    """
    present = {_key(name): name for _, row in reversed(rows) for name in reversed(list(row))}
    columns: dict[str, str] = {}
    for field, names in NAMES.items():
        free = (present[name] for name in names if name in present and present[name] not in columns.values())
        if (column := next(free, None)) is not None:
            columns[field] = column
    graded = () if "correct" in columns else ("label", "prediction")
    for missing in (name for name in (*graded, *needs) if name not in columns):
        raise LimbeckError(
            f"{path}: no column {missing!r} ({', '.join(NAMES[missing][1:6])} would do)"
            + (" and none that says which answers are 'correct'" if missing in graded else "")
            + f"; there are {sorted(map(str, present.values()))!r:.300}"
        )
    if renamed := [f"{field!r} is the column {column!r}" for field, column in columns.items() if field != column]:
        log.info("%s: %s", path, ", ".join(renamed))
    return columns


def _key(name: str) -> str:
    return re.sub(r"[\s-]+", "_", str(name).strip().casefold())


def text_of(value: Any, where: str, name: str) -> str | None:
    """Return a label or prediction as text, None where there is none; a number, true, false or a list of one will do.

    Raises:
        LimbeckError: it is anything else.
    """
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
    raise LimbeckError(f"{where}: field {name!r}: a text or a number was expected, not {value!r:.60}")


def number_in(text: str) -> Fraction | None:
    """Return the exact value of a text that is a number and nothing else, thousands parted by commas or not at all."""
    match = _NUMBER.fullmatch(text.strip())
    return Fraction(match[1] + match[2].replace(",", "")) if match else None


def flag_of(value: Any, where: str, name: str) -> bool | None:
    """Return what says that an answer is right; None where there is nothing.

    Raises:
        LimbeckError: it is neither true nor false, 1 nor 0, nor a word for them.
    """
    if isinstance(value, bool):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    word = str(value).strip().casefold()
    if word in _TRUE | _FALSE:
        return word in _TRUE
    if not word:
        return None
    raise LimbeckError(f"{where}: field {name!r}: true or false, 1 or 0 was expected, not {value!r:.40}")


def confidences_of(rows: Sequence[Located], name: str, path: str) -> list[float | None]:
    """Return each row's confidence, None where it has none; of a file that counts in per cent, a hundredth.

    Raises:
        LimbeckError: one is no number from 0 to 1 (or to 100, in a file without any between 0 and 1).
    """
    numbers = [_confidence(row.get(name), where, name) for where, row in rows]
    known = [number for number in numbers if number is not None]
    percent = bool(known) and max(known) >= 2 and not any(0 < number < 1 for number in known)
    most = 100 if percent else 1
    for (where, row), number in zip(rows, numbers, strict=True):
        if number is not None and not 0 <= number <= most:
            raise LimbeckError(
                f"{where}: field {name!r}: a number from 0 to {most} was expected, not {row[name]!r:.40}"
                + (" (per cent go from 0 to 100, and nothing lies between 0 and 1)" if 1 < number <= 100 else "")
            )
    if percent:
        log.info("%s: %r counts in per cent, up to %g: a hundredth of it was taken", path, name, max(known))
    return [None if number is None else number / most for number in numbers]


def _confidence(value: Any, where: str, name: str) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    text = value.strip() if isinstance(value, str) else value
    try:
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise ValueError
        number = float(text.removesuffix("%")) / 100 if isinstance(text, str) and text.endswith("%") else float(text)
    except (ValueError, OverflowError):
        raise LimbeckError(f"{where}: field {name!r}: a number from 0 to 1 was expected, not {value!r:.40}") from None
    return None if math.isnan(number) else number


def from_samples(rows: Sequence[Located], path: str) -> list[Located]:
    """Return the rows with what lm-evaluation-harness logs of a sample under our names; other rows as they are.

    Its `filtered_resps` is a list of one answer, or of the choices' log-likelihoods, each a pair with whether greedy
    search writes it: of these the likeliest is the answer, and its share of their probability the confidence. One text
    whose likelihood alone was asked for is no answer.

    Raises:
        LimbeckError: the samples of several filters stand in one file, each question once for each; or their metrics
            do not say what is right, like those of translations.
    """
    filters = {str(row["filter"]) for _, row in rows if "filtered_resps" in row and "filter" in row}
    if len(filters) > 1:
        raise LimbeckError(
            f"{path}: column 'filter': answers by several filters ({', '.join(map(repr, sorted(filters)))[:200]}); "
            "keep the rows of one"
        )
    logged = [row for _, row in rows if "filtered_resps" in row and row.keys() & {"resps", "metrics"}]
    metrics = {name for row in logged for name in row} - _LOGGED
    if metrics and metrics.isdisjoint(NAMES["correct"]):
        raise LimbeckError(
            f"{path}: no column 'correct' ({', '.join(NAMES['correct'][1:7])} would do): what was measured, "
            f"{sorted(metrics)!r:.200}, does not say which answers are right"
        )
    return [(where, _sample(row)) for where, row in rows]


def _sample(row: dict[str, Any]) -> dict[str, Any]:
    answers = row.get("filtered_resps")
    if (
        not isinstance(answers, list)
        or not answers
        or not all(isinstance(one, list) and len(one) == 2 for one in answers)
    ):
        return row
    try:
        scores = [float(score) for score, _ in answers]
    except (TypeError, ValueError):
        return row
    if len(scores) == 1:
        return {name: value for name, value in row.items() if name != "filtered_resps"}
    top = max(scores)
    if not math.isfinite(top):
        return row
    weights = [math.exp(score - top) for score in scores]
    probabilities = {str(place): weight / math.fsum(weights) for place, weight in enumerate(weights)}
    best = scores.index(top)
    return {"prediction": str(best), "confidence": probabilities[str(best)], "probabilities": probabilities, **row}


def json_of(value: Any) -> Any:
    """Return what a text holds as JSON, where a table knows only texts; anything else as it is."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value
