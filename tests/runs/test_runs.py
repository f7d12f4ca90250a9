"""Runs end to end: what a folder holds, that none is overwritten, and that a killed one ends as if it had not been."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from limbeck import models
from limbeck.errors import LimbeckError
from limbeck.objectives import METHODS
from limbeck.runs import Recipe, evaluate, open_run, predict_file, train
from tests import builders
from tests.runs.recipes import TINY


def recipe(**changes) -> Recipe:
    return Recipe.parse({**TINY, **changes}, "test")


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.open()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(recipe(evaluation={"rationales": True}), tmp_path_factory.mktemp("runs") / "dss")


def test_a_run_folder_holds_what_it_says(finished):
    results = finished.results
    assert (results["valid"]["n"], results["test"]["n"]) == (4, 6)
    counts = {"examples": 24, "sources": 48, "targets": 48, "steps": 4, "best_step": 4, "seconds": 0}
    assert results["training"] | {"seconds": 0} == counts
    origin = json.loads((finished.path / "provenance.json").read_text())
    assert origin["seed"] == 7
    assert origin["data"]["train"]["rows"] == 24
    assert len(origin["data"]["test"]["sha256"]) == 64
    assert origin["versions"]["torch"]
    assert yaml.safe_load((finished.path / "recipe.yaml").read_text()) == finished.recipe.resolved()
    rows = lines(finished.predictions("test"))
    assert len(rows) == 6
    said = {"id", "input", "label", "prediction", "correct", "exact", "rationale"}
    assert set(rows[0]) == said | {"confidence", "confidences"}
    assert set(rows[0]["confidences"]) == {"sequence", "normalised", "first-token"}
    assert rows[0]["confidence"] == rows[0]["confidences"]["sequence"]
    assert sum(row["correct"] for row in rows) / 6 == results["test"]["accuracy"]
    assert "rationale" not in lines(finished.predictions("valid"))[0]
    assert not list(finished.path.rglob("*.tmp"))
    model = AutoModelForSeq2SeqLM.from_pretrained(finished.model)
    tokenizer = AutoTokenizer.from_pretrained(finished.model)
    said = model.generate(**tokenizer("predict: " + rows[0]["input"], return_tensors="pt"), max_new_tokens=40)
    assert tokenizer.decode(said[0], skip_special_tokens=True).strip() == rows[0]["prediction"]


def test_an_existing_run_is_neither_overwritten_nor_mixed_with_another(finished, tmp_path):
    before = {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()}
    with pytest.raises(LimbeckError, match="already there"):
        train(finished.recipe, finished.path)
    with pytest.raises(LimbeckError, match="seed is 7 there and 8 here"):
        train(recipe(seed=8, evaluation={"rationales": True}), finished.path, resume=True)
    again = train(finished.recipe, finished.path, resume=True)
    assert again.results == finished.results
    assert {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()} == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(LimbeckError, match="in the way"):
        train(recipe(), tmp_path / "file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    with pytest.raises(LimbeckError, match="already there"):
        train(recipe(), tmp_path / "folder")
    with pytest.raises(LimbeckError, match="no run here"):
        train(recipe(), tmp_path / "folder", resume=True)


def test_a_folder_in_use_is_refused(tmp_path):
    path = tmp_path / "run"
    program = f"""
import sys, time
from pathlib import Path
from limbeck.runs.run import Run
with Run(Path({str(path)!r}), None).locked():
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LimbeckError, match="another process"):
            train(recipe(), path)
        holder.kill()
        holder.wait()
        assert train(recipe(), path).finished


def test_evaluate_measures_again_and_adds_a_split(finished):
    assert evaluate(finished.path, "test") == finished.results["test"]
    assert "train" not in finished.results
    assert evaluate(finished.path, "train")["n"] == 24
    assert open_run(finished.path).results["train"]["n"] == 24


def surely(row: dict) -> dict:
    """A prediction, its confidences to the digits that rounding in another order leaves."""
    sure = {name: pytest.approx(p, rel=1e-4) for name, p in row["confidences"].items()}
    return row | {"confidence": sure["sequence"], "confidences": sure}


def test_evaluate_with_another_engine_says_so_and_gives_the_same_answers(finished):
    pytest.importorskip("ctranslate2", reason="the engine ctranslate2 needs limbeck[fast]")
    before = evaluate(finished.path, "test", rationales=True)
    answers = [surely(row) for row in lines(finished.predictions("test"))]
    assert (before["engine"], before["answers"]) == ("transformers", "generate")
    measured = evaluate(finished.path, "test", rationales=True, engine="ctranslate2")
    assert measured == {**before, "engine": "ctranslate2"}
    assert lines(finished.predictions("test")) == answers
    assert open_run(finished.path).results["test"] == measured
    assert evaluate(finished.path, "test", rationales=True) == before


def test_a_recipe_with_choices_and_the_fast_engine_runs_whole(tmp_path):
    pytest.importorskip("ctranslate2", reason="the engine ctranslate2 needs limbeck[fast]")
    rows = [{"input": f"Is {i} even?", "label": "no" if i % 2 else "yes", "rationale": "So."} for i in range(30)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"kind": "files", "train_file": str(tmp_path / "rows.jsonl"), "test_file": str(tmp_path / "rows.jsonl")}
    data = {"task": "custom", "source": source, "choices": ["no", "yes"], "max_overlap": 1}
    evaluation = {"answers": "choices", "engine": "ctranslate2-int8", "rationales": True}
    run = train(recipe(data=data, evaluation=evaluation), tmp_path / "run")
    assert run.results["test"]["answers"] == "choices"
    assert {row["prediction"] for row in lines(run.predictions("test"))} <= {"no", "yes"}
    assert "rationale" in lines(run.predictions("test"))[0]
    assert evaluate(run.path, answers="generate")["answers"] == "generate"
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"input": "Is 3 even?"}\n{"input": "Is 4 even?", "choices": ["4", "no"]}\n')
    predict_file(run.path, source, target, answers="choices")
    first, second = lines(target)
    assert first["prediction"] in ("no", "yes")
    assert second["prediction"] in ("4", "no")
    predict_file(run.path, source, target, engine="ctranslate2")
    fast = target.read_bytes()
    predict_file(run.path, source, target)
    assert target.read_bytes() == fast


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evaluation": {"answers": "choices"}}, "task 'arithmetic': example .* has no choices"),
        ({"evaluation": {"answers": "choices"}, "objective": "answer-first"}, "not in the answer-first view"),
        ({"evaluation": {"engine": "ctranslate2"}, "student": "BART"}, "no 'bart'"),
    ],
)
def test_an_evaluation_that_cannot_be_is_refused_before_training(changes, words, tmp_path):
    if "student" in changes:
        changes = {**changes, "student": {"name": str(builders.bart(tmp_path / "bart"))}}
    with pytest.raises(LimbeckError, match=words) as caught:
        train(recipe(**changes), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_choice_too_long_for_the_student_is_refused_before_training(tmp_path):
    files = {"kind": "files", "train_file": str(tmp_path / "train.jsonl"), "test_file": str(tmp_path / "test.jsonl")}
    for split, choices in (("train", ["yes", "no"]), ("test", ["yes", "no, for it is not to be had by doubling"])):
        rows = [{"input": f"Is {i} even?", "label": "yes", "choices": choices} for i in range(9)]
        Path(files[split]).write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {"data": {"task": "custom", "source": files}, "evaluation": {"answers": "choices"}}
    with pytest.raises(LimbeckError, match=r"the choice 'no, for .* has more than 12 tokens"):
        train(
            recipe(**values, objective="finetune", student={**TINY["student"], "max_target_length": 12}),
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_evaluated_is_refused(tmp_path):
    with pytest.raises(LimbeckError, match="no run here"):
        evaluate(tmp_path)
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "recipe.yaml").write_text(yaml.safe_dump(TINY))
    with pytest.raises(LimbeckError, match="not finished"):
        evaluate(unfinished)


def test_an_engine_that_is_none_is_refused_by_name(finished):
    with pytest.raises(LimbeckError, match=r"evaluate: engine: .*'ctranslate2'"):
        evaluate(finished.path, engine="vllm")


def assert_same_vocabulary(one, other):
    files = (run.model / "tokenizer.json" for run in (one, other))
    assert len({file.read_bytes() for file in files}) == 1


def test_rows_that_are_not_trained_on_change_no_vocabulary(finished, tmp_path):
    data = {**TINY["data"], "train_fraction": 0.5, "keep": "correct", "labels": "teacher"}
    run = train(recipe(data=data), tmp_path / "run")
    assert run.results["training"]["examples"] < 24
    assert_same_vocabulary(run, finished)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "dss"])
def test_every_objective_runs_from_recipe_to_predictions(name, finished, tmp_path):
    run = train(recipe(objective=name), tmp_path / name)
    assert run.results["test"]["n"] == 6
    assert_same_vocabulary(run, finished)
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"input": "How many?"}\n{"id": "b", "input": "Ada has 3 pears.", "label": "( 3.0 )"}\n')
    done = predict_file(run.path, source, target)
    assert (done["rows"], done["n"]) == (2, 1)
    assert [row["id"] for row in lines(target)] == ["in-0", "b"]
    # rationale-first, a student of so few steps may write no label to be sure of
    assert set(lines(target)[0]) - {"confidence", "confidences"} == {"id", "input", "prediction"}
    if name == "finetune":
        with pytest.raises(LimbeckError, match="learns no rationales"):
            predict_file(run.path, source, target, rationales=True)
        with pytest.raises(LimbeckError, match="learns no rationales"):
            evaluate(run.path, rationales=True)
    else:
        predict_file(run.model, source, target, rationales=True)


def test_a_prediction_file_keeps_the_old_one_until_it_is_whole(finished, tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    target.write_text("old\n")
    for text, words in [
        ('{"input": "a"}\n{"input": 3}\n', "in.jsonl:2.*input"),
        ('{"input": "a"\n', "in.jsonl:1: not JSON"),
        ('{"inputs": "a"}\n', "in.jsonl: .*input"),
        ("", "no rows"),
    ]:
        source.write_text(text)
        with pytest.raises(LimbeckError, match=words):
            predict_file(finished.path, source, target)
    with pytest.raises(LimbeckError):
        predict_file(finished.path, source, source)
    with pytest.raises(LimbeckError, match="no trained student"):
        predict_file(tmp_path, source, target)
    assert target.read_text() == "old\n"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"student": {"name": "nowhere/at-all"}}, "cannot be loaded"),
        ({"data": {"task": "svamp", "source": {"kind": "archive", "root": "nowhere"}}}, "nowhere"),
        (
            {"data": {"task": "custom", "source": {"kind": "files", "train_file": "a.jsonl", "test_file": "b.jsonl"}}},
            "a.jsonl",
        ),
        ({"training": {"optim": "magic"}}, "training"),
    ],
)
def test_what_is_wrong_is_found_before_a_folder_is_made(changes, words, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LimbeckError, match=words) as caught:
        train(recipe(**changes), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"adam_beta1": 2},
        {"optim": "adamw_bnb_8bit"},
        {"optim_args": "foo"},
        {"lr_scheduler_kwargs": {"foo": 1}},
        {"lr_scheduler_type": "cosine_with_min_lr"},
        {"dataloader_num_workers": -1},
        {"report_to": "tensorboard"},
    ],
    ids=str,
)
def test_a_setting_that_fails_when_training_starts_leaves_the_folder_free(changes, tmp_path):
    path = tmp_path / "run"
    with pytest.raises(LimbeckError) as caught:
        train(recipe(training={**TINY["training"], "eval_steps": 4, **changes}), path)
    assert "\n" not in str(caught.value)
    assert not path.exists()
    assert train(recipe(), path).finished


def test_a_run_that_diverged_keeps_its_log_and_begins_anew(tmp_path):
    path, wild = tmp_path / "run", {**TINY["training"], "learning_rate": 1e30, "eval_steps": 4}
    logs = []
    for _ in range(2):
        with pytest.raises(LimbeckError, match=r"diverged: the loss at step \d is nan; lower learning_rate"):
            train(recipe(training=wild), path, resume=bool(logs))
        logs.append([(entry["step"], entry["loss"]) for entry in lines(path / "log.jsonl")])
    assert logs[0] == logs[1] != []
    assert open_run(path).recipe.resolved() == recipe(training=wild).resolved()
    assert len(json.loads((path / "provenance.json").read_text())["resumed"]) == 1
    with pytest.raises(LimbeckError, match=r"training\.learning_rate is"):
        train(recipe(), path, resume=True)


def test_data_that_changed_are_not_gone_on_with(tmp_path):
    rows = [{"input": f"What is {i} plus 1?", "label": str(i), "rationale": f"It is {i}."} for i in range(30)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"kind": "files", "train_file": str(file), "test_file": str(file)}
    data = {"task": "custom", "source": source, "max_overlap": 1}
    run = train(recipe(data=data), str(tmp_path / "run"))
    file.write_text(file.read_text().replace("plus 1", "plus 2"))
    with pytest.raises(LimbeckError, match=r"data changed since it began \(train, valid, test\)"):
        evaluate(run.path)
    (run.path / "results.json").unlink()
    with pytest.raises(LimbeckError, match="data changed"):
        train(recipe(data=data), run.path, resume=True)
    assert (run.path / "recipe.yaml").exists()


def test_a_run_that_goes_on_elsewhere_says_what_differs(finished, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(finished.path, path)
    (path / "results.json").unlink()
    origin = json.loads((path / "provenance.json").read_text())
    began = origin | {"revision": "0" * 40, "versions": origin["versions"] | {"torch": "2.0.0"}}
    (path / "provenance.json").write_text(json.dumps(began))
    train(finished.recipe, path, resume=True)
    now = json.loads((path / "provenance.json").read_text())
    (resumed,) = now.pop("resumed")
    assert now == began
    assert resumed.keys() == {"started", "revision", "versions"}
    assert resumed["versions"] == origin["versions"]  # the revision may be another by now, where somebody commits


def test_without_evaluation_the_last_weights_are_the_students(tmp_path):
    plain = {**TINY["training"], "eval_strategy": False, "save_steps": 2}  # YAML's bare `no`
    run = train(recipe(training=plain), tmp_path / "run")
    assert run.results["training"]["best_step"] == 4
    last = run.path / "checkpoints" / "checkpoint-4" / "model.safetensors"
    assert last.read_bytes() == (run.model / "model.safetensors").read_bytes()
    (run.path / "results.json").unlink()
    assert train(recipe(training=plain), run.path, resume=True).results["training"]["steps"] == 4


def test_an_output_that_cannot_be_written_is_found_before_anything_is_asked(tmp_path):
    (tmp_path / "file").write_text("in the way")
    source = tmp_path / "in.jsonl"
    for target in (Path("/proc/out.jsonl"), tmp_path / "file" / "out.jsonl", tmp_path / f"{'x' * 300}.jsonl"):
        with pytest.raises(LimbeckError, match=r"out.jsonl: cannot be written|x.jsonl: cannot be written"):
            predict_file(tmp_path / "no student", source, target)
    with pytest.raises(LimbeckError, match="no trained student"):
        predict_file(tmp_path / "no student", source, tmp_path / "new" / "out.jsonl")
    assert not list((tmp_path / "new").iterdir())


def test_what_cannot_be_written_is_one_line(finished, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"input": "a"}\n')
    for target in (tmp_path, Path("/proc/nowhere/out.jsonl")):
        with pytest.raises(LimbeckError):
            predict_file(finished.path, tmp_path / "in.jsonl", target)
    for place in (Path("/proc/nowhere"), tmp_path / ("x" * 300)):
        with pytest.raises(LimbeckError):
            train(recipe(), place)


def test_a_pretrained_folder_trains_and_its_labels_are_checked_against_its_tokenizer(tmp_path):
    folder = builders.bart(tmp_path / "bart")  # knows few words: most labels come back as <unk>
    run = train(recipe(student={"name": str(folder), "max_target_length": 16}), tmp_path / "run")
    assert run.results["notes"]["labels_inexpressible"] > 20
    assert isinstance(models.open_student(run.model)[0].model, AutoModelForSeq2SeqLM.from_pretrained(folder).__class__)


def test_a_student_whose_head_stays_in_the_model_trains_and_the_run_says_so_once(tmp_path, caplog):
    caplog.set_level("INFO", logger="limbeck")
    folder = builders.pegasus(tmp_path / "pegasus")
    run = train(recipe(student={"name": str(folder), "max_target_length": 12}, objective="mi"), tmp_path / "run")
    losses = [entry["loss"] for entry in lines(run.log) if "loss" in entry]
    assert losses[-1] < losses[0]
    assert [message for message in caplog.messages if "made whole" in message] == [
        "a 'pegasus' model's vocabulary head cannot be taken out: logits are made whole, which takes memory"
    ]


def test_killed_and_resumed_ends_in_the_same_weights(tmp_path):
    """SIGKILL at two moments; dropout on, so that the random state has to come back too."""
    values = {**TINY, "objective": "mi", "training": {**TINY["training"], "max_steps": 60, "eval_steps": 10}}
    values["student"] = {"scratch": {**TINY["student"]["scratch"], "dropout_rate": 0.1}, "max_target_length": 40}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "limbeck.cli", "train", str(path), "--resume", "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=environment, capture_output=True)
    killed = tmp_path / "killed"
    for step in (13, 37):
        with subprocess.Popen([*command, str(killed)], env=environment, stderr=subprocess.DEVNULL) as process:
            log = killed / "log.jsonl"
            while process.poll() is None and not (
                log.exists() and any(f'"step": {step}' in line for line in log.open())
            ):
                time.sleep(0.02)
            assert process.poll() is None, "it ended before it was killed"
            process.send_signal(signal.SIGKILL)
    assert not (killed / "results.json").exists()
    subprocess.run([*command, str(killed)], check=True, env=environment, capture_output=True)
    weights = [tmp_path / name / "model" / "model.safetensors" for name in ("whole", "killed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    last = [tmp_path / name / "checkpoints" / "checkpoint-60" / "model.safetensors" for name in ("whole", "killed")]
    assert last[0].read_bytes() == last[1].read_bytes()
    results = [open_run(tmp_path / name).results for name in ("whole", "killed")]
    assert results[0]["test"] == results[1]["test"]
    assert len(json.loads((killed / "provenance.json").read_text())["resumed"]) == 2


def test_a_finished_run_is_trained_further_in_a_folder_of_its_own(finished, tmp_path):
    longer = recipe(training=TINY["training"] | {"max_steps": 6, "learning_rate": 1e-9})
    with pytest.raises(LimbeckError) as caught:
        train(longer, finished.path, resume=True)
    for said in ("training.max_steps is 4 there and 6 here", "training.learning_rate is 5e-05 there", "--from"):
        assert said in str(caught.value)
    run = train(longer, tmp_path / "further", parent=finished.path)
    assert run.results["training"]["steps"] == 6
    first, last = (load_file(one.model / "model.safetensors") for one in (finished, run))
    assert all(torch.allclose(first[name], last[name], atol=1e-6) for name in first)  # at such a learning rate
    origin = json.loads((run.path / "provenance.json").read_text())["from"]
    weights = hashlib.sha256((finished.model / "model.safetensors").read_bytes()).hexdigest()
    assert origin == {"run": str(finished.path), "steps": 4, "sha256": {"model.safetensors": weights}}
    assert train(longer, run.path, resume=True, parent=finished.path).results == run.results
    (run.path / "results.json").unlink()
    with pytest.raises(LimbeckError):
        train(longer, tmp_path / "third", parent=run.path)
    assert not (tmp_path / "third").exists()


def test_a_run_that_gains_nothing_stops_early_and_stays_stopped_when_it_goes_on(tmp_path):
    """With a learning rate of 0 every evaluation measures the same."""
    still = {"max_steps": 12, "learning_rate": 0, "early_stopping_patience": 2, "label_smoothing_factor": 0.1}
    stopping = recipe(training={**TINY["training"], **still})
    run = train(stopping, tmp_path / "run")
    assert {name: run.results["training"][name] for name in ("steps", "best_step")} == {"steps": 6, "best_step": 6}
    losses = [entry["eval_loss"] for entry in lines(run.log) if "eval_loss" in entry]
    assert len(losses) == 3
    assert len(set(losses)) == 1
    (run.path / "results.json").unlink()
    assert train(stopping, run.path, resume=True).results["training"]["steps"] == 6


def test_a_type_that_the_device_lacks_is_refused_before_there_is_a_folder(tmp_path):
    with pytest.raises(LimbeckError):
        train(recipe(training={**TINY["training"], "fp16": True, "use_cpu": True}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
