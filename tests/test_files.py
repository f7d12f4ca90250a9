"""Files are replaced in one step; links, pipes and devices stay what they are; errors are one line."""

import errno
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limbeck import files
from limbeck.errors import DataError, FileError
from limbeck.files import check_writable, read_json, read_jsonl, read_text, write_json, write_jsonl, write_text


def test_files_read_back_and_a_failed_write_keeps_the_old_file(tmp_path):
    write_json(tmp_path / "a" / "x.json", {"ü": [1, None]})
    path = tmp_path / "a" / "y.jsonl"
    write_jsonl(path, [{"n": 1}, {"n": "two\n"}])
    with pytest.raises(TypeError):
        write_jsonl(path, [{"n": 2}, {"n": object()}])
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError
    assert read_json(tmp_path / "a" / "x.json") == {"ü": [1, None]}
    assert read_jsonl(path) == [(1, {"n": 1}), (2, {"n": "two\n"})]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["x.json", "y.jsonl"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", 1),
        ('{"a": 1}\n\n[2]', 3),
        ("[" * 100_000, 1),
        ('{"a": ' * 101 + "1" + "}" * 101, 1),
        ('{"a": ' + "9" * 5000 + "}", 1),
    ],
)
def test_a_line_that_is_no_json_object_is_numbered(text, line, tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_jsonl(path)
    assert (caught.value.path, caught.value.line) == (path, line)


@pytest.mark.parametrize("name", ["none", "null\0", "lone\ud800"])
def test_an_unreadable_path_is_a_printable_error(name):
    with pytest.raises(FileError) as caught:
        read_text(Path(name))
    str(caught.value).encode()


@pytest.mark.parametrize("name", [".", "file/inner/text", "folder", "x" * 300, "null\0", "lone\ud800", "a/" * 3000])
@pytest.mark.parametrize("check", [lambda path: write_text(path, "new"), check_writable])
def test_an_impossible_target_is_an_error_and_changes_nothing(name, check, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("file")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError):
        check(Path(name))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "link"]
    with pytest.raises(FileError):
        check_writable(Path("link"), Path("file"))  # an input


@pytest.mark.parametrize("platform", [pytest.param("linux", marks=pytest.mark.skipif("sys.platform != 'linux'")), "x"])
def test_a_folder_is_replaced_by_another_folder_alone_and_on_linux_in_one_step(tmp_path, monkeypatch, platform):
    monkeypatch.setattr(files.sys, "platform", platform)
    target = tmp_path / "folder"

    def replace_it(number):
        with files.replacing(target, folder=True) as temporary:
            (temporary / "inner").mkdir(parents=True)
            (temporary / "inner" / "number").write_text(str(number))

    replace_it(0)
    with ThreadPoolExecutor(1) as thread:
        replaced = thread.submit(lambda: [replace_it(number) for number in range(1, 50)])
        while not replaced.done():
            assert target.is_dir() or platform != "linux"
    assert (target / "inner" / "number").read_text() == "49"
    for write in (lambda path: path.write_text("new"), Path.mkdir):
        with pytest.raises(FileError), files.replacing(target) as temporary:
            write(temporary)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"] and (target / "inner" / "number").is_file()


def test_remains_of_killed_processes_go_and_what_others_write_now_stays(tmp_path):
    long_ago = 2 * files.REMAINS_SECONDS
    (tmp_path / ".a.txt-backup.tmp").write_text("of somebody else")
    os.utime(tmp_path / ".a.txt-backup.tmp", (0, 0))
    for name, age in ((".a.txt-0badcafe.tmp", long_ago), (".a.txt-1badcafe.tmp", 0), (".b-0.tmp", long_ago)):
        (tmp_path / name / "inner").mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    write_text(tmp_path / "a.txt", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".a.txt-1badcafe.tmp",
        ".a.txt-backup.tmp",
        ".b-0.tmp",
        "a.txt",
    ]


def test_a_folder_is_whole_while_its_files_are_those_of_its_manifest(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("one", "inner/two"):
        (tmp_path / name).write_text(name)
    assert not files.is_whole(tmp_path)
    files.write_manifest(tmp_path)
    assert files.is_whole(tmp_path)
    (tmp_path / ".DS_Store").write_text("of a file manager")
    assert files.is_whole(tmp_path)
    for name, text in (("one", "onE"), ("inner/two", ""), ("three", "new"), (files.MANIFEST, "{}")):
        before = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else None
        (tmp_path / name).write_text(text)
        assert not files.is_whole(tmp_path)
        (tmp_path / name).unlink()
        assert not files.is_whole(tmp_path) or before is None
        if before is not None:
            (tmp_path / name).write_bytes(before)
        assert files.is_whole(tmp_path)


def test_a_link_is_followed_and_a_file_keeps_its_permissions(tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "answers.jsonl"
    target.write_text("old\n")
    target.chmod(0o640)
    (tmp_path / "link").symlink_to("real/answers.jsonl")
    (tmp_path / "dangling").symlink_to("new/folder/file")
    write_text(tmp_path / "link", "new\n")
    write_text(tmp_path / "dangling", "created\n")
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("new\n", 0o640)
    assert (tmp_path / "new" / "folder" / "file").read_text() == "created\n"
    assert all((tmp_path / name).is_symlink() for name in ("link", "dangling"))
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["answers.jsonl"]


def test_a_pipe_is_written_into(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    check_writable(tmp_path / "link")  # opens nothing: it would wait here for a reader
    with ThreadPoolExecutor(1) as thread:
        text = thread.submit((tmp_path / "pipe").read_text)
        write_jsonl(tmp_path / "link", [{"n": 1}])
        assert text.result() == '{"n": 1}\n'
    assert stat.S_ISFIFO((tmp_path / "link").stat().st_mode)


def test_a_full_disk_is_named(tmp_path):
    error = files.unwritable(tmp_path / "x" / "y", OSError(errno.ENOSPC, "No space left on device"))
    disk = next(folder for folder in tmp_path.parents if os.path.ismount(folder))
    assert f"{disk} " in str(error)


def test_content_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    flushed, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (flushed.append(os.fstat(file).st_ino), fsync(file)))
    write_text(tmp_path / "a", "new")
    assert flushed == [(tmp_path / "a").stat().st_ino, tmp_path.stat().st_ino]
    flushed.clear()
    with files.replacing(tmp_path / "folder") as temporary:
        (temporary / "inner").mkdir(parents=True)
        (temporary / "inner" / "b").write_text("b")
    parts = [tmp_path / "folder", *(tmp_path / "folder").rglob("*"), tmp_path]
    assert sorted(flushed) == sorted(path.stat().st_ino for path in parts) and flushed[-1] == tmp_path.stat().st_ino
