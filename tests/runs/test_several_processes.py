"""A run in several processes: the run of one, whatever process is killed, and one line for an error."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from limbeck.errors import FileError
from limbeck.runs import open_run, train
from tests.helpers.processes import Forked
from tests.runs.recipes import TINY, rows_of, tiny
from tests.training.processes import NEEDS_DEEPSPEED, deepspeed

SHARING = {
    "ddp": {},
    "fsdp": {"fsdp": True},
    "compiled-fsdp": {"fsdp": True, "torch_compile": True},
    "deepspeed-1": {"deepspeed": deepspeed(1)},
    "deepspeed-2": {"deepspeed": deepspeed(2)},
}
DEEPSPEED = [pytest.param(f"deepspeed-{stage}", marks=NEEDS_DEEPSPEED) for stage in (1, 2)]
FSDP_CONFIG = {  # of accelerate's file, and in capitals of the environment that its launcher makes
    "fsdp_version": 2,
    "fsdp_state_dict_type": "FULL_STATE_DICT",
    "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
}
SCRATCH = {**TINY["student"]["scratch"], "dropout_rate": 0.0}


def recipe(tmp_path: Path, batch_size: int, **training) -> Path:
    """Write a recipe of twelve steps; validation is after every second."""
    values = {**TINY, "student": {**TINY["student"], "scratch": SCRATCH}, "evaluation": {"rationales": True}}
    values["training"] = {**TINY["training"], "max_steps": 12, "per_device_train_batch_size": batch_size, **training}
    path = tmp_path / f"recipe-{batch_size}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def weights_of(run) -> dict:
    return load_file(run.model / "model.safetensors")


def check_alike(run, reference) -> None:
    for name, weight in weights_of(reference).items():
        torch.testing.assert_close(weights_of(run)[name], weight, rtol=0, atol=1e-5)
    for split in ("valid", "test"):
        assert run.results[split]["accuracy"] == reference.results[split]["accuracy"]
        columns = [
            [(row["id"], row["prediction"], row.get("rationale")) for row in rows_of(r.predictions(split))]
            for r in (run, reference)
        ]
        assert columns[0] == columns[1]
    logs = [rows_of(r.log) for r in (run, reference)]
    for entries in zip(*logs, strict=True):
        numbers = [{k: v for k, v in e.items() if not k.startswith(("share_", "train_", "total_"))} for e in entries]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("sharing", ["ddp", "fsdp", pytest.param("compiled-fsdp", marks=pytest.mark.slow), *DEEPSPEED])
def test_two_processes_write_the_run_of_one(sharing, tmp_path):
    path = recipe(tmp_path, 2, **SHARING[sharing])
    processes = Forked.several(2, "train", str(path), "--out", str(tmp_path / "two"))
    assert [process.wait() for process in processes] == [0, 0], [process.text for process in processes]
    assert "the run is in" in processes[0].text
    assert "run" not in processes[1].text and "accuracy" not in processes[1].text
    reference = train(tiny(**yaml.safe_load(recipe(tmp_path, 4).read_text())), tmp_path / "one")
    run = open_run(tmp_path / "two")
    assert run.provenance["machine"]["processes"] == 2
    check_alike(run, reference)
    files = [{file.name for file in r.model.iterdir()} for r in (run, reference)]
    assert files[0] == files[1]


@pytest.mark.parametrize("sharing", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow), *DEEPSPEED])
@pytest.mark.parametrize("victim", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_ends_with_any_of_its_processes_and_goes_on_as_if_none_had_been_killed(
    victim, sharing, tmp_path, monkeypatch
):
    path, out = recipe(tmp_path, 2, **SHARING[sharing]), tmp_path / "run"
    words = ("train", str(path), "--resume", "--out", str(out))
    processes = Forked.several(2, *words)
    step = random.Random(victim).randint(3, 9)
    log = out / "log.jsonl"
    processes[0].wait_until(lambda: log.exists() and f'"step": {step}' in log.read_text())
    processes[victim].kill()
    assert processes[1 - victim].wait() not in (0, 99), processes[1 - victim].text
    assert processes[1 - victim].text.count("error:") == 1, processes[1 - victim].text
    assert not open_run(out).finished
    for copy in ("alone", "four", "other"):
        shutil.copytree(out, tmp_path / copy)

    for folder in (out, tmp_path / "unbroken"):
        processes = Forked.several(2, *words[:-1], str(folder))
        assert [process.wait() for process in processes] == [0, 0], processes[0].text
    resumed, unbroken = weights_of(open_run(out)), weights_of(open_run(tmp_path / "unbroken"))
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)

    # stopped while it was measured
    (out / "results.json").unlink()
    shutil.rmtree(out / "model")
    processes = Forked.several(2, *words)
    assert [process.wait() for process in processes] == [0, 0], processes[0].text
    assert all(torch.equal(weights_of(open_run(out))[name], unbroken[name]) for name in unbroken)

    # alone
    values = yaml.safe_load(path.read_text())
    with pytest.raises(FileError):
        train(tiny(**values), tmp_path / "other", resume=True)
    if sharing == "ddp":  # with steps of as many examples
        accumulating = {**values, "training": {**values["training"], "gradient_accumulation_steps": 2}}
        check_alike(train(tiny(**accumulating), tmp_path / "alone", resume=True), open_run(tmp_path / "unbroken"))
        for name, value in {"accelerate_use_fsdp": "true", **FSDP_CONFIG}.items():
            monkeypatch.setenv(name.upper(), str(value))

    # by four processes, of which only those of FSDP can load what two have saved, and only FSDP's
    values["training"]["per_device_train_batch_size"] = 1
    path.write_text(yaml.safe_dump(values))
    processes = Forked.several(4, *words[:-1], str(tmp_path / "four"))
    codes = [process.wait() for process in processes]
    text = "".join(process.text for process in processes)
    if sharing == "fsdp":
        assert codes == [0] * 4, text
        check_alike(open_run(tmp_path / "four"), open_run(tmp_path / "unbroken"))
    else:
        assert all(codes) and text.count("error:") == 1 and "optimizer" in text, text


def test_an_error_of_one_process_ends_all_with_one_line(tmp_path):
    path = recipe(tmp_path, 2)
    values = yaml.safe_load(path.read_text())
    rows = [{"input": f"{n} and 1?", "label": str(n + 1), "rationale": "Add."} for n in range(20)]
    (tmp_path / "train.jsonl").write_text("".join(f"{row}\n".replace("'", '"') for row in rows))
    values["data"] = {"task": "custom", "source": {"kind": "files", "train_file": str(tmp_path / "train.jsonl")}}
    path.write_text(yaml.safe_dump(values))

    def begin() -> None:
        if os.environ["RANK"] == "1":  # on a machine without the file
            values["data"]["source"]["train_file"] = "nowhere.jsonl"
            path.with_suffix(".1.yaml").write_text(yaml.safe_dump(values))
            sys.argv[2] = str(path.with_suffix(".1.yaml"))
        from limbeck.cli import main

        main()

    processes = Forked.several(2, "train", str(path), "--out", str(tmp_path / "run"), run=begin)
    assert all(process.wait() for process in processes)
    text = "".join(process.text for process in processes)
    assert text.count("error:") == 1 and "nowhere.jsonl" in text, text


@pytest.mark.slow
def test_a_launched_process_alone_has_nothing_to_shard(tmp_path):
    (process,) = Forked.several(1, "train", str(recipe(tmp_path, 4, fsdp=True)), "--out", str(tmp_path / "run"))
    assert process.wait() == 2
    assert process.text.count("error:") == 1 and "training.fsdp" in process.text, process.text


ACCELERATE = {"num_processes": 2, "num_machines": 1, "use_cpu": True, "mixed_precision": "no"}
ACCELERATE_FSDP = ACCELERATE | {"distributed_type": "FSDP", "fsdp_config": FSDP_CONFIG}
ACCELERATE_DEEPSPEED = ACCELERATE | {"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 2}}


@pytest.mark.slow  # a launcher's own start takes longest; the other tests fork the processes
@pytest.mark.parametrize(
    ("accelerate", "parallelism", "optimizer"),
    [
        (None, "DDP", "optimizer.pt"),
        (ACCELERATE_FSDP, "FSDP", "optimizer.bin"),
        pytest.param(ACCELERATE_DEEPSPEED, "DeepSpeed", "zero_to_fp32.py", marks=NEEDS_DEEPSPEED),
    ],
)
def test_launchers_start_it(accelerate, parallelism, optimizer, tmp_path):
    path = recipe(tmp_path, 2, max_steps=2)
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    if accelerate:
        (tmp_path / "accelerate.yaml").write_text(yaml.safe_dump(accelerate))
        launcher = ["accelerate.commands.launch", "--config_file", str(tmp_path / "accelerate.yaml")]
    words = [sys.executable, "-m", *launcher, "-m", "limbeck", "train", str(path), "--out", str(tmp_path / "run")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = open_run(tmp_path / "run")
    machine = run.provenance["machine"]
    assert (machine["processes"], machine["parallelism"]) == (2, parallelism)
    assert (run.checkpoints / "checkpoint-2" / optimizer).is_file()
    again = subprocess.run(words, capture_output=True, text=True)  # without --resume
    assert again.returncode and again.stderr.count("limbeck: error:") == 1, again.stderr


@pytest.fixture
def hosts():
    """Two hosts of one machine: network namespaces with a link; the prefixes of commands that run there."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    names = [f"limbeck{os.getpid()}{end}" for end in "ab"]

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "eth-l0", "netns", names[0], "type", "veth", "peer", "name", "eth-l1", "netns", names[1])
        for number, name in enumerate(names):
            ip("-n", name, "addr", "add", f"10.97.0.{number + 1}/24", "dev", f"eth-l{number}")
            ip("-n", name, "link", "set", f"eth-l{number}", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield [["ip", "netns", "exec", name, "env", f"GLOO_SOCKET_IFNAME=eth-l{n}"] for n, name in enumerate(names)]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.mark.slow
def test_two_hosts_write_the_run_of_one(hosts, tmp_path):
    path = recipe(tmp_path, 2)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    launcher += ["--master-addr=10.97.0.1", "--master-port=29400"]
    words = ["-m", "limbeck", "train", str(path), "--out", str(tmp_path / "two")]
    commands = [[*host, *launcher, f"--node-rank={number}", *words] for number, host in enumerate(hosts)]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for words in commands]
    outputs = [process.communicate(timeout=300)[0].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    reference = train(tiny(**yaml.safe_load(recipe(tmp_path, 4).read_text())), tmp_path / "one")
    assert open_run(tmp_path / "two").provenance["machine"]["processes"] == 2
    check_alike(open_run(tmp_path / "two"), reference)
