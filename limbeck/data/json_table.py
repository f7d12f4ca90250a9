"""Rows out of JSON text: a line each, an array, one after the other, or one object that holds all."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError

log = logging.getLogger(__name__)

_BETWEEN = re.compile(r"[\s,]*")  # between rows: a comma too many harms nothing
_COMMENT = re.compile(r"(?://|#)[^\n]*")
_DECODER = json.JSONDecoder()
# keys under which a whole file's rows lie
_WRAPPERS = {"data", "rows", "examples", "train", "test", "validation", "valid", "dev", "items", "records", "questions"}
_TURNS = {"messages", "conversations", "conversation", "prompt"}  # their objects are turns of one row


def json_rows(text: str, path: Path, max_row_bytes: int) -> list[tuple[str, dict[str, Any]]]:
    """Read every row, after the words that say where it stands.

    The text is objects one after the other (as a rule one a line), or an array of them. A file that is one object is
    unwrapped: `{"data": [...]}`, `{"0": {...}, "1": {...}}`, and the forms of pandas, `{"input": {"0": ...}}`,
    `{"input": [...]}` and `{"columns": [...], "data": [[...]]}`. Lines that are comments (`//`, `#`) are passed over.

    Raises:
        LimbeckError: a row is no JSON object or longer than `max_row_bytes`; names its line.
    """
    values = list(_values(text, path, max_row_bytes))
    if len(values) == 1 and isinstance(values[0][1], dict) and not values[0][2]:
        inner = _unwrapped(values[0][1], path)
        if inner is not None:
            return [(f"{path}: item {number}", row) for number, row in enumerate(inner, start=1)]
    for where, value, _ in values:
        if not isinstance(value, dict):
            raise LimbeckError(f"{where}: a JSON object was expected, not {type(value).__name__}")
    return [(where, value) for where, value, _ in values]


def _values(text: str, path: Path, max_row_bytes: int) -> Iterator[tuple[str, Any, bool]]:
    """Yield each value with the place where it begins, and whether it lies in an array."""
    position, line, items, comments = 0, 1, 0, 0
    array: int | None = None  # the line where the array began
    while True:
        start = _BETWEEN.match(text, position).end()  # type: ignore[union-attr]
        line += text.count("\n", position, start)
        position = start
        if position == len(text):
            break
        if comment := _COMMENT.match(text, position):
            comments, position = comments + 1, comment.end()
        elif text[position] == "[" and array is None:
            array, items, position = line, 0, position + 1
        elif text[position] == "]" and array is not None:
            array, position = None, position + 1
        else:
            items += 1
            where = f"{path}:{line}" if array is None else f"{path}: item {items}"
            value, end = _decoded(text, position, f"{path}:{line}")
            if end - position > max_row_bytes:
                raise too_long(where, max_row_bytes)
            yield where, value, array is not None
            line += text.count("\n", position, end)
            position = end
    if array is not None:
        raise LimbeckError(f"{path}:{line}: the array that began on line {array} is not closed: was the file cut off?")
    if comments:
        log.info("%s: %d comments were passed over", path, comments)


def _decoded(text: str, position: int, where: str) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        cut = "; the file ends within a row: was it cut off?" if _at_end(error) else ""
        raise LimbeckError(f"{where}: not JSON ({error.msg}, line {error.lineno}, column {error.colno}{cut})") from None
    except RecursionError:
        raise LimbeckError(f"{where}: not JSON (nested too deeply)") from None
    except ValueError:  # an integer of thousands of digits
        raise LimbeckError(f"{where}: a number is too long to be read") from None


def _at_end(error: json.JSONDecodeError) -> bool:
    return error.msg.startswith("Unterminated") or error.pos >= len(error.doc)


def too_long(where: str, max_row_bytes: int) -> LimbeckError:
    """Return the error for a row beyond the limit."""
    return LimbeckError(
        f"{where}: the row is longer than {max_row_bytes:,} bytes; mend it, or set a higher max_row_bytes in the source"
    )


def _unwrapped(document: dict[str, Any], path: Path) -> list[dict[str, Any]] | None:
    """Return the rows inside of the one object of a file; None where it is a row itself."""
    if isinstance(document.get("columns"), list) and _lists(document.get("data")):
        return [dict(zip(map(str, document["columns"]), row, strict=False)) for row in document["data"]]
    lines = ".jsonl" in path.suffixes  # a row each, so that what one holds under a name of its own is the row's
    names = [name for name, value in document.items() if _objects(value)]
    alone = len(document) == 1 and not lines
    wrappers = [name for name in names if name in _WRAPPERS or (alone and name not in _TURNS)]
    if len(wrappers) > 1:
        raise LimbeckError(f"{path}: holds several lists of rows, {wrappers!r:.100}; write each to a file of its own")
    if wrappers:
        return list(document[wrappers[0]])
    values = list(document.values())
    if values and all(isinstance(value, dict) for value in values):
        keys = list(values[0])
        if keys and all(key.isdecimal() for key in keys) and all(list(value) == keys for value in values):
            return [{name: column[key] for name, column in document.items()} for key in keys]  # pandas: by column
        return values if len(values) > 1 else None
    columns = len(values) > 1 and not names and all(isinstance(value, list) for value in values)
    if columns and not lines and len({len(value) for value in values}) == 1:
        return [dict(zip(document, cells, strict=True)) for cells in zip(*values, strict=True)]
    return None


def _objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _lists(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, list) for item in value)
