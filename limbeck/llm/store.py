"""Replies of chat models, kept in one SQLite file from the moment they arrive, so that none is paid for twice.

A reply is found again by what was sent for it: the model, the `prompt` (a hash of all that comes before the question,
and of the sampling), the `question` (a hash of its turn) and the index of the sample. A question is *claimed* before it
is asked, so that several processes of one machine share a store; the claims of a killed process are released by the
next process that meets them.
"""

import json
import os
import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from filelock import BaseFileLock, FileLock, Timeout

from limbeck.errors import FileError
from limbeck.files import disk_full
from limbeck.llm.messages import ChatMessage, Failure, Reply, Tokens, completion_thoughts

_MARKS = (0x4C494D42, 2)  # "LIMB", SQLite's mark of an application's files, and the version of the tables below
_BUSY_SECONDS = 60.0  # that a process waits for another's transaction
_KEY = "model = ? AND prompt = ? AND question = ? AND sample = ?"
_KEY_COLUMNS = "model TEXT NOT NULL, prompt TEXT NOT NULL, question TEXT NOT NULL, sample INTEGER NOT NULL"
_TOKEN_COLUMNS = "prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL"  # noqa: S105
# A request that was answered has a text; another one has the kind of its failure.
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE prompts (prompt TEXT PRIMARY KEY, sent TEXT NOT NULL);
CREATE TABLE starts (start INTEGER PRIMARY KEY, started TEXT NOT NULL, job TEXT NOT NULL);
CREATE TABLE requests (
    request INTEGER PRIMARY KEY, {_KEY_COLUMNS}, {_TOKEN_COLUMNS}, arrived TEXT NOT NULL, example TEXT NOT NULL,
    last INTEGER NOT NULL, text TEXT, raw TEXT, kind TEXT, message TEXT
);
CREATE INDEX asked ON requests (model, prompt, question, sample);
CREATE UNIQUE INDEX answered ON requests (model, prompt, question, sample) WHERE kind IS NULL;
CREATE INDEX spent ON requests (model, kind, prompt_tokens, completion_tokens);
CREATE TABLE claims (
    {_KEY_COLUMNS}, {_TOKEN_COLUMNS}, worker TEXT NOT NULL, PRIMARY KEY (model, prompt, question, sample)
);
PRAGMA application_id = {_MARKS[0]};
PRAGMA user_version = {_MARKS[1]};
COMMIT;
"""


class Key(NamedTuple):
    """Identity of a reply."""

    model: str
    prompt: str
    question: str
    sample: int


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to be asked for; `example` is an id, for people who read the store."""

    key: Key
    example: str
    messages: Sequence[ChatMessage]
    max_tokens: int

    @property
    def ceiling(self) -> Tokens:
        """The most tokens that it may use."""
        return Tokens(estimate(*(message["content"] for message in self.messages)), self.max_tokens)


def estimate(*texts: str) -> int:
    """Return about how many tokens messages have, rather too many than too few."""
    return sum(len(text.encode()) // 3 + 8 for text in texts)  # four bytes in English; a template adds some


class Store:
    """A store opened by one process, which uses it from one thread at a time."""

    def __init__(self, path: Path, create: bool = True) -> None:
        """Open the store in the file `path` for asking, or without `create`, where it has to exist, for reading."""
        if not create and not path.is_file():
            raise FileError("no such store; `limbeck annotate run` makes it", path=path)
        self.path = path
        self._worker, self._opened = secrets.token_hex(8), _now()
        with self._errors():
            self._alive = self._lock(self._worker)  # released when this process ends, however it ends
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock("tables"):  # one process makes them
                self._connection = _connect(path)
            if create:
                self._alive.acquire()

    def close(self) -> None:
        """Release the claims of this process and close the file."""
        try:
            if self._alive.is_locked:
                self._release(self._worker)
        finally:  # also on a full disk: claims without a living lock are released by the next process
            if self._alive.is_locked:
                self._alive.release()
                Path(self._alive.lock_file).unlink(missing_ok=True)
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, prompt: str, sent: Any, job: dict[str, Any]) -> None:
        """Record that a job starts: the prompt in full, and the job with its provenance."""
        with self._transaction() as execute:
            execute("INSERT OR IGNORE INTO prompts VALUES (?, ?)", (prompt, _json(sent)))
            execute("INSERT INTO starts (started, job) VALUES (?, ?)", (_now(), _json(job)))

    def claim(self, pending: deque[Request], limit: int, covers: Callable[[Tokens], bool]) -> list[Request]:
        """Take requests that this process may send from `pending`, in order, until the budget is spent.

        Those that were answered, or since this store was opened given up by any process, are dropped; those that other
        processes have claimed go to the end. All claims count as spent, with the most tokens that they may use.
        """
        claimed: list[Request] = []
        foreign: list[Request] = []
        spent: Tokens | None = None
        settled = f"SELECT 1 FROM requests WHERE {_KEY} AND (kind IS NULL OR last AND arrived >= ?)"
        with self._transaction() as execute:
            while pending and len(claimed) < limit:
                request = pending.popleft()
                if execute(settled, (*request.key, self._opened)).fetchone():
                    continue
                if execute(f"SELECT 1 FROM claims WHERE {_KEY}", request.key).fetchone():
                    foreign.append(request)
                    continue
                spent = (spent or self.spent(request.key.model)).plus(request.ceiling)
                if not covers(spent):
                    pending.appendleft(request)
                    break
                values = (*request.key, *request.ceiling, self._worker)
                execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)", values)
                claimed.append(request)
        pending.extend(foreign)
        if not claimed and pending and self._release_dead():
            return self.claim(pending, limit, covers)
        return claimed

    def put(self, request: Request, result: Reply | Failure, tokens: Tokens, *, last: bool = True) -> None:
        """Store the outcome of a request, which is on the disk when this returns; the `last` one ends its claim."""
        columns = (*request.key, *tokens, _now(), request.example, last)
        query = "INSERT INTO requests VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        with self._transaction() as execute:
            if isinstance(result, Failure):
                execute(query, (*columns, None, result.raw, result.kind, result.message))
            elif not execute(query, (*columns, result.text, result.raw, None, None)).rowcount:
                execute(query, (*columns, None, result.raw, "answered twice", "the store had a reply already"))
            if last:
                execute(f"DELETE FROM claims WHERE {_KEY}", request.key)

    def others_claim(self, model: str) -> bool:
        """Return whether another process has claims of the model."""
        return bool(self._read("SELECT 1 FROM claims WHERE model = ? AND worker != ? LIMIT 1", model, self._worker))

    def answered(self, model: str, prompt: str) -> set[tuple[str, int]]:
        """Return question and sample of every reply."""
        query = "SELECT question, sample FROM requests WHERE model = ? AND prompt = ? AND kind IS NULL"
        return set(self._read(query, model, prompt))

    def replies(self, model: str, prompt: str) -> dict[tuple[str, int], tuple[str, str]]:
        """Return the text of every reply and the thoughts beside it, by question and sample."""
        query = "SELECT question, sample, text, raw FROM requests WHERE model = ? AND prompt = ? AND kind IS NULL"
        with self._errors():
            rows = self._connection.execute(query, (model, prompt))
            return {(question, sample): (text, completion_thoughts(raw)) for question, sample, text, raw in rows}

    def failures(self, model: str, prompt: str) -> dict[tuple[str, int], tuple[str, str]]:
        """Return the last failure's kind and message, by question and sample, also of those answered since."""
        query = "SELECT question, sample, kind, message FROM requests WHERE model = ? AND prompt = ? AND kind NOTNULL"
        return {row[:2]: row[2:] for row in self._read(f"{query} ORDER BY request", model, prompt)}

    def usage(self, model: str) -> tuple[Tokens, int]:
        """Return the tokens that all requests to a model used, without claims, and the number of replies."""
        query = "SELECT SUM(prompt_tokens), SUM(completion_tokens), SUM(kind IS NULL) FROM requests WHERE model = ?"
        prompt, completion, count = (total or 0 for total in self._read(query, model)[0])
        return Tokens(prompt, completion), count

    def spent(self, model: str) -> Tokens:
        """Return the tokens used, and the most that claimed requests may use."""
        query = "SELECT SUM(prompt_tokens), SUM(completion_tokens) FROM claims WHERE model = ?"
        return self.usage(model)[0].plus(Tokens(*(total or 0 for total in self._read(query, model)[0])))

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._connection.execute(query, values).fetchall()

    def _release(self, worker: str) -> int:
        with self._transaction() as execute:
            return execute("DELETE FROM claims WHERE worker = ?", (worker,)).rowcount

    def _release_dead(self) -> int:
        """Release the claims of processes that were killed, which hold their lock no longer; return their number."""
        released = 0
        for (worker,) in self._read("SELECT DISTINCT worker FROM claims WHERE worker != ?", self._worker):
            lock = self._lock(worker)
            with suppress(Timeout):
                with lock.acquire(timeout=0):
                    released += self._release(worker)
                Path(lock.lock_file).unlink(missing_ok=True)
        return released

    def _lock(self, name: str) -> BaseFileLock:
        path = Path(os.path.realpath(self.path))  # the same locks for processes that name the store by other links
        return FileLock(path.with_name(f".{path.name}.{name}.lock"), timeout=_BUSY_SECONDS)

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        with self._errors(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection.execute

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, ValueError) as error:  # ValueError: a path that no file system takes
            if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
                raise disk_full(self.path, "start the job again") from None
            raise FileError(f"the store cannot be used ({error})", path=self.path) from None


def _connect(path: Path) -> sqlite3.Connection:
    """Return a connection to a store, new or old."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    marks = tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if tables and marks != _MARKS:
        connection.close()
        raise FileError("a database, but no store of this version of limbeck; name another file", path=path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if not tables:
        connection.executescript(_SCHEMA)
    return connection


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
