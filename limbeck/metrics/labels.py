"""Accuracy by label, where a task has few labels: what one share of right answers hides if they are unequal."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sklearn.metrics import precision_recall_fscore_support

from limbeck.stats.intervals import wilson
from limbeck.tasks import normalise

MOST_LABELS = 20  # that differ; more are no fixed set, unless the task names them


class LabelledAnswer(NamedTuple):
    """A graded answer beside its label."""

    label: str
    prediction: str
    correct: bool


def by_label(answers: Sequence[LabelledAnswer], choices: Sequence[str] = ()) -> dict[str, Any] | None:
    """Return how often each label stands, and how often it is answered right.

    Args:
        answers: to be looked at; an answer that is right counts as its label, however it is spelled.
        choices: the fixed labels of the task; none: those that occur, if they are few and occur twice on average.

    Returns:
        `labels`: of each label its `label`, `n`, `accuracy` (None for n = 0) with Wilson's `interval`, `predicted` (how
        often it was answered) and `f1`; the most frequent label comes first. `macro_f1`: the mean F1 over the
        labels that occur or were answered. `majority`: the most frequent label and the `accuracy` of always answering
        it. `other`: answers that are no label at all. None where labels are free.
    """
    counts = Counter(normalise(answer.label) for answer in answers)
    spelled = {normalise(label): label for label in (*(answer.label for answer in answers), *choices)}
    if not counts or (not choices and (len(counts) > MOST_LABELS or 2 * len(counts) > len(answers))):
        return None
    names = [
        *(name for name, _ in counts.most_common()),
        *(name for name in map(normalise, choices) if name not in counts),
    ]
    gold = [normalise(answer.label) for answer in answers]
    predictions = [normalise(answer.prediction) for answer in answers]
    for place, (answer, label) in enumerate(zip(answers, gold, strict=True)):
        if answer.correct or predictions[place] == label:  # wrong by the task's rule it is no label, however spelled
            predictions[place] = label if answer.correct else ""
    predicted = Counter(predictions)
    _, _, scores, _ = precision_recall_fscore_support(gold, predictions, labels=names, average=None, zero_division=0)
    right = Counter(label for label, answer in zip(gold, answers, strict=True) if answer.correct)
    labels: list[dict[str, Any]] = [
        {
            "label": spelled[name],
            "n": counts[name],
            "accuracy": right[name] / counts[name] if counts[name] else None,
            "interval": list(wilson(right[name], counts[name]) or ()) or None,
            "predicted": predicted[name],
            "f1": float(score),
        }
        for name, score in zip(names, scores, strict=True)
    ]
    seen = [label for label in labels if label["n"] or label["predicted"]]
    return {
        "labels": labels,
        "macro_f1": sum(label["f1"] for label in seen) / len(seen),
        "majority": {"label": spelled[names[0]], "accuracy": counts[names[0]] / len(answers)},
        "other": len(answers) - sum(label["predicted"] for label in labels),
    }
