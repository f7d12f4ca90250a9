"""Accuracy: the share of right answers with its interval, and by label where a task has few labels."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from limbeck.schema import Prediction
from limbeck.stats.intervals import wilson
from limbeck.tasks import normalise

MAX_LABELS = 20  # distinct; more are no fixed set, unless the task names them


def accuracy(predictions: Sequence[Prediction], choices: Sequence[str] = ()) -> dict[str, Any]:
    """Measure the accuracy of predictions; those without a label are not graded.

    `exact` is the share of the very same string as the label; `sources_cut` counts the predictions, of all, to an input
    that was cut. Shares are None for `n` = 0.
    """
    graded = [prediction for prediction in predictions if prediction.correct is not None]
    n = len(graded)
    right = sum(bool(prediction.correct) for prediction in graded)
    return {
        "accuracy": right / n if n else None,
        "interval": list(wilson(right, n) or ()) or None,
        "exact": sum(bool(prediction.exact) for prediction in graded) / n if n else None,
        "n": n,
        "sources_cut": sum(bool(prediction.input_cut) for prediction in predictions),
        "unanswered": sum(prediction.blank for prediction in graded),
        "without_confidence": sum(prediction.confidence is None and not prediction.blank for prediction in graded),
        "by_label": by_label([(str(p.label), str(p.prediction), bool(p.correct)) for p in graded], choices),
    }


def by_label(answers: Sequence[tuple[str, str, bool]], choices: Sequence[str] = ()) -> dict[str, Any] | None:
    """Count how often each label occurs, and how often it is answered right; None where labels are free text.

    Args:
        answers: label, prediction and whether it is right; a right answer counts as its label, however it is spelled.
        choices: the fixed labels of the task; none: those that occur, if they are few and occur twice on average.

    Returns:
        `labels`, the most frequent first, each with `n`, `accuracy`, `interval`, `predicted` (how often it was
        answered) and `f1`; `macro_f1` over the labels that occur or were answered; `majority`: the most frequent label
        and the `accuracy` of always answering it; `other`: answers that are no label.
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
