"""Every reply of a teacher, kept in one SQLite file from the moment it arrives, so that it is never paid for twice.

A reply is found again by what was sent for it: the model, the `prompt` (a hash of all that comes before the
question, and of how the answer was sampled), the `question` (a hash of its turn) and the index of the sample. What is
to be asked is *claimed* first, so that several processes of one machine share a store and each question is asked once;
the claims of a process that was killed are let go by the next one that meets them.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from filelock import BaseFileLock, FileLock, Timeout

from limbeck.errors import LimbeckError
from limbeck.files import disk_full
from limbeck.llm.database import connect
from limbeck.llm.engine import Failure, Reply

MAX = 2**63 - 1  # of SQLite's integers

_KEY = "model = ? AND prompt = ? AND question = ? AND sample = ?"


class Key(NamedTuple):
    """What a reply is found by."""

    model: str
    prompt: str
    question: str
    sample: int


class Tokens(NamedTuple):
    """Tokens of questions and of answers."""

    prompt: int
    completion: int


class Claimed(NamedTuple):
    """What became of what was wanted and may still be asked: claimed now, claimed by another process, or too dear."""

    mine: list[Key]
    elsewhere: list[Key]
    too_dear: list[Key]
    others: bool = False  # it is too dear for what other processes have claimed: that may come to less


class Busy(LimbeckError):  # noqa: N818 - of the same kind as its base
    """Another process holds the store's file."""


@dataclass(frozen=True, slots=True)
class Record:
    """What came of one request. `last` says that its claim is over: it is not sent again in this start of the job."""

    key: Key
    example: str  # its id, for people who read the store
    result: Reply | Failure
    tokens: Tokens  # what it used, as counted by the teacher or else as estimated; 0 where nothing came back
    last: bool


class Store:
    """A store opened by one process, which uses it from one thread at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._worker = secrets.token_hex(8)
        self._alive: BaseFileLock | None = None

    @classmethod
    def open(cls, path: Path, create: bool = True) -> Self:
        """The store in the file `path`, made if need be.

        Raises:
            LimbeckError: there is none and none is to be made, the file is no store, or of a newer limbeck.
        """
        return cls(path, connect(path, create))

    def close(self) -> None:
        """Give back what is still claimed, and close the file."""
        try:
            if self._alive is not None:
                with self._transaction() as connection:
                    connection.execute("DELETE FROM claims WHERE worker = ?", (self._worker,))
        finally:
            if self._alive is not None:
                self._alive.release()
                self._life(self._worker).unlink(missing_ok=True)
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, prompt: str, sent: Any, job: dict[str, Any]) -> None:
        """Note that a job starts: what its prompt is in full, and the job with its provenance."""
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO prompts VALUES (?, ?)", (prompt, _json(sent)))
            connection.execute("INSERT INTO starts (started, job) VALUES (?, ?)", (_now(), _json(job)))

    def claim(
        self, wanted: Sequence[tuple[Key, Tokens]], covers: Callable[[Tokens], bool] | None = None, since: int = MAX
    ) -> Claimed:
        """Claim in order what is neither answered nor claimed, nor given up after the failure number `since`.

        It ends where what is then spent is not covered. `wanted` comes with the most tokens that each request may use:
        what is claimed, by whomever, counts as spent.
        """
        self._show_life()
        mine: list[Key] = []
        elsewhere: list[Key] = []
        with self._transaction() as connection:
            spent = self.spent(wanted[0][0].model) if covers and wanted else Tokens(0, 0)
            for place, (key, most) in enumerate(wanted):
                if self._find("replies", key):
                    continue
                if self._find("claims", key):
                    elsewhere.append(key)
                    continue
                if self._find("failures", key, " AND last AND failure > ?", since):
                    continue
                if covers and not covers(_plus(spent, most)):
                    alone = _minus(_plus(spent, most), self._sum("claims", key.model, " AND worker != ?", self._worker))
                    return Claimed(mine, elsewhere, [key for key, _ in wanted[place:]], covers(alone))
                spent = _plus(spent, most)
                connection.execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, self._worker, *most))
                mine.append(key)
        return Claimed(mine, elsewhere, [])

    def put(self, records: Iterable[Record]) -> None:
        """Keep what came of requests, all in one transaction that is on the disk when this returns."""
        with self._transaction() as connection:
            for one in records:
                _put(connection, one)
                if one.last:
                    connection.execute(f"DELETE FROM claims WHERE {_KEY}", one.key)

    def release_dead(self) -> int:
        """Let go the claims of processes that ended without doing so; returns how many claims those were."""
        released = 0
        for (worker,) in self._read("SELECT DISTINCT worker FROM claims"):
            if worker != self._worker and self._is_dead(worker):
                with self._transaction() as connection:
                    released += connection.execute("DELETE FROM claims WHERE worker = ?", (worker,)).rowcount
                self._life(worker).unlink(missing_ok=True)
        return released

    def has_any(self, model: str) -> bool:
        """Whether the model ever answered anything."""
        return bool(self._read("SELECT EXISTS (SELECT 1 FROM replies WHERE model = ?)", model)[0][0])

    def answered(self, model: str, prompt: str) -> set[tuple[str, int]]:
        """Question and sample of every reply that there is."""
        return set(self._read("SELECT question, sample FROM replies WHERE model = ? AND prompt = ?", model, prompt))

    def texts(self, model: str, prompt: str) -> dict[tuple[str, int], str]:
        """What the teacher wrote, by question and sample."""
        query = "SELECT question, sample, text FROM replies WHERE model = ? AND prompt = ?"
        return {(question, sample): text for question, sample, text in self._read(query, model, prompt)}

    def bodies(self, model: str, prompt: str) -> dict[tuple[str, int], str]:
        """Return the bodies that the teacher's replies came in, by question and sample."""
        query = "SELECT question, sample, raw FROM replies WHERE model = ? AND prompt = ?"
        return {(question, sample): raw for question, sample, raw in self._read(query, model, prompt)}

    def failures(self, model: str, prompt: str) -> dict[tuple[str, int], tuple[str, str]]:
        """The last failure's kind and message, by question and sample, of those that have no reply."""
        query = (
            "SELECT question, sample, kind, message FROM failures AS f WHERE model = ? AND prompt = ? AND NOT EXISTS "
            "(SELECT 1 FROM replies AS r WHERE r.model = f.model AND r.prompt = f.prompt AND r.question = f.question "
            "AND r.sample = f.sample) ORDER BY failure"
        )
        found = self._read(query, model, prompt)
        return {(question, sample): (kind, message) for question, sample, kind, message in found}

    def other_replies(self, model: str, prompt: str) -> int:
        """How many replies of the model are to something else."""
        return int(self._read("SELECT COUNT(*) FROM replies WHERE model = ? AND prompt != ?", model, prompt)[0][0])

    def usage(self, model: str) -> tuple[Tokens, int]:
        """The tokens that all requests to a model have used, claims left aside, and how many replies came of them."""
        ((count,),) = self._read("SELECT COUNT(*) FROM replies WHERE model = ?", model)
        return _plus(self._sum("replies", model), self._sum("failures", model)), count

    def spent(self, model: str) -> Tokens:
        """The same tokens, and the most that what is claimed may use."""
        return _plus(self.usage(model)[0], self._sum("claims", model))

    def last_failure(self) -> int:
        """The number of the last failure of all; 0: there is none."""
        return int(self._read("SELECT IFNULL(MAX(failure), 0) FROM failures")[0][0])

    def _find(self, table: str, key: Key, more: str = "", *given: object) -> bool:
        return bool(self._read(f"SELECT 1 FROM {table} WHERE {_KEY}{more}", *key, *given))

    def _sum(self, table: str, model: str, more: str = "", *given: object) -> Tokens:
        query = f"SELECT TOTAL(prompt_tokens), TOTAL(completion_tokens) FROM {table} WHERE model = ?{more}"
        ((prompt, completion),) = self._read(query, model, *given)
        return Tokens(int(prompt), int(completion))

    def _read(self, query: str, *given: object) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._connection.execute(query, given).fetchall()

    def _show_life(self) -> None:
        """Hold a lock that ends with this process, however it ends, before anything is claimed in its name."""
        if self._alive is None:
            with self._errors():
                alive = FileLock(self._life(self._worker))
                alive.acquire(timeout=0)
            self._alive = alive

    def _life(self, worker: str) -> Path:
        path = Path(os.path.realpath(self.path))  # processes that know the store by other names meet at the same locks
        return path.with_name(f".{path.name}.{worker}.lock")

    def _is_dead(self, worker: str) -> bool:
        if not self._life(worker).exists():
            return True
        with self._errors(), suppress(Timeout), FileLock(self._life(worker)).acquire(timeout=0):
            return True
        return False

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise Busy(f"{self.path}: another process holds the file ({error})") from None
            if "full" in str(error):
                raise disk_full(self.path, "start the job again") from None
            raise LimbeckError(f"{self.path}: the store cannot be used ({error})") from None
        except (sqlite3.Error, OSError) as error:
            raise LimbeckError(f"{self.path}: the store cannot be used ({error})") from None


def _plus(one: Tokens, other: Tokens) -> Tokens:
    return Tokens(one.prompt + other.prompt, one.completion + other.completion)


def _minus(one: Tokens, other: Tokens) -> Tokens:
    return Tokens(one.prompt - other.prompt, one.completion - other.completion)


def _put(connection: sqlite3.Connection, one: Record) -> None:
    result, arrived = one.result, _now()
    if isinstance(result, Reply):
        row = (*one.key, *one.tokens, result.finish_reason, arrived, one.example, result.text, result.raw)
        if connection.execute(f"INSERT INTO replies VALUES ({_marks(row)}) ON CONFLICT DO NOTHING", row).rowcount:
            return
        result = Failure("answered twice", "the store had a reply already", raw=result.raw)
    failure = (*one.key, *one.tokens, one.last, arrived, one.example, result.kind, result.message, result.raw)
    connection.execute(f"INSERT INTO failures VALUES (NULL, {_marks(failure)})", failure)


def _marks(row: tuple[object, ...]) -> str:
    return ", ".join("?" * len(row))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
