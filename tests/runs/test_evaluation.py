"""Evaluations of finished runs, on other data too, their pages, and predictions for a file of rows."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from limbeck.errors import FileError, LimbeckError, ModelError, RecipeError
from limbeck.formatting import code
from limbeck.runs import EvaluationOptions, evaluate, evaluate_runs, open_run, predict_file, train
from limbeck.runs.page import write_page
from limbeck.runs.publication import model_card
from tests.helpers import builders
from tests.helpers.archives import write_rows, write_shards
from tests.runs.recipes import TINY, rows_of, tiny

NAMES = ("entailment", "neutral", "contradiction")
ROWS = {"esnli": {"valid": 24, "test": 6}, "anli1": {"test": 5}}
WITH_RATIONALES = EvaluationOptions(rationales=True)


def page_of(run, name="test"):
    return json.loads((run.path / "evaluation" / f"{name}.json").read_text())


def test_a_page_agrees_with_the_predictions(trained):
    page, results, rows = page_of(trained), trained.results["test"], rows_of(trained.predictions("test"))
    right, confidence = (np.array([row[key] for row in rows]) for key in ("correct", "confidence"))
    calibration, first, last = page["calibration"], page["cascade"][0], page["cascade"][-1]
    assert page["n"] == len(rows) == results["n"] == page["selective"]["n"]
    assert calibration["accuracy"] == results["accuracy"] == right.mean()
    assert calibration["brier"] == pytest.approx(((confidence - right) ** 2).mean())
    assert calibration["average_confidence"] == pytest.approx(confidence.mean())
    assert calibration["temperature_fitted_on"] == "validation"
    assert page["definitions"]["sequence"]["brier"] == calibration["brier"]
    assert (first["cost"], first["accuracy"]) == (0, results["accuracy"])
    assert (last["cost"], last["threshold"]) == (1, None)
    assert page["teacher"]["accuracy"] == last["accuracy"]
    assert page["quality"]["n"] > 0
    text = (trained.path / "evaluation" / "test.md").read_text()
    assert f"| {calibration['brier']:.4f} |" in text
    assert "nan" not in text.lower().split()
    for figure in ("reliability", "risk-coverage", "cascade"):
        assert f"(test-{figure}.svg)" in text
        assert "<svg" in (trained.path / "evaluation" / f"test-{figure}.svg").read_text()


def test_a_repeated_evaluation_is_the_same_and_another_split_is_added(copied):
    assert evaluate(copied.path, WITH_RATIONALES) == copied.results["test"]
    before = rows_of(copied.predictions("test"))
    recipe = copied.path / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("rationales: true", "rationales: false"))
    evaluate(copied.path)
    assert rows_of(copied.predictions("test")) == before  # rationales that are there are generated again
    recipe.write_text(recipe.read_text().replace("rationales: false", "rationales: true"))
    evaluate(copied.path, EvaluationOptions(split="valid"))
    page = page_of(copied, "valid")
    assert page["n"] == page["quality"]["n"] == copied.results["valid"]["n"] == 4  # the recipe asks for rationales
    assert page["calibration"]["temperature_fitted_on"] == "these answers"
    lines = (copied.path / "evaluation" / "valid.md").read_text().splitlines()
    for name, title in {"judge": "The judge", "thresholds": "Thresholds of the cascade"}.items():
        assert page[name] is None
        assert lines[lines.index(f"## {title}") + 2] == f"Not measured: {page['reasons'][name]}."


def test_runs_evaluated_together_have_differences_and_similarity_by_an_encoder(copied, tmp_path):
    second = train(tiny(seed=8, evaluation={"rationales": True}), tmp_path / "b_8")
    encoder = str(builders.encoder(tmp_path / "bert", "bert"))
    results = evaluate_runs([copied.path, second.path], EvaluationOptions(rationales=True, encoder=encoder))
    (forward,), (backward,) = page_of(copied)["significance"], page_of(second)["significance"]
    assert [backward["run"], forward["run"]] == list(results) == [str(copied.path), str(second.path)]
    gap = results[str(copied.path)]["accuracy"] - results[str(second.path)]["accuracy"]
    assert (forward["difference"], backward["difference"]) == (pytest.approx(gap), pytest.approx(-gap))
    assert forward["adjusted"] == forward["p_value"]
    similarity = page_of(copied)["quality"]["similarity"]
    assert (similarity["encoder"], abs(similarity["mean"]) <= 1) == (encoder, True)
    assert f"| {code(second.path)} |" in (copied.path / "evaluation" / "test.md").read_text()
    with pytest.raises(RecipeError):
        evaluate_runs([copied.path, copied.path])
    with pytest.raises(LimbeckError, match="encoder"):
        evaluate(copied.path, EvaluationOptions(rationales=True, encoder=str(tmp_path)))
    measured = copied.predictions("test").stat().st_mtime_ns
    (second.path / "results.json").unlink()
    with pytest.raises(LimbeckError, match="not finished"):
        evaluate_runs([copied.path, second.path])
    assert copied.predictions("test").stat().st_mtime_ns == measured


def test_students_without_rationales_and_of_one_text_lack_some_measures(finetuned, tmp_path):
    student = TINY["student"] | {"max_target_length": 40}  # room for both texts
    joint = train(tiny(objective="answer-first", student=student), tmp_path / "run")
    evaluate_runs([finetuned.path, joint.path], WITH_RATIONALES)
    page = page_of(joint)
    assert (page_of(finetuned)["quality"], page["dependence"], page["quality"] is None) == (None, None, False)
    assert "in one text" in page["reasons"]["dependence"]
    with pytest.raises(RecipeError):
        evaluate(finetuned.path, WITH_RATIONALES)


def test_a_broken_student_still_gets_a_page(copied, tmp_path):
    weights = copied.model / "model.safetensors"
    broken = {name: torch.full_like(tensor, torch.nan) for name, tensor in load_file(weights).items()}
    save_file(broken, weights, {"format": "pt"})
    source = {**TINY["data"]["source"], "test_rows": 120}  # enough for the dependence to be measured
    (tmp_path / "more.yaml").write_text(yaml.safe_dump({**TINY, "data": {"task": "arithmetic", "source": source}}))
    evaluate(copied.path, EvaluationOptions(rationales=True, dataset=str(tmp_path / "more.yaml")))
    page = page_of(copied, "more-test")
    assert (page["calibration"], page["dependence"]) == (None, None)
    assert page["reasons"].keys() >= {"calibration", "dependence"}


def test_a_page_escapes_names_and_drops_figures_of_an_earlier_evaluation(trained, tmp_path):
    page = page_of(trained)
    write_page(tmp_path, "a b", page)
    assert "(a%20b-cascade.svg)" in (tmp_path / "a b.md").read_text()
    assert (tmp_path / "a b-cascade.svg").is_file()
    sections = ("calibration", "selective", "cascade", "teacher")
    page |= dict.fromkeys(sections)
    page["reasons"] |= dict.fromkeys(sections, "no confidence")
    write_page(tmp_path, "a b", page | {"run": "<b>a|b</b>"})
    text = (tmp_path / "a b.md").read_text()
    assert text.startswith(r"# \<b\>a\|b\</b\>, test: 6 answers")
    assert text.count("Not measured: no confidence.") == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a b.json", "a b.md"]


def test_another_engine_is_recorded_and_gives_the_same_answers(copied):
    pytest.importorskip("ctranslate2", reason="the engine ctranslate2 needs limbeck[fast]")
    before, rows = copied.results["test"], rows_of(copied.predictions("test"))
    measured = evaluate(copied.path, EvaluationOptions(rationales=True, engine="ctranslate2"))
    assert measured == {**before, "engine": "ctranslate2"} == copied.results["test"]
    answers = [row["prediction"] for row in rows_of(copied.predictions("test"))]
    assert answers == [row["prediction"] for row in rows]
    with pytest.raises(RecipeError, match="engine"):
        evaluate(copied.path, EvaluationOptions(engine="vllm"))


def test_answers_by_votes_once_trained_and_greedy_ones_in_training(tmp_path):
    rows = [{"input": f"Is it {i}?", "label": ("yes", "no")[i % 3 % 2], "rationale": "So it is."} for i in range(48)]
    splits = {"train": rows[:24], "valid": rows[24:36], "test": rows[36:]}
    paths = {f"{name}_file": str(write_rows(tmp_path / f"{name}.jsonl", rows)) for name, rows in splits.items()}
    recipe = tiny(
        data={"task": "custom", "source": {"kind": "files", **paths}},
        objective="single-task",
        training=TINY["training"] | {"max_steps": 90, "learning_rate": 1e-2, "eval_steps": 30},
        evaluation={"votes": 5, "temperature": 1.0, "rationales": True},
    )
    run = train(recipe, tmp_path / "run")
    results, before = run.results, rows_of(run.predictions("test"))
    for split in ("valid", "test"):
        assert (results[split]["votes"], results[split]["temperature"]) == (5, 1.0)
    confidences = [row.get("confidence") for row in before]
    assert confidences == [row.get("confidences", {}).get("votes") for row in before]
    assert len(set(confidences)) > 1
    assert evaluate(run.path, WITH_RATIONALES) == results["test"]  # the seed is the run's
    assert rows_of(run.predictions("test")) == before
    page = page_of(run)
    assert (page["accuracy"]["votes"], page["calibration"]["temperature_fitted_on"]) == (5, "validation")
    assert page["definitions"].keys() == {"sequence", "normalised", "first-token", "votes"}
    assert "the majority of 5 samples at temperature 1." in (run.path / "evaluation" / "test.md").read_text()
    assert open_run(run.path).page() == page
    card = model_card(run)
    assert card.count("the majority of 5 samples") == 2 and "the share of the samples" in card
    source, target = write_rows(tmp_path / "in.jsonl", splits["test"][::-1]), tmp_path / "out.jsonl"
    predict_file(run.path, source, target, rationales=True, batch_size=3)
    for name in ("prediction", "rationale", "confidence"):
        assert [row.get(name) for row in rows_of(target)][::-1] == [row.get(name) for row in before]
    measured = predict_file(run.path, source, target, votes=2, temperature=2.0)
    assert (measured["votes"], measured["temperature"]) == (2, 2.0)
    # an answer of another kind is no guide to the votes of validation
    assert "votes" not in evaluate(run.path, EvaluationOptions(votes=0))
    assert page_of(run)["calibration"]["temperature_fitted_on"] == "these answers"
    assert "samples at temperature" not in (run.path / "evaluation" / "test.md").read_text()
    valid = evaluate(run.path, EvaluationOptions(split="valid", votes=0))
    log = {row["step"]: row["eval_accuracy"] for row in rows_of(run.log) if "eval_accuracy" in row}
    assert log[results["training"]["best_step"]] == valid["accuracy"] > 0
    for options, field in (({"temperature": 0.0}, "temperature"), ({"answers": "choices"}, "votes")):
        with pytest.raises(RecipeError) as caught:
            evaluate(run.path, EvaluationOptions(**options))
        assert caught.value.field == field


def test_predictions_for_a_file(trained, finetuned, tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"input": "How many?"}\n{"id": "b", "input": "Ada has 3 pears.", "label": "( 3.0 )"}\n')
    results = predict_file(trained.model, source, target, rationales=True)
    assert (results["rows"], results["n"]) == (2, 1)
    first, second = rows_of(target)
    assert (first["id"], second["id"]) == ("in-0", "b")
    assert set(first) == {"id", "input", "prediction", "rationale", "confidence", "confidences"}
    predict_file(finetuned.path, source, target)
    row = rows_of(target)[0]
    assert row["confidence"] == row["confidences"]["normalised"] != row["confidences"]["sequence"]
    before = target.read_bytes()  # which stays until there is a new one
    with pytest.raises(RecipeError):
        predict_file(finetuned.path, source, target, rationales=True)
    for text in ('{"input": "a"}\n{"input": 3}\n', '{"input": "a"\n', '{"inputs": "a"}\n', ""):
        source.write_text(text)
        with pytest.raises(LimbeckError):
            predict_file(trained.path, source, target)
    for model, path, error in ((trained.path, source, FileError), (tmp_path, target, ModelError)):
        with pytest.raises(error):
            predict_file(model, source, path)
    assert target.read_bytes() == before


def test_inputs_too_long_for_a_student_are_cut_and_counted_alike_wherever_it_is_asked(tmp_path):
    long = "Ann has a cow. " * 12
    questions = [f"{long * (i % 4 == 0)}How many are {i}?" for i in range(60)]
    rows = [{"input": text, "label": str(i % 2), "rationale": f"{i}."} for i, text in enumerate(questions)]
    splits = {"train": rows[:40], "valid": rows[40:48], "test": rows[48:]}
    paths = {f"{name}_file": str(write_rows(tmp_path / f"{name}.jsonl", rows)) for name, rows in splits.items()}
    student = {**TINY["student"], "max_source_length": 40}
    run = train(tiny(data={"task": "custom", "source": {"kind": "files", **paths}}, student=student), tmp_path / "run")
    cuts = {name: [long in row["input"] for row in rows] for name, rows in splits.items()}
    assert run.results["notes"]["sources_cut"] == 2 * sum(cuts["train"])
    for split in ("valid", "test"):
        assert run.results[split]["sources_cut"] == sum(cuts[split]) > 0
        assert [row.get("input_cut", False) for row in rows_of(run.predictions(split))] == cuts[split]
    measured = predict_file(run.path, tmp_path / "test.jsonl", tmp_path / "out.jsonl")
    assert evaluate(run.path)["sources_cut"] == measured["sources_cut"] == sum(cuts["test"])
    again, predictions = (rows_of(path) for path in (tmp_path / "out.jsonl", run.predictions("test")))
    for name in ("prediction", "input_cut"):
        assert [row.get(name) for row in again] == [row.get(name) for row in predictions]


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
    page = page_of(run, "anli1-test")
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
