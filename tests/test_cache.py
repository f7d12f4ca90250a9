"""The cache: made once by processes that start together, and never read where it is damaged or unfinished."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from limbeck import cache
from limbeck.cache import cached
from limbeck.errors import FileError, LimbeckError
from limbeck.files import MANIFEST
from tests.helpers.processes import Forked


def writer(text: str, *, builds: Path | None = None, seconds: float = 0) -> Callable[[Path], None]:
    """Return a function that fills a folder, and adds a line to `builds`."""

    def build(folder: Path) -> None:
        (folder / "first").write_text(text)
        if builds is not None:
            with builds.open("a") as file:
                file.write(f"{os.getpid()}\n")
        time.sleep(seconds)
        (folder / "second").write_text(text)

    return build


def contents(folder: Path) -> list[str]:
    return [(folder / name).read_text() for name in ("first", "second")]


def test_processes_that_start_together_make_a_folder_once(assets: Path, tmp_path: Path) -> None:
    def use() -> None:
        print(contents(cached("test", ["key"], writer("text", builds=tmp_path / "builds", seconds=0.5))))

    processes = [Forked(run=use) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert all("['text', 'text']" in process.text for process in processes)
    assert len((tmp_path / "builds").read_text().splitlines()) == 1


def test_what_a_killed_process_left_is_never_read(assets: Path, tmp_path: Path) -> None:
    builds = tmp_path / "builds"
    process = Forked(run=lambda: cached("test", 1, writer("killed", builds=builds, seconds=60)))
    process.wait_until(builds.exists)
    process.kill()
    assert any(assets.rglob("first"))
    folder = cached("test", 1, writer("whole"))
    assert contents(folder) == ["whole", "whole"]
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, f"{folder.name}.lock"]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelname == "WARNING"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [flip, lambda path: path.write_bytes(path.read_bytes()[:-2]), Path.unlink])
@pytest.mark.parametrize("name", ["first", MANIFEST])
def test_a_damaged_folder_is_made_anew(
    assets: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object], name: str
) -> None:
    folder = cached("test", 1, writer("text"))
    assert cached("test", 1, writer("other")) == folder
    assert contents(folder) == ["text", "text"]
    assert not warnings_of(caplog)
    damage(folder / name)
    assert cached("test", 1, writer("other")) == folder
    assert contents(folder) == ["other", "other"]
    assert len(warnings_of(caplog)) == 1


def test_another_key_kind_or_code_has_another_folder(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [cached(kind, key, writer("")) for kind, key in (("a", 1), ("a", 2), ("b", 1), ("a", {"x": [1]}))]
    monkeypatch.setattr(cache, "_code", lambda: "changed")
    assert len({*folders, cached("a", 1, writer(""))}) == 5


def test_a_failure_leaves_nothing(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        writer("text")(folder)
        raise FileError("no")

    with pytest.raises(FileError):
        cached("test", 1, fail)
    assert not [path for path in assets.rglob("*") if path.name == "first"]
    (tmp_path / "file").touch()
    monkeypatch.setattr(cache.constants, "HF_ASSETS_CACHE", str(tmp_path / "file" / "assets"))
    with pytest.raises(LimbeckError):
        cached("test", 1, writer("text"))


def test_what_was_not_used_for_a_month_is_removed(assets: Path) -> None:
    old, used = (cached("test", key, writer("text")) for key in (1, 2))
    month = time.time() - 31 * 24 * 3600
    for folder in (old, used):
        os.utime(folder, (month, month))
    cached("test", 2, writer("text"))
    cached("test", 3, writer("text"))
    assert (old.exists(), used.exists()) == (False, True)
