"""A run given away: it loads and answers without limbeck, says nothing of this machine, and arrives as it was sent."""

import base64
import json
import re
import subprocess
import sys

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from transformers import AutoModelForSeq2SeqLM

from limbeck.data import View
from limbeck.data.views import prefix
from limbeck.errors import LimbeckError
from limbeck.files import read_jsonl
from limbeck.models import open_student
from limbeck.runs import Recipe, open_run, predict_file, train
from limbeck.runs.push import contents, push, write
from tests import builders
from tests.hub import TOKEN, environment, files_of, running
from tests.runs.recipes import TINY

ALWAYS = {"README.md", "recipe.yaml", "results.json", "provenance.json", "limbeck.json", "config.json"}
ALWAYS |= {"model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"}
FEW = {**TINY["training"], "max_steps": 2}
CHOICES = ["/help", "~", "C:\\x", "../up"]  # labels that look like paths


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return tmp_path_factory.mktemp("machine")


@pytest.fixture(scope="module")
def runs(here):
    """Runs of every way to answer, on every kind of student; their data and students lie in absolute places."""
    rows = [
        {"input": ["Luke scored 84 points", f"He scored {i}"], "label": CHOICES[i % 4], "rationale": "yes So maybe"}
        for i in range(40)
    ]
    (here / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"kind": "files", "train_file": str(here / "rows.jsonl")}
    own = {"data": {"task": "custom", "source": source, "choices": CHOICES}}
    bert = str(builders.encoder(here / "students" / "bert", "bert"))
    says = {
        word: {"name": str(builders.bart(here / "students" / word.strip(":"), always=word)), "max_target_length": 24}
        for word in ("Luke", "Answer:", "Rationale:")
    }
    given = {
        "mi": {"objective": "mi", "evaluation": {"rationales": True}},
        "finetune": {**own, "objective": "finetune", "student": says["Luke"]},
        "single-task": {"objective": "single-task"},
        "marked": {"objective": "single-task", "student": says["Answer:"]},
        "answer-first": {"objective": "answer-first", "student": says["Rationale:"]},
        "dss": {**own, "objective": "dss", "student": {"encoder": bert, "decoder": bert, "max_target_length": 8}},
    }
    return {
        name: train(Recipe.parse({**TINY, "training": FEW, **one}, "test"), here / "runs" / name)
        for name, one in given.items()
    }


@pytest.fixture(scope="module")
def folders(runs, here):
    """What each run gives away, in a folder."""
    for name, run in runs.items():
        write(contents(run.path), here / "given" / name)
    return {name: here / "given" / name for name in runs}


CODE = """
import contextlib, io, json, os, sys
said = {}
for folder, code in json.load(sys.stdin):
    os.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, {})
    said[folder] = out.getvalue()
assert not any(name.partition(".")[0] == "limbeck" for name in sys.modules)
json.dump(said, sys.stdout)
"""


def test_the_cards_own_code_answers_as_limbeck_does(runs, folders, tmp_path):
    blocks = []
    for folder in folders.values():
        (block,) = re.findall(r"^```python\n(.*?)^```$", (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE)
        blocks.append((str(folder), block))
    for view in (View.PREDICT, View.EXPLAIN):  # a student so small may write the same after either
        assert f'ask("{prefix(view)}", segments)' in blocks[0][1]
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        input=json.dumps(blocks), capture_output=True, text=True, timeout=240, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    for name, folder in folders.items():
        row = re.search(r"^```json\n(.*?)^```$", (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE)[1]
        (tmp_path / "in.jsonl").write_text(row)
        reasons = name != "finetune"
        predict_file(folder, tmp_path / "in.jsonl", tmp_path / "out.jsonl", rationales=reasons)
        ((_, answer),) = read_jsonl(tmp_path / "out.jsonl")
        expected = f"answer: {answer['prediction']}\n"
        expected += f"rationale: {answer.get('rationale') or ''}\n" if reasons else ""
        assert said[str(folder)] == expected
    assert said[str(folders["finetune"])].startswith("answer: Luke")
    assert said[str(folders["marked"])].startswith("answer: \nrationale: Answer: Answer:")
    assert said[str(folders["answer-first"])].startswith("answer: \nrationale: Rationale: Rationale:")


def test_a_folder_is_the_model_and_nothing_of_the_machine(runs, folders, here):
    for name, folder in folders.items():
        assert {path.name for path in folder.iterdir()} == ALWAYS
        for path in folder.iterdir():
            assert str(here).encode() not in path.read_bytes(), path
        theirs = AutoModelForSeq2SeqLM.from_pretrained(folder).state_dict()
        ours = AutoModelForSeq2SeqLM.from_pretrained(runs[name].model).state_dict()
        assert all(torch.equal(theirs[key], ours[key]) for key in ours)
        assert open_student(folder)[1] == open_student(runs[name].model)[1]
        assert "command" not in json.loads((folder / "provenance.json").read_text())
        assert json.loads((folder / "results.json").read_text()) == runs[name].results
    recipe = Recipe.parse(yaml.safe_load((folders["dss"] / "recipe.yaml").read_text()), "recipe.yaml")
    assert (str(recipe.data.source.train_file), recipe.student.encoder) == ("rows.jsonl", "bert")
    assert recipe.data.choices == CHOICES
    assert open_student(folders["dss"])[1].choices == tuple(CHOICES)


def test_only_the_models_own_files_are_given(runs, here, tmp_path):
    run = runs["mi"]
    strangers = [run.model / name for name in (".env", "notes.md", "optimizer.pt", "training_args.bin")]
    for path in strangers:
        path.write_text("secret")
    try:
        assert set(contents(run.path)) == ALWAYS
    finally:
        for path in strangers:
            path.unlink()


def test_a_folder_is_written_whole_or_not_at_all(runs, folders, tmp_path):
    files = contents(runs["mi"].path)
    for taken in (tmp_path / "file", tmp_path / "folder", tmp_path / "link"):
        {"file": taken.touch, "folder": taken.mkdir, "link": lambda at=taken: at.symlink_to("nowhere")}[taken.name]()
        with pytest.raises(LimbeckError, match="already there; give another --folder"):
            write(files, taken)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LimbeckError, match="cannot be written"):
        write({**files, "model.safetensors": tmp_path / "gone"}, tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["", "mine", "a/b/c", "me/a b", "me/..", "me/-x", "../x", "me/x.git", "me/a\nb"])
def test_a_name_has_an_owner(name, runs):
    with pytest.raises(LimbeckError, match="is no name of a model on the Hub: OWNER/NAME") as caught:
        contents(runs["mi"].path, name)
    assert "\n" not in str(caught.value)


def test_what_is_no_finished_run_is_refused(runs, tmp_path):
    with pytest.raises(LimbeckError, match="no run here"):
        contents(tmp_path)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(TINY))
    with pytest.raises(LimbeckError, match="not finished"):
        contents(tmp_path)


def test_with_the_hub_switched_off(runs, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LimbeckError, match="me/mine: the Hub is switched off by HF_HUB_OFFLINE"):
        push(contents(runs["mi"].path, "me/mine"), "me/mine")


# A process of its own, which the Hub's library wants, does what `push` does, but without the time to import torch.
UPLOAD_ALL = """
import base64, json, sys
from pathlib import Path
from limbeck.errors import LimbeckError
from limbeck.hub import upload
said = {}
for name, private, files in json.load(sys.stdin):
    files = {path: Path(own) if own else base64.b64decode(content) for path, (own, content) in files.items()}
    try:
        said[name] = upload(files, name, "model", "A student", private, fresh=True)
    except LimbeckError as error:
        said[name] = f"error: {error}"
json.dump(said, sys.stdout)
"""
REFUSED = {
    "there": "a model of this name is on the Hub already; give another name",
    "open": "is on the Hub already, and public; say --public, or give another name",
    "unauthorised": "the Hub refused (401: log in with `hf auth login`, or set HF_TOKEN to a token that may write",
    "forbidden": "the Hub refused (403: the token may not write there; look at its permissions",
    "full": "the Hub refused (413: Too large)",
    "echo": "the Hub refused (400: no such token: Bearer ***)",
    "other": "the Hub cannot be reached, or is none (JSONDecodeError); try again",
}


def encoded(files):
    return {
        path: ("", base64.b64encode(content).decode()) if isinstance(content, bytes) else (str(content), "")
        for path, content in files.items()
    }


@pytest.fixture(scope="module")
def pushed(runs, here):
    """The Hub's address, what was said to every push, and every request that arrived."""
    names = [("me/mine", True, "apache-2.0"), ("me/shown", False, None), ("me/empty", True, None)]
    names += [("me/unlicensed", True, "nonsense"), *((f"me/{name}", True, None) for name in REFUSED)]
    sent = [(name, private, encoded(contents(runs["mi"].path, name, license))) for name, private, license in names]
    with running() as (endpoint, seen):
        done = subprocess.run(
            [sys.executable, "-c", UPLOAD_ALL],
            input=json.dumps(sent), env=environment(endpoint, here / "home"),
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        yield endpoint, json.loads(done.stdout), seen


@pytest.mark.parametrize(("name", "license"), [("mine", "apache-2.0"), ("shown", None), ("empty", None)])
def test_what_arrives_is_what_was_sent(name, license, pushed, runs, here):
    endpoint, said, seen = pushed
    assert said[f"me/{name}"] == f"{endpoint}/me/{name}"
    arrived = files_of(seen, name, "model")
    sent = contents(runs["mi"].path, f"me/{name}", license)
    assert set(arrived) == ALWAYS
    for path, content in sent.items():
        assert arrived[path] == (content if isinstance(content, bytes) else content.read_bytes())
        assert str(here).encode() not in arrived[path]
    card = arrived["README.md"].decode()
    assert f'from_pretrained("me/{name}")' in card
    assert f"hf download me/{name} --local-dir {name}\nlimbeck predict {name} " in card
    assert ModelCard(card).data.license == license


def test_a_new_model_is_private_unless_said_otherwise(pushed):
    created = {body["name"]: body for path, body, _ in pushed[2] if path == "/api/repos/create"}
    assert created["mine"] == {"name": "mine", "organization": "me", "visibility": "private", "type": "model"}
    assert created["shown"]["visibility"] == "public"


def test_the_token_goes_to_the_hub_and_nowhere_else(pushed):
    _, said, seen = pushed
    assert {header for path, _, header in seen if path.startswith("/api/")} == {f"Bearer {TOKEN}"}
    assert TOKEN not in json.dumps(said) + repr([body for _, body, _ in seen])


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_one_line_and_nothing_is_committed(name, pushed):
    _, said, seen = pushed
    assert said[f"me/{name}"].startswith(f"error: me/{name}: ")
    assert REFUSED[name] in said[f"me/{name}"]
    assert "\n" not in said[f"me/{name}"]
    if name != "full":
        assert not [path for path, *_ in seen if f"/{name}/commit/" in path]


def test_a_licence_that_the_hub_does_not_know(pushed):
    error = pushed[1]["me/unlicensed"]
    assert error == 'error: me/unlicensed: the Hub refused the card in README.md: - "license" must be one of many'


def test_a_run_is_left_as_it_was(runs):
    assert open_run(runs["mi"].path).finished
    assert not list(runs["mi"].path.rglob("*.tmp"))
