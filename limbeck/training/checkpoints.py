"""Checkpoints: the newest complete one, the best one, and when training stops early.

The last two follow from the log of evaluations alone, so a training that goes on from a checkpoint, which holds that
log, decides as an unbroken one.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Validation(NamedTuple):
    """A validation, ordered by worth: first by accuracy, then by the loss on the validation rows, then by step."""

    accuracy: float
    gain: float  # the loss with its sign turned; minus infinity where there is none, or it is no number
    step: int


def validations(log_history: Iterable[Mapping[str, Any]]) -> list[Validation]:
    """Return the validations in a Trainer's log, one a step; before the first step there is no checkpoint to choose."""
    by_step = {}
    for entry in log_history:
        if "eval_accuracy" in entry and entry["step"] > 0:
            loss = entry.get("eval_loss", math.nan)
            gain = -math.inf if math.isnan(loss) else -loss
            by_step[entry["step"]] = Validation(entry["eval_accuracy"], gain, entry["step"])
    return list(by_step.values())


@dataclass(frozen=True)
class EarlyStopping:
    """Hugging Face's early stopping: after `patience` validations in a row without a gain; None: never.

    A gain is an accuracy above the best by more than `threshold`, or the best accuracy with a lower loss.
    """

    patience: int | None = None
    threshold: float = 0.0

    def due(self, log_history: Iterable[Mapping[str, Any]]) -> bool:
        """Return True if patience is out."""
        best = Validation(-math.inf, -math.inf, 0)
        waited = 0
        for validation in validations(log_history):
            if validation.accuracy == best.accuracy:
                gains = validation.gain > best.gain
            else:
                gains = validation.accuracy - best.accuracy > self.threshold
            waited = 0 if gains else waited + 1
            best = max(best, validation)
        return self.patience is not None and waited >= self.patience


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint below `folder`."""
    steps = {path: step for path in folder.glob("checkpoint-*") if (step := _step(path)) is not None}
    return max(steps, key=steps.__getitem__, default=None)


def _step(checkpoint: Path) -> int | None:
    """Return the step of a complete checkpoint: its state, which is written last, is there and reads as JSON."""
    try:
        return int(json.loads((checkpoint / "trainer_state.json").read_text())["global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # the run ended while it wrote this one
