"""The store: what is in it stays, each reply once, whoever asks and whoever is killed."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limbeck.errors import FileError
from limbeck.llm.messages import Failure, Reply, Tokens
from limbeck.llm.store import Journal, Key, Record, Store

CEILING = Tokens(10, 100)


def key(question: int, sample: int = 0, prompt: str = "p", model: str = "m") -> Key:
    return Key(model, prompt, f"q{question}", sample)


def reply(text: str = "Because.") -> Reply:
    return Reply(text, f'{{"text": "{text}"}}', "stop", 3, 4)


def put(store: Store, key: Key, result: Reply | Failure, tokens: Tokens = Tokens(3, 4), last: bool = True) -> None:  # noqa: B008
    store.put([Record(key, "example", result, tokens, last)])


def anything(_spent: Tokens) -> bool:
    return True


def claim(store: Store, *keys: Key, covers=anything, **more):
    return store.claim([(one, CEILING) for one in keys], covers, **more)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "annotations.sqlite"


def rows(path, query: str) -> list[tuple]:
    with sqlite3.connect(path) as connection:
        return connection.execute(query).fetchall()


def test_a_reply_is_there_whole_with_its_usage_and_reason(path):
    with Store.open(path) as store:
        assert claim(store, key(1)).granted == [key(1)]
        put(store, key(1), reply("na\u00efve \U0001f600"))
        columns = "model, prompt, question, sample, prompt_tokens, completion_tokens, finish_reason, example, text, raw"
        assert rows(path, f"SELECT {columns} FROM replies") == [  # by a connection of its own: it is committed
            ("m", "p", "q1", 0, 3, 4, "stop", "example", "na\u00efve \U0001f600", '{"text": "na\u00efve \U0001f600"}')
        ]
        assert rows(path, "SELECT * FROM claims") == []
    with Store.open(path, create=False) as store:
        assert store.answered("m", "p") == {("q1", 0)}
        assert store.texts("m", "p") == {("q1", 0): "na\u00efve \U0001f600"}


def test_another_model_prompt_question_or_sample_is_another_reply(path):
    others = [key(1), key(1, model="n"), key(1, prompt="r"), key(2), key(1, sample=1)]
    with Store.open(path) as store:
        for number, one in enumerate(others):
            assert claim(store, one).granted == [one]
            put(store, one, reply(f"reply {number}"))
        assert store.texts("m", "p") == {("q1", 0): "reply 0", ("q2", 0): "reply 3", ("q1", 1): "reply 4"}
        assert store.texts("n", "p") == {("q1", 0): "reply 1"}
        assert store.texts("m", "r") == {("q1", 0): "reply 2"}


def test_what_is_answered_is_not_claimed_again_and_what_failed_is(path):
    with Store.open(path) as store:
        assert claim(store, key(1), key(2), key(3)).granted == [key(1), key(2), key(3)]
        put(store, key(1), reply())
        put(store, key(2), Failure("timed out", "too slow"))
        put(store, key(3), Failure("HTTP 500", "oops"), last=False)  # it is tried again: the claim stays
        claimed = claim(store, key(1), key(2), key(3))
        assert (claimed.granted, claimed.foreign, claimed.unaffordable) == ([key(2)], [key(3)], [])
        assert store.failures("m", "p") == {("q2", 0): ("timed out", "too slow"), ("q3", 0): ("HTTP 500", "oops")}
        put(store, key(2), reply())
        assert store.failures("m", "p") == {("q3", 0): ("HTTP 500", "oops")}


def test_what_another_process_has_given_up_is_not_asked_again_in_the_same_start(path):
    with Store.open(path) as store, Store.open(path) as other:
        put(other, key(1), Failure("HTTP 400", "before"))
        since = store.last_failure()
        claim(other, key(2))
        put(other, key(2), Failure("HTTP 500", "and again"), last=False)
        put(other, key(2), Failure("HTTP 500", "given up"))
        put(other, key(3), Failure("HTTP 500", "and then killed"), last=False)
        assert claim(store, key(1), key(2), key(3), since=since).granted == [key(1), key(3)]
        assert claim(store, key(2), since=store.last_failure()).granted == [key(2)]


def test_a_second_reply_to_one_question_is_kept_beside_the_first(path):
    with Store.open(path) as store:
        put(store, key(1), reply("first"))
        put(store, key(1), reply("second"))
        assert store.texts("m", "p") == {("q1", 0): "first"}
        assert rows(path, "SELECT kind, raw FROM failures") == [("answered twice", '{"text": "second"}')]
        assert store.usage("m") == (Tokens(6, 8), 1)


def test_the_budget_counts_replies_failures_and_what_anybody_has_claimed(path):
    with Store.open(path) as store, Store.open(path) as other:
        put(store, key(1), reply(), Tokens(7, 13))
        put(store, key(2), Failure("cut off", "at 100 tokens", raw="{}"), Tokens(5, 100))
        put(store, key(3, model="n"), reply(), Tokens(1000, 1000))  # of another model: not counted
        claim(other, key(4))
        asked: list[Tokens] = []

        def covers(spent: Tokens) -> bool:
            asked.append(spent)
            return sum(spent) <= 7 + 13 + 5 + 100 + 3 * 110

        claimed = claim(store, key(4), key(5), key(6), key(7), key(8), covers=covers)
        assert (claimed.granted, claimed.foreign) == ([key(5), key(6)], [key(4)])
        assert claimed.unaffordable == [key(7), key(8)]
        assert asked == [Tokens(12 + 20, 113 + 200), Tokens(12 + 30, 113 + 300), Tokens(12 + 40, 113 + 400)]
        assert store.claim([(key(7), CEILING)]).granted == [key(7)]  # no budget at all


def test_claims_end_with_the_store_that_made_them(path):
    with Store.open(path) as store:
        claim(store, key(1))
        with Store.open(path) as other:
            assert claim(other, key(1)).foreign == [key(1)]
            assert other.release_dead() == 0
    with Store.open(path) as store:
        assert claim(store, key(1)).granted == [key(1)]
    assert sorted(each.name for each in path.parent.iterdir()) == [".annotations.sqlite.lock", "annotations.sqlite"]


def test_the_claims_of_other_processes_are_told_from_ones_own(path):
    with Store.open(path) as store, Store.open(path) as other:
        claim(store, key(1))
        assert (store.others_claim("m"), other.others_claim("m"), other.others_claim("n")) == (False, True, False)


@pytest.mark.slow
def test_a_record_waits_for_a_store_that_another_process_has_locked(path, monkeypatch):
    monkeypatch.setattr("limbeck.llm.store._BUSY_SECONDS", 0.2)
    with Store.open(path) as store:
        holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN IMMEDIATE")
        journal = Journal(store)
        threading.Timer(1.0, holder.execute, ["ROLLBACK"]).start()
        record = Record(key(1), "example", reply(), Tokens(1, 1), last=True)
        asyncio.run(journal.put(record))
        journal.close()
        assert store.has_reply("m")
        holder.close()


def test_the_claims_of_a_killed_process_are_let_go(path):
    program = (
        "import sys, time; from pathlib import Path; from limbeck.llm.store import *\n"
        f"store = Store.open(Path({str(path)!r}))\n"
        "store.claim([(Key('m', 'p', 'q1', 0), Tokens(1, 1))], lambda spent: True)\n"
        "print('claimed', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "claimed\n"
        with Store.open(path) as store:
            assert store.release_dead() == 0
            assert claim(store, key(1)).foreign == [key(1)]
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            deadline = time.monotonic() + 30
            while not store.release_dead() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert claim(store, key(1)).granted == [key(1)]


def test_many_stores_on_one_file_claim_every_question_once(path):
    keys = [key(number) for number in range(300)]

    def work(_: int) -> list[Key]:
        mine: list[Key] = []
        with Store.open(path) as store:
            for start in range(0, len(keys), 10):
                claimed = claim(store, *keys[start : start + 10]).granted
                store.put([Record(one, "x", reply(), Tokens(1, 1), True) for one in claimed])
                mine += claimed
        return mine

    with ThreadPoolExecutor(4) as pool:
        claimed = [one for mine in pool.map(work, range(4)) for one in mine]
    assert sorted(claimed) == sorted(keys)
    assert rows(path, "SELECT COUNT(*) FROM replies") == [(300,)]
    assert rows(path, "SELECT COUNT(*) FROM failures") == [(0,)]


def test_it_notes_every_start_and_the_prompt_in_full(path):
    with Store.open(path) as store:
        store.begin("p", {"messages": ["one"]}, {"job": 1})
        store.begin("p", {"messages": ["one"]}, {"job": 2})
    assert rows(path, "SELECT prompt, sent FROM prompts") == [("p", '{"messages": ["one"]}')]
    assert [job for (job,) in rows(path, "SELECT job FROM starts ORDER BY start")] == ['{"job": 1}', '{"job": 2}']


@pytest.mark.parametrize("content", [b"no database at all, but text", None, "newer"])
def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(content, path):
    path.parent.mkdir()
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (x)")
    elif content == "newer":
        Store.open(path).close()
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(FileError, match=r"annotations\.sqlite"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_store_that_is_to_be_read_has_to_be_there(path):
    with pytest.raises(FileError, match="limbeck annotate run"):
        Store.open(path, create=False)
    assert not path.exists()
    with pytest.raises(FileError, match="cannot be opened"):
        Store.open(path.parent.parent)


def test_a_reply_to_one_sample_leaves_the_failure_of_another(path):
    with Store.open(path) as store:
        for sample in (0, 1):
            put(store, key(1, sample), Failure("HTTP 500", f"oops {sample}"))
        put(store, key(1, 0), reply())
        assert store.failures("m", "p") == {("q1", 1): ("HTTP 500", "oops 1")}
        for other in (key(1, 1, prompt="r"), key(1, 1, model="n"), key(2, 1)):
            put(store, other, reply())
        assert store.failures("m", "p") == {("q1", 1): ("HTTP 500", "oops 1")}


@pytest.mark.parametrize("name", ["-", "pipe", "/dev/null"])
def test_a_pipe_or_device_is_no_store(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(FileError):
        Store.open(Path(name))
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_write_is_on_the_disk_when_its_transaction_ends(path):
    with Store.open(path) as store:
        assert store._read("PRAGMA synchronous") == [(2,)]  # FULL
        assert store._read("PRAGMA journal_mode") == [("wal",)]


def test_records_that_could_not_be_written_are_written_when_the_journal_closes(path):
    async def work(store: Store) -> None:
        journal = Journal(store)
        for number in range(3):
            with pytest.raises(FileError, match="the disk is broken"):
                await journal.put(Record(key(number), "example", reply(), Tokens(1, 1), True))
        store._connection.execute("DROP TRIGGER broken")
        await journal.call(store.last_failure)
        journal.close()

    with Store.open(path) as store:
        store._connection.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON replies BEGIN SELECT RAISE(ABORT, 'the disk is broken'); END"
        )
        asyncio.run(work(store))
        assert sorted(store.texts("m", "p")) == [(f"q{number}", 0) for number in range(3)]


def test_claims_that_cannot_be_released_hold_nobody_up(path):
    store = Store.open(path)
    claim(store, key(1))
    store._connection.execute("CREATE TEMP TRIGGER f BEFORE DELETE ON claims BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(FileError):
        store.close()
    with Store.open(path) as other:
        assert other.release_dead() == 1
        assert claim(other, key(1)).granted == [key(1)]
