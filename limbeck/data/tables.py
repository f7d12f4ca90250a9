"""Tables as users have them: JSON, delimited text or Parquet, plain or compressed."""

import csv
import gzip
import io
import json
import logging
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from limbeck.errors import DataError, FileError
from limbeck.files import STDIO

log = logging.getLogger(__name__)

Rows = list[tuple[str, dict[str, Any]]]
"""The rows of a table, each after its location: `rows.jsonl:3`, `rows.json: item 3`, `rows.parquet: row 3`."""

MAX_ROW_BYTES = 10_000_000
_COMPRESSED = (".gz", ".zst")
_JSON = {".jsonl", ".ndjson", ".json"}
_DELIMITED = {".csv", ".tsv"}
_TEXT = {".txt", ""}
_KNOWN = ".jsonl, .ndjson, .json, .csv, .tsv, .parquet, each also with .gz or .zst after it"
_BYTE_ORDER_MARKS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}

_SEPARATOR = re.compile(r"[\s,]*")  # between JSON values; a comma too many is harmless
_COMMENT = re.compile(r"(?://|#)[^\n]*")
# keys under which all rows of a file lie
_WRAPPERS = {"data", "rows", "examples", "train", "test", "validation", "valid", "dev", "items", "records", "questions"}
_TURNS = {"messages", "conversations", "conversation", "prompt"}  # their objects are the turns of one row

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SAMPLE = 1 << 16  # characters by which the delimiter is judged
_WHOLE_FLOAT = re.compile(r"-?\d{1,15}\.0")  # pandas writes an integer column with nulls as floats


def read_table(path: Path, max_row_bytes: int = MAX_ROW_BYTES) -> Rows:
    """Read the rows of a JSON, CSV or Parquet file.

    The suffix names the format; a file called `.txt`, one without suffix, and a pipe or `-` (standard input) hold JSON
    if the text begins like it, else delimited text. Compression (gzip, Zstandard) is known by content.

    Raises:
        FileError: the file cannot be read or has an unknown suffix.
        DataError: a row is damaged or longer than `max_row_bytes`, or there are no rows; names the line.
    """
    kind = format_suffix(path)
    if kind not in {".parquet", *_JSON, *_DELIMITED, *_TEXT}:
        raise FileError(f"the suffix {kind!r} is none of {_KNOWN}; save the table as one of these", path=path)
    content = _read_bytes(path)
    if kind == ".parquet":
        from limbeck.data.arrow import parquet_rows  # pyarrow takes long to import

        rows = parquet_rows(content, path, max_row_bytes)
    else:
        text = _decode(content, path)
        is_json = kind in _JSON or (kind in _TEXT and text.lstrip().startswith(("{", "[")))
        rows = (json_rows if is_json else csv_rows)(text, path, max_row_bytes)
    if not rows:
        raise DataError("no rows", path=path)
    return rows


def format_suffix(path: Path) -> str:
    """Return the suffix that names the format, in small letters: `.jsonl` of `a.JSONL.gz`."""
    return (path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path).suffix.lower()


def stem(path: Path) -> str:
    """Return the file's name without the suffixes of its format and compression."""
    return path.with_suffix("").stem if path.suffix.lower() in _COMPRESSED else path.stem


def row_too_long(location: str, max_row_bytes: int) -> DataError:
    """Return the error for a row beyond the limit."""
    advice = "mend it, or raise max_row_bytes of the recipe's source"
    return DataError(f"{location}: the row is longer than {max_row_bytes:,} bytes; {advice}")


def _read_bytes(path: Path) -> bytes:
    """Return the file's content, decompressed."""
    try:
        with open(0 if path == STDIO else path, "rb", closefd=path != STDIO) as file:
            stream: BinaryIO = file
            head = file.peek(4)
            if head.startswith(b"\x1f\x8b"):
                stream = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]
            elif head.startswith(b"\x28\xb5\x2f\xfd"):
                from limbeck.data.arrow import zstd_stream

                stream = zstd_stream(file)
            return stream.read()
    except FileNotFoundError:
        raise FileError("no such file", path=path) from None
    except (OSError, ValueError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or f"{error!s:.200}; is the file damaged or cut off?"
        raise FileError(f"cannot be read ({reason})", path=repr(str(path)) if "\0" in str(path) else path) from None


def _decode(content: bytes, path: Path) -> str:
    """Return UTF-8 text without a byte order mark; an error names another encoding as far as it can be known."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            raise _not_utf8(path, 1, encoding)
    if b"\0" in content[:4]:
        raise _not_utf8(path, 1, "UTF-16")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        encoding = "WINDOWS-1252" if re.search(rb"[\x80-\x9f]", content) else "ISO-8859-1"
        raise _not_utf8(path, content.count(b"\n", 0, error.start) + 1, encoding) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError("NUL bytes; was the file cut off while it was written?", path=path, line=line)
    return text


def _not_utf8(path: Path, line: int, encoding: str) -> DataError:
    advice = f"convert it, like `iconv -f {encoding} -t UTF-8 OLD > NEW`"
    return DataError(f"not UTF-8 text, but {encoding} by its bytes: {advice}", path=path, line=line)


def json_rows(text: str, path: Path, max_row_bytes: int = MAX_ROW_BYTES) -> Rows:
    """Read rows from JSON objects, one after the other (usually one a line) or in an array.

    A file that is one object is unwrapped: `{"data": [...]}`, `{"0": {...}, "1": {...}}`, and the forms of pandas,
    `{"input": {"0": ...}}`, `{"input": [...]}` and `{"columns": [...], "data": [[...]]}`. Comment lines (`//`, `#`) are
    skipped.

    Raises DataError: a row is no JSON object or is longer than `max_row_bytes`; names its line.
    """
    values = list(_json_values(text, path, max_row_bytes))
    if len(values) == 1 and isinstance(values[0][1], dict) and ": item" not in values[0][0]:
        rows = _unwrap(values[0][1], path)
        if rows is not None:
            return [(f"{path}: item {number}", row) for number, row in enumerate(rows, start=1)]
    for location, value in values:
        if not isinstance(value, dict):
            raise DataError(f"{location}: a JSON object was expected, not {type(value).__name__}")
    return values


def _json_values(text: str, path: Path, max_row_bytes: int) -> Iterator[tuple[str, Any]]:
    """Yield each value after its location: its line, or its number where it lies in an array."""
    decoder = json.JSONDecoder()
    position, line, items, comments = 0, 1, 0, 0
    array_line: int | None = None
    while True:
        start = _SEPARATOR.match(text, position).end()  # type: ignore[union-attr]
        line += text.count("\n", position, start)
        position = start
        if position == len(text):
            break
        if comment := _COMMENT.match(text, position):
            comments, position = comments + 1, comment.end()
        elif text[position] == "[" and array_line is None:
            array_line, items, position = line, 0, position + 1
        elif text[position] == "]" and array_line is not None:
            array_line, position = None, position + 1
        else:
            items += 1
            location = f"{path}:{line}" if array_line is None else f"{path}: item {items}"
            try:
                value, end = decoder.raw_decode(text, position)
            except json.JSONDecodeError as error:
                at_end = error.msg.startswith("Unterminated") or error.pos >= len(text)
                cut = "; the file ends within a row: was it cut off?" if at_end else ""
                message = f"not JSON ({error.msg}, line {error.lineno}, column {error.colno}{cut})"
                raise DataError(message, path=path, line=line) from None
            except (RecursionError, ValueError):  # ValueError: an integer of thousands of digits
                raise DataError("nested too deeply, or a number is too long", path=path, line=line) from None
            if end - position > max_row_bytes:
                raise row_too_long(location, max_row_bytes)
            yield location, value
            line += text.count("\n", position, end)
            position = end
    if array_line is not None:
        raise DataError(f"the array that began on line {array_line} is not closed", path=path, line=line)
    if comments:
        log.info("%s: skipped %d comments", path, comments)


def _unwrap(document: dict[str, Any], path: Path) -> list[dict[str, Any]] | None:
    """Return the rows inside the only object of a file; None if it is itself a row."""
    values = list(document.values())
    table = document.get("data")
    if isinstance(document.get("columns"), list) and _is_list_of(table, list):
        return [dict(zip(map(str, document["columns"]), row, strict=False)) for row in table]  # type: ignore[union-attr]
    one_per_line = ".jsonl" in path.suffixes  # then the object is a row, unless its key says otherwise
    lists = [name for name, value in document.items() if _is_list_of(value, dict)]
    alone = len(document) == 1 and not one_per_line
    wrappers = [name for name in lists if name in _WRAPPERS or (alone and name not in _TURNS)]
    if len(wrappers) > 1:
        raise DataError(f"holds several lists of rows, {wrappers!r:.100}; write each to its own file", path=path)
    if wrappers:
        return list(document[wrappers[0]])
    if values and all(isinstance(value, dict) for value in values):
        keys = list(values[0])
        if keys and all(key.isdecimal() for key in keys) and all(list(value) == keys for value in values):
            return [{name: column[key] for name, column in document.items()} for key in keys]  # pandas: by column
        return values if len(values) > 1 and not one_per_line else None
    columns = len(values) > 1 and not lists and not one_per_line and all(isinstance(value, list) for value in values)
    if columns and len(set(map(len, values))) == 1:
        return [dict(zip(document, cells, strict=True)) for cells in zip(*values, strict=True)]
    return None


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, kind) for item in value)


def csv_rows(text: str, path: Path, max_row_bytes: int = MAX_ROW_BYTES) -> Rows:
    """Read rows from delimited text; all cells are text.

    The delimiter is a comma, semicolon, tab or bar: the one for which the rows are as wide as the header, or the one
    that a first line `sep=;` names. Columns without a name (pandas' index), blank lines and comment lines are skipped,
    and a whole number written as `1.0` is read as `1`.

    Raises:
        DataError: a row is not as wide as the header or longer than `max_row_bytes`, a column name stands twice, or two
            delimiters fit.
    """
    declared = re.match(r"sep=(.)\r?\n", text)
    text = text[declared.end() :] if declared else text
    delimiter = declared[1] if declared else _find_delimiter(text[:_SAMPLE], path)
    if delimiter != ",":
        log.info("%s: read as values between %s", path, _DELIMITERS.get(delimiter, repr(delimiter)))
    lines = _parse_lines(text, delimiter, path, max_row_bytes)
    while len(lines) > 1 and _is_comment(lines[0][1]) and len(lines[0][1]) != len(lines[1][1]):
        del lines[0]
    if not lines:
        return []
    header_line, header = lines[0][0], [name.strip() for name in lines[0][1]]
    width, names = len(header), [name for name in header if name]
    if len(set(names)) != len(names):
        raise DataError(f"a column name stands twice in {header!r:.200}", path=path, line=header_line)
    rows: Rows = []
    for line, cells in lines[1:]:
        if len(cells) == 1 < width and _is_comment(cells):
            continue
        if len(cells) < width or any(cell.strip() for cell in cells[width:]):
            raise DataError(f"{len(cells)} cells, but the header has {width}", path=path, line=line)
        values = (cell[:-2] if _WHOLE_FLOAT.fullmatch(cell) else cell for cell in cells)
        rows.append((f"{path}:{line}", {name: value for name, value in zip(header, values, strict=False) if name}))
    if skipped := len(lines) - 1 - len(rows):
        log.info("%s: skipped %d comments", path, skipped)
    return rows


def _is_comment(cells: list[str]) -> bool:
    return cells[0].lstrip().startswith(("#", "//"))


def _find_delimiter(sample: str, path: Path) -> str:
    """Return the delimiter that splits the header, and of several the one for which most rows are equally wide.

    Raises DataError: all rows are equally wide by several; tabs in a file named .tsv are meant.
    """
    usual = "\t" if ".tsv" in path.suffixes else ","
    scores = {}
    for delimiter in _DELIMITERS:
        widths = [len(cells) for cells in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if cells]
        widths = widths[:-1] if len(widths) > 2 else widths  # the sample's end may cut the last row
        if widths and widths[0] > 1:
            width = max(set(widths), key=widths.count)
            scores[delimiter] = (width > 1, widths.count(width) / len(widths), delimiter == usual, width)
    even = [_DELIMITERS[delimiter] for delimiter, score in scores.items() if score[1] == 1]
    if len(even) > 1 and not (usual == "\t" and "tabs" in even):
        message = f"all rows could be split at {' or at '.join(even)}; write a line like `sep=;` before the header"
        raise DataError(message, path=path, line=1)
    return max(scores, key=scores.__getitem__, default=usual)


def _parse_lines(
    text: str, delimiter: str, path: Path, max_row_bytes: int, *, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
) -> list[tuple[int, list[str]]]:
    """Return the cells of the lines that are not blank, each after the number of the line where the row begins."""
    spaced = re.match(rf'[^\n"]*?{re.escape(delimiter)} ', text) is not None  # "input, label": blanks before quotes
    options: Any = {"delimiter": delimiter, "strict": True, "skipinitialspace": spaced, "quoting": quoting}
    reader = csv.reader(io.StringIO(text, newline=""), **options)
    lines, line = [], 1
    default_limit = csv.field_size_limit(max_row_bytes)  # a setting of the whole process
    try:
        for cells in reader:
            if sum(map(len, cells)) > max_row_bytes:
                raise row_too_long(f"{path}:{line}", max_row_bytes)
            if any(cell.strip() for cell in cells):
                lines.append((line, cells))
            line = reader.line_num + 1  # a cell may hold line breaks
    except csv.Error as error:
        if "field larger" in str(error):
            raise row_too_long(f"{path}:{line}", max_row_bytes) from None
        if delimiter == "\t" and quoting == csv.QUOTE_MINIMAL:  # between tabs, quotes may be plain characters
            plain = _parse_lines(text, delimiter, path, max_row_bytes, quoting=csv.QUOTE_NONE)
            if len({len(cells) for _, cells in plain}) == 1:
                log.info("%s: quotes are read as characters, since they enclose no cells", path)
                return plain
        raise DataError(f"not CSV ({error})", path=path, line=line) from None
    finally:
        csv.field_size_limit(default_limit)
    return lines
