"""Files of rows as users have them: JSON, delimited text or Parquet, plain or compressed."""

import gzip
import re
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from limbeck.data.csv_table import csv_rows
from limbeck.data.json_table import json_rows, too_long
from limbeck.errors import LimbeckError
from limbeck.files import STDIO

MAX_ROW_BYTES = 10_000_000
_CHUNK = 1 << 20
_COMPRESSED = (".gz", ".zst")
_JSON, _LINES, _DELIMITED, _TEXT = {".json"}, {".jsonl", ".ndjson"}, {".csv", ".tsv"}, {".txt", ""}
_KNOWN = ".jsonl, .ndjson, .json, .csv, .tsv, .parquet, each also with .gz or .zst after it"
_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def table_rows(path: Path, max_row_bytes: int = MAX_ROW_BYTES) -> list[tuple[str, dict[str, Any]]]:
    """Read each row of a JSON, CSV or Parquet file, after the words that say where it stands.

    The format is the suffix's, in any case (`.txt`, none, a pipe, or `-` for standard input: JSON where the text begins
    so, else delimited). A file in gzip or Zstandard is known by its content.

    Raises:
        LimbeckError: the file cannot be read (names the line), has no rows, or one of more than `max_row_bytes`.
    """
    kind = suffix(path)
    if kind == ".parquet":
        from limbeck.data.arrow_table import parquet_rows  # pyarrow takes long to import

        with _opened(path) as stream:
            rows = parquet_rows(stream.read(), path, max_row_bytes)
    elif kind in _JSON | _LINES | _DELIMITED | _TEXT:
        text = _text(path, max_row_bytes if kind in _LINES | _DELIMITED else None)
        delimited = kind in _DELIMITED or (kind in _TEXT and not text.lstrip().startswith(("{", "[")))
        rows = (csv_rows if delimited else json_rows)(text, path, max_row_bytes)
    else:
        raise LimbeckError(f"{path}: the suffix {kind!r} is none of {_KNOWN}; save the table as one of these")
    if not rows:
        raise LimbeckError(f"{path}: no rows")
    return rows


def suffix(path: Path) -> str:
    """Return the suffix that names the format, in small letters: `.jsonl` of `a.JSONL.gz`."""
    bare = path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path
    return bare.suffix.lower()


def stem(path: Path) -> str:
    """Return the file's name without the suffixes of its format and compression."""
    return path.with_suffix("").stem if path.suffix.lower() in _COMPRESSED else path.stem


def _opened(path: Path) -> BinaryIO:
    """Open the file's content, decompressed."""
    try:
        stream = open(0 if path == STDIO else path, "rb", closefd=path != STDIO)  # noqa: SIM115
        head = stream.peek(4)
    except FileNotFoundError:
        raise LimbeckError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a path that no file system takes
        raise LimbeckError(f"{str(path)!r}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(stream)  # type: ignore[return-value]
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        from limbeck.data.arrow_table import decompressed

        return decompressed(stream)
    return stream


def _text(path: Path, max_line_bytes: int | None) -> str:
    """Return the file's text; where a line is a row at least, a far too long one is refused before all of it is read.

    Raises:
        LimbeckError: the file is missing, unreadable, damaged, or not UTF-8.
    """
    data, line = bytearray(), 0  # where the last line begins
    try:
        with _opened(path) as stream:
            while chunk := stream.read(_CHUNK):
                end = chunk.rfind(b"\n") + 1
                line = len(data) + end if end else line
                data += chunk
                if max_line_bytes is not None and len(data) - line > max_line_bytes + _CHUNK:
                    number = data.count(b"\n") + 1
                    raise too_long(f"{path}:{number}", max_line_bytes)
    except (OSError, EOFError, zlib.error) as error:
        raise LimbeckError(f"{path}: cannot be read ({error!s:.200}); is the file damaged or cut off?") from None
    return _decoded(data, path)


def _decoded(data: bytearray, path: Path) -> str:
    """Return UTF-8 text without a byte order mark.

    Raises:
        LimbeckError: it has another encoding, which is named as far as it can be known, or holds NUL bytes.
    """
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            raise _other_encoding(f"{path}:1", name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        name = "WINDOWS-1252" if re.search(rb"[\x80-\x9f]", data) else "ISO-8859-1"
        wide = b"\0" in data[:4]
        raise _other_encoding(f"{path}:{1 if wide else line}", "UTF-16" if wide else name) from None
    nul = text.find("\0")
    if nul >= 0:
        where = f"{path}:{text.count(chr(10), 0, nul) + 1}"
        if "\0" in text[:4]:
            raise _other_encoding(where, "UTF-16")
        raise LimbeckError(f"{where}: NUL bytes, which are no text: was the file cut off while it was written?")
    return text


def _other_encoding(where: str, name: str) -> LimbeckError:
    return LimbeckError(
        f"{where}: not UTF-8 text, but {name} by its bytes: convert it, like `iconv -f {name} -t UTF-8 OLD > NEW`"
    )
