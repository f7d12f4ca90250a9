"""The SQLite file that a store is: its tables, and how it is opened."""

import os
import sqlite3
from pathlib import Path

from filelock import FileLock

from limbeck.errors import LimbeckError
from limbeck.files import is_stream

_APPLICATION = 0x4C494D42  # "LIMB": SQLite's mark of whose file it is
_VERSION = 1
_BUSY = 10.0  # seconds that a process waits for another's transaction, and then says so

_SCHEMA = """
CREATE TABLE prompts (prompt TEXT PRIMARY KEY, sent TEXT NOT NULL);
CREATE TABLE starts (start INTEGER PRIMARY KEY, started TEXT NOT NULL, job TEXT NOT NULL);
CREATE TABLE replies (
    model TEXT NOT NULL, prompt TEXT NOT NULL, question TEXT NOT NULL, sample INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, finish_reason TEXT NOT NULL,
    arrived TEXT NOT NULL, example TEXT NOT NULL, text TEXT NOT NULL, raw TEXT NOT NULL,
    PRIMARY KEY (model, prompt, question, sample)
);
CREATE INDEX replies_spent ON replies (model, prompt_tokens, completion_tokens);
CREATE TABLE failures (
    failure INTEGER PRIMARY KEY,
    model TEXT NOT NULL, prompt TEXT NOT NULL, question TEXT NOT NULL, sample INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, last INTEGER NOT NULL,
    arrived TEXT NOT NULL, example TEXT NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, raw TEXT
);
CREATE INDEX failures_spent ON failures (model, prompt_tokens, completion_tokens);
CREATE INDEX failures_asked ON failures (model, prompt, question, sample);
CREATE TABLE claims (
    model TEXT NOT NULL, prompt TEXT NOT NULL, question TEXT NOT NULL, sample INTEGER NOT NULL,
    worker TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    PRIMARY KEY (model, prompt, question, sample)
);
"""


def connect(path: Path, create: bool) -> sqlite3.Connection:
    """The database in the file `path`, made if need be. A write is on the disk when its transaction has ended.

    Raises:
        LimbeckError: there is none and none is to be made, the file is no store, or of a newer limbeck.
    """
    if is_stream(path):
        raise LimbeckError(f"{path}: a store is a file, not a pipe or a device; name another")
    if not create and not path.is_file():
        raise LimbeckError(f"{path}: no such store; `limbeck annotate run` makes it")
    try:
        place = Path(os.path.realpath(path))  # what a link leads to has the locks
        place.parent.mkdir(parents=True, exist_ok=True)
        # two processes that make the same file: one after the other
        with FileLock(place.with_name(f".{place.name}.lock"), timeout=_BUSY):
            connection = sqlite3.connect(place, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection, path)
            except BaseException:
                connection.close()
                raise
    except (OSError, sqlite3.Error, ValueError) as error:  # ValueError: a path that no file system takes
        raise LimbeckError(f"{str(path)!r}: cannot be opened as a store ({error})") from None
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if tables and application != _APPLICATION:
        raise LimbeckError(f"{path}: a database, but no store of limbeck's; name another file")
    if version > _VERSION:
        raise LimbeckError(f"{path}: a store of a newer limbeck (version {version}, here {_VERSION}); update limbeck")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if not tables:
        marks = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {_VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {marks} COMMIT;")
