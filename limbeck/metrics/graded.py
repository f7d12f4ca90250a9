"""Graded predictions: their accuracy, by label too, and as arrays for the measures of confidence."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

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

    def __len__(self) -> int:
        return len(self.correct)


def graded(confidence: ArrayLike, correct: ArrayLike) -> Graded:
    """Return answers without probabilities of choices."""
    return Graded(np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool))


def with_choices(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return the predictions that have a probability for each choice, the label included; none where choices vary."""
    complete = [p for p in predictions if p.probabilities and p.label in p.probabilities]
    return complete if len(_choices(complete)) <= MAX_CHOICES else []


def as_arrays(predictions: Sequence[Prediction], *, choices: bool = False) -> Graded:
    """Return predictions that have a confidence as arrays; with `choices` those from `with_choices`."""
    answers = graded([p.confidence or 0.0 for p in predictions], [bool(p.correct) for p in predictions])
    if not choices:
        return answers
    names = _choices(predictions)
    table = [[(p.probabilities or {}).get(name, 0.0) for name in names] for p in predictions]
    labels = [names.index(str(p.label)) for p in predictions]
    return Graded(answers.confidence, answers.correct, np.array(table), np.array(labels))


def _choices(predictions: Sequence[Prediction]) -> list[str]:
    return sorted({name for prediction in predictions for name in prediction.probabilities or ()})


def accuracy(predictions: Sequence[Prediction], choices: Sequence[str] = ()) -> dict[str, Any]:
    """Measure the accuracy of the predictions that have a label; shares are None for `n` = 0.

    `exact` is the share of the very same string as the label; `sources_cut` counts the predictions, of all, to an input
    that was cut.
    """
    rows = [prediction for prediction in predictions if prediction.correct is not None]
    n = len(rows)
    right = sum(bool(row.correct) for row in rows)
    return {
        "accuracy": right / n if n else None,
        "interval": list(wilson(right, n) or ()) or None,
        "exact": sum(bool(row.exact) for row in rows) / n if n else None,
        "n": n,
        "sources_cut": sum(bool(prediction.input_cut) for prediction in predictions),
        "unanswered": sum(row.blank for row in rows),
        "without_confidence": sum(row.confidence is None and not row.blank for row in rows),
        "by_label": by_label([(str(row.label), str(row.prediction), bool(row.correct)) for row in rows], choices),
    }


def by_label(answers: Sequence[tuple[str, str, bool]], choices: Sequence[str] = ()) -> dict[str, Any] | None:
    """Count how often each label occurs, and how often it is answered right; None where labels are free text.

    Args:
        answers: label, prediction and whether it is right; a right answer counts as its label, however it is spelled.
        choices: the fixed labels of the task; none: those that occur, if they are few and occur twice on average.

    Returns:
        `labels`, the most frequent first, each with `predicted` (how often it was answered); `macro_f1` over the labels
        that occur or were answered; `majority`: the most frequent label and the `accuracy` of always answering it;
        `other`: answers that are no label.
    """
    counts = Counter(normalise(label) for label, _, _ in answers)
    if not counts or (not choices and (len(counts) > MAX_LABELS or 2 * len(counts) > len(answers))):
        return None
    spellings = {normalise(label): label for label in (*(label for label, _, _ in answers), *choices)}
    # wrong by the task's rule it is not the label, whatever it is spelled like
    right = Counter(normalise(label) for label, _, correct in answers if correct)
    wrong = [(normalise(label), normalise(prediction)) for label, prediction, correct in answers if not correct]
    predicted = right + Counter(prediction for label, prediction in wrong if prediction != label)
    labels, scores = [], []
    for name in sorted(spellings, key=lambda name: -counts[name]):
        n, total = counts[name], counts[name] + predicted[name]
        f1 = 2 * right[name] / max(total, 1)
        scores += [f1] if total else []
        measured = {"accuracy": right[name] / n if n else None, "interval": list(wilson(right[name], n) or ()) or None}
        labels.append({"label": spellings[name], "n": n, **measured, "predicted": predicted[name], "f1": f1})
    majority, frequency = counts.most_common(1)[0]
    return {
        "labels": labels,
        "macro_f1": sum(scores) / len(scores),
        "majority": {"label": spellings[majority], "accuracy": frequency / len(answers)},
        "other": len(answers) - sum(predicted[name] for name in spellings),
    }
