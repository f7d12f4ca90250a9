"""Every reply of a teacher, kept in one SQLite file from the moment it arrives, so that it is never paid for twice.

A reply is found again by what was sent for it: the model, the `prompt` (a hash of all that comes before the
question, and of how the answer was sampled), the `question` (a hash of its turn) and the index of the sample. What is
to be asked is *claimed* first, so that several processes of one machine share a store and each question is asked once;
the claims of a process that was killed are let go by the next one that meets them.
"""

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from filelock import FileLock, Timeout

from limbeck.errors import LimbeckError
from limbeck.teacher.database import connect
from limbeck.teacher.engine import Failure, Reply

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
    """What became of what was wanted and has no reply yet: claimed now, claimed by another process, or too dear."""

    mine: list[Key]
    elsewhere: list[Key]
    too_dear: list[Key]


@dataclass(frozen=True, slots=True)
class Outcome:
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
        self._alive: FileLock | None = None

    @classmethod
    def open(cls, path: Path, create: bool = True) -> Self:
        """The store in the file `path`, made if need be.

        Raises:
            LimbeckError: there is none and none is to be made, the file is no store, or of a newer limbeck.
        """
        return cls(path, connect(path, create))

    def close(self) -> None:
        """Give back what is still claimed, and close the file."""
        if self._alive is not None:
            with self._transaction() as connection:
                connection.execute("DELETE FROM claims WHERE worker = ?", (self._worker,))
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

    def claim(self, wanted: Sequence[tuple[Key, Tokens]], fits: Callable[[Tokens], bool]) -> "Claimed":
        """Claim in order what is neither answered nor claimed, as long as what is then spent `fits` the budget.

        `wanted` comes with the most tokens that each request may use. What is claimed, by whomever, counts as spent.
        """
        self._show_life()
        mine: list[Key] = []
        elsewhere: list[Key] = []
        with self._transaction() as connection:
            spent = self._spent(wanted[0][0].model) if wanted else Tokens(0, 0)
            for place, (key, most) in enumerate(wanted):
                if self._find("replies", key):
                    continue
                if self._find("claims", key):
                    elsewhere.append(key)
                    continue
                spent = Tokens(spent.prompt + most.prompt, spent.completion + most.completion)
                if not fits(spent):
                    return Claimed(mine, elsewhere, [key for key, _ in wanted[place:]])
                connection.execute("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, self._worker, *most))
                mine.append(key)
        return Claimed(mine, elsewhere, [])

    def put(self, outcomes: Iterable[Outcome]) -> None:
        """Keep what came of requests, all in one transaction that is on the disk when this returns."""
        with self._transaction() as connection:
            for one in outcomes:
                _put(connection, one)
                if one.last:
                    connection.execute(f"DELETE FROM claims WHERE {_KEY}", one.key)

    def release_dead(self) -> int:
        """Let go the claims of processes that ended without doing so; returns how many claims those were."""
        released = 0
        workers = self._connection.execute("SELECT DISTINCT worker FROM claims").fetchall()
        for (worker,) in workers:
            if worker != self._worker and self._is_dead(worker):
                with self._transaction() as connection:
                    released += connection.execute("DELETE FROM claims WHERE worker = ?", (worker,)).rowcount
                self._life(worker).unlink(missing_ok=True)
        return released

    def answered(self, model: str, prompt: str) -> set[tuple[str, int]]:
        """Question and sample of every reply that there is."""
        rows = self._connection.execute(
            "SELECT question, sample FROM replies WHERE model = ? AND prompt = ?", (model, prompt)
        )
        return set(rows)

    def texts(self, model: str, prompt: str) -> dict[tuple[str, int], str]:
        """What the teacher wrote, by question and sample."""
        rows = self._connection.execute(
            "SELECT question, sample, text FROM replies WHERE model = ? AND prompt = ?", (model, prompt)
        )
        return {(question, sample): text for question, sample, text in rows}

    def failures(self, model: str, prompt: str) -> dict[tuple[str, int], str]:
        """The last failure's kind, by question and sample, of those that have no reply."""
        rows = self._connection.execute(
            "SELECT question, sample, kind FROM failures WHERE model = ? AND prompt = ? AND NOT EXISTS (SELECT 1 FROM "
            "replies AS r WHERE r.model = failures.model AND r.prompt = failures.prompt "
            "AND r.question = failures.question AND r.sample = failures.sample) ORDER BY failure",
            (model, prompt),
        )
        return {(question, sample): kind for question, sample, kind in rows}

    def usage(self, model: str) -> tuple[Tokens, int]:
        """The tokens that all requests to a model have used, claims left aside, and how many replies came of them."""
        replies = self._sum("replies", model)
        failures = self._sum("failures", model)
        (count,) = self._connection.execute("SELECT COUNT(*) FROM replies WHERE model = ?", (model,)).fetchone()
        return Tokens(replies.prompt + failures.prompt, replies.completion + failures.completion), count

    def _find(self, table: str, key: Key) -> bool:
        query = f"SELECT 1 FROM {table} WHERE {_KEY}"
        return self._connection.execute(query, key).fetchone() is not None

    def _spent(self, model: str) -> Tokens:
        parts = [self._sum(table, model) for table in ("replies", "failures", "claims")]
        return Tokens(sum(part.prompt for part in parts), sum(part.completion for part in parts))

    def _sum(self, table: str, model: str) -> Tokens:
        query = f"SELECT TOTAL(prompt_tokens), TOTAL(completion_tokens) FROM {table} WHERE model = ?"
        prompt, completion = self._connection.execute(query, (model,)).fetchone()
        return Tokens(int(prompt), int(completion))

    def _show_life(self) -> None:
        """Hold a lock that ends with this process, however it ends, before anything is claimed in its name."""
        if self._alive is None:
            self._alive = FileLock(self._life(self._worker))
            self._alive.acquire(timeout=0)

    def _life(self, worker: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{worker}.lock")

    def _is_dead(self, worker: str) -> bool:
        if not self._life(worker).exists():
            return True
        lock = FileLock(self._life(worker))
        with suppress(Timeout):
            lock.acquire(timeout=0)
            lock.release()
            return True
        return False

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise LimbeckError(f"{self.path}: the store cannot be written ({error})") from None


def _put(connection: sqlite3.Connection, one: Outcome) -> None:
    result, arrived = one.result, _now()
    if isinstance(result, Reply):
        row = (*one.key, *one.tokens, result.finish_reason, arrived, one.example, result.text, result.raw)
        if connection.execute(f"INSERT INTO replies VALUES ({_marks(row)}) ON CONFLICT DO NOTHING", row).rowcount:
            return
        result = Failure("answered twice", "the store had a reply already", raw=result.raw)
    failure = (*one.key, *one.tokens, arrived, one.example, result.kind, result.message, result.raw)
    connection.execute(f"INSERT INTO failures VALUES (NULL, {_marks(failure)})", failure)


def _marks(row: tuple[object, ...]) -> str:
    return ", ".join("?" * len(row))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
