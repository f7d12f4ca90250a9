"""The store: every reply stays and counts once, whoever asks and whoever is killed."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections import deque
from unittest.mock import Mock

import pytest

from limbeck.errors import FileError
from limbeck.llm.messages import Failure, Reply, Tokens
from limbeck.llm.store import Key, Request, Store

REPLY = Reply("Because.", "{}")


def key(question: int, sample: int = 0, prompt: str = "p", model: str = "m") -> Key:
    return Key(model, prompt, f"q{question}", sample)


def request(key: Key) -> Request:
    return Request(key, "example", [{"role": "user", "content": "x" * 6}], 100)  # at most ten tokens, and 100


def put(store: Store, key: Key, result: Reply | Failure, prompt: int = 3, completion: int = 4, *, last: bool = True):
    store.put(request(key), result, Tokens(prompt, completion), last=last)


def claim(store: Store, *keys: Key, covers=lambda _spent: True, limit: int = 100) -> tuple[list[Key], list[Key]]:
    """Return the keys that are claimed, and those that are still to be claimed."""
    pending = deque(map(request, keys))
    claimed = store.claim(pending, limit, covers)
    return [request.key for request in claimed], [request.key for request in pending]


TAMPERED = {
    "bytes": "UPDATE requests SET text = x'ff'",
    "raw bytes": "UPDATE requests SET raw = x'ff'",
    "no text": "UPDATE requests SET text = NULL",
    "text and failure": "UPDATE requests SET kind = 'HTTP 500'",
    "starts, no JSON": "UPDATE starts SET job = '{'",
    "starts, a list": "UPDATE starts SET job = '[]'",
    "starts, bytes": "UPDATE starts SET job = x'80'",
    "starts, deep": f"UPDATE starts SET job = '{'[' * 100_000}'",
    "a question, a number": "UPDATE questions SET row = '3'",
    "no table": "DROP TABLE requests",
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_store_is_one_line(path, change):
    with Store(path) as store:
        put(store, key(1), REPLY)
        store.begin("p", {}, {"job": {}, "rows": {}})
        store.keep_question(key(1), {"input": "?"})
    with sqlite3.connect(path) as connection:
        connection.execute(change)
    with Store(path, create=False) as store, pytest.raises(FileError) as caught:
        for read in (lambda: store.results("m", "p"), store.jobs, lambda: store.questions("m", "p")):
            read()
    assert caught.value.path == path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "annotations.sqlite"


def rows(path, query: str) -> list[tuple]:
    with sqlite3.connect(path) as connection:
        return connection.execute(query).fetchall()


def test_a_reply_is_on_the_disk_whole_and_ends_its_claim(path):
    with Store(path) as store:
        assert claim(store, key(1)) == ([key(1)], [])
        put(store, key(1), Reply("na\u00efve \U0001f600", "{}"))
        columns = "model, prompt, question, sample, prompt_tokens, completion_tokens, example, text, raw"
        row = ("m", "p", "q1", 0, 3, 4, "example", "na\u00efve \U0001f600", "{}")
        assert rows(path, f"SELECT {columns} FROM requests") == [row]  # by a connection of its own: it is committed
        assert rows(path, "SELECT * FROM claims") == []
        assert (store._read("PRAGMA synchronous"), store._read("PRAGMA journal_mode")) == ([(2,)], [("wal",)])
    with Store(path, create=False) as store:
        assert store.answered("m", "p") == {("q1", 0)}
        assert store.results("m", "p") == {("q1", 0): ("na\u00efve \U0001f600", "", None, None)}
        assert store.answered("m", "r") == store.answered("n", "p") == set()


def test_what_is_answered_is_not_claimed_again_and_what_failed_is_at_the_next_start(path):
    with Store(path) as store:
        assert claim(store, key(1), key(2), key(3), key(4), limit=3) == ([key(1), key(2), key(3)], [key(4)])
        put(store, key(1), REPLY)
        put(store, key(2), Failure("timed out", "too slow"))
        put(store, key(3), Failure("HTTP 500", "oops"), last=False)  # it is tried again: the claim stays
        with Store(path) as neighbour:
            put(store, key(4), Failure("HTTP 500", "given up"))
            assert claim(neighbour, key(1), key(2), key(3), key(4)) == ([key(2)], [key(3)])
        failures = [("q2", "timed out", "too slow"), ("q3", "HTTP 500", "oops"), ("q4", "HTTP 500", "given up")]
        expected = {(question, 0): (None, "", kind, message) for question, kind, message in failures}
        assert store.results("m", "p") == {("q1", 0): ("Because.", "", None, None), **expected}
        assert len(claim(store, key(1, sample=1), key(1, prompt="r"), key(1, model="n"))[0]) == 3


def test_the_budget_counts_replies_failures_and_what_any_process_has_claimed(path):
    with Store(path) as store, Store(path) as neighbour:
        put(store, key(1), REPLY, 7, 13)
        put(store, key(2), Failure("cut off", "at 100 tokens", raw="{}"), 5, 100)
        put(store, key(3, model="n"), REPLY, 1000, 1000)  # of another model: not counted
        claim(neighbour, key(4))
        assert (store.others_claim("m"), store.others_claim("n"), neighbour.others_claim("m")) == (True, False, False)
        covers = Mock(side_effect=lambda spent: sum(spent) <= 7 + 13 + 5 + 100 + 3 * 110)
        claimed, pending = claim(store, *map(key, range(4, 9)), covers=covers)
        assert (claimed, pending) == ([key(5), key(6)], [key(7), key(8), key(4)])
        sums = [call.args[0] for call in covers.call_args_list]
        assert sums == [Tokens(12 + 20, 113 + 200), Tokens(12 + 30, 113 + 300), Tokens(12 + 40, 113 + 400)]


def test_claims_end_with_the_store_or_the_process_that_made_them(path):
    program = (
        "import time; from pathlib import Path; from limbeck.llm.store import *; from tests.llm.test_store import *\n"
        f"store = Store(Path({str(path)!r})); claim(store, key(1)); print('claimed', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "claimed\n"
        with Store(path) as store:
            assert claim(store, key(1)) == ([], [key(1)])
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert (store.others_claim("m"), store.others_claim("m")) == (True, False)
            assert claim(store, key(1)) == ([key(1)], [])
            with Store(path) as neighbour:
                assert claim(neighbour, key(1)) == ([], [key(1)])
    with Store(path) as store:
        assert claim(store, key(1)) == ([key(1)], [])
    assert {file.name for file in path.parent.iterdir()} == {".annotations.sqlite.tables.lock", "annotations.sqlite"}


@pytest.mark.parametrize("statement", [None, "CREATE TABLE theirs (x)"])
def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(statement, path):
    path.parent.mkdir()
    path.write_bytes(b"" if statement else b"no database at all, but text")
    if statement:
        rows(path, statement)
    before = path.read_bytes()
    with pytest.raises(FileError) as raised:
        Store(path)
    assert (raised.value.path, path.read_bytes()) == (path, before)
