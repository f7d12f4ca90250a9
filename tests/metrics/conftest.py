"""A student with random weights, to be measured."""

import pytest
import torch

from limbeck.models import StudentSettings
from limbeck.models.loading import load
from limbeck.models.student import Student
from limbeck.tasks import get
from tests.helpers import builders


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Student:
    """A T5 of twelve tokens an answer."""
    folder = builders.t5(tmp_path_factory.mktemp("t5"))
    student = load(StudentSettings(name=str(folder), max_target_length=12), (), get("custom"))
    torch.manual_seed(3)
    for weight in student.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    return student.eval()
