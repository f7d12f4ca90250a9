"""What is concluded from users' own files, `../shared/cases`: unequal labels, other tools' predictions, later files."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import LimbeckError
from limbeck.metrics.predictions import read_predictions
from limbeck.report import write_report
from limbeck.runs import EvaluationOptions, Recipe, evaluate, predict_file, train
from limbeck.runs.compare import calibrate_file, compare_runs
from tests.cases.recipes import case_recipe
from tests.runs.recipes import TINY

CASES = Path(os.environ.get("LIMBECK_CASES") or Path(__file__).parents[2].parent / "shared" / "cases")
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}; set LIMBECK_CASES")
PREDICTIONS = CASES / "predictions"


def rows_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (PREDICTIONS / name).read_text().splitlines()]


def test_labels_that_are_unequal_are_shown_beside_the_accuracy(monkeypatch, tmp_path):
    monkeypatch.chdir(CASES / "imbalance")
    run = train(case_recipe(Path("recipe.yaml")), tmp_path / "runs" / "run")
    test = run.results["test"]
    predictions = [json.loads(line) for line in run.predictions("test").read_text().splitlines()]
    gold = Counter(row["label"] for row in predictions)
    by_label = test["by_label"]
    assert {one["label"]: one["n"] for one in by_label["labels"]} == {**dict.fromkeys(("billing", "repair"), 0), **gold}
    for one in by_label["labels"]:
        right = sum(row["correct"] for row in predictions if row["label"] == one["label"])
        assert one["accuracy"] == (right / one["n"] if one["n"] else None)
    assert by_label["majority"] == {"label": "repair", "accuracy": gold["repair"] / 30}
    evaluate(run.path)
    page = (run.path / "evaluation" / "test.md").read_text()
    assert "Answering `repair` always" in page
    assert "Macro F1" in page
    assert "always repair" in write_report([tmp_path / "runs"], tmp_path / "report").read_text()


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("array.json", 30),
        ("bools.jsonl", 30),
        ("conf_percent.jsonl", 40),
        ("correct01.jsonl", 30),
        ("floats.jsonl", 60),
        ("ints.jsonl", 40),
        ("lmeval_a.jsonl", 60),
        ("pred.csv", 40),
        ("strs.jsonl", 60),
    ],
)
def test_predictions_of_other_tools_are_read(name, right, tmp_path):
    answers = read_predictions(PREDICTIONS / name)
    assert sum(one.correct for one in answers) == right
    assert len({one.id for one in answers}) == len(answers)
    other = shutil.copy(PREDICTIONS / name, tmp_path / name)
    compared = compare_runs([PREDICTIONS / name], [Path(other)])
    assert (compared["n"], compared["accuracy_a"]) == (len(answers), pytest.approx(right / len(answers)))


def test_confidences_in_per_cent_are_a_hundredth():
    stated = [row["confidence"] for row in rows_of("conf_percent.jsonl")]
    assert max(stated) > 2
    found = calibrate_file(PREDICTIONS / "conf_percent.jsonl")
    assert found["average_confidence"] == pytest.approx(sum(stated) / len(stated) / 100)


def test_a_file_without_confidences_says_so_and_what_it_has():
    with pytest.raises(LimbeckError) as raised:
        calibrate_file(PREDICTIONS / "lmeval_a.jsonl")
    assert "'confidence'" in str(raised.value)
    assert "filtered_resps" in str(raised.value)


def test_a_file_that_came_later_needs_no_training_file(tmp_path):
    rows = [
        {"frage": f"Which shelf holds parcel {i}? It is {w}.", "antwort": a, "rationale": f"Parcel {i} is {w}."}
        for i in range(100, 140)
        for w, a in [("light", "high") if i % 2 else ("heavy", "low")]
    ]
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"kind": "files", "train_file": str(file), "columns": {"input": "frage", "label": "antwort"}}
    recipe = {**TINY, "data": {"task": "custom", "source": source, "choices": ["high", "low"]}}
    run = train(Recipe.parse(recipe, "test"), tmp_path / "run")
    new = CASES / "newtest" / "new.jsonl"
    assert evaluate(run.path, EvaluationOptions(dataset=str(new)))["in_training"] == 0
    assert (
        evaluate(run.path, EvaluationOptions(dataset=str(file)))["in_training"] == 40 - 4 - 4
    )  # test and validation were carved
    file.unlink()
    found = evaluate(run.path, EvaluationOptions(dataset=str(new)))
    assert (found["n"], "in_training" in found) == (12, False)
    assert run.results["out_of_domain"]["new"] == found
    assert {one["label"]: one["n"] for one in found["by_label"]["labels"]} == {"high": 6, "low": 6}
    assert (run.path / "evaluation" / "new-test.md").is_file()
    with pytest.raises(LimbeckError):
        evaluate(run.path, EvaluationOptions(split="valid", dataset=str(new)))
    # predict asks in the run's own words, and in limbeck's
    own = tmp_path / "own.jsonl"
    own.write_text('{"frage": "Which shelf holds parcel 1? It is light."}\n')
    for model in (run.path, run.model):
        assert predict_file(model, own, tmp_path / "out.jsonl")["rows"] == 1
    assert predict_file(run.path, new, tmp_path / "out.jsonl")["n"] == 12
