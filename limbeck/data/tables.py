"""Tables as users have them: JSON, delimited text or Parquet, plain or gzipped."""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.errors import DataError, FileError
from limbeck.files import STDIO

if TYPE_CHECKING:
    import pyarrow as pa

Rows = list[tuple[str, dict[str, Any]]]
"""The rows of a table, each after its location: `rows.jsonl:3`, `rows.json: item 3`, `rows.parquet: row 3`."""

_LINES = {".jsonl", ".ndjson"}
_DELIMITED = {".csv", ".tsv"}
_DELIMITERS = ",;\t|"
_GAP = re.compile(r"(?:[\s,]|//[^\n]*|#[^\n]*)*")  # between JSON values
_LAST_COMMA = re.compile(r",\s*\]\s*\Z")
_WRAPPERS = ("data", "rows", "examples", "items", "records", "questions", "train", "test")  # keys that hold all rows

csv.field_size_limit(10_000_000)  # characters; beyond it, a quote was left open


def read_table(path: Path) -> Rows:
    """Read the rows of a JSON, CSV or Parquet file, also gzipped; `-` is standard input.

    The suffix names the format; other files hold JSON if they begin like it, else delimited text.

    Raises:
        FileError: the file cannot be read.
        DataError: a row is damaged, or there are no rows; names the line.
    """
    suffix = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    content = _read_bytes(path)
    if suffix == ".parquet":
        rows = _parquet_rows(content, path)
    else:
        text = _decode(content, path)
        is_json = suffix not in _DELIMITED and (suffix in {*_LINES, ".json"} or text.lstrip().startswith(("{", "[")))
        rows = (json_rows if is_json else csv_rows)(text, path)
    if not rows:
        raise DataError("no rows", path=path)
    return rows


def stem(path: Path) -> str:
    """Return the file's name without the suffixes of its format and compression."""
    return path.with_suffix("").stem if path.suffix.lower() == ".gz" else path.stem


def _read_bytes(path: Path) -> bytes:
    try:
        with open(0 if path == STDIO else path, "rb", closefd=path != STDIO) as file:
            content = file.read()
        return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except FileNotFoundError:
        raise FileError("no such file", path=path) from None
    except (OSError, ValueError, EOFError, zlib.error) as error:  # ValueError: a path that no file system takes
        raise FileError(f"{str(path)!r}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError("not UTF-8 text; save it as JSON lines or CSV in UTF-8", path=path, line=line) from None


def json_rows(text: str, path: Path) -> Rows:
    """Read rows from JSON objects, one after the other (usually one a line) or in an array.

    A document that is one object may hold them as `{"data": [...]}` or `{"0": {...}, "1": {...}}`. Comment lines (`//`,
    `#`) and extra commas are skipped.

    Raises DataError: a row is no JSON object; names its line.
    """
    values = [(f"{path}:{line}", value) for line, value in _json_values(_LAST_COMMA.sub("]", text), path)]
    if len(values) == 1:
        document = values[0][1]
        items = document if isinstance(document, list) else _unwrap(document, path)
        if items is not None:
            values = [(f"{path}: item {number}", item) for number, item in enumerate(items, start=1)]
    for location, value in values:
        if not isinstance(value, dict):
            raise DataError(f"{location}: a JSON object was expected, not {type(value).__name__}")
    return values


def _json_values(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each JSON value after its line."""
    decoder = json.JSONDecoder()
    position, line = 0, 1
    while True:
        start = _GAP.match(text, position).end()  # type: ignore[union-attr]
        line += text.count("\n", position, start)
        if start == len(text):
            return
        try:
            value, position = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON ({error}); is the row cut off?", path=path, line=line) from None
        yield line, value
        line += text.count("\n", start, position)


def _unwrap(document: Any, path: Path) -> list[Any] | None:
    """Return the rows inside the only object of a file; None if it is itself a row."""
    if not isinstance(document, dict) or _LINES & {suffix.lower() for suffix in path.suffixes}:
        return None
    wrapped = [document[name] for name in _WRAPPERS if isinstance(document.get(name), list)]
    if len(wrapped) == 1:
        return wrapped[0]
    values = list(document.values())
    return values if len(values) > 1 and all(isinstance(value, dict) for value in values) else None


def csv_rows(text: str, path: Path) -> Rows:
    """Read rows from delimited text; all cells are text.

    The delimiter is a comma, semicolon, tab or bar, whichever the header has most of. Columns without a name (pandas'
    index) and blank lines are skipped.

    Raises DataError: a row is not as wide as the header, or a column name stands twice; names the line.
    """
    delimiter = max(_DELIMITERS, key=text.lstrip("\r\n").partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines.append((line, cells))
            line = reader.line_num + 1  # a cell may hold line breaks
    except csv.Error as error:
        raise DataError(f"not CSV ({error})", path=path, line=line) from None
    header = [name.strip() for name in lines[0][1]] if lines else []
    names = [name for name in header if name]
    if len(set(names)) < len(names):
        raise DataError(f"a column name stands twice in {header!r:.200}", path=path, line=lines[0][0])
    rows: Rows = []
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise DataError(f"{len(cells)} cells, but the header has {len(header)}", path=path, line=line)
        rows.append((f"{path}:{line}", {name: cell for name, cell in zip(header, cells, strict=True) if name}))
    return rows


def _parquet_rows(content: bytes, path: Path) -> Rows:
    import pyarrow as pa  # takes long to import
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
        return [(f"{path}: row {number}", row) for number, row in enumerate(arrow_rows(table), start=1)]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"cannot be read as Parquet ({error!s:.200})", path=path) from None


def arrow_rows(table: "pa.Table") -> list[dict[str, Any]]:
    """Return the rows of a table; a class label of `datasets` is read as its name, and as None where it is -1.

    32-bit floats are read as they were written: 0.1, not 0.10000000149.
    """
    metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    features = metadata.get("info", {}).get("features", {})
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        columns[name] = column.cast("string").to_pylist() if column.type == "float" else column.to_pylist()
        if features.get(name, {}).get("_type") == "ClassLabel":
            names = dict(enumerate(features[name]["names"]))
            columns[name] = [names.get(value) for value in columns[name]]
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
