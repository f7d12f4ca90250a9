"""The checkpoints of a training: the best by the log of validations, the newest that is whole, what can resume it."""

import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from accelerate.utils.constants import OPTIMIZER_NAME as FSDP_OPTIMIZER_NAME
from transformers import PreTrainedModel, TrainerState
from transformers.trainer import OPTIMIZER_NAME

from limbeck.distributed import Parallelism, process_count
from limbeck.errors import FileError
from limbeck.files import MANIFEST, is_whole
from limbeck.models.loading import FULL_PRECISION, pretrained
from limbeck.training.settings import TrainingSettings

log = logging.getLogger(__name__)


class Validation(NamedTuple):
    """A validation; the best has the highest accuracy, then the lowest loss, then the latest step."""

    accuracy: float
    gain: float  # minus the loss; -inf without a loss or for nan
    step: int


def validations(log_history: Iterable[Mapping[str, Any]]) -> list[Validation]:
    """Return the last validation of each step in a Trainer's log."""
    by_step = {}
    for entry in log_history:
        if "eval_accuracy" in entry:
            loss = entry.get("eval_loss", math.nan)
            gain = -math.inf if math.isnan(loss) else -loss
            by_step[entry["step"]] = Validation(entry["eval_accuracy"], gain, entry["step"])
    return list(by_step.values())


def stops_early(settings: TrainingSettings, log_history: Iterable[Mapping[str, Any]]) -> bool:
    """Return True after `early_stopping_patience` validations in a row without a gain.

    A gain is an accuracy above the best by more than the threshold, or equal to it with a lower loss.
    """
    best, waited = Validation(-math.inf, -math.inf, 0), 0
    for validation in validations(log_history):
        gains = validation.accuracy - best.accuracy > settings.early_stopping_threshold
        if validation.accuracy == best.accuracy:
            gains = validation.gain > best.gain
        waited = 0 if gains else waited + 1
        best = max(best, validation)
    return settings.early_stopping_patience is not None and waited >= settings.early_stopping_patience


def checkpoint_model(checkpoint: str) -> PreTrainedModel:
    """Load a checkpoint's model as anyone would: its files' names of weights may differ from the modules'."""
    model, _ = pretrained(checkpoint, FULL_PRECISION)
    return model


def newest_state(folder: Path) -> TrainerState | None:
    """Return the state of the newest checkpoint in a folder that is whole, as the best until then is, if any."""
    checkpoints = _checkpoints(folder)
    for step, checkpoint in sorted(checkpoints.items(), reverse=True):
        if is_whole(checkpoint):
            state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
            best = checkpoints.get(state.best_global_step or step)
            if best is not None and (best == checkpoint or is_whole(best)):
                return state
            reason = f"the best until then, of step {state.best_global_step}, is missing or damaged"
        else:
            has_manifest = (checkpoint / MANIFEST).is_file()
            reason = f"{'damaged' if has_manifest else 'unfinished'}, by its {MANIFEST}"
        log.warning("%s: not resumed from: %s", checkpoint, reason)
    return None


def check_optimizer(checkpoint: Path, parallelism: Parallelism | None) -> None:
    """Raise FileError unless the optimizer's state is there as `parallelism` saves it.

    transformers would go on with a fresh optimizer.
    """
    names = {"FSDP": f"{FSDP_OPTIMIZER_NAME}.bin", "DeepSpeed": "latest"}
    loadable = (checkpoint / names.get(str(parallelism), OPTIMIZER_NAME)).exists()
    if parallelism == "DeepSpeed":  # each process loads its own
        loadable &= len(list(checkpoint.glob("rng_state*.pth"))) == process_count()
    if not loadable:
        reason = f"{parallelism or 'a single process'} cannot load its optimizer's state"
        raise FileError(f"{reason}; start the run as it was started", path=checkpoint)


def _checkpoints(folder: Path) -> dict[int, Path]:
    """Return a folder's checkpoints by step, whole or not."""
    steps = {path: path.name.removeprefix("checkpoint-") for path in folder.glob("checkpoint-*")}
    return {int(step): path for path, step in steps.items() if step.isdecimal()}
