"""Replies of chat models, kept in one SQLite file from the moment they arrive, so that none is paid for twice.

A reply is found again by what was sent for it: the model, the `prompt` (a hash of all that comes before the question,
and of the sampling), the `question` (a hash of its turn) and the index of the sample. A question is *claimed* before it
is asked, so that several processes of one machine share a store; the claims of a killed process are released by the
next process that meets them.
"""

import asyncio
import json
import logging
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from filelock import BaseFileLock, FileLock, Timeout

from limbeck.errors import FileError
from limbeck.files import disk_full, is_stream
from limbeck.llm.messages import Failure, Reply, Tokens

_APPLICATION = 0x4C494D42  # "LIMB": SQLite's mark of an application's files
_VERSION = 1
_BUSY_SECONDS = 60.0  # that a process waits for another's transaction
_LAST = 2**63 - 1  # SQLite's largest integer
_KEY = "model = ? AND prompt = ? AND question = ? AND sample = ?"
_KEY_COLUMNS = "model TEXT NOT NULL, prompt TEXT NOT NULL, question TEXT NOT NULL, sample INTEGER NOT NULL"
_TOKEN_COLUMNS = "prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL"  # noqa: S105
_SCHEMA = f"""
CREATE TABLE prompts (prompt TEXT PRIMARY KEY, sent TEXT NOT NULL);
CREATE TABLE starts (start INTEGER PRIMARY KEY, started TEXT NOT NULL, job TEXT NOT NULL);
CREATE TABLE replies (
    {_KEY_COLUMNS}, {_TOKEN_COLUMNS}, finish_reason TEXT NOT NULL,
    arrived TEXT NOT NULL, example TEXT NOT NULL, text TEXT NOT NULL, raw TEXT NOT NULL,
    PRIMARY KEY (model, prompt, question, sample)
);
CREATE INDEX replies_spent ON replies (model, prompt_tokens, completion_tokens);
CREATE TABLE failures (
    failure INTEGER PRIMARY KEY, {_KEY_COLUMNS}, {_TOKEN_COLUMNS}, last INTEGER NOT NULL,
    arrived TEXT NOT NULL, example TEXT NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, raw TEXT
);
CREATE INDEX failures_spent ON failures (model, prompt_tokens, completion_tokens);
CREATE INDEX failures_asked ON failures (model, prompt, question, sample);
CREATE TABLE claims (
    {_KEY_COLUMNS}, worker TEXT NOT NULL, {_TOKEN_COLUMNS}, PRIMARY KEY (model, prompt, question, sample)
);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""

log = logging.getLogger(__name__)

T = TypeVar("T")
Covers = Callable[[Tokens], bool]  # tells whether the budget covers so many tokens


class Key(NamedTuple):
    """Identity of a reply."""

    model: str
    prompt: str
    question: str
    sample: int


class Claims(NamedTuple):
    """Unanswered keys of a claim: granted, held by another process, or beyond the budget."""

    granted: list[Key]
    foreign: list[Key]
    unaffordable: list[Key]


@dataclass(frozen=True, slots=True)
class Record:
    """Outcome of one request. `last` ends its claim: it is not sent again in this start of the job."""

    key: Key
    example: str  # id, for people who read the store
    result: Reply | Failure
    tokens: Tokens  # as the endpoint counted them or else estimated; 0 where nothing came back
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
        """Open the store in the file `path`; without `create` it has to exist.

        Raises:
            FileError: it does not exist, is no store, or is a newer limbeck's.
        """
        return cls(path, _connect(path, create))

    def close(self) -> None:
        """Release the claims of this process and close the file."""
        try:
            if self._alive is not None:
                self._release(self._worker)
        finally:  # also on a full disk: claims without a living lock are released by the next process
            if self._alive is not None:
                self._alive.release()
                self._lock_file(self._worker).unlink(missing_ok=True)
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, prompt: str, sent: Any, job: dict[str, Any]) -> None:
        """Record that a job starts: the prompt in full, and the job with its provenance."""
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO prompts VALUES (?, ?)", (prompt, _json(sent)))
            connection.execute("INSERT INTO starts (started, job) VALUES (?, ?)", (_now(), _json(job)))

    def claim(self, ceilings: Sequence[tuple[Key, Tokens]], covers: Covers | None = None, since: int = _LAST) -> Claims:
        """Claim in order each key that is neither answered nor claimed, until the budget covers no more.

        Args:
            ceilings: keys, with the most tokens that each request may use. All claims count as spent.
            covers: the budget; None: there is none.
            since: a failure's number; what any process gave up after it is not claimed.
        """
        self._show_life()
        granted: list[Key] = []
        foreign: list[Key] = []
        with self._transaction() as connection:
            spent = self.spent(ceilings[0][0].model) if covers and ceilings else Tokens(0, 0)
            for index, (key, ceiling) in enumerate(ceilings):
                if self._exists("replies", key):
                    continue
                if self._exists("claims", key):
                    foreign.append(key)
                    continue
                if self._exists("failures", key, " AND last AND failure > ?", since):
                    continue
                spent = spent.plus(ceiling)
                if covers and not covers(spent):
                    return Claims(granted, foreign, [key for key, _ in ceilings[index:]])
                connection.execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, self._worker, *ceiling))
                granted.append(key)
        return Claims(granted, foreign, [])

    def put(self, records: Iterable[Record]) -> None:
        """Store records in one transaction, which is on the disk when this returns."""
        with self._transaction() as connection:
            for record in records:
                _insert(connection, record)
                if record.last:
                    connection.execute(f"DELETE FROM claims WHERE {_KEY}", record.key)

    def others_claim(self, model: str) -> bool:
        """Return whether another process has claims of the model."""
        return bool(self._read("SELECT 1 FROM claims WHERE model = ? AND worker != ? LIMIT 1", model, self._worker))

    def release_dead(self) -> int:
        """Release the claims of processes that were killed; return how many those were."""
        released = 0
        for (worker,) in self._read("SELECT DISTINCT worker FROM claims"):
            if worker != self._worker and self._is_dead(worker):
                released += self._release(worker)
                self._lock_file(worker).unlink(missing_ok=True)
        return released

    def has_reply(self, model: str) -> bool:
        """Return whether the model ever answered anything."""
        return bool(self._read("SELECT EXISTS (SELECT 1 FROM replies WHERE model = ?)", model)[0][0])

    def answered(self, model: str, prompt: str) -> set[tuple[str, int]]:
        """Return question and sample of every reply."""
        return set(self._read("SELECT question, sample FROM replies WHERE model = ? AND prompt = ?", model, prompt))

    def texts(self, model: str, prompt: str) -> dict[tuple[str, int], str]:
        """Return the texts of replies, by question and sample."""
        return self._replies("text", model, prompt)

    def bodies(self, model: str, prompt: str) -> dict[tuple[str, int], str]:
        """Return the bodies that replies came in, by question and sample."""
        return self._replies("raw", model, prompt)

    def failures(self, model: str, prompt: str) -> dict[tuple[str, int], tuple[str, str]]:
        """Return the last failure's kind and message of each question and sample without a reply."""
        query = (
            "SELECT question, sample, kind, message FROM failures AS f WHERE model = ? AND prompt = ? AND NOT EXISTS "
            "(SELECT 1 FROM replies AS r WHERE r.model = f.model AND r.prompt = f.prompt AND r.question = f.question "
            "AND r.sample = f.sample) ORDER BY failure"
        )
        rows = self._read(query, model, prompt)
        return {(question, sample): (kind, message) for question, sample, kind, message in rows}

    def other_replies(self, model: str, prompt: str) -> int:
        """Count the model's replies to other prompts."""
        return int(self._read("SELECT COUNT(*) FROM replies WHERE model = ? AND prompt != ?", model, prompt)[0][0])

    def usage(self, model: str) -> tuple[Tokens, int]:
        """Return the tokens that all requests to a model used, without claims, and the number of replies."""
        ((count,),) = self._read("SELECT COUNT(*) FROM replies WHERE model = ?", model)
        return self._sum("replies", model).plus(self._sum("failures", model)), count

    def spent(self, model: str) -> Tokens:
        """Return the tokens used, and the most that claimed requests may use."""
        return self.usage(model)[0].plus(self._sum("claims", model))

    def last_failure(self) -> int:
        """Return the number of the last failure; 0: there is none."""
        return int(self._read("SELECT IFNULL(MAX(failure), 0) FROM failures")[0][0])

    def _replies(self, column: str, model: str, prompt: str) -> dict[tuple[str, int], str]:
        query = f"SELECT question, sample, {column} FROM replies WHERE model = ? AND prompt = ?"
        return {(question, sample): value for question, sample, value in self._read(query, model, prompt)}

    def _exists(self, table: str, key: Key, condition: str = "", *values: object) -> bool:
        return bool(self._read(f"SELECT 1 FROM {table} WHERE {_KEY}{condition}", *key, *values))

    def _sum(self, table: str, model: str) -> Tokens:
        query = f"SELECT TOTAL(prompt_tokens), TOTAL(completion_tokens) FROM {table} WHERE model = ?"
        ((prompt, completion),) = self._read(query, model)
        return Tokens(int(prompt), int(completion))

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with _errors(self.path):
            return self._connection.execute(query, values).fetchall()

    def _release(self, worker: str) -> int:
        with self._transaction() as connection:
            return connection.execute("DELETE FROM claims WHERE worker = ?", (worker,)).rowcount

    def _show_life(self) -> None:
        """Hold a lock that ends with this process, however it ends, before anything is claimed in its name."""
        if self._alive is None:
            with _errors(self.path):
                alive = FileLock(self._lock_file(self._worker))
                alive.acquire(timeout=0)
            self._alive = alive

    def _lock_file(self, worker: str) -> Path:
        path = Path(os.path.realpath(self.path))  # the same locks for processes that name the store by other links
        return path.with_name(f".{path.name}.{worker}.lock")

    def _is_dead(self, worker: str) -> bool:
        if not self._lock_file(worker).exists():
            return True
        with _errors(self.path), suppress(Timeout), FileLock(self._lock_file(worker)).acquire(timeout=0):
            return True
        return False

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._connection.execute("ROLLBACK")
                raise


class BusyError(FileError):
    """A store that another process has locked for a minute."""


class Journal:
    """A store in a thread of its own, so that the disk does not block the event loop.

    Records that arrive during a transaction are written together in the next one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="limbeck-store")
        self._unwritten: list[Record] = []

    async def call(self, function: Callable[..., T], *values: Any) -> T:
        """Call a method of the store in its thread."""
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, function, *values)
            except BusyError as error:  # a paid reply waits for its place as long as it takes
                log.warning("%s; waiting for it", error)

    async def put(self, record: Record) -> None:
        """Return once the record is on the disk. Raises FileError if it cannot be written."""
        self._unwritten.append(record)
        await self.call(self._write)

    def _write(self) -> None:
        if records := self._unwritten.copy():
            self._store.put(records)
            del self._unwritten[: len(records)]

    def close(self) -> None:
        """Write what a second Ctrl-C or an error left unwritten, and end the thread. Raises FileError if it cannot."""
        self._thread.shutdown()
        self._write()


def _connect(path: Path, create: bool) -> sqlite3.Connection:
    if not create and not path.is_file():
        raise FileError("no such store; `limbeck annotate run` makes it", path=path)
    if is_stream(path):
        raise FileError("a store is a file, not a pipe or a device; name another", path=path)
    try:
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock"), timeout=_BUSY_SECONDS):  # one process makes the tables
            connection = sqlite3.connect(target, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            marks = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
            if tables and marks != [_APPLICATION, _VERSION]:
                connection.close()
                raise FileError("a database, but no store of this version of limbeck; name another file", path=path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if not tables:
                connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    except (OSError, sqlite3.Error, ValueError) as error:  # ValueError: a path that no file system takes
        raise FileError(f"cannot be opened as a store ({error})", path=path) from None
    return connection


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise BusyError("another process holds the store", path=path) from None
        if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
            raise disk_full(path, "start the job again") from None
        raise FileError(f"the store cannot be used ({error})", path=path) from None


def _insert(connection: sqlite3.Connection, record: Record) -> None:
    result, start, arrived = record.result, (*record.key, *record.tokens), (_now(), record.example)
    if isinstance(result, Reply):
        row: tuple[object, ...] = (*start, result.finish_reason, *arrived, result.text, result.raw)
        if connection.execute(f"INSERT INTO replies VALUES ({_marks(row)}) ON CONFLICT DO NOTHING", row).rowcount:
            return
        result = Failure("answered twice", "the store had a reply already", raw=result.raw)
    row = (*start, record.last, *arrived, result.kind, result.message, result.raw)
    connection.execute(f"INSERT INTO failures VALUES (NULL, {_marks(row)})", row)


def _marks(row: tuple[object, ...]) -> str:
    return ", ".join("?" * len(row))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
