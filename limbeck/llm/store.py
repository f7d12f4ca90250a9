"""Replies of chat models, stored in one SQLite file as they arrive, so that none is paid for twice.

A reply is known by its model, `prompt` (a hash of what precedes the question, and of the sampling), `question` (a hash
of its turn) and sample. Processes *claim* a question before they ask it, and release the claims of killed ones.
"""

import hashlib
import json
import logging
import math
import os
import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from filelock import BaseFileLock, FileLock, Timeout

from limbeck.errors import FileError, LimbeckError, first_line
from limbeck.files import disk_full
from limbeck.llm.messages import ChatMessage, Failure, Reply, Tokens, read_message

log = logging.getLogger(__name__)

_MARKS = (0x4C494D42, 2)  # SQLite's application_id ("LIMB"), and the version of the tables below
_PATIENCE = 60.0  # seconds for another process's transaction; a reply that was paid for waits for ever
_KEY = "model = ? AND prompt = ? AND question = ? AND sample = ?"
_KEY_COLUMNS = "model TEXT NOT NULL, prompt TEXT NOT NULL, question TEXT NOT NULL, sample INTEGER NOT NULL"
_RESULT_COLUMNS = "question, sample, text, raw, kind, message"
_TOKEN_COLUMNS = "prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL"  # noqa: S105
# A request has a text or the kind of its failure.
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
# Questions that came to a server, as rows; stores made before there were servers lack the table.
_QUESTIONS = """
CREATE TABLE IF NOT EXISTS questions (
    model TEXT NOT NULL, prompt TEXT NOT NULL, question TEXT NOT NULL, row TEXT NOT NULL, arrived TEXT NOT NULL,
    PRIMARY KEY (model, prompt, question)
);
"""


class Key(NamedTuple):
    """Identity of a reply."""

    model: str
    prompt: str
    question: str
    sample: int


@dataclass(frozen=True, slots=True)
class Request:
    """An answer to ask for; `example` is an id for readers of the store."""

    key: Key
    example: str
    messages: Sequence[ChatMessage]
    max_tokens: int

    @property
    def ceiling(self) -> Tokens:
        """The most tokens that it may use."""
        return Tokens(estimate(*(message["content"] for message in self.messages)), self.max_tokens)


class Result(NamedTuple):
    """A reply's text and the thoughts beside it, or a failure's kind and message."""

    text: str | None
    thoughts: str
    failure: str | None
    reason: str | None


def estimate(*texts: str) -> int:
    """Estimate the tokens of messages, rather too high than too low."""
    return sum(len(text.encode()) // 3 + 8 for text in texts)  # English tokens have four bytes


def fingerprint(value: Any) -> str:
    """Return a short hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


class Store(AbstractContextManager["Store"]):
    """A store opened by one process, used from one thread at a time."""

    def __init__(self, path: Path, create: bool = True) -> None:
        """Open the file to ask, or an existing one to read. Raises FileError if it is no store."""
        if not create and not path.is_file():
            raise FileError("no such store; `limbeck annotate run` makes it", path=path)
        self.path, self._worker, self._opened = path, secrets.token_hex(8), _now()
        with self._errors():
            self._alive = self._lock(self._worker)  # released when this process ends, however it ends
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock("tables"):  # one process makes them
                self._open(create)
            if create:
                self._alive.acquire()

    def __exit__(self, *_: object) -> None:
        try:
            if self._alive.is_locked:
                self._release(self._alive, self._worker)
        finally:  # also on a full disk: the next process releases claims without a living lock
            self._alive.release()
            self._connection.close()

    def begin(self, prompt: str, sent: Any, job: dict[str, Any]) -> None:
        """Store the prompt in full, and the job with its provenance."""
        texts = [json.dumps(value, ensure_ascii=False, sort_keys=True) for value in (sent, job)]
        with self._transaction() as execute:
            execute("INSERT OR IGNORE INTO prompts VALUES (?, ?)", (prompt, texts[0]))
            execute("INSERT INTO starts (started, job) VALUES (?, ?)", (_now(), texts[1]))

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs with their provenance, the newest first."""
        return self._objects("SELECT job FROM starts ORDER BY start DESC")

    def keep_question(self, key: Key, row: dict[str, Any]) -> None:
        """Store a question as a row, once."""
        values = (*key[:3], json.dumps(row, ensure_ascii=False), _now())
        with self._transaction() as execute:
            execute("INSERT OR IGNORE INTO questions VALUES (?, ?, ?, ?, ?)", values)

    def questions(self, model: str, prompt: str) -> list[dict[str, Any]]:
        """Return the rows of `keep_question` in the order of their arrival."""
        query = "SELECT row FROM questions WHERE model = ? AND prompt = ? ORDER BY arrived"
        return self._objects(query, model, prompt)

    def forget_failures(self) -> None:
        """Let questions be claimed that were given up before."""
        self._opened = _now()

    def claim(self, pending: deque[Request], limit: int, covers: Callable[[Tokens], bool]) -> list[Request]:
        """Take requests that this process may send from `pending`, in order, until the budget is spent.

        What was answered, or given up by any process since this store was opened, is dropped; what others have claimed
        goes to the end. Claims count as spent, at their ceilings.
        """
        claimed: list[Request] = []
        spent = None
        settled = f"SELECT 1 FROM requests WHERE {_KEY} AND (kind IS NULL OR last AND arrived >= ?)"
        with self._transaction() as execute:
            for _ in range(len(pending)):
                request = pending[0]
                if len(claimed) == limit:
                    break
                if execute(settled, (*request.key, self._opened)).fetchone():
                    pending.popleft()
                elif execute(f"SELECT 1 FROM claims WHERE {_KEY}", request.key).fetchone():
                    pending.rotate(-1)
                else:
                    spent = (spent or self.spent(request.key.model)).plus(request.ceiling)
                    if not covers(spent):
                        break
                    values = (*request.key, *request.ceiling, self._worker)
                    execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)", values)
                    claimed.append(pending.popleft())
        return claimed

    def release(self, key: Key) -> None:
        """End this process's claim, if it holds one yet."""
        with self._transaction() as execute:
            execute(f"DELETE FROM claims WHERE {_KEY} AND worker = ?", (*key, self._worker))

    def put(self, request: Request, result: Reply | Failure, tokens: Tokens, *, last: bool = True) -> None:
        """Store the outcome of a request; the `last` one ends its claim."""
        text, kind, message = (getattr(result, name, None) for name in ("text", "kind", "message"))
        columns = (*request.key, *tokens, _now(), request.example, last, text, result.raw, kind, message)
        with self._transaction(patience=math.inf) as execute:
            execute(f"INSERT INTO requests VALUES (NULL{', ?' * len(columns)}) ON CONFLICT DO NOTHING", columns)
            if last:
                execute(f"DELETE FROM claims WHERE {_KEY}", request.key)

    def others_claim(self, model: str) -> bool:
        """Return whether other processes had claims; release those of killed ones."""
        workers = self._read("SELECT DISTINCT worker FROM claims WHERE model = ? AND worker != ?", model, self._worker)
        for (worker,) in workers:
            with suppress(Timeout), self._lock(worker).acquire(timeout=0) as lock:
                self._release(lock, worker)
        return bool(workers)

    def answered(self, model: str, prompt: str) -> set[tuple[str, int]]:
        """Return question and sample of every reply."""
        query = "SELECT question, sample FROM requests WHERE model = ? AND prompt = ? AND kind IS NULL"
        return set(self._read(query, model, prompt))

    def missing(self, requests: Iterable[Request]) -> list[Request]:
        """Return the requests without a reply, a repeated question once."""
        unique = {request.key: request for request in requests}
        answered = {prompt: self.answered(*prompt) for prompt in {key[:2] for key in unique}}
        return [request for key, request in unique.items() if key[2:] not in answered[key[:2]]]

    def results(self, model: str, prompt: str) -> dict[tuple[str, int], Result]:
        """Return the reply, or else the last failure, by question and sample."""
        query = f"SELECT {_RESULT_COLUMNS} FROM requests WHERE model = ? AND prompt = ? ORDER BY kind IS NULL, request"
        return self._results(query, model, prompt)

    def result(self, key: Key) -> Result | None:
        """Return the reply, or else the last failure, of one request."""
        query = f"SELECT {_RESULT_COLUMNS} FROM requests WHERE {_KEY} ORDER BY kind IS NULL, request"
        return self._results(query, *key).get(key[2:])

    def usage(self, model: str) -> tuple[Tokens, int]:
        """Return a model's tokens used, and the number of replies."""
        query = "SELECT SUM(prompt_tokens), SUM(completion_tokens), SUM(kind IS NULL) FROM requests WHERE model = ?"
        prompt, completion, replies = (total or 0 for total in self._read(query, model)[0])
        return Tokens(prompt, completion), replies

    def spent(self, model: str) -> Tokens:
        """Return the tokens used and the most that claimed requests may use."""
        query = "SELECT SUM(prompt_tokens), SUM(completion_tokens) FROM claims WHERE model = ?"
        return self.usage(model)[0].plus(Tokens(*(total or 0 for total in self._read(query, model)[0])))

    def _open(self, create: bool) -> None:
        self._connection = sqlite3.connect(self.path, 1.0, isolation_level=None, check_same_thread=False)
        (tables,) = self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        marks = "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version"
        if tables and self._connection.execute(marks).fetchone() != _MARKS:
            self._connection.close()
            raise FileError("no store of this version of limbeck; name another file", path=self.path)
        self._connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        if not tables:
            self._connection.executescript(_SCHEMA)
        if create:
            self._connection.executescript(_QUESTIONS)

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._connection.execute(query, values).fetchall()

    def _objects(self, query: str, *values: object) -> list[dict[str, Any]]:
        with self._errors():
            objects = [json.loads(text) for (text,) in self._read(query, *values)]
            if not all(isinstance(value, dict) for value in objects):
                raise ValueError("a JSON object was expected")
            return objects

    def _results(self, query: str, *values: object) -> dict[tuple[str, int], Result]:
        results = {}
        with self._errors():
            for question, sample, text, raw, kind, message in self._read(query, *values):
                if (text is None) == (kind is None) or bytes in map(type, (question, text, raw, kind, message)):
                    raise ValueError("a reply with a text, or a failure, was expected")
                results[question, sample] = Result(text, _thoughts(raw) if kind is None else "", kind, message)
        return results

    def _release(self, lock: BaseFileLock, worker: str) -> None:
        with self._transaction() as execute:
            execute("DELETE FROM claims WHERE worker = ?", (worker,))
        Path(lock.lock_file).unlink(missing_ok=True)

    def _lock(self, name: str) -> BaseFileLock:
        path = Path(os.path.realpath(self.path))  # one lock, whatever link names the store
        return FileLock(path.with_name(f".{path.name}.{name}.lock"), timeout=_PATIENCE)

    @contextmanager
    def _transaction(self, patience: float = _PATIENCE) -> Iterator[Callable[..., sqlite3.Cursor]]:
        with self._errors(), self._connection:
            for seconds in count():
                try:
                    self._connection.execute("BEGIN IMMEDIATE")
                    break
                except sqlite3.OperationalError as error:  # after a second; Ctrl-C is heard between
                    if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or seconds >= patience:
                        raise
                    if seconds == 0:
                        log.warning("%s: locked by another process; waiting for it", self.path)
            yield self._connection.execute

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except LimbeckError:
            raise
        except (OSError, sqlite3.Error, ValueError, RecursionError) as error:  # ValueError: a path, or what is no JSON
            if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
                raise disk_full(self.path) from None
            raise FileError(f"the store cannot be used ({first_line(error)})", path=self.path) from None


def _thoughts(raw: str) -> str:
    try:
        return read_message(json.loads(raw)["choices"][0]["message"]).thoughts
    except (LookupError, TypeError, ValueError):
        return ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
