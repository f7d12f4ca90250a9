"""Rows to the Hub, played by a server on this machine: what arrives there is what was sent, and errors are one line."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest

from limbeck.annotation.upload import push
from limbeck.data import DataSettings, export_rows, read
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import get
from tests.hub import REFUSALS, TOKEN, Seen, environment, files_of, running

EXAMPLES = [
    Example("x", ("Où est le bois ?",), "forêt", "Les arbres…\n\U0001f332", "forêt"),
    Example("x#2", ("Why?",), "so", "Because."),
]
ROWS, _ = export_rows(EXAMPLES, get("custom"), "limbeck")
CARD = "Rationales of teacher-1, prompt 0123abcd: 2 rows."

PUSH_ALL = """
import json, sys
from limbeck.annotation.upload import push
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
    done = subprocess.run(
        [sys.executable, "-c", PUSH_ALL],
        input=json.dumps({"rows": ROWS, "card": CARD, "names": names}),
        env=environment(endpoint, home), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str], Seen]]:
    """The server's address, what was said to every push, and every request that arrived."""
    names: list[tuple[str, bool | None]] = [("me/rows", None), ("mine", False), ("me/there", None)]
    names += [(f"me/{name}", None) for _, name in REFUSALS]
    with running() as (endpoint, seen):
        yield endpoint, push_all(endpoint, names, tmp_path_factory.mktemp("hub")), seen


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
