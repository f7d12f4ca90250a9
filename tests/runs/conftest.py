"""Runs that the tests of this room share: each is trained once per process."""

import shutil

import pytest

from limbeck.runs import EvaluationOptions, evaluate, open_run, train
from tests.runs.recipes import tiny


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A finished dss run with rationales, evaluated. Tests that change it use `copied`."""
    run = train(tiny(evaluation={"rationales": True}), tmp_path_factory.mktemp("runs") / "dss")
    evaluate(run.path, EvaluationOptions(rationales=True))
    return open_run(run.path)


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of `trained` in a folder of the test's own."""
    shutil.copytree(trained.path, tmp_path / "copied")
    return open_run(tmp_path / "copied")


@pytest.fixture(scope="session")
def finetuned(tmp_path_factory):
    """A finished run of a student that learnt no rationales, with another confidence than the default."""
    recipe = tiny(objective="finetune", evaluation={"confidence": "normalised"})
    return train(recipe, tmp_path_factory.mktemp("runs") / "finetune")
