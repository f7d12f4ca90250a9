"""Files read whole and written in one step."""

import contextlib
import ctypes
import errno
import glob
import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from limbeck.errors import DataError, FileError, LimbeckError, first_line

STDIO = Path("-")  # standard output or input
MAX_DEPTH = 20  # of folders in a run
MAX_JSON_DEPTH = 100
MANIFEST = "manifest.json"  # a folder's other files, with their sizes and SHA-256
REMAINS_SECONDS = 24 * 3600  # a temporary name that is older was left by a process that was killed
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux


@contextlib.contextmanager
def replacing(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Yield a temporary name beside `path`, renamed to it on success, once it is on the disk, and removed on failure.

    A link's target is replaced; a file keeps its permissions. A folder that is there is replaced only by another
    `folder`, in one step where the system can. Remains of killed processes are removed. Raises FileError.
    """
    try:
        target = Path(os.path.realpath(path))
        start = f".{target.name[:40]}-"  # a name has 255 bytes at most
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_remains(target.parent, f"{glob.escape(start)}{'[0-9a-f]' * 8}.tmp")
    except (OSError, ValueError) as error:  # ValueError: a path that no file system takes
        raise unwritable(path, error) from error
    temporary = target.with_name(f"{start}{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        flush(temporary)
        if target.is_file():
            shutil.copymode(target, temporary)
        if folder and target.is_dir():
            _exchange(temporary, target)
        else:
            temporary.replace(target)
        _flush(target.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()


def remove_remains(folder: Path, pattern: str) -> None:
    """Remove what has the temporary names of `pattern` and is older than `REMAINS_SECONDS`."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > REMAINS_SECONDS:
                remove(path)


def flush(path: Path) -> None:
    """Wait until a file, or a folder with all that is in it, is on the disk."""
    for part in (path, *path.rglob("*")):
        _flush(part)


def _flush(path: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError:
            if not path.is_dir():  # not all file systems do it for a folder
                raise
        finally:
            os.close(descriptor)


def _exchange(a: Path, b: Path) -> None:
    """Exchange the names of two folders."""
    if sys.platform == "linux":
        rename, names = getattr(ctypes.CDLL(None), "renameat2", None), [os.fsencode(path) for path in (a, b)]
        if rename is not None and rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
    older = a.with_suffix(".old.tmp")
    b.rename(older)
    a.rename(b)
    older.rename(a)


def write_manifest(folder: Path) -> None:
    """Write the list of a folder's files, all on the disk by then, by which `is_whole` knows them."""
    flush(folder)
    write_json(folder / MANIFEST, _manifest(folder))
    _flush(folder.parent)


def is_whole(folder: Path) -> bool:
    """Return whether a folder's files are those of its manifest, but for hidden ones."""
    with contextlib.suppress(LimbeckError, OSError):
        return bool(read_json(folder / MANIFEST) == _manifest(folder))
    return False


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in folder.rglob("[!.]*") if path.is_file() and path != folder / MANIFEST)
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files
    }


def write_text(path: Path, text: str) -> None:
    """Write `text` as `replacing` does, or to a stream."""
    if is_stdout(path):
        print(text, end="", flush=True)
        return
    with contextlib.nullcontext(path) if is_stream(path) else replacing(path) as target:
        target.write_text(text, encoding="utf-8", errors="backslashreplace")  # which in JSON is an escape


def is_stream(path: Path) -> bool:
    """Return whether `path` is `-`, a pipe or a device."""
    there = os.path.exists(path)  # noqa: PTH110 - which is False for a path that no file system takes
    return is_stdout(path) or (there and not path.is_file() and not path.is_dir())


def is_stdout(path: Path) -> bool:
    return path in (STDIO, Path("/dev/stdout"))


def refuse_links(folder: Path) -> None:
    """Raise FileError for a link, pipe or device in a folder that may be somebody else's, and for endless depth."""
    folders = [(folder, 0)]
    while folders:
        present, depth = folders.pop()
        if depth > MAX_DEPTH:
            raise FileError(f"folders nested more than {MAX_DEPTH} deep", path=folder)
        try:
            with os.scandir(present) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((Path(entry), depth + 1))
                    elif not entry.is_file(follow_symlinks=False):
                        reason = "a link, pipe or device, which a run's folder may not hold; put a plain file there"
                        raise FileError(reason, path=Path(entry))
        except OSError as error:
            raise FileError(f"cannot be read ({error.strerror or error})", path=present) from None


def check_writable(path: Path, *sources: Path) -> None:
    """Create the folder of `path`. Raises FileError if it cannot be written, or is one of the sources."""
    try:
        if is_stream(path):
            return
        target = Path(os.path.realpath(path))
        if target.is_dir() or target in [source.resolve() for source in sources]:
            raise FileError("the output would overwrite a folder or an input; give another --output", path=path)
        target.parent.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=target.parent).close()
    except (OSError, ValueError) as error:  # ValueError: a path that no file system takes
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError | ValueError) -> FileError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(path)
    return FileError(f"cannot be written ({getattr(error, 'strerror', None) or error})", path=path)


def disk_full(path: Path) -> FileError:
    target = path.resolve()
    disk = next(folder for folder in (target, *target.parents) if folder.is_mount())
    return FileError(f"the disk at {disk} is full, or its quota is; make room and start again", path=path)


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Raise a library's failure to write below `folder` as FileError."""
    try:
        yield
    except LimbeckError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unwritable(Path(error.filename or folder), error) from error
        # safetensors' error quotes the system's, torch's gives no reason
        if os.strerror(errno.ENOSPC) in str(error) or shutil.disk_usage(folder).free < 65536:
            raise disk_full(folder) from error
        raise


def json_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    write_text(path, json_text(value))


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, or of standard input for `-`. Raises FileError."""
    with opened(path) as stream:
        return stream.read()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a file, or standard input for `-`, to read bytes. Raises FileError, also where reading fails."""
    try:
        with open(0 if path == STDIO else path, "rb", closefd=path != STDIO) as stream:
            yield stream
    except FileNotFoundError:
        raise FileError("no such file", path=path) from None
    except (OSError, ValueError) as error:  # ValueError: a path that no file system takes
        raise FileError(f"{str(path)!r} cannot be read ({getattr(error, 'strerror', None) or error})") from None


def read_text(path: Path) -> str:
    """Return the text of a file or of standard input. Raises as `read_bytes` and `decoded`."""
    return decoded(read_bytes(path), path)


def decoded(content: bytes, path: Path, line: int = 1) -> str:
    """Return a file's content from a `line` on as text. Raises DataError, with the line, if it is not UTF-8."""
    try:
        return content.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line += content.count(b"\n", 0, error.start)
        reason = "not UTF-8 text; save it in UTF-8, a table as CSV or JSON lines"
        raise DataError(reason, path=path, line=line) from None


def read_json(path: Path) -> Any:
    """Return the file's JSON value. Raises as `read_text`, and DataError with the line if not JSON."""
    return _json(read_text(path), path, 1)


def read_jsonl(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return the file's JSON objects with their line numbers. Raises as `read_json`."""
    lines = enumerate(read_text(path).split("\n"), start=1)
    rows = [(number, _json(line, path, number)) for number, line in lines if line.strip()]
    for number, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"a JSON object was expected, not {type(row).__name__}", path=path, line=number)
    return rows


def _json(text: str, path: Path, line: int) -> Any:
    try:
        value = json.loads(text)
        if _is_deeper(value, MAX_JSON_DEPTH):
            raise ValueError(f"nested more than {MAX_JSON_DEPTH} deep")
        return value
    except (RecursionError, ValueError) as error:  # endless nesting or digits
        line += getattr(error, "lineno", 1) - 1
        raise DataError(f"not JSON ({first_line(error)})", path=path, line=line) from None


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth):
        nested = (outer.values() if isinstance(outer, dict) else outer for outer in level)
        level = [inner for values in nested for inner in values if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal. Raises FileError."""
    with opened(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
