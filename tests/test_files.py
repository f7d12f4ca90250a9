"""Files are replaced in one step; links, pipes and devices stay what they are; errors are one line."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limbeck.errors import DataError, FileError, LimbeckError
from limbeck.files import (
    check_writable,
    is_stdout,
    is_stream,
    read_json,
    read_jsonl,
    read_text,
    unwritable,
    write_json,
    write_jsonl,
    write_text,
)


def test_written_files_read_back_and_leave_no_other_file(tmp_path):
    write_json(tmp_path / "a" / "x.json", {"ü": [1, None]})
    write_jsonl(tmp_path / "a" / "y.jsonl", [{"n": 1}, {"n": "two\n"}])
    assert read_json(tmp_path / "a" / "x.json") == {"ü": [1, None]}
    assert read_jsonl(tmp_path / "a" / "y.jsonl") == [(1, {"n": 1}), (2, {"n": "two\n"})]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["x.json", "y.jsonl"]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.jsonl"
    write_jsonl(path, [{"n": 1}])

    def rows():
        yield {"n": 2}
        raise RuntimeError("the row after was never written")

    with pytest.raises(RuntimeError):
        write_jsonl(path, rows())
    with pytest.raises(TypeError):
        write_json(path, object())
    assert read_jsonl(path) == [(1, {"n": 1})]
    assert [inner.name for inner in tmp_path.iterdir()] == ["x.jsonl"]


@pytest.mark.parametrize(
    ("text", "line"),
    [("{", 1), ('{"a": 1}\n\n[2]', 3), ("[" * 100_000, 1), ('{"a": ' + "9" * 5000 + "}", 1)],
)
def test_a_line_that_is_no_json_object_is_numbered(text, line, tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_jsonl(path)
    assert (caught.value.path, caught.value.line) == (path, line)


@pytest.mark.parametrize("name", ["none", "null\0", "lone\ud800", "x" * 5000])
def test_paths_that_cannot_be_read_are_one_printable_line(name):
    with pytest.raises(LimbeckError) as caught:
        read_text(Path(name))
    str(caught.value).encode()


@pytest.mark.parametrize("name", [".", "..", "inner/..", "/"])
def test_a_place_without_a_name_of_its_own_is_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LimbeckError):
        write_text(Path(name), "new")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_of_a_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileError):
        write_text(tmp_path / "file" / "inner" / "text", "new")


def test_a_link_is_followed_and_a_file_keeps_its_permissions(tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "answers.jsonl"
    target.write_text("old\n")
    target.chmod(0o640)
    (tmp_path / "second").symlink_to("real/answers.jsonl")
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "dangling").symlink_to("new/folder/file")
    write_text(tmp_path / "first", "new\n")
    write_text(tmp_path / "dangling", "made\n")
    assert target.read_text() == "new\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert (tmp_path / "new" / "folder" / "file").read_text() == "made\n"
    assert all((tmp_path / name).is_symlink() for name in ("first", "second", "dangling"))
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["answers.jsonl"]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.symlink_to(path.name)])
@pytest.mark.parametrize("check", [lambda path: write_text(path, "new"), check_writable])
def test_no_folder_and_no_circle_of_links_is_written_to(make, check, tmp_path):
    make(tmp_path / "x")
    with pytest.raises(LimbeckError):
        check(tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_is_written_into(linked, tmp_path):
    pipe = path = tmp_path / "pipe"
    os.mkfifo(pipe)
    if linked:
        path = tmp_path / "link"
        path.symlink_to(pipe)
    check_writable(path)  # opens nothing: it would wait here for somebody who reads
    with ThreadPoolExecutor(1) as thread:
        text = thread.submit(pipe.read_text)
        write_jsonl(path, [{"n": 1}])
        assert text.result() == '{"n": 1}\n'
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert path.is_symlink() == linked


def test_a_device_stays_one(tmp_path):
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    assert is_stream(link)
    write_text(link, "gone")
    assert link.is_symlink()
    assert stat.S_ISCHR(Path("/dev/null").lstat().st_mode)


@pytest.mark.parametrize("name", ["-", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_a_file_that_the_shell_appends_to_is_appended_to(name, tmp_path, capfd):
    if name == "link":  # as /dev/stdout is one
        (tmp_path / name).symlink_to("/proc/self/fd/1")
        name = str(tmp_path / name)
    print("before")
    write_text(Path(name), "middle\n")
    print("after")
    assert is_stdout(Path(name))
    assert capfd.readouterr().out == "before\nmiddle\nafter\n"  # capfd's is a file


def test_a_full_disk_is_named(tmp_path):
    error = unwritable(tmp_path / "x" / "y", OSError(errno.ENOSPC, "No space left on device"))
    disk = next(folder for folder in tmp_path.parents if os.path.ismount(folder))
    assert f"{disk} " in str(error)
