"""Out of domain: a student measured on other data with the same labels, in training and afterwards."""

import json
from pathlib import Path

import pytest
import yaml

from limbeck.errors import LimbeckError, RecipeError
from limbeck.runs import EvaluationOptions, evaluate, open_run, train
from tests.helpers.archives import write_rows, write_shards
from tests.runs.recipes import TINY, rows_of, tiny

NAMES = ("entailment", "neutral", "contradiction")
ROWS = {"esnli": {"valid": 24, "test": 6}, "anli1": {"test": 5}}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """e-SNLI and ANLI in the released layout, e-SNLI without train and ANLI with a test split alone; and SVAMP."""
    folder = tmp_path_factory.mktemp("datasets")
    for task, splits in ROWS.items():
        for split, count in splits.items():
            rows = [{"premise": f"{task} {split} {i}.", "hypothesis": "So?", "label": i % 3} for i in range(count)]
            write_rows(folder / task / f"{task}_{split}.json", rows)
            marker = "Answer:" if task == "esnli" else "So the answer is"
            outputs = [f"Because of {i}. {marker} {NAMES[i % 2]}" for i in range(count)]
            write_shards(folder / task / "llm", split, outputs, size=5)
    write_rows(folder / "svamp" / "svamp_test.json", [{"input": "1 and 1?", "label": "( 1.0 + 1.0 )"}])
    return folder


def recipe_on(root: Path, **evaluation):
    source = {"kind": "archive", "root": str(root), "splits": {"train": "valid", "test": "test"}}
    return tiny(data={"task": "esnli", "source": source, "limit": 20}, evaluation=evaluation)


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    return train(recipe_on(root, out_of_domain=["anli1"], rationales=True), tmp_path_factory.mktemp("runs") / "dss")


def test_training_ends_with_the_measurement_on_other_tasks(run):
    foreign, rows = run.results["out_of_domain"], rows_of(run.predictions("anli1-test"))
    assert (run.results["test"]["n"], list(foreign)) == (6, ["anli1"])
    assert [row["label"] for row in rows] == [NAMES[i % 3] for i in range(5)]
    assert all(row["correct"] == (row["prediction"] == row["label"]) and "rationale" in row for row in rows)
    assert (foreign["anli1"]["n"], foreign["anli1"]["accuracy"]) == (5, sum(row["correct"] for row in rows) / 5)
    assert open_run(run.path).recipe.resolved() == run.recipe.resolved()


@pytest.mark.parametrize("name", ["esnli", "svamp", "cqa", "anli"])
def test_an_impossible_task_is_refused_before_training(name, root, tmp_path):
    with pytest.raises(RecipeError) as caught:
        train(recipe_on(root, out_of_domain=[name]), tmp_path / "run")
    assert caught.value.field == "evaluation.out_of_domain"
    assert not (tmp_path / "run").exists()


def test_evaluation_on_another_task_and_on_a_recipes_data(run, root, tmp_path):
    before = run.results
    assert evaluate(run.path, EvaluationOptions(dataset="anli1")) == before["out_of_domain"]["anli1"]
    page = json.loads((run.path / "evaluation" / "anli1-test.json").read_text())
    assert (page["out_of_domain"], page["split"], page["n"]) == ("anli1", "test", 5)
    assert page["calibration"]["temperature_fitted_on"] == "validation"
    assert page["teacher"]["accuracy"] == sum(NAMES[i % 2] == NAMES[i % 3] for i in range(5)) / 5
    data = {"task": "anli1", "limit": 3, "source": {"kind": "archive", "root": str(root), "splits": {"test": "test"}}}
    (tmp_path / "three.yaml").write_text(yaml.safe_dump({**TINY, "data": data}))
    assert evaluate(run.path, EvaluationOptions(dataset=str(tmp_path / "three.yaml")))["n"] == 3
    assert list(run.results["out_of_domain"]) == ["anli1", "three"]
    assert {key: run.results[key] for key in ("valid", "test")} == {key: before[key] for key in ("valid", "test")}


def test_an_impossible_dataset_is_refused(run):
    nowhere = [(name, Path("nowhere")) for name in ("anli1", "rows.jsonl", None)]
    # results of my/anli1.yaml would go where those of the task go
    for name, root in (("esnli", None), ("svamp", None), ("my/anli1.yaml", None), *nowhere):
        with pytest.raises(LimbeckError):
            evaluate(run.path, EvaluationOptions(dataset=name, root=root))


def test_rows_of_a_file_without_a_label_are_counted(run, tmp_path, caplog):
    rows = [{"premise": "p", "hypothesis": f"h{i}", "label": label} for i, label in enumerate([0, None, "-"])]
    dataset = str(write_rows(tmp_path / "rows.jsonl", rows))
    with caplog.at_level("INFO", "limbeck"):
        assert evaluate(run.path, EvaluationOptions(dataset=dataset))["n"] == 1
    assert "2 of 3 rows left out, without a label" in caplog.text
    with pytest.raises(RecipeError, match="no splits"):
        evaluate(run.path, EvaluationOptions(dataset=dataset, split="valid"))
