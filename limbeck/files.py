"""Reading and writing files so that nothing is ever found half written."""

import contextlib
import hashlib
import json
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success it is renamed to `path`, on failure it is removed.

    Raises:
        LimbeckError: the file system refuses, or `path` has no name of its own to be renamed to, like `.` and `..`.
    """
    if path.name in ("", ".."):
        raise LimbeckError(f"{path}: nothing can be put in its place; give a path with a name of its own")
    temporary = path.with_name(f".{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise LimbeckError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # a file is in the way of the folder: the error above says it
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step: a reader sees the old file or the new one, never a part."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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
    """The file's text.

    Raises:
        LimbeckError: the file is missing, unreadable, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
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
