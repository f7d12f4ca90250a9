"""Graded predictions: their accuracy, by label too, and their arrays."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from limbeck.schema import Prediction
from limbeck.stats.intervals import Flags, Floats, Ints, wilson
from limbeck.tasks import normalise

MAX_LABELS = 20  # distinct; more are free text, unless the task names them
MAX_CHOICES = 100  # in all rows together


@dataclass(frozen=True, slots=True)
class Graded:
    """N graded answers."""

    confidence: Floats  # [N], 0 to 1
    correct: Flags  # [N]
    probabilities: Floats | None = None  # [N, K], where all K choices have one
    labels: Ints | None = None  # [N], the right choice's column


def with_choices(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return the predictions with probabilities of choices, the label's included; none where choices vary."""
    complete = [p for p in predictions if p.probabilities and p.label in p.probabilities]
    return complete if len(_choices(complete)) <= MAX_CHOICES else []


def as_arrays(predictions: Sequence[Prediction], *, choices: bool = False) -> Graded:
    """Return predictions with a confidence as arrays; with `choices`, those of `with_choices`."""
    confidence = np.array([p.confidence for p in predictions], dtype=np.float64)
    correct = np.array([p.correct for p in predictions], dtype=bool)
    if not choices:
        return Graded(confidence, correct)
    names = _choices(predictions)
    table = [[(p.probabilities or {}).get(name, 0.0) for name in names] for p in predictions]
    return Graded(confidence, correct, np.array(table), np.array([names.index(str(p.label)) for p in predictions]))


def _choices(predictions: Sequence[Prediction]) -> list[str]:
    return sorted({name for prediction in predictions for name in prediction.probabilities or ()})


def accuracy(predictions: Sequence[Prediction], choices: Sequence[str] = ()) -> dict[str, Any]:
    """Measure the accuracy of the predictions that have a label; `sources_cut` counts cut inputs of all."""
    rows = [prediction for prediction in predictions if prediction.correct is not None]
    n = len(rows)
    return {
        **_share(sum(bool(row.correct) for row in rows), n),
        "exact": sum(bool(row.exact) for row in rows) / n if n else None,
        "n": n,
        "sources_cut": sum(bool(prediction.input_cut) for prediction in predictions),
        "unanswered": sum(row.blank for row in rows),
        "without_confidence": sum(row.confidence is None and not row.blank for row in rows),
        "by_label": by_label(rows, choices),
    }


def _share(right: int, n: int) -> dict[str, Any]:
    return {"accuracy": right / n if n else None, "interval": list(wilson(right, n) or ()) or None}


def by_label(predictions: Sequence[Prediction], choices: Sequence[str] = ()) -> dict[str, Any] | None:
    """Count how often each label occurs, is answered, and is answered right; None where labels are free text.

    A right answer counts as its label, however it is spelled; a wrong one never does. Without fixed `choices` labels
    must be few and occur twice on average. `macro_f1` is over labels that occur or were answered, `majority` of always
    answering the most frequent, `other` the number of answers that are no label.
    """
    if any(not p.label or p.prediction is None for p in predictions):
        return None
    labels = [normalise(str(p.label)) for p in predictions]
    n, counts = len(labels), Counter(labels)
    if not counts or (not choices and (len(counts) > MAX_LABELS or 2 * len(counts) > n)):
        return None
    spellings = {normalise(label): label for label in (*(str(p.label) for p in predictions), *choices)}
    pairs = list(zip(labels, predictions, strict=True))
    right = Counter(label for label, p in pairs if p.correct)
    wrong = [(label, normalise(str(p.prediction))) for label, p in pairs if not p.correct]
    predicted = right + Counter(answer for label, answer in wrong if answer != label)
    rows = []
    for name in sorted(spellings, key=lambda name: -counts[name]):
        count, answers = counts[name], predicted[name]
        row = {"label": spellings[name], "n": count, **_share(right[name], count), "predicted": answers}
        rows.append({**row, "f1": 2 * right[name] / max(count + answers, 1)})
    majority, frequency = counts.most_common(1)[0]
    return {
        "labels": rows,
        "macro_f1": fmean(row["f1"] for row in rows if row["n"] or row["predicted"]),
        "majority": {"label": spellings[majority], "accuracy": frequency / n},
        "other": n - sum(predicted[name] for name in spellings),
    }
