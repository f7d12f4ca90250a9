"""A disk that fills up while a student is trained: one line that names it, and nothing is lost."""

import subprocess
from pathlib import Path

import pytest
from safetensors.torch import load_file

from limbeck.errors import FileError
from limbeck.runs import train
from tests.runs.recipes import TINY, tiny

# checkpoints of 1.5 MB, of which three are there at a time: the best, the newest, and the one that is being written
RECIPE = tiny(
    student={
        "scratch": {"vocab_size": 400, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4},
        "max_target_length": 40,
    },
    training=TINY["training"] | {"max_steps": 8},
)


def mount(folder: Path, *options: str) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """`disk(size)`: a folder that is a disk of this size, or is made as large."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def sized(size: str) -> Path:
        mount(folder, "-o", f"size={size}" + (",remount" if folder.is_mount() else ""))
        return folder

    yield sized
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def unlimited(tmp_path_factory):
    return train(RECIPE, tmp_path_factory.mktemp("unlimited") / "run")


@pytest.mark.parametrize("size", ["16k", "2500k"])
def test_a_run_is_resumed_once_there_is_room_and_ends_the_same(size, disk, unlimited):
    folder = disk(size)
    with pytest.raises(FileError) as caught:
        train(RECIPE, folder / "run")
    assert f"{folder} " in str(caught.value)
    disk("64m")
    run = train(RECIPE, folder / "run", resume=True)
    for split in ("valid", "test"):
        assert run.results[split] == unlimited.results[split]
    resumed, reference = (load_file(result.model / "model.safetensors") for result in (run, unlimited))
    assert all(resumed[name].equal(reference[name]) for name in reference)
