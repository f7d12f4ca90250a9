"""A run's folder that somebody else made: nothing outside of it is read, written, deleted or sent."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest

from limbeck.cli import main
from limbeck.errors import DataError, FileError, ModelError
from limbeck.models.loading import open_student
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


def put(**values):
    return lambda text: json.dumps({**json.loads(text), **values})


MODEL_FILES = {
    "tokenizer.json": ["", "{}", put(version="9.0"), put(model={"type": "New"}), put(added_tokens=[{"id": 10**6}])],
    "tokenizer_config.json": ["[]", put(tokenizer_class=3), put(eos_token=[3])],
    "config.json": [
        *("", "[]", "{}", put(model_type=3), put(vocab_size="x"), put(d_model=10**9), put(num_layers=100_000)),
        *(put(pad_token_id="x"), put(eos_token_id=[[]]), put(eos_token_id=5000), put(decoder_start_token_id=10**6)),
        *(put(quantization_config=[]), put(dtype=[]), put(dropout_rate="x"), put(is_encoder_decoder=False)),
    ],
    "model.safetensors": ["", "text", lambda text: text[:1000]],
    "limbeck.json": ["", "[]", put(max_target_length=10**9), put(prompts=3), put(answers="x"), put(choices=3)],
}


@pytest.mark.parametrize(("file", "change"), [(file, change) for file in MODEL_FILES for change in MODEL_FILES[file]])
def test_a_damaged_model_is_one_line(received, tmp_path, monkeypatch, capsys, file, change):
    path = received / "model" / file
    text = change if isinstance(change, str) else change(path.read_text(errors="surrogateescape"))
    path.write_text(text, errors="surrogateescape")
    (tmp_path / "rows.jsonl").write_text('{"input": "2 + 3?"}')
    words = ["predict", str(received), "--input", str(tmp_path / "rows.jsonl"), "--output", str(tmp_path / "out.jsonl")]
    monkeypatch.setattr("sys.argv", ["limbeck", *words])
    with pytest.raises(SystemExit) as end:
        main()
    error = capsys.readouterr().err
    assert end.value.code in (0, 2) and (end.value.code == 0 or "error: " in error.splitlines()[-1])


def test_weights_in_a_pickle_run_no_code(received, tmp_path, monkeypatch):
    class Harm:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    (received / "model" / "model.safetensors").unlink()
    (received / "model" / "pytorch_model.bin").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ModelError):
        open_student(received / "model")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("file", ["results.json", "provenance.json"])
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"test": 3}', '{"machine": {"processes": true}}'])
def test_misshapen_records_are_neither_sent_nor_measured(received, monkeypatch, capsys, file, text):
    (received / file).write_text(text)
    for words in (["push", str(received), "me/model", "--yes"], ["evaluate", str(received)]):
        monkeypatch.setattr("sys.argv", ["limbeck", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2 and file in capsys.readouterr().err


def test_a_card_is_not_made_of_a_tampered_evaluation(received):
    path = received / "evaluation" / "test.json"
    page = json.loads(path.read_text())
    for section in ("selective", "calibration", "quality"):
        path.write_text(json.dumps({**page, section: "much"}))
        with pytest.raises(DataError) as caught:
            contents(received)
        assert caught.value.path == path


def test_files_of_no_known_name_are_not_sent(received):
    sent = set(contents(received))
    for name in ("secrets.json", "notes_config.json", "my.model", "other.safetensors", "page.jinja"):
        (received / "model" / name).write_text("{}")
    assert set(contents(received)) == sent >= {"config.json", "model.safetensors", "tokenizer.json", "limbeck.json"}
