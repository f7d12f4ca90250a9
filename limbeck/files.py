"""Reading and writing files so that nothing is ever found half written; links, pipes and devices stay what they are."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from limbeck.errors import LimbeckError

STDIO = Path("-")  # standard output where something is written, standard input where it is read
_FULL = (errno.ENOSPC, errno.EDQUOT)
_MOST_LINKS = 40  # as many as Linux follows


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success it is renamed to `path`, on failure it is removed.

    Where `path` is a link, what it leads to is replaced, and made where it is missing; a file keeps its permissions.

    Raises:
        LimbeckError: the file system refuses, or `path` has no name of its own to be renamed to, like `.` and `..`.
    """
    if path.name in ("", ".."):
        raise LimbeckError(f"{path}: nothing can be put in its place; give a path with a name of its own")
    try:
        place = Path(os.path.realpath(path))
    except ValueError as error:  # a null character
        raise LimbeckError(f"{str(path)!r}: cannot be written ({error})") from None
    if place.is_symlink():
        raise LimbeckError(f"{path}: a link that leads back to itself; give another path")
    temporary = place.with_name(f".{secrets.token_hex(4)}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if place.is_file():
            shutil.copymode(place, temporary)
        temporary.replace(place)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # a file is in the way of the folder: the error above says it
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step: a reader sees the old file or the new one, never a part.

    What is a stream, as `is_stream` has it, is written into as it stands.

    Raises:
        LimbeckError: as `replacing`, or `path` is a folder.
    """
    if is_stream(path):
        _write_into(path, text)
        return
    if path.is_dir():
        raise LimbeckError(f"{path}: a folder; give the path of a file")
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def is_stream(path: Path) -> bool:
    """Return whether `path` is no place for a file: `-`, an open descriptor like /dev/stdout, a pipe, a device."""
    if path == STDIO or _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def is_stdout(path: Path) -> bool:
    """Return whether what is written to `path` is standard output, where then nothing else may be printed."""
    return path == STDIO or _descriptor(path) == 1


def _descriptor(path: Path) -> int | None:
    """Return this process's descriptor that `path` leads to, as /dev/stdout and /dev/fd/3 do; None: to none.

    A shell may have a file open there, to append to: it is written to by the descriptor, and never replaced.
    """
    own = (f"/proc/{os.getpid()}/fd", "/dev/fd")
    with contextlib.suppress(OSError, ValueError):
        for _ in range(_MOST_LINKS):
            if path.name.isdecimal() and os.path.realpath(path.parent) in own:
                return int(path.name)
            if not path.is_symlink():
                return None
            path = path.parent / path.readlink()
    return None


def _write_into(path: Path, text: str) -> None:
    descriptor = 1 if path == STDIO else _descriptor(path)
    try:
        sys.stdout.flush()  # what was printed before comes before
        copy = os.open(path, os.O_WRONLY) if descriptor is None else os.dup(descriptor)
        with os.fdopen(copy, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise unwritable(path, error) from error


def check_writable(path: Path, *sources: Path) -> None:
    """Check that a file can be written to `path`, and over none of `sources`, before time is spent on its content.

    Its folder is made; nothing is opened or cut that is there.

    Raises:
        LimbeckError: it cannot.
    """
    try:
        if path != STDIO and path.resolve() in [source.resolve() for source in sources]:
            raise LimbeckError(f"{path}: the output would overwrite what it is made from; give another --output")
        if path.is_dir():
            raise LimbeckError(f"{path}: a folder; --output is a file")
        if is_stream(path):
            return
        folder = Path(os.path.realpath(path)).parent
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(path, error) from None
    except (ValueError, RuntimeError) as error:  # a null character; links in a circle
        raise LimbeckError(f"{str(path)!r}: cannot be written ({error})") from None


def unwritable(path: Path, error: OSError, advice: str = "try again") -> LimbeckError:
    """Return the error for a path that could not be written; where the disk is full, it names the disk."""
    if error.errno in _FULL:
        return disk_full(path, advice)
    return LimbeckError(f"{path}: cannot be written ({error.strerror or error})")


def disk_full(path: Path, advice: str = "try again") -> LimbeckError:
    """Return the error for a full disk, that of `path`; `advice` is what to do once there is room."""
    place = Path(os.path.realpath(path))
    disk = next(folder for folder in (place, *place.parents) if folder.is_mount())
    return LimbeckError(f"{path}: the disk mounted at {disk} is full, or its quota is; make room there and {advice}")


@contextlib.contextmanager
def disk_errors(folder: Path, advice: str) -> Iterator[None]:
    """Raise what libraries raise where they cannot write below `folder` as one line; of a full disk it names the disk.

    safetensors and torch have errors of their own. The first has the system's words in it; of the second, which does
    not say why, only a file that can or cannot be written tells.

    Raises:
        LimbeckError: the file system refused.
    """
    try:
        yield
    except LimbeckError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unwritable(Path(error.filename or folder), error, advice) from error
        if any(os.strerror(code) in str(error) for code in _FULL) or not _has_room(folder):
            raise disk_full(folder, advice) from error
        raise


def _has_room(folder: Path) -> bool:
    try:
        with TemporaryFile(dir=folder) as file:
            file.write(b"x" * 65536)
    except OSError as error:
        return error.errno not in _FULL
    return True


def write_json(path: Path, value: Any) -> None:
    """Write `value` as `json_text` has it, in one step."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """`value` as indented JSON, to the end of its last line."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write `rows` as JSON lines, in one step."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_text(path: Path) -> str:
    """Read the file's text, or of the path `-` standard input's.

    Raises:
        LimbeckError: the file is missing, unreadable, or not UTF-8.
    """
    standard = path == STDIO
    try:
        with open(0 if standard else path, encoding="utf-8-sig", closefd=not standard) as stream:
            return stream.read()
    except FileNotFoundError:
        raise LimbeckError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise LimbeckError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except (OSError, ValueError) as error:  # ValueError: a path that no file system takes
        raise LimbeckError(f"{str(path)!r}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def read_json(path: Path) -> Any:
    """The file's JSON value.

    Raises:
        LimbeckError: as `read_text`, or the text is not JSON (names line and column).
    """
    return _json(read_text(path), path, line=1)


def read_jsonl(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The file's JSON objects, each with its line number from 1; blank lines are passed over.

    Raises:
        LimbeckError: as `read_text`, or a line that is not a JSON object (names the line).
    """
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        row = _json(line, path, number)
        if not isinstance(row, dict):
            raise LimbeckError(f"{path}:{number}: a JSON object was expected, not {type(row).__name__}")
        rows.append((number, row))
    return rows


def _json(text: str, path: Path, line: int) -> Any:
    """The JSON value of `text`, which begins at `line` of the file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line += error.lineno - 1
        raise LimbeckError(f"{path}:{line}: not JSON ({error.msg}, column {error.colno})") from None
    except RecursionError:
        raise LimbeckError(f"{path}:{line}: not JSON (nested too deeply)") from None
    except ValueError:  # an integer of thousands of digits
        raise LimbeckError(f"{path}:{line}: a number is too long to be read") from None


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
