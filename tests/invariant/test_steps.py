"""Losses, terms and gradient shares of twenty steps, for every objective and kind of student."""

from pathlib import Path

import pytest

from limbeck.objectives import METHODS
from tests.invariant import package, small

STUDENTS = ("t5", "bart", "encoder-pair")


@pytest.fixture(scope="module")
def students(folder):
    return {kind: small.student(kind, folder) for kind in STUDENTS}


@pytest.mark.parametrize("kind", STUDENTS)
@pytest.mark.parametrize("objective", METHODS)
def test_twenty_steps_are_as_they_were(objective, kind, students, reference):
    counts = {"train": 30, "valid": 2, "test": 2}
    training = {"max_steps": 20, "learning_rate": 0.1, "per_device_train_batch_size": 4, "logging_steps": 1}
    package.write_yaml("recipe.yaml", package.recipe(students[kind], objective, counts, **training))
    run = Path("runs") / f"{kind}-{objective}"
    package.limbeck("train", "recipe.yaml", "--json", "--out", str(run))
    steps = package.steps(run)
    assert {len(values) for values in steps.values()} == {20}
    # twenty steps multiply the rounding of other processors, by up to 3e-6 so far
    reference(f"steps-{kind}").check(objective, steps, 1e-5)
