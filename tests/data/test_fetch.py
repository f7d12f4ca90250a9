"""The authors' archive: from a file and a real server, whole or not at all, and nothing from a hostile one."""

import hashlib
import io
import os
import stat
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from limbeck.data import fetch
from limbeck.errors import LimbeckError

FILES = {
    "datasets/svamp/svamp_train.json": b"{}\n",
    "datasets/svamp/llm/train_CoT_0.json": b"[]",
    "datasets/cqa/x": b"y",
}


def packed(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = packed(FILES)
        if self.path == "/missing.zip":
            self.send_error(404)
            return
        if self.path == "/moved.zip":
            self.send_response(302)
            self.send_header("Location", "/datasets.zip")
            self.end_headers()
            return
        self.send_response(200)
        if self.path != "/unsized.zip":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:-40] if self.path == "/cut.zip" else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def local(folder: Path, content: bytes) -> str:
    path = folder / "datasets.zip"
    path.write_bytes(content)
    return str(path)


PLACED = {name.removeprefix("datasets/"): content for name, content in FILES.items()}


@pytest.mark.parametrize("name", ["datasets.zip", "moved.zip", "unsized.zip"])
def test_from_a_server(tmp_path: Path, server: str, name: str) -> None:
    digest = hashlib.sha256(packed(FILES)).hexdigest().upper()
    assert fetch(f"{server}/{name}", tmp_path / "a" / "root", digest) == ["cqa", "svamp"]
    assert tree(tmp_path) == {f"a/root/{name}": content for name, content in PLACED.items()}  # and nothing else


def test_from_a_file_twice(tmp_path: Path) -> None:
    source = local(tmp_path, packed({**FILES, "__MACOSX/svamp/._x": b"", "svamp/.DS_Store": b"", "read.me": b"hi"}))
    with pytest.raises(LimbeckError, match="SHA-256"):
        fetch(source, tmp_path / "root", "0" * 64)
    for _ in range(2):
        assert fetch(source, tmp_path / "root") == ["cqa", "svamp"]
    assert tree(tmp_path / "root") == {**PLACED, "read.me": b"hi"}
    assert Path(source).is_file()


def test_other_content_is_never_overwritten(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "cqa").mkdir(parents=True)
    (root / "cqa" / "x").write_text("mine")
    with pytest.raises(LimbeckError, match="cqa/x: is there already with other content"):
        fetch(local(tmp_path, packed(FILES)), root, None)
    assert tree(root) == {"cqa/x": b"mine"}


@pytest.mark.parametrize(
    ("path", "says"),
    [("missing.zip", "404"), ("cut.zip", "the connection ended after")],
)
def test_a_server_that_fails(tmp_path: Path, server: str, path: str, says: str) -> None:
    with pytest.raises(LimbeckError, match=says):
        fetch(f"{server}/{path}", tmp_path / "root", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "source",
    ["http://127.0.0.1:1/x.zip", "http://[bad", "https://", "http://127.0.0.1:1/\n x", "nowhere.zip", "", "a\0b"],
)
def test_a_source_that_is_not_there(tmp_path: Path, source: str) -> None:
    with pytest.raises(LimbeckError) as caught:
        fetch(source, tmp_path / "root", None)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "../escape/x",
        "svamp/../../escape",
        "/tmp/escape/x",
        "datasets/../escape/x",
        "datasets//escape/x",
        "./escape/x",
        "C:/escape/x",
        "C:escape/x",
        "svamp\\..\\escape",
        "svamp/x:stream",
        "svamp/a\nb",
        "svamp/a\x00b",
        "svamp/.",
    ],
)
def test_names_that_climb(tmp_path: Path, name: str) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("svamp/good", b"1")
        info = zipfile.ZipInfo("placeholder")
        info.filename = info.orig_filename = name  # as a hostile writer would
        archive.writestr(info, b"2")
    with pytest.raises(LimbeckError, match="unsafe name"):
        fetch(local(tmp_path, stream.getvalue()), tmp_path / "root", None)
    assert [path.name for path in tmp_path.iterdir()] == ["datasets.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo("svamp/link")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, b"/etc/passwd")
    with pytest.raises(LimbeckError, match="a link or a device"):
        fetch(local(tmp_path, stream.getvalue()), tmp_path / "root", None)
    assert not (tmp_path / "root").exists()


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    module = sys.modules["limbeck.data.fetch"]
    monkeypatch.setattr(module, "MAX_UNPACKED", 1000)
    with pytest.raises(LimbeckError, match="1000 bytes when unpacked"):
        fetch(local(tmp_path, packed({"svamp/x": b"0" * 600, "svamp/y": b"0" * 600})), tmp_path / "root", None)
    monkeypatch.setattr(module, "MAX_FILES", 2)
    with pytest.raises(LimbeckError, match="more than 2 files"):
        fetch(local(tmp_path, packed(FILES)), tmp_path / "root", None)
    monkeypatch.setattr(module, "MAX_DOWNLOAD", 100)
    with pytest.raises(LimbeckError, match="larger than 100 bytes"):
        fetch(f"{server}/unsized.zip", tmp_path / "root", None)
    assert not (tmp_path / "root").exists()


def test_a_member_larger_than_it_says(tmp_path: Path) -> None:
    content = bytearray(packed({"svamp/x": b"0" * 100_000}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # where the size unpacked stands
        at = content.index(signature) + offset
        content[at : at + 4] = (10).to_bytes(4, "little")
    with pytest.raises(LimbeckError, match="cannot be unpacked"):
        fetch(local(tmp_path, bytes(content)), tmp_path / "root", None)
    assert not (tmp_path / "root").exists()


def test_archives_that_are_none(tmp_path: Path) -> None:
    good = packed({"svamp/x": os.urandom(5000)})
    twice = io.BytesIO()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("svamp/x", b"1")
        archive.writestr("svamp/x", b"2")
    for content, says in [
        (b"", "cannot be unpacked"),
        (b"PK\x03\x04 nothing", "cannot be unpacked"),
        (good[:-100], "cannot be unpacked"),
        (good[:500] + b"!!!!" + good[504:], "cannot be unpacked"),
        (twice.getvalue(), "cannot be unpacked"),
        (packed({"datasets/svamp/x": b"1", "svamp/x": b"2"}), "cannot be unpacked"),
        (packed({"svamp/x": b"1", "svamp/x/y": b"2"}), "cannot be unpacked"),
        (packed({"x": b"1"}), "no folder of a task"),
        (packed({}), "no folder of a task"),
    ]:
        with pytest.raises(LimbeckError, match=says):
            fetch(local(tmp_path, content), tmp_path / "root", None)
        assert not (tmp_path / "root").exists()


def test_a_member_packed_otherwise_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("datasets/svamp/svamp_train.json", b"{}")
    with pytest.raises(LimbeckError):
        fetch(local(tmp_path, stream.getvalue()), tmp_path / "root")
    assert not (tmp_path / "root").exists()
