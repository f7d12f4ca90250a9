"""A run's folder that somebody else made: nothing outside of it is read, written, deleted or sent."""

import os
import shutil

import pytest

from limbeck.cli import main
from limbeck.errors import FileError
from limbeck.runs import open_run
from limbeck.runs.publication import contents


@pytest.fixture
def received(copied):
    return copied.path


@pytest.fixture
def secret(tmp_path):
    """A file and a folder of the user's."""
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "kept" / "checkpoint-1").mkdir(parents=True)
    return tmp_path


def link_to(target):
    return lambda path: path.symlink_to(target)


SPECIAL = {
    "file": ("model/vocab.json", lambda secret: link_to(secret / "secret.json")),
    "folder": ("evaluation", lambda secret: link_to(secret / "kept")),
    "predictions": ("predictions/other", lambda secret: link_to(secret / "kept")),
    "checkpoints": ("checkpoints/checkpoint-9", lambda secret: link_to(secret / "kept" / "checkpoint-1")),
    "nowhere": ("serving.jsonl", lambda _: link_to("/nowhere/at/all")),
    "endless device": ("log.jsonl.zero", lambda _: link_to("/dev/zero")),
    "pipe": ("notes", lambda _: os.mkfifo),
    "depth": ("a", lambda _: lambda path: (path / "/".join("b" * 30)).mkdir(parents=True)),
}
VERBS = {
    "report": ["report", "RUN", "-o", "OUT"],
    "evaluate": ["evaluate", "RUN"],
    "push": ["push", "RUN", "me/model", "--yes"],
    "export": ["export", "RUN", "--to", "hf", "-o", "OUT"],
    "resume": ["train", "RUN/recipe.yaml", "--out", "RUN", "--resume"],
    "from": ["train", "RUN/recipe.yaml", "--out", "OUT", "--from", "RUN"],
}


def state(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("words", VERBS.values(), ids=VERBS)
@pytest.mark.parametrize("kind", SPECIAL)
def test_links_pipes_and_devices_are_refused_before_anything_happens(
    received, secret, tmp_path, kind, words, monkeypatch, capsys
):
    name, make = SPECIAL[kind]
    shutil.rmtree(received / name, ignore_errors=True)
    make(secret)(received / name)
    before = state(tmp_path)
    words = [word.replace("RUN", str(received)).replace("OUT", str(tmp_path / "out")) for word in words]
    monkeypatch.setattr("sys.argv", ["limbeck", *words])
    with pytest.raises(SystemExit) as end:
        main()
    error = capsys.readouterr().err
    assert end.value.code == 2 and "Traceback" not in error and name.partition("/")[0] in error
    assert state(tmp_path) == before
    with pytest.raises(FileError):
        open_run(received)


def test_files_of_no_known_name_are_not_sent(received):
    sent = set(contents(received))
    for name in ("secrets.json", "notes_config.json", "my.model", "other.safetensors", "page.jinja"):
        (received / "model" / name).write_text("{}")
    assert set(contents(received)) == sent >= {"config.json", "model.safetensors", "tokenizer.json", "limbeck.json"}
