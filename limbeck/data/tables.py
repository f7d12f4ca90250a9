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
from collections.abc import Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from limbeck.errors import DataError, FileError
from limbeck.files import decoded, opened

if TYPE_CHECKING:
    import pyarrow as pa

# with its location: `r.jsonl:3`, `r.json: item 3`, `r.parquet: row 3`
LocatedRow = tuple[str, dict[str, Any]]
Rows = list[LocatedRow]

MAX_ROW_BYTES = 10_000_000
_TOO_LONG = "the row is too long; mend it, or raise max_row_bytes"
_MISSING = {"nan", "NaN", "null", "NULL", "None", "NA", "N/A", "<NA>"}  # "none" and "na" are answers
_COMPRESSED = (".gz", ".zst")
_JSON_LINES = (".jsonl", ".ndjson")
_GAP = re.compile(r"(?:[\s,]|//[^\n]*|#[^\n]*)*")  # between JSON values
_LAST_COMMA = re.compile(r",\s*\]\s*\Z")
_WRAPPERS = ("data", "rows", "examples", "items", "records", "questions", "train", "test")  # keys of all rows
_PIECE = 1 << 22  # bytes read at a time
_MAX_LIST = 1 << 20  # characters of a printed list
_JOINED = re.compile(r"['\"]\s+['\"]")  # in numpy's lists, whose texts Python would join
_WHOLE_FLOAT = re.compile(r"-?\d{1,15}\.0")  # pandas writes an integer column with nulls as floats


def read_table(path: Path, max_row_bytes: int = MAX_ROW_BYTES) -> Rows:
    """Return the rows of a table, at least one. Raises as `table_rows`."""
    return list(table_rows(path, max_row_bytes))


def table_rows(path: Path, max_row_bytes: int = MAX_ROW_BYTES) -> Iterator[LocatedRow]:
    """Yield rows of a JSON, CSV or Parquet file, plain or compressed by gzip or Zstandard; `-` is standard input.

    The suffix names the format; other files hold JSON if they begin like it, else delimited text. Raises LimbeckError
    for a damaged file or row, for a row that is too long, and where there are no rows.
    """
    suffix = (path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path).suffix.lower()
    empty = True
    with opened(path) as file:
        try:
            for row in _rows(file, path, suffix, max_row_bytes):
                empty = False
                yield row
        except (OSError, ValueError, RuntimeError, EOFError, zlib.error) as error:
            raise FileError(f"{str(path)!r}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if empty:
        raise DataError("no rows", path=path)


def _rows(file: io.BufferedReader, path: Path, suffix: str, max_row_bytes: int) -> Iterator[LocatedRow]:
    stream: Any = file
    begin = file.peek(4)
    if begin.startswith(b"\x1f\x8b"):
        stream = gzip.GzipFile(fileobj=file)
    elif begin.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow  # slow to import

        stream = pyarrow.CompressedInputStream(file, "zstd")
    if suffix == ".parquet":
        yield from _parquet_rows(stream, str(path))
        return
    pieces = _pieces(stream, path)
    first = next(pieces, "")
    json_like = suffix not in (".csv", ".tsv") and first.lstrip().startswith(("{", "["))
    read = json_rows if suffix in (*_JSON_LINES, ".json") or json_like else csv_rows
    yield from read(chain([first], pieces), path, max_row_bytes)


def _pieces(stream: BinaryIO, path: Path) -> Iterator[str]:
    """Yield a text file's content in pieces of whole lines."""
    rest, line = b"", 1
    while content := stream.read(_PIECE):
        lines, newline, rest = (rest + content).rpartition(b"\n")
        if newline:
            yield decoded(lines + newline, path, line)
            line += lines.count(b"\n") + 1
    if rest:
        yield decoded(rest, path, line)


def stem(path: Path) -> str:
    """Return the file's name without suffixes of format and compression."""
    return path.with_suffix("").stem if path.suffix.lower() in _COMPRESSED else path.stem


def json_rows(pieces: Iterable[str], path: Path, max_row_bytes: int = MAX_ROW_BYTES) -> Iterator[LocatedRow]:
    """Yield rows from JSON objects in sequence, in an array, or in an object as in docs/data.md.

    Outside arrays, comment lines (`//`, `#`) and extra commas are skipped, and a row's length is checked. A piece of
    the text ends with a line.
    """
    values = _json_values(pieces, path)
    head = list(islice(values, 2))
    items = _items(head[0][1], path) if len(head) == 1 else None
    if items is not None:
        head = [(f"{path}: item {number}", item, 0) for number, item in enumerate(items, start=1)]
    for location, value, length in chain(head, values):
        if length > max_row_bytes:
            raise DataError(f"{location}: {_TOO_LONG}")
        if not isinstance(value, dict):
            raise DataError(f"{location}: a JSON object was expected, not {type(value).__name__}")
        yield location, value


def _json_values(pieces: Iterable[str], path: Path) -> Iterator[tuple[str, Any, int]]:
    """Yield JSON values in sequence, each with its location and length."""
    pieces, decoder = iter(pieces), json.JSONDecoder()
    text, end, line, count = "", 0, 1, 1
    while True:
        start = _GAP.match(text, end).end()  # type: ignore[union-attr]
        try:
            value, stop = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            # a value may go on in the next pieces, and a long one is not read again for each of them
            cut = getattr(error, "pos", -1) >= len(text.rstrip()) - 1
            if cut and (more := "".join(islice(pieces, count))):
                text, end, count = text[end:] + more, 0, 2 * count
                continue
            if start == len(text):
                return
            if (mended := _LAST_COMMA.sub("]", text)) != text:
                text = mended
                continue
            line += text.count("\n", end, start)
            raise DataError(f"not JSON ({error}); is the row cut off?", path=path, line=line) from None
        line += text.count("\n", end, start)
        yield f"{path}:{line}", value, stop - start
        line += text.count("\n", start, stop)
        end, count = stop, 1


def _items(document: Any, path: Path) -> list[Any] | None:
    """Return the rows in a file's only value; None if that is itself a row."""
    if not isinstance(document, dict) or any(suffix.lower() in _JSON_LINES for suffix in path.suffixes):
        return document if isinstance(document, list) else None
    wrapped = [document[name] for name in _WRAPPERS if isinstance(document.get(name), list)]
    keyed = len(document) > 1 and all(isinstance(value, dict) for value in document.values())
    return wrapped[0] if len(wrapped) == 1 else list(document.values()) if keyed else None


def csv_rows(pieces: Iterable[str], path: Path, max_row_bytes: int = MAX_ROW_BYTES) -> Iterator[LocatedRow]:
    """Yield rows from text delimited by what the header has most of, without blank lines and unnamed columns.

    All cells are text, and `1.0` is read as `1`. A piece of the text ends with a line.
    """
    csv.field_size_limit(max_row_bytes)  # for the process; an open quote soon exceeds it
    pieces = iter(pieces)
    first = next(pieces, "")
    delimiter = max(",;\t|", key=first.lstrip("\r\n").partition("\n")[0].count)
    lines = chain.from_iterable(io.StringIO(piece, newline="") for piece in chain([first], pieces))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] = []
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
                yield f"{path}:{line}", {name: cell for name, cell in zip(header, cells, strict=True) if name}
            line = reader.line_num + 1  # a cell may hold line breaks
    except csv.Error as error:
        reason = _TOO_LONG if "field larger" in str(error) else f"not CSV ({error})"
        raise DataError(reason, path=path, line=line) from None


def _parquet_rows(stream: Any, where: str) -> Iterator[LocatedRow]:
    import pyarrow.parquet

    if not isinstance(stream, io.BufferedReader) or not stream.seekable():
        stream = io.BytesIO(stream.read())
    start = 1
    for batch in pyarrow.parquet.ParquetFile(stream).iter_batches():
        yield from arrow_rows(pyarrow.Table.from_batches([batch]), where, start)
        start += len(batch)


def arrow_rows(table: "pa.Table", where: str, start: int = 1) -> Rows:
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
    return [(f"{where}: row {number}", row) for number, row in enumerate(table.to_pylist(), start)]


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
