"""The best checkpoint of a training, and when to stop: both follow from the log of its evaluations alone.

So a training that goes on from a checkpoint, which holds that log, decides as an unbroken one.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Evaluation:
    """A validation, ordered by worth: first by accuracy, then by the loss on the validation rows, then by step."""

    accuracy: float
    gain: float  # the loss with its sign turned; minus infinity where there is none, or it is no number
    step: int


def evaluations(log_history: Iterable[Mapping[str, Any]]) -> list[Evaluation]:
    """Return the evaluations in a Trainer's log, one a step; before the first step there is no checkpoint to choose."""
    by_step = {}
    for entry in log_history:
        if "eval_accuracy" in entry and entry["step"] > 0:
            loss = entry.get("eval_loss", math.inf)
            gain = -math.inf if math.isnan(loss) else -loss
            by_step[entry["step"]] = Evaluation(entry["eval_accuracy"], gain, entry["step"])
    return list(by_step.values())


def best_evaluation(log_history: Iterable[Mapping[str, Any]]) -> Evaluation:
    """Return the best evaluation of a log that holds some."""
    return max(evaluations(log_history))


@dataclass(frozen=True)
class EarlyStopping:
    """Hugging Face's early stopping: after `patience` evaluations in a row without a gain; None: never.

    A gain is an accuracy above the best by more than `threshold`, or the best accuracy with a lower loss.
    """

    patience: int | None = None
    threshold: float = 0.0

    def due(self, log_history: Iterable[Mapping[str, Any]]) -> bool:
        """Return whether patience is out."""
        if self.patience is None:
            return False
        best, waited = None, 0
        for evaluation in evaluations(log_history):
            if best is None or self._gains(evaluation, best):
                waited = 0
            else:
                waited += 1
            best = evaluation if best is None else max(best, evaluation)
        return waited >= self.patience

    def _gains(self, evaluation: Evaluation, best: Evaluation) -> bool:
        if evaluation.accuracy == best.accuracy:
            return evaluation.gain > best.gain
        return evaluation.accuracy - best.accuracy > self.threshold
