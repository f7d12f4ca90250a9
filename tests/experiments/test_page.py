"""The page that `evaluate` leaves in a run's folder."""

import json

import numpy as np
import pytest

from limbeck.experiments import Recipe, evaluate, train
from limbeck.files import read_jsonl
from tests.experiments.recipes import TINY


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(Recipe.parse({**TINY, "objective": "dss"}, "test"), tmp_path_factory.mktemp("runs") / "dss")


def test_a_page_has_what_the_predictions_say(run):
    measured = evaluate(run.path, "test", rationales=True)
    found = json.loads((run.path / "evaluation" / "test.json").read_text())
    rows = [row for _, row in read_jsonl(run.predictions("test"))]
    right = np.array([row["correct"] for row in rows])
    sure = np.array([row["confidence"] for row in rows])
    assert found["n"] == len(rows) == measured["n"]
    assert found["calibration"]["accuracy"] == measured["accuracy"] == right.mean()
    assert found["calibration"]["brier"] == pytest.approx(((sure - right) ** 2).mean())
    assert found["calibration"]["average_confidence"] == pytest.approx(sure.mean())
    assert found["selective"]["n"] == len(rows)
    first, last = found["cascade"][0], found["cascade"][-1]
    assert (first["passed"], first["accuracy"], first["cost"]) == (0, measured["accuracy"], 0)
    assert (last["passed"], last["cost"], last["threshold"]) == (1, 1, None)
    assert found["quality"]["n"] > 0
    assert found["dependence"]["n"] <= len(rows)
    page = (run.path / "evaluation" / "test.md").read_text()
    for title in ("Reliability", "The surest answers", "else the teacher", "Rationales", "Dependence"):
        assert f"## {title}" in page or title in page
    assert "nan" not in page.lower().split()


def test_without_rationales_the_page_says_nothing_of_them(run):
    evaluate(run.path, "valid")
    found = json.loads((run.path / "evaluation" / "valid.json").read_text())
    assert (found["quality"], found["dependence"]) == (None, None)
    assert found["calibration"]["temperature_fitted_on"] == "these answers"
