"""A small student, its examples, and a Trainer for them."""

import itertools
from dataclasses import replace

import torch
from transformers import TrainerCallback

from limbeck.models import ScratchSettings, StudentSettings
from limbeck.models.loading import load
from limbeck.models.student import Student
from limbeck.objectives import METHODS
from limbeck.schema import Example
from limbeck.tasks import get
from limbeck.training.dataset import token_ids, tokenize
from limbeck.training.settings import TrainingSettings
from limbeck.training.trainer import Distiller, Trainer, training_arguments
from tests.helpers import builders

RATIONALES = [f"He scored {i} points. " * (1 + i % 3) for i in range(12)]
EXAMPLES = [
    Example(
        f"e{i}",
        (f"Luke scored {i} points after 2 rounds.",),
        f"( {i}.0 / 2.0 )",
        rationale,
        wrong_rationales=(f"He lost {i}.",),
        votes=((f"( {i}.0 / 2.0 )", 0.75), (f"{i}", 0.25)),
        reverse=(f"Half of what is {i / 2}?", f"Twice {i / 2} is {i}."),
    )
    for i, rationale in enumerate(RATIONALES)
]
SEVERAL = [
    replace(row, rationales=(f"Luke scored {i}.", f"Half of {i}.", "Two rounds.")) for i, row in enumerate(EXAMPLES)
]
PARTIAL = [Example("no", ("yes or no",), "yes"), *EXAMPLES]


def scratch(dropout: float = 0.0) -> Student:
    """Return a fresh student, always of the same weights."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 300, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1}
    return load(StudentSettings(scratch=ScratchSettings(**sizes, dropout_rate=dropout)), builders.TEXTS, get("svamp"))


def trainer(
    student, name, folder, *, examples=EXAMPLES, validation=None, accuracies=None, draw_seed=None, **changes
) -> Trainer:
    """Return a Trainer of six steps of four examples; its validations have these accuracies, else 0.5."""
    sizes = {"max_steps": 6, "per_device_train_batch_size": 4, "logging_steps": 2, "eval_steps": 3}
    settings = TrainingSettings.parse({**sizes, "learning_rate": 1e-2, **changes}, "training")
    method = METHODS[name].smoothed(settings.label_smoothing_factor)
    scores = itertools.repeat(0.5) if accuracies is None else iter(accuracies)
    return Trainer(
        Distiller(student, method),
        training_arguments(settings, folder / "checkpoints", seed=3),
        tokenize(examples, method.views, student, draw_seed=draw_seed),
        settings=settings,
        validate=lambda: {"accuracy": next(scores)},
        log_file=folder / "log.jsonl",
        validation_set=token_ids(validation, method.views, student) if validation else None,
    )


def flat(tensors) -> torch.Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def weights_of(student) -> torch.Tensor:
    return flat(student.parameters())


class StopAt(TrainerCallback):
    """The end of a training after a step, as if it had been killed."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs) -> None:
        control.should_training_stop = state.global_step >= self.step
