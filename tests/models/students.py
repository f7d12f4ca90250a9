"""Small random students of every family, each made once."""

import copy
import functools
import tempfile
from pathlib import Path

import torch

from limbeck.models import ScratchSettings, StudentSettings
from limbeck.models.loading import load
from limbeck.models.student import Student
from limbeck.tasks import get
from tests.helpers import builders

T5S = ["t5-1.0", "t5-1.1", "mt5", "scratch"]
FAMILIES = [*T5S, "bart", "t5gemma", "pegasus", "bert-pair", "roberta-pair"]
SCRATCH = ScratchSettings(vocab_size=300, d_model=16, d_kv=8, d_ff=32, num_heads=2)


def settings(kind: str, folder: Path) -> StudentSettings:
    """Return the settings of a student of this family, whose checkpoint is saved in the folder."""
    if kind == "scratch":
        return StudentSettings(scratch=SCRATCH)
    if kind.endswith("-pair"):
        kind = kind.removesuffix("-pair")
        wide = builders.encoder(folder / "decoder", kind, width=24)
        return StudentSettings(encoder=str(builders.encoder(folder / "encoder", kind)), decoder=str(wide))
    if kind in T5S:
        return StudentSettings(name=str(builders.t5(folder, kind)))
    return StudentSettings(name=str(getattr(builders, kind)(folder)))


@functools.cache
def _student(kind: str) -> Student:
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        student = load(settings(kind, Path(folder)), builders.TEXTS, get("custom")).eval()
    randomise(student)
    return student


def random_student(kind: str) -> Student:
    """Return a copy of the student of a family, which may be changed."""
    return copy.deepcopy(_student(kind))


def randomise(student: Student) -> None:
    """Make biases random too, so that leaving one out would show; what is not saved (rotary frequencies) stays."""
    for weight in student.state_dict().values():
        if weight.is_floating_point():
            torch.nn.init.normal_(weight, std=0.3)
