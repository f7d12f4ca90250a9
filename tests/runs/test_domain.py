"""Out of domain: a student measured on other data with the same labels, when it is trained and afterwards."""

import json
from pathlib import Path

import pytest
import yaml

from limbeck.errors import LimbeckError
from limbeck.files import read_jsonl
from limbeck.runs import Recipe, evaluate, open_run, train
from limbeck.runs.domain import check_labels
from limbeck.tasks import get
from tests.archives import write_rows, write_shards
from tests.runs.recipes import TINY

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
            said = [f"Because of {i}. {marker} {NAMES[i % 2]}" for i in range(count)]
            write_shards(folder / task / "llm", split, said, size=5)
    write_rows(folder / "svamp" / "svamp_test.json", [{"input": "1 and 1?", "label": "( 1.0 + 1.0 )"}])
    return folder


def values(root: Path, **evaluation) -> dict:
    source = {"kind": "archive", "root": str(root), "splits": {"train": "valid", "test": "test"}}
    data = {"task": "esnli", "source": source, "limit": 20}
    return {**TINY, "data": data, "evaluation": evaluation}


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    recipe = Recipe.parse(values(root, out_of_domain=["anli1"], rationales=True), "test")
    return train(recipe, tmp_path_factory.mktemp("runs") / "dss")


def rows_of(run, name: str) -> list[dict]:
    return [row for _, row in read_jsonl(run.predictions(name))]


def test_training_ends_with_the_other_tasks_it_was_to_be_measured_on(run):
    assert run.results["test"]["n"] == 6
    foreign = run.results["out_of_domain"]
    assert list(foreign) == ["anli1"]
    rows = rows_of(run, "anli1-test")
    assert [row["input"] for row in rows] == [f"anli1 test {i}.\nSo?" for i in range(5)]
    assert [row["label"] for row in rows] == [NAMES[i % 3] for i in range(5)]
    assert all(row["correct"] == (row["prediction"] == row["label"]) and "rationale" in row for row in rows)
    assert foreign["anli1"].keys() == {*run.results["test"], "in_training"}
    assert (foreign["anli1"]["n"], foreign["anli1"]["accuracy"]) == (5, sum(row["correct"] for row in rows) / 5)
    assert open_run(run.path).recipe.resolved() == run.recipe.resolved()


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["esnli"], "'esnli' is the run's own task"),
        (["anli1", "anli1"], "'anli1' stands there twice"),
        (["svamp"], "'entailment', 'neutral', 'contradiction' and equations, compared by their value"),
        (["cqa"], "'contradiction' and answers of any text"),
        (["anli"], "did you mean 'anli1'"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_training(names, says, root, tmp_path):
    with pytest.raises(LimbeckError) as caught:
        train(Recipe.parse(values(root, out_of_domain=names), "test"), tmp_path / "run")
    assert says in str(caught.value)
    assert str(caught.value).startswith("evaluation.out_of_domain: ")
    assert not (tmp_path / "run").exists()


def test_data_that_is_not_there_is_refused_before_training(tmp_path):
    for split in ("train", "test"):
        rows = [{"premise": f"A {split} {i}.", "hypothesis": "So?", "label": i % 3} for i in range(9)]
        write_rows(tmp_path / "esnli" / f"esnli_{split}.json", rows)
        write_shards(tmp_path / "esnli" / "llm", split, ["So. Answer: neutral"] * 9, size=9)
    source = {"kind": "archive", "root": str(tmp_path)}
    wanted = {**TINY, "data": {"task": "esnli", "source": source}, "evaluation": {"out_of_domain": ["anli1"]}}
    with pytest.raises(LimbeckError, match=r"evaluation.out_of_domain: .*anli1"):
        train(Recipe.parse(wanted, "test"), tmp_path / "run")
    own = {**TINY, "evaluation": {"out_of_domain": ["svamp"]}}
    with pytest.raises(LimbeckError, match="'svamp': a source that makes its rows makes none of it"):
        train(Recipe.parse(own, "test"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_evaluate_on_another_task_and_on_a_recipes_data(run, root, tmp_path):
    before = run.results
    measured = evaluate(run.path, on="anli1")
    assert measured == before["out_of_domain"]["anli1"]
    page = json.loads((run.path / "evaluation" / "anli1-test.json").read_text())
    assert (page["out_of_domain"], page["split"], page["n"]) == ("anli1", "test", 5)
    assert page["calibration"]["temperature_fitted_on"] == "validation"
    teacher = [NAMES[i % 2] == NAMES[i % 3] for i in range(5)]
    assert page["teacher"]["accuracy"] == sum(teacher) / 5
    assert page["thresholds"]["best"]["here"]["accuracy"] <= 1
    assert (run.path / "evaluation" / "anli1-test.md").read_text().startswith(f"# `{run.path}`, anli1, test: 5 answers")
    data = {"task": "anli1", "limit": 3, "source": {"kind": "archive", "root": str(root), "splits": {"test": "test"}}}
    (tmp_path / "three.yaml").write_text(yaml.safe_dump({**TINY, "data": data}))
    assert evaluate(run.path, on=str(tmp_path / "three.yaml"))["n"] == 3
    assert {row["id"] for row in rows_of(run, "three-test")} < {row["id"] for row in rows_of(run, "anli1-test")}
    results = run.results
    assert list(results["out_of_domain"]) == ["anli1", "three"]
    assert {key: results[key] for key in ("valid", "test")} == {key: before[key] for key in ("valid", "test")}


def test_a_task_is_read_from_the_archive_that_root_names(run, root, tmp_path):
    rows = [{"premise": f"Elsewhere {i}.", "hypothesis": "So?", "label": 1} for i in range(2)]
    write_rows(tmp_path / "anli1" / "anli1_test.json", rows)
    write_shards(tmp_path / "anli1" / "llm", "test", ["So. So the answer is neutral", "Who knows?"], size=9)
    assert evaluate(run.path, on="anli1", root=tmp_path)["n"] == 2
    page = json.loads((run.path / "evaluation" / "anli1-test.json").read_text())
    assert (page["teacher"]["n"], page["teacher"]["left_out"]) == (1, 1)
    assert page["cascade"] is not None
    assert evaluate(run.path, on="anli1")["n"] == 5


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"on": "esnli"}, "own task"),
        ({"on": "svamp"}, "a student of esnli cannot be measured on svamp, for their labels differ: 'entailment'"),
        ({"on": "nowhere.yaml"}, "nowhere.yaml: no such file"),
        (
            {"on": "my/anli1.yaml"},
            "my/anli1.yaml: what is measured is kept under the file's name",
        ),
        ({"on": "anli1", "root": Path("nowhere")}, "nowhere/anli1"),
        ({"on": "a.yaml", "root": Path("nowhere")}, "leave --root out"),
        ({"root": Path("nowhere")}, "goes with --on"),
    ],
)
def test_what_evaluate_cannot_do_is_one_line(how, says, run):
    with pytest.raises(LimbeckError) as caught:
        evaluate(run.path, **how)
    assert says in str(caught.value)


def test_free_answers_are_met_by_the_way_they_are_compared():
    check_labels(get("arithmetic"), get("svamp"))
    check_labels(get("custom", answer="equation"), get("svamp"))
    check_labels(get("custom", NAMES[::-1]), get("anli1"))
    with pytest.raises(LimbeckError, match="answers of any text and equations"):
        check_labels(get("custom"), get("svamp"))
    with pytest.raises(LimbeckError, match="'yes', 'no' and 'entailment'"):
        check_labels(get("custom", ["yes", "no"]), get("anli1"))
