"""Training end to end: a run's folder is never overwritten, and a killed run ends as if it had not been killed."""

import hashlib
import json
import shutil
import subprocess
import time

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from limbeck.data import sources
from limbeck.errors import DataError, FileError, LimbeckError, ModelError
from limbeck.files import MANIFEST, is_whole
from limbeck.runs import evaluate, open_run, train
from limbeck.runs.run import InUseError, Run
from limbeck.training import trainer
from tests.helpers import builders, decoders
from tests.helpers.archives import write_rows
from tests.helpers.processes import Forked
from tests.runs.recipes import TINY, rows_of, tiny


def test_a_run_folder_is_complete_and_its_student_loads_without_limbeck(trained):
    results, origin, rows = trained.results, trained.provenance, rows_of(trained.predictions("test"))
    assert (results["valid"]["n"], results["test"]["n"]) == (4, 6)
    counts = {"examples": 24, "sources": 48, "targets": 48, "steps": 4, "best_step": 4}
    assert {name: results["training"][name] for name in counts} == counts
    assert (origin["seed"], origin["data"]["train"]["rows"], len(origin["data"]["test"]["sha256"])) == (7, 24, 64)
    assert yaml.safe_load((trained.path / "recipe.yaml").read_text()) == trained.recipe.resolved()
    assert rows[0]["confidence"] == rows[0]["confidences"]["sequence"]
    assert sum(row["correct"] for row in rows) / 6 == results["test"]["accuracy"]
    assert "rationale" in rows[0] and "rationale" not in rows_of(trained.predictions("valid"))[0]
    model = AutoModelForSeq2SeqLM.from_pretrained(trained.model)
    tokenizer = AutoTokenizer.from_pretrained(trained.model)
    ids = model.generate(**tokenizer("predict: " + rows[0]["input"], return_tensors="pt"), max_new_tokens=24)
    assert tokenizer.decode(ids[0], skip_special_tokens=True).strip() == rows[0]["prediction"]


def test_an_existing_folder_is_neither_overwritten_nor_mixed(trained, tmp_path):
    before = {path: path.read_bytes() for path in trained.path.rglob("*") if path.is_file()}
    with pytest.raises(FileError):
        train(trained.recipe, trained.path)
    with pytest.raises(FileError, match="differs in seed"):
        train(tiny(seed=8, evaluation={"rationales": True}), trained.path, resume=True)
    assert train(trained.recipe, trained.path, resume=True).results == trained.results
    assert {path: path.read_bytes() for path in trained.path.rglob("*") if path.is_file()} == before
    for name in ("thesis.txt", "recipe.yaml"):
        file = tmp_path / name.partition(".")[0] / name
        file.parent.mkdir()
        file.write_text("mine")
        for path in (file, file.parent):
            with pytest.raises(LimbeckError):
                train(tiny(), path, resume=True)
        assert (list(file.parent.iterdir()), file.read_text()) == ([file], "mine")


def test_a_folder_in_use_is_refused_until_its_process_ends(tmp_path):
    run = Run(tmp_path / "run", tiny())

    def hold() -> None:
        with run.locked():
            (tmp_path / "held").touch()
            time.sleep(60)

    process = Forked(run=hold)
    process.wait_until((tmp_path / "held").exists)
    with pytest.raises(InUseError), run.locked():
        pass
    process.kill()
    with run.locked():
        pass


@pytest.mark.parametrize(
    "changes",
    [
        {"student": {"name": "nowhere/at-all"}},
        {"data": {"task": "svamp", "source": {"kind": "archive", "root": "nowhere"}}},
        {"data": {"task": "custom", "source": {"kind": "files", "train_file": "a.jsonl", "test_file": "b.jsonl"}}},
        {"training": {"optim": "magic"}},
        {"evaluation": {"answers": "choices"}},
    ],
    ids=str,
)
def test_a_mistake_is_found_before_a_folder_is_created(changes, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LimbeckError):
        train(tiny(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_is_free_for_another_recipe_until_there_is_a_checkpoint(tmp_path):
    path, training = tmp_path / "run", {**TINY["training"], "eval_steps": 4}
    with pytest.raises(ModelError, match="cannot start"):
        train(tiny(training={**training, "adam_beta1": 2}), path)
    logs = []
    for _ in range(2):
        with pytest.raises(LimbeckError, match="diverged"):
            train(tiny(training={**training, "learning_rate": 1e30}), path)
        logs.append([(entry["step"], entry["loss"]) for entry in rows_of(path / "log.jsonl")])
    assert logs[0] == logs[1] != []
    run = train(tiny(training=training), path)
    assert open_run(path).recipe.resolved() == run.recipe.resolved()
    assert "resumed" not in run.provenance


def test_a_run_is_not_resumed_on_changed_data(tmp_path):
    rows = [{"input": f"What is {i} plus 1?", "label": str(i), "rationale": f"It is {i}."} for i in range(30)]
    file = write_rows(tmp_path / "rows.jsonl", rows)
    source = {"kind": "files", "train_file": str(file), "test_file": str(file)}
    recipe = tiny(data={"task": "custom", "source": source, "max_overlap": 1})
    run = train(recipe, tmp_path / "run")
    file.write_text(file.read_text().replace("plus 1", "plus 2"))
    with pytest.raises(DataError, match=r"train, valid, test"):
        evaluate(run.path)
    (run.path / "results.json").unlink()
    with pytest.raises(DataError):
        train(recipe, run.path, resume=True)
    assert (run.path / "recipe.yaml").exists()


def test_rows_that_are_not_trained_on_do_not_change_the_vocabulary(trained, tmp_path):
    data = {**TINY["data"], "train_fraction": 0.5, "keep": "correct", "labels": "teacher"}
    run = train(tiny(data=data), tmp_path / "run")
    assert run.results["training"]["examples"] < 24
    assert (run.model / "tokenizer.json").read_bytes() == (trained.model / "tokenizer.json").read_bytes()


def test_labels_are_checked_against_a_pretrained_tokenizer(tmp_path):
    folder = builders.bart(tmp_path / "bart")  # knows few words: most labels come back as <unk>
    run = train(tiny(student={"name": str(folder), "max_target_length": 16}), tmp_path / "run")
    assert run.results["notes"]["labels_inexpressible"] > 20


def test_a_run_on_a_large_file_is_the_same_and_notices_changed_rows(assets, tmp_path, monkeypatch):
    rows = [{"input": f"What is {i} + 1?", "label": f"{i + 1}", "rationale": f"One more than {i}."} for i in range(40)]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    recipe = tiny(data={"task": "custom", "answer": "number", "source": {"kind": "files", "train_file": str(path)}})
    small = train(recipe, tmp_path / "small")
    assert not assets.exists()
    monkeypatch.setattr(sources, "MAX_IN_MEMORY", 0)
    large = train(recipe, tmp_path / "large")
    assert list(assets.rglob("source_ids.npy"))
    assert large.provenance["data"] == small.provenance["data"]
    assert large.results["notes"] == small.results["notes"]
    assert len({(run.model / "model.safetensors").read_bytes() for run in (small, large)}) == 1
    assert rows_of(large.predictions("test")) == rows_of(small.predictions("test"))
    (large.path / "results.json").unlink()
    write_rows(path, [*rows[:-1], {**rows[-1], "rationale": "Changed."}])
    with pytest.raises(DataError, match="data changed"):
        train(recipe, large.path, resume=True)


def test_killed_and_resumed_ends_in_the_same_weights(tmp_path):
    """SIGKILL after a checkpoint; with dropout, so that the random state has to be restored too."""
    training = {**TINY["training"], "max_steps": 12, "eval_steps": 4}
    student = {"scratch": {**TINY["student"]["scratch"], "dropout_rate": 0.1}, "max_target_length": 24}
    recipe = tiny(objective="mi", training=training, student=student)
    killed = Run(tmp_path / "killed", recipe)
    process = Forked(run=lambda: train(recipe, killed.path))
    process.wait_until(lambda: killed.log.exists() and '"step": 6' in killed.log.read_text())
    process.kill()
    assert not killed.finished
    torch.set_num_threads(1)
    uninterrupted = train(recipe, tmp_path / "uninterrupted")
    resumed = train(recipe, killed.path, resume=True)
    for file in ("model/model.safetensors", "checkpoints/checkpoint-12/model.safetensors"):
        assert (uninterrupted.path / file).read_bytes() == (resumed.path / file).read_bytes()
    assert resumed.results["test"] == uninterrupted.results["test"]
    assert len(resumed.provenance["resumed"]) == 1


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    **{name: lambda path: path.unlink() for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", MANIFEST)},
    "trainer_state.json": lambda path: path.write_text(""),
    "model.safetensors": flip,
    "config.json": lambda path: path.write_text(path.read_text()[:-9]),
}


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A finished run with its three checkpoints, of steps 4, 8 and 12."""
    training = {**TINY["training"], "max_steps": 12, "eval_steps": 4, "save_total_limit": None}
    student = {"scratch": {**TINY["student"]["scratch"], "dropout_rate": 0.1}, "max_target_length": 24}
    recipe = tiny(training=training, student=student)
    return train(recipe, tmp_path_factory.mktemp("long") / "run")


@pytest.mark.parametrize(
    ("file", "damaged"), [*((file, [12]) for file in DAMAGE), ("optimizer.pt", [12, 8]), ("scheduler.pt", [12, 8, 4])]
)
def test_a_damaged_checkpoint_is_named_and_the_newest_whole_one_resumed(long, tmp_path, caplog, file, damaged):
    copy = Run(shutil.copytree(long.path, tmp_path / "copy"), long.recipe)
    (copy.path / "results.json").write_text("")  # as a power cut may leave it
    shutil.rmtree(copy.model)
    for step in damaged:
        DAMAGE[file](copy.checkpoints / f"checkpoint-{step}" / file)
    with caplog.at_level("WARNING"):
        resumed = train(long.recipe, copy.path, resume=True)
    named = {step for step in damaged if f"checkpoint-{step}: " in caplog.text}
    assert named == set(damaged)
    assert (resumed.model / "model.safetensors").read_bytes() == (long.model / "model.safetensors").read_bytes()
    assert resumed.results["test"] == long.results["test"]
    assert all(is_whole(path) for path in resumed.checkpoints.glob("checkpoint-*"))


def test_a_newer_checkpoint_is_not_resumed_from_where_the_best_one_is_damaged(long, tmp_path):
    best, copy = long.results["training"]["best_step"], Run(shutil.copytree(long.path, tmp_path / "copy"), long.recipe)
    (copy.path / "results.json").unlink()
    shutil.rmtree(copy.model)
    flip(copy.checkpoints / f"checkpoint-{best}" / "model.safetensors")
    resumed = train(long.recipe, copy.path, resume=True)
    assert (resumed.model / "model.safetensors").read_bytes() == (long.model / "model.safetensors").read_bytes()


def test_a_killed_save_leaves_no_checkpoint_that_is_taken_for_a_whole_one(long, tmp_path, monkeypatch):
    """SIGKILL when the second checkpoint is there but for its manifest."""
    run = Run(tmp_path / "killed", long.recipe)
    second = run.checkpoints / "checkpoint-8"

    def train_until_the_second() -> None:
        write = trainer.write_manifest
        monkeypatch.setattr(trainer, "write_manifest", lambda path: time.sleep(60) if path == second else write(path))
        train(long.recipe, run.path)

    process = Forked(run=train_until_the_second)
    process.wait_until((second / "trainer_state.json").exists)
    process.kill()
    assert not is_whole(second) and is_whole(run.checkpoints / "checkpoint-4")
    torch.set_num_threads(1)
    resumed = train(long.recipe, run.path, resume=True)
    assert (resumed.model / "model.safetensors").read_bytes() == (long.model / "model.safetensors").read_bytes()


def test_a_resumed_run_keeps_the_prompts_that_it_began_with(tmp_path):
    template = "{{ strftime_now('%M:%S.%f') }} {{ messages[0].content }} =>"  # never the same twice
    folder = decoders.decoder(tmp_path / "base", "llama", template)
    recipe = tiny(student={"name": str(folder), "max_target_length": 40})
    run = train(recipe, tmp_path / "run")
    card, weights = [(run.model / file).read_bytes() for file in ("limbeck.json", "model.safetensors")]
    (run.path / "results.json").unlink()
    shutil.rmtree(run.model)
    shutil.rmtree(run.checkpoints / "checkpoint-4")
    train(recipe, run.path, resume=True)
    assert (run.model / "limbeck.json").read_bytes() == card
    assert (run.model / "model.safetensors").read_bytes() == weights
    assert run.provenance["chat_frame"] == json.loads(card)["prompts"]["frame"]


def test_a_finished_run_is_trained_further_in_a_folder_of_its_own(trained, tmp_path):
    longer = tiny(training=TINY["training"] | {"max_steps": 6, "learning_rate": 1e-9})
    with pytest.raises(FileError, match=r"training\.learning_rate"):
        train(longer, trained.path, resume=True)
    run = train(longer, tmp_path / "further", parent=trained.path)
    assert run.results["training"]["steps"] == 6
    first, last = (load_file(result.model / "model.safetensors") for result in (trained, run))
    assert all(torch.allclose(first[name], last[name], atol=1e-6) for name in first)  # at such a learning rate
    digest = hashlib.sha256((trained.model / "model.safetensors").read_bytes()).hexdigest()
    origin = {"run": str(trained.path), "steps": 4, "sha256": {"model.safetensors": digest}}
    assert run.provenance["from"] == origin
    assert train(longer, run.path, resume=True, parent=trained.path).results == run.results
    (run.path / "results.json").unlink()
    with pytest.raises(FileError):
        train(longer, tmp_path / "third", parent=run.path)
    assert not (tmp_path / "third").exists()


@pytest.fixture
def disk(tmp_path):
    """A folder that is a disk of 16 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    mount = subprocess.run(command, capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"no disk can be mounted here: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_run_on_a_full_disk_is_resumed_once_there_is_room_and_ends_the_same(disk, tmp_path):
    # checkpoints of 1.5 MB, of which three are there at a time: the best, the newest, and the one being written
    sizes = {"vocab_size": 400, "d_model": 64, "d_kv": 16, "d_ff": 128}
    recipe = tiny(student={"scratch": sizes, "max_target_length": 24}, training=TINY["training"] | {"max_steps": 8})
    for size in ("2500k", "64m"):
        with pytest.raises(FileError) as caught:
            train(recipe, disk / "run", resume=True)
        assert f"{disk} " in str(caught.value)
        subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
    run, unlimited = train(recipe, disk / "run", resume=True), train(recipe, tmp_path / "unlimited")
    for split in ("valid", "test"):
        assert run.results[split] == unlimited.results[split]
    resumed, reference = (load_file(result.model / "model.safetensors") for result in (run, unlimited))
    assert all(resumed[name].equal(reference[name]) for name in reference)
