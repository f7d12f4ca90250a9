"""Rows to the Hub, played by a server on this machine: what arrives there is what was sent, and errors are one line."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import pytest

from limbeck.data import DataSettings, export_rows, read
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import get
from limbeck.teaching.push import push

TOKEN = "hf_thisIsASecretOfTheTests"
EXAMPLES = [
    Example("x", ("Où est le bois ?",), "forêt", "Les arbres…\n\U0001f332", "forêt"),
    Example("x#2", ("Why?",), "so", "Because."),
]
ROWS, _ = export_rows(EXAMPLES, get("custom"), "limbeck")
CARD = "Rationales of teacher-1, prompt 0123abcd: 2 rows."

# The server answers by the data set's name: a request's ending and a name that ends so, and what comes back.
REFUSALS: dict[tuple[str, str], tuple[int, str]] = {
    ("create", "unauthorised"): (401, "Invalid username or password."),
    ("create", "forbidden"): (403, "You don't have the rights to create a dataset under this namespace"),
    ("create", "broken"): (500, "Internal error"),
    ("create", "echo"): (400, f"no such token: Bearer {TOKEN}"),
    ("commit/main", "full"): (413, "Too\nlarge"),
    ("commit/main", "late"): (401, "expired"),
    ("create", "other"): (200, "<html>no Hub at all</html>"),
}


class Hub(BaseHTTPRequestHandler):
    """The endpoints that an upload of small files goes through."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, Any, str | None]]

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        whole = [json.loads(line) for line in content.splitlines()]
        self.seen.append(
            (self.path, whole if self.path.endswith("/commit/main") else whole[0], self.headers["Authorization"])
        )
        for (ending, name), (status, says) in REFUSALS.items():
            if self.path.endswith(f"/{ending}") and (f"/{name}/" in self.path or whole[0].get("name") == name):
                return self.answer(status, says if status == 200 else json.dumps({"error": says}))
        url = f"http://{self.headers['Host']}/datasets/me"
        if self.path == "/api/repos/create":
            there = whole[0]["name"] == "there"
            return self.answer(409 if there else 200, json.dumps({"url": f"{url}/{whole[0]['name']}"}))
        if self.path == "/api/validate-yaml":
            return self.answer(200, json.dumps({"warnings": [], "errors": []}))
        if "/preupload/" in self.path:
            files = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in whole[0]["files"]]
            return self.answer(200, json.dumps({"files": files}))
        return self.answer(200, json.dumps({"commitUrl": f"{url}/x/commit/0", "commitOid": "0" * 40}))

    def do_GET(self) -> None:  # asked for where creating was refused: whether the data set is there already
        self.answer(404, "{}")

    def answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


PUSH_ALL = """
import json, sys
from limbeck.teaching.push import push
from limbeck.errors import LimbeckError
given = json.load(sys.stdin)
said = {}
for name, private in given["names"]:
    try:
        said[name] = push(given["rows"], name, given["card"], **({} if private is None else {"private": private}))
    except LimbeckError as error:
        said[name] = f"error: {error}"
json.dump(said, sys.stdout)
"""


def push_all(endpoint: str, names: list[tuple[str, bool | None]], home: Path) -> dict[str, str]:
    """What `push` gives for each name, in a process of its own: the Hub's library reads its settings when imported."""
    environment = {
        **os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint, "HF_TOKEN": TOKEN, "NO_PROXY": "127.0.0.1",
        "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PUSH_ALL],
        input=json.dumps({"rows": ROWS, "card": CARD, "names": names}),
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return json.loads(done.stdout)


Seen = list[tuple[str, Any, str | None]]


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str], Seen]]:
    """The server's address, what was said to every push, and every request that arrived."""
    seen: Seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Hub,), {"seen": seen})) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{running.server_port}"
        names: list[tuple[str, bool | None]] = [("me/rows", None), ("mine", False), ("me/there", None)]
        names += [(f"me/{name}", None) for _, name in REFUSALS]
        try:
            yield endpoint, push_all(endpoint, names, tmp_path_factory.mktemp("hub")), seen
        finally:
            running.shutdown()
            thread.join()


def files_of(seen: Seen, name: str) -> dict[str, bytes]:
    """The files of the one commit to a data set."""
    ((header, *parts),) = [body for path, body, _ in seen if path == f"/api/datasets/me/{name}/commit/main"]
    assert header["key"] == "header"
    assert {part["key"] for part in parts} == {"file"}
    return {part["value"]["path"]: base64.b64decode(part["value"]["content"]) for part in parts}


@pytest.mark.parametrize("name", ["rows", "mine", "there"])
def test_what_arrives_is_what_was_sent(
    pushed: tuple[str, dict[str, str], Seen], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, said, seen = pushed
    assert said["mine" if name == "mine" else f"me/{name}"] == f"{endpoint}/datasets/me/{name}"
    files = files_of(seen, name)
    assert set(files) == {"train.jsonl", "README.md"}
    assert [json.loads(line) for line in files["train.jsonl"].decode().splitlines()] == ROWS
    assert files["README.md"].decode().endswith(f"---\n\n{CARD}\n")
    for path, content in files.items():
        (tmp_path / path).write_bytes(content)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "other.jsonl").write_text('{"nothing": 1}\n')  # the card says which file is read
    source = {"kind": "hub", "path": str(tmp_path)}
    assert read(DataSettings.parse({"task": "custom", "source": source}, "x")) == {"train": EXAMPLES}


def test_a_new_data_set_is_private_unless_said_otherwise(pushed: tuple[str, dict[str, str], Seen]) -> None:
    created = {body["name"]: body for path, body, _ in pushed[2] if path == "/api/repos/create"}
    assert created["rows"] == {"name": "rows", "organization": "me", "visibility": "private", "type": "dataset"}
    assert created["mine"] == {"name": "mine", "organization": None, "visibility": "public", "type": "dataset"}


def test_the_token_goes_to_the_hub_and_nowhere_else(pushed: tuple[str, dict[str, str], Seen]) -> None:
    _, said, seen = pushed
    assert {header for _, _, header in seen} == {f"Bearer {TOKEN}"}
    assert TOKEN not in json.dumps([body for _, body, _ in seen]) + json.dumps(said)
    assert said["me/echo"] == "error: me/echo: the Hub refused (400: no such token: Bearer ***)"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "unauthorised",
            "the Hub refused (401: log in with `hf auth login`, or set HF_TOKEN to a token that may write",
        ),
        ("forbidden", "the Hub refused (403: the token may not write there; look at its permissions"),
        ("forbidden", "You don't have the rights to create a dataset under this namespace)"),
        ("broken", "the Hub refused (500: Internal error)"),
        ("full", "the Hub refused (413: Too large)"),
        ("late", "the Hub refused (401: log in"),
        ("other", "the Hub cannot be reached, or is none (JSONDecodeError); try again"),
    ],
)
def test_refusals_are_one_line(pushed: tuple[str, dict[str, str], Seen], name: str, says: str) -> None:
    error = pushed[1][f"me/{name}"]
    assert error.startswith(f"error: me/{name}: ")
    assert says in error
    assert "\n" not in error


def test_no_hub_at_all(tmp_path: Path) -> None:
    said = push_all("http://127.0.0.1:1", [("me/rows", None)], tmp_path)
    assert said == {"me/rows": "error: me/rows: the Hub cannot be reached, or is none (ConnectError); try again"}


@pytest.mark.parametrize("name", ["", "a/b/c", "a b", "me/..", "me/-x", "../x", "me/x.git", "x" * 200, "a\nb"])
def test_bad_names(name: str) -> None:
    with pytest.raises(LimbeckError, match="is no name of a data set on the Hub: OWNER/NAME") as caught:
        push(ROWS, name, CARD)
    assert "\n" not in str(caught.value)


def test_with_the_hub_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LimbeckError, match="me/rows: the Hub is switched off by HF_HUB_OFFLINE"):
        push(ROWS, "me/rows", CARD)
