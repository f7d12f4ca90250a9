"""Graded predictions: their accuracy, by label too, and as arrays for the measures of confidence."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck.schema import Prediction
from limbeck.stats.intervals import Flags, Floats, Ints, wilson
from limbeck.tasks import normalise

MAX_LABELS = 20  # distinct; more are no fixed set, unless the task names them
MAX_CHOICES = 100  # in all rows together; likewise


@dataclass(frozen=True, slots=True)
class Graded:
    """N graded answers: `confidence` [N] in [0, 1] and `correct` [N].

    Where all K choices have a probability, `probabilities` [N, K] and the right choice's column, `labels` [N].
    """

    confidence: Floats
    correct: Flags
    probabilities: Floats | None = None
    labels: Ints | None = None


def with_choices(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return the predictions that have a probability for each choice, the label included; none where choices vary."""
    complete = [p for p in predictions if p.probabilities and p.label in p.probabilities]
    return complete if len(_choices(complete)) <= MAX_CHOICES else []


def as_arrays(predictions: Sequence[Prediction], *, choices: bool = False) -> Graded:
    """Return predictions that have a confidence as arrays; with `choices` those from `with_choices`."""
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
    """Measure the accuracy of the predictions that have a label; shares are None for `n` = 0.

    `exact` is the share of the very same string as the label; `sources_cut` counts cut inputs of all predictions.
    """
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
    """Count how often each label occurs, and how often it is answered right.

    A right answer counts as its label, however it is spelled; a wrong one never does. Without fixed `choices` the
    labels are those that occur, if they are few and occur twice on average.

    Returns None where labels are free text, or a label or an answer is unknown. Otherwise `labels`, the most frequent
    first, each with `predicted`, how often it was answered; `macro_f1` over the labels that occur or were answered;
    `majority`, the most frequent label and the `accuracy` of always answering it; `other`, answers that are no label.
    """
    if any(not p.label or p.prediction is None for p in predictions):
        return None
    n, counts = len(predictions), Counter(normalise(str(p.label)) for p in predictions)
    if not counts or (not choices and (len(counts) > MAX_LABELS or 2 * len(counts) > n)):
        return None
    spellings = {normalise(label): label for label in (*(str(p.label) for p in predictions), *choices)}
    right = Counter(normalise(str(p.label)) for p in predictions if p.correct)
    wrong = [(normalise(str(p.label)), normalise(str(p.prediction))) for p in predictions if not p.correct]
    predicted = right + Counter(prediction for label, prediction in wrong if prediction != label)
    labels, scores = [], []
    for name in sorted(spellings, key=lambda name: -counts[name]):
        total = counts[name] + predicted[name]
        f1 = 2 * right[name] / max(total, 1)
        scores += [f1] if total else []
        row = {"label": spellings[name], "n": counts[name], **_share(right[name], counts[name])}
        labels.append({**row, "predicted": predicted[name], "f1": f1})
    majority, frequency = counts.most_common(1)[0]
    return {
        "labels": labels,
        "macro_f1": sum(scores) / len(scores),
        "majority": {"label": spellings[majority], "accuracy": frequency / n},
        "other": n - sum(predicted[name] for name in spellings),
    }
