"""A published run: it loads and answers without limbeck, names nothing of this machine, and arrives as it was sent."""

import json
import re
import subprocess
import sys

import pytest
import torch
import yaml
from transformers import AutoModelForSeq2SeqLM

from limbeck.errors import FileError
from limbeck.models.loading import open_student
from limbeck.runs import Recipe, predict_file, train
from limbeck.runs.publication import contents, write
from tests.helpers import builders
from tests.helpers.archives import write_rows
from tests.helpers.hub import files_of, run_beside, running
from tests.runs.recipes import TINY, rows_of, tiny

ALWAYS = {"README.md", "recipe.yaml", "results.json", "provenance.json", "limbeck.json", "config.json"}
ALWAYS |= {"model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"}
CHOICES = ["/help", "~", "C:\\x", "../up"]  # labels that look like paths


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    return tmp_path_factory.mktemp("machine")


@pytest.fixture(scope="module")
def runs(machine, trained):
    """Runs of every way to answer, on every kind of student; their data and students lie in absolute places."""
    rows = [
        {"input": ["Luke scored 84 points", f"He scored {i}"], "label": CHOICES[i % 4], "rationale": "yes So maybe"}
        for i in range(40)
    ]
    source = {"kind": "files", "train_file": str(write_rows(machine / "rows.jsonl", rows))}
    custom = {"data": {"task": "custom", "source": source, "choices": CHOICES}}
    bert = str(builders.encoder(machine / "students" / "bert", "bert"))
    luke, mark = (
        {"name": str(builders.bart(machine / "students" / word.strip(":"), always=word)), "max_target_length": 24}
        for word in ("Luke", "Rationale:")
    )
    few_steps = {**TINY["training"], "max_steps": 2}
    recipes = {
        "finetune": tiny(**custom, objective="finetune", student=luke, training=few_steps),
        "single-task": tiny(objective="single-task", training=few_steps),
        "answer-first": tiny(objective="answer-first", student=mark, training=few_steps),
        "pair": tiny(**custom, student={"encoder": bert, "decoder": bert, "max_target_length": 8}, training=few_steps),
    }
    return {"dss": trained} | {name: train(recipe, machine / "runs" / name) for name, recipe in recipes.items()}


@pytest.fixture(scope="module")
def folders(runs, machine):
    """The published files of each run, in a folder."""
    for name, run in runs.items():
        write(contents(run.path), machine / "published" / name)
    return {name: machine / "published" / name for name in runs}


CODE = """
import contextlib, io, json, os, sys
answers = {}
for folder, code in json.load(sys.stdin):
    os.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, {})
    answers[folder] = out.getvalue()
assert not any(name.partition(".")[0] == "limbeck" for name in sys.modules)
json.dump(answers, sys.stdout)
"""


def code_block(folder, language):
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    return block


@pytest.mark.slow
def test_the_cards_own_code_answers_as_limbeck_does(folders, tmp_path):
    blocks = [(str(folder), code_block(folder, "python")) for folder in folders.values()]
    command = [sys.executable, "-c", CODE]
    process = subprocess.run(command, input=json.dumps(blocks), capture_output=True, text=True, timeout=240)
    assert process.returncode == 0, process.stderr
    answers = json.loads(process.stdout)
    for name, folder in folders.items():
        (tmp_path / "in.jsonl").write_text(code_block(folder, "json"))
        rationales = name != "finetune"
        predict_file(folder, tmp_path / "in.jsonl", tmp_path / "out.jsonl", rationales=rationales)
        (prediction,) = rows_of(tmp_path / "out.jsonl")
        expected = f"answer: {prediction['prediction']}\n"
        expected += f"rationale: {prediction.get('rationale') or ''}\n" if rationales else ""
        assert answers[str(folder)] == expected
    assert answers[str(folders["finetune"])].startswith("answer: Luke")
    assert answers[str(folders["answer-first"])].startswith("answer: \nrationale: Rationale: Rationale:")


def test_a_folder_is_the_model_and_names_nothing_of_the_machine(runs, folders, machine):
    for name, folder in folders.items():
        assert {path.name for path in folder.iterdir()} == ALWAYS
        for path in folder.iterdir():
            assert str(machine).encode() not in path.read_bytes(), path
        published = AutoModelForSeq2SeqLM.from_pretrained(folder).state_dict()
        trained_weights = AutoModelForSeq2SeqLM.from_pretrained(runs[name].model).state_dict()
        assert all(torch.equal(published[key], trained_weights[key]) for key in trained_weights)
        assert open_student(folder)[1] == open_student(runs[name].model)[1]
        assert "command" not in json.loads((folder / "provenance.json").read_text())
        assert json.loads((folder / "results.json").read_text()) == runs[name].results
    recipe = Recipe.parse(yaml.safe_load((folders["pair"] / "recipe.yaml").read_text()), "recipe.yaml")
    assert (str(recipe.data.source.train_file), recipe.student.encoder) == ("rows.jsonl", "bert")
    assert recipe.data.choices == CHOICES
    assert open_student(folders["pair"])[1].choices == tuple(CHOICES)


def test_a_folder_is_written_whole_or_not_at_all(trained, tmp_path):
    (trained.model / "notes.md").write_text("secret")
    files = contents(trained.path)
    (trained.model / "notes.md").unlink()
    assert set(files) == ALWAYS
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    before = sorted(tmp_path.iterdir())
    for path in before:
        with pytest.raises(FileError):
            write(files, path)
    with pytest.raises(FileError):
        write({**files, "model.safetensors": tmp_path / "gone"}, tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == before


# A process of its own, which the Hub's library wants, does what `push` does, but without the time to import torch.
UPLOAD_ALL = """
import json, sys
from pathlib import Path
from limbeck.errors import LimbeckError
from limbeck.hub import upload
outcomes = {}
for name in json.load(sys.stdin):
    files = {path.name: path for path in Path(name.rpartition("/")[2]).iterdir()}
    try:
        outcomes[name] = upload(files, name, "model", message="A student", fresh=True)
    except LimbeckError as error:
        outcomes[name] = f"error: {error}"
json.dump(outcomes, sys.stdout)
"""


def test_a_push_is_a_new_model(trained, tmp_path):
    names = ("mine", "empty", "there", "open")  # the last two: with files already; public already
    for name in names:
        write(contents(trained.path, f"me/{name}", "apache-2.0"), tmp_path / name)
    with running() as (endpoint, requests):
        outcomes = run_beside(endpoint, UPLOAD_ALL, [f"me/{name}" for name in names], tmp_path)
    for name in ("mine", "empty"):
        assert outcomes[f"me/{name}"] == f"{endpoint}/me/{name}"
        sent = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        assert files_of(requests, name, "model") == sent
    for name in ("there", "open"):
        assert outcomes[f"me/{name}"].startswith(f"error: me/{name}: ")
        assert not [path for path, *_ in requests if f"/{name}/commit/" in path]
    assert "hf download me/mine --local-dir mine\nlimbeck predict mine " in (tmp_path / "mine/README.md").read_text()
