"""What is concluded from users' own files, `../shared/cases`: unequal labels, other tools' predictions, later files."""

import shutil
from collections import Counter
from pathlib import Path
from statistics import fmean

import pytest

from limbeck.errors import LimbeckError
from limbeck.files import read_jsonl
from limbeck.metrics.predictions import read_predictions
from limbeck.report import write_report
from limbeck.runs import EvaluationOptions, Recipe, evaluate, predict_file, train
from limbeck.runs.compare import calibrate_file, compare_runs
from tests.cases import CASES, case_recipe, needs_cases
from tests.helpers.archives import write_rows
from tests.runs.recipes import TINY

pytestmark = needs_cases
PREDICTIONS = CASES / "predictions"


def test_labels_that_are_unequal_are_shown_beside_the_accuracy(monkeypatch, tmp_path):
    monkeypatch.chdir(CASES / "imbalance")
    run = train(case_recipe(Path("recipe.yaml")), tmp_path / "runs" / "run")
    gold = Counter(row["label"] for _, row in read_jsonl(run.predictions("test")))
    by_label = run.results["test"]["by_label"]
    assert {row["label"]: row["n"] for row in by_label["labels"]} == {**dict.fromkeys(("billing", "repair"), 0), **gold}
    assert by_label["majority"] == {"label": "repair", "accuracy": gold["repair"] / 30}
    evaluate(run.path)
    page = (run.path / "evaluation" / "test.md").read_text()
    assert "Answering `repair` always" in page
    assert "always repair" in write_report([tmp_path / "runs"], tmp_path / "report").read_text()


RIGHT = dict.fromkeys(("array.json", "bools.jsonl", "correct01.jsonl"), 30)
RIGHT |= dict.fromkeys(("conf_percent.jsonl", "ints.jsonl", "pred.csv"), 40)
RIGHT |= dict.fromkeys(("floats.jsonl", "lmeval_a.jsonl", "strs.jsonl"), 60)


@pytest.mark.parametrize(("name", "right"), RIGHT.items())
def test_predictions_of_other_tools_are_read(name, right, tmp_path):
    n = len(read_predictions(PREDICTIONS / name))
    comparison = compare_runs([PREDICTIONS / name], [shutil.copy(PREDICTIONS / name, tmp_path / name)])
    assert (comparison["n"], comparison["accuracy_a"]) == (n, pytest.approx(right / n))


def test_confidences_in_per_cent_and_none():
    mean = fmean(row["confidence"] for _, row in read_jsonl(PREDICTIONS / "conf_percent.jsonl"))
    assert mean > 2
    assert calibrate_file(PREDICTIONS / "conf_percent.jsonl")["average_confidence"] == pytest.approx(mean / 100)
    with pytest.raises(LimbeckError, match="'confidence'"):
        calibrate_file(PREDICTIONS / "lmeval_a.jsonl")


def test_a_file_that_came_later_needs_no_training_file(tmp_path):
    kinds = [("heavy", "low"), ("light", "high")] * 20
    rows = [
        {"frage": f"Which shelf holds parcel {i}? It is {weight}.", "antwort": shelf, "rationale": f"It is {weight}."}
        for i, (weight, shelf) in enumerate(kinds, start=100)
    ]
    file = write_rows(tmp_path / "train.jsonl", rows)
    source = {"kind": "files", "train_file": str(file), "columns": {"input": "frage", "label": "antwort"}}
    recipe = {**TINY, "data": {"task": "custom", "source": source, "choices": ["high", "low"]}}
    run = train(Recipe.parse(recipe, "test"), tmp_path / "run")
    new = CASES / "newtest" / "new.jsonl"
    # of the file it was trained on, test and validation were carved
    for dataset, count in ((new, 0), (file, 40 - 4 - 4)):
        assert evaluate(run.path, EvaluationOptions(dataset=str(dataset)))["in_training"] == count
    file.unlink()
    values = evaluate(run.path, EvaluationOptions(dataset=str(new)))
    assert (values["n"], "in_training" in values) == (12, False)
    assert {row["label"]: row["n"] for row in values["by_label"]["labels"]} == {"high": 6, "low": 6}
    assert (run.path / "evaluation" / "new-test.md").is_file()
    # predict asks in the run's own words, and in limbeck's
    questions = write_rows(tmp_path / "questions.jsonl", [{"frage": "Which shelf holds parcel 1? It is light."}])
    for model in (run.path, run.model):
        assert predict_file(model, questions, tmp_path / "out.jsonl")["rows"] == 1
    assert predict_file(run.path, new, tmp_path / "out.jsonl")["n"] == 12
