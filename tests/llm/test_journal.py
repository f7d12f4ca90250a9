"""The store behind a thread: what could not be written is tried once more at the end."""

import asyncio

import pytest

from limbeck.errors import LimbeckError
from limbeck.llm.engine import Reply
from limbeck.llm.journal import Journal
from limbeck.llm.store import Key, Record, Store, Tokens


def record(number: int) -> Record:
    key = Key("m", "p", f"q{number}", 0)
    return Record(key, "example", Reply("text", "{}", "stop", 1, 1), Tokens(1, 1), True)


def test_batches_that_could_not_be_written_are_written_when_it_closes(tmp_path):
    with Store.open(tmp_path / "annotations.sqlite") as store:
        store._connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON replies BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )

        async def work() -> None:
            journal = Journal(store)
            for number in range(3):  # a batch each
                with pytest.raises(LimbeckError, match="the disk is full"):
                    await journal.put(record(number))
            store._connection.execute("DROP TRIGGER full")
            await journal.put(record(3))
            journal.close()

        asyncio.run(work())
        assert sorted(store.texts("m", "p")) == [(f"q{number}", 0) for number in range(4)]
        assert store.failures("m", "p") == {}
