"""A small student, its examples, and a Trainer for them."""

import copy
import functools

import torch
from transformers import TrainerCallback

from limbeck.models import ScratchSettings, StudentSettings
from limbeck.models.loading import load
from limbeck.models.student import Student
from limbeck.objectives import objective
from limbeck.schema import Example
from limbeck.training.checkpoints import EarlyStopping
from limbeck.training.preprocessing import token_ids, tokenize
from limbeck.training.settings import TrainingSettings
from limbeck.training.trainer import Distiller, Trainer, training_arguments
from tests.helpers import builders

EXAMPLES = [
    Example(
        f"e{i}",
        (f"Luke scored {i} points after 2 rounds.",),
        f"( {i}.0 / 2.0 )",
        f"He scored {i} points. " * (1 + i % 3),
    )
    for i in range(12)
]
PARTIAL = [Example("no", ("yes or no",), "yes"), *EXAMPLES]


@functools.cache
def _scratch(dropout: float) -> Student:
    torch.manual_seed(0)
    settings = ScratchSettings(
        vocab_size=300, d_model=16, d_kv=8, d_ff=32, num_heads=2, num_layers=1, dropout_rate=dropout
    )
    return load(StudentSettings(scratch=settings), builders.TEXTS)


def scratch(dropout: float = 0.0) -> Student:
    """Return a fresh student, always of the same weights."""
    return copy.deepcopy(_scratch(dropout))


def trainer(student, name, folder, *, examples=EXAMPLES, validation=None, accuracies=None, **changes) -> Trainer:
    """Return a Trainer of six steps of four examples; its validations have these accuracies, else 0.5."""
    sizes = {"max_steps": 6, "per_device_train_batch_size": 4, "logging_steps": 2, "eval_steps": 3}
    settings = TrainingSettings.parse({**sizes, "learning_rate": 1e-2, **changes}, "training")
    method = objective(name).smoothed(settings.label_smoothing_factor)
    scores = iter(accuracies) if accuracies is not None else None
    return Trainer(
        Distiller(student, method),
        training_arguments(settings, folder / "checkpoints", seed=3),
        tokenize(examples, method.views, student),
        validate=lambda: {"accuracy": next(scores) if scores else 0.5},
        log_file=folder / "log.jsonl",
        validation_set=token_ids(validation, method.views, student) if validation else None,
        early_stopping=EarlyStopping(settings.early_stopping_patience, settings.early_stopping_threshold),
    )


def weights_of(student) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in student.parameters()])


class StopAt(TrainerCallback):
    """Ends a training after a step, as if it had been killed."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs) -> None:
        control.should_training_stop = state.global_step >= self.step
