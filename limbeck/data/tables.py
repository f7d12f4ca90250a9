"""Tables in JSON, delimited text or Parquet, plain or compressed, and the meaning of their cells."""

import ast
import csv
import gzip
import io
import json
import math
import re
import unicodedata
import zlib
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.errors import DataError, FileError
from limbeck.files import decoded, read_bytes

if TYPE_CHECKING:
    import pyarrow as pa

Rows = list[tuple[str, dict[str, Any]]]  # after locations: `r.jsonl:3`, `r.json: item 3`, `r.parquet: row 3`

MAX_ROW_BYTES = 10_000_000
_TOO_LONG = "the row is too long; mend it, or raise max_row_bytes"
_MISSING = {"nan", "NaN", "null", "NULL", "None", "NA", "N/A", "<NA>"}  # "none" and "na" are answers
_COMPRESSED = (".gz", ".zst")
_JSON_LINES = (".jsonl", ".ndjson")
_GAP = re.compile(r"(?:[\s,]|//[^\n]*|#[^\n]*)*")  # between JSON values
_LAST_COMMA = re.compile(r",\s*\]\s*\Z")
_WRAPPERS = ("data", "rows", "examples", "items", "records", "questions", "train", "test")  # keys of all rows
_MAX_LIST = 1 << 20  # characters of a printed list
_JOINED = re.compile(r"['\"]\s+['\"]")  # in numpy's lists, whose texts Python would join
_WHOLE_FLOAT = re.compile(r"-?\d{1,15}\.0")  # pandas writes an integer column with nulls as floats


def read_table(path: Path, max_row_bytes: int = MAX_ROW_BYTES) -> Rows:
    """Read a JSON, CSV or Parquet file, plain or compressed by gzip or Zstandard; `-` is standard input.

    The suffix names the format; other files hold JSON if they begin like it, else delimited text. Raises LimbeckError
    for a damaged file or row, and for a row that is too long.
    """
    suffix = (path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path).suffix.lower()
    content = read_bytes(path)
    try:
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        elif content.startswith(b"\x28\xb5\x2f\xfd"):
            import pyarrow  # slow to import

            content = pyarrow.CompressedInputStream(pyarrow.BufferReader(content), "zstd").read()
        if suffix == ".parquet":
            import pyarrow.parquet

            rows = arrow_rows(pyarrow.parquet.read_table(io.BytesIO(content)), str(path))
        else:
            text = decoded(content, path)
            json_like = suffix not in (".csv", ".tsv") and text.lstrip().startswith(("{", "["))
            read = json_rows if suffix in (*_JSON_LINES, ".json") or json_like else csv_rows
            rows = read(text, path, max_row_bytes)
    except (OSError, ValueError, RuntimeError, EOFError, zlib.error) as error:
        raise FileError(f"{str(path)!r}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not rows:
        raise DataError("no rows", path=path)
    return rows


def stem(path: Path) -> str:
    """Return the file's name without suffixes of format and compression."""
    return path.with_suffix("").stem if path.suffix.lower() in _COMPRESSED else path.stem


def json_rows(text: str, path: Path, max_row_bytes: int = MAX_ROW_BYTES) -> Rows:
    """Read rows from JSON objects in sequence, in an array, or in an object as in docs/data.md.

    Outside arrays, comment lines (`//`, `#`) and extra commas are skipped, and a row's length is checked.
    """
    text, decoder = _LAST_COMMA.sub("]", text), json.JSONDecoder()
    values: list[tuple[str, Any]] = []
    end, line, longest = 0, 1, (0, "")
    while (start := _GAP.match(text, end).end()) < len(text):  # type: ignore[union-attr]
        line += text.count("\n", end, start)
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON ({error}); is the row cut off?", path=path, line=line) from None
        values.append((f"{path}:{line}", value))
        longest = max(longest, (end - start, f"{path}:{line}"))
        line += text.count("\n", start, end)
    items = _items(values[0][1], path) if len(values) == 1 else None
    if items is not None:
        values = [(f"{path}: item {number}", item) for number, item in enumerate(items, start=1)]
    elif longest[0] > max_row_bytes:
        raise DataError(f"{longest[1]}: {_TOO_LONG}")
    for location, value in values:
        if not isinstance(value, dict):
            raise DataError(f"{location}: a JSON object was expected, not {type(value).__name__}")
    return values


def _items(document: Any, path: Path) -> list[Any] | None:
    """Return the rows in a file's only value; None if that is itself a row."""
    if not isinstance(document, dict) or any(suffix.lower() in _JSON_LINES for suffix in path.suffixes):
        return document if isinstance(document, list) else None
    wrapped = [document[name] for name in _WRAPPERS if isinstance(document.get(name), list)]
    keyed = len(document) > 1 and all(isinstance(value, dict) for value in document.values())
    return wrapped[0] if len(wrapped) == 1 else list(document.values()) if keyed else None


def csv_rows(text: str, path: Path, max_row_bytes: int = MAX_ROW_BYTES) -> Rows:
    """Read rows from text delimited by what the header has most of, without blank lines and unnamed columns.

    All cells are text, and `1.0` is read as `1`.
    """
    csv.field_size_limit(max_row_bytes)  # for the process; an open quote soon exceeds it
    delimiter = max(",;\t|", key=text.lstrip("\r\n").partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: Rows = []
    line = 1
    try:
        for cells in reader:
            if sum(map(len, cells)) > max_row_bytes:
                raise DataError(_TOO_LONG, path=path, line=line)
            if not header:
                header = [name.strip() for name in cells]
                if len(set(header) - {""}) < len(header) - header.count(""):
                    raise DataError(f"a column name stands twice in {header!r:.200}", path=path, line=line)
            elif any(map(str.strip, cells)):
                if len(cells) != len(header):
                    raise DataError(f"{len(cells)} cells, but the header has {len(header)}", path=path, line=line)
                cells = [cell[:-2] if _WHOLE_FLOAT.fullmatch(cell) else cell for cell in cells]
                rows.append((f"{path}:{line}", {name: cell for name, cell in zip(header, cells, strict=True) if name}))
            line = reader.line_num + 1  # a cell may hold line breaks
    except csv.Error as error:
        reason = _TOO_LONG if "field larger" in str(error) else f"not CSV ({error})"
        raise DataError(reason, path=path, line=line) from None
    return rows


def arrow_rows(table: "pa.Table", where: str) -> Rows:
    """Return a table's rows: class labels of `datasets` by name, 32-bit floats as 0.1, not 0.10000000149."""
    metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    features = metadata.get("info", {}).get("features", {})
    for index, name in enumerate(table.column_names):
        column = table.column(index)
        if column.type == "float":
            table = table.set_column(index, name, column.cast("string"))
        elif features.get(name, {}).get("_type") == "ClassLabel":
            names = dict(enumerate(features[name]["names"]))
            table = table.set_column(index, name, [list(map(names.get, column.to_pylist()))])
    return [(f"{where}: row {number}", row) for number, row in enumerate(table.to_pylist(), start=1)]


def cell_text(value: Any) -> Any:
    """Return a number (1.0 as "1"), truth value or text as NFC text, anything else unchanged."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value.replace("\0", "")).strip()
    if isinstance(value, int):
        return str(value).lower()
    if not isinstance(value, float | Decimal) or not math.isfinite(value):
        return value
    return str(int(value)) if value == int(value) and abs(int(value)) < 10**15 else str(value)


def is_missing(value: Any) -> bool:
    """Return whether a value is null, NaN, blank or a word for it."""
    return cell_text(value) in ("", *_MISSING) if isinstance(value, str) else value is None or value != value


def parse_cell(cell: str) -> Any:
    """Return the list or mapping that a cell holds as JSON or Python, else the cell."""
    text = cell.strip()
    if not text.startswith(("[", "{")) or len(text) > _MAX_LIST:
        return cell
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            value = read(text)
            return cell if isinstance(value, set) or (read is not json.loads and _JOINED.search(text)) else value
    return cell
