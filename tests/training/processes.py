"""Trainings, in one process or several, of a small model `llama` in their folder.

Rows differ in what they have; thirteen of them in steps of six leave one, which
only one process can have.
"""

import copy
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from accelerate.utils import is_compiled_module
from safetensors.torch import save_file
from transformers import set_seed

from limbeck.distributed import is_main_process
from limbeck.models import StudentSettings
from limbeck.models.loading import load
from limbeck.models.tokenization import MULTIPLE
from limbeck.tasks import get
from limbeck.training.sampler import BucketSampler, StepShape
from limbeck.training.sharding import is_sharded
from limbeck.training.trainer import _Epoch
from tests.training.small import EXAMPLES, PARTIAL, scratch, trainer

STEP = 6  # examples
# Adam divides a gradient by its size: of one that is almost 0 it would take the rounding for a step
SIZES = {"max_steps": 10, "logging_steps": 10, "adam_epsilon": 1e-6, "learning_rate": 1e-3, "max_grad_norm": 0.1}
ROWS = [replace(row, rationale=None) if number % 3 == 1 else row for number, row in enumerate(PARTIAL)]


NEEDS_DEEPSPEED = [pytest.mark.slow, pytest.mark.skipif(find_spec("deepspeed") is None, reason="needs DeepSpeed")]


class Case(NamedTuple):
    """A training."""

    method: str
    student: str = "llama"  # or lora, t5
    fsdp: bool = False
    batch_size: int = STEP
    accumulation: int = 1
    options: tuple[str, ...] = ()  # settings that are true
    stage: int = 0  # DeepSpeed's
    dealt: bool = False  # accumulated batches are those of several processes

    @property
    def folder(self) -> str:
        return "-".join(map(str, self))


def deepspeed(stage: int) -> dict:
    """Return DeepSpeed's settings of a stage."""
    sizes = {"train_micro_batch_size_per_gpu": "auto", "gradient_accumulation_steps": "auto"}
    return {"zero_optimization": {"stage": stage}, **sizes}


class AllBatches(BucketSampler):
    """The batches of all processes in turn."""

    def __len__(self) -> int:
        return super().__len__() * self.shape.processes

    def __iter__(self):
        parts = []
        for process in range(self.shape.processes):
            self.process = process
            parts.append(list(super().__iter__()))
        yield from (batch for batches in zip(*parts, strict=True) for batch in batches)


@cache
def _student(kind: str, folder: Path):
    if kind == "t5":
        return scratch()
    settings = {"name": str(folder / "llama"), "max_target_length": 100}
    lora = {"r": 4, "lora_dropout": 0.0} if kind == "lora" else None
    set_seed(0)
    return load(StudentSettings(**settings, lora=lora), [], get("svamp"))


def fit(case: Case, folder: Path) -> None:
    """Train the case's student, and save its trained weights in a file that is named after the case."""
    out, student = folder / case.folder, copy.deepcopy(_student(case.student, folder))
    rows = ROWS if case.method not in ("single-task", "answer-first") else EXAMPLES
    training = trainer(
        student,
        case.method,
        out,
        examples=rows,
        fsdp=case.fsdp,
        per_device_train_batch_size=case.batch_size,
        gradient_accumulation_steps=case.accumulation,
        eval_strategy="no",
        save_strategy="steps" if case.fsdp else "no",
        save_steps=10,
        **SIZES,
        deepspeed=deepspeed(case.stage) if case.stage else None,
        **dict.fromkeys(case.options, True),
    )
    if case.dealt:
        shape = StepShape(case.batch_size, 1, case.accumulation)
        training.sampler = AllBatches(training.training_set.lengths, shape=shape, multiple=MULTIPLE, seed=3)
        training.add_callback(_Epoch(training.training_set, training.sampler))
    training.fit()
    assert is_sharded(training._root) == case.fsdp
    assert is_compiled_module(training.model_wrapped) == ("torch_compile" in case.options)
    if case.stage:
        assert training.deepspeed.zero_optimization_stage() == case.stage
    if is_main_process():
        save_file({name: weight.clone() for name, weight in student.state_dict().items()}, out / "weights.safetensors")
