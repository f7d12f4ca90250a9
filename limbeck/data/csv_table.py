"""Rows out of delimited text: CSV, TSV and their kin, whichever delimiter a program took."""

import csv
import io
import logging
import re
from pathlib import Path
from typing import Any

from limbeck.data.json_table import too_long
from limbeck.errors import LimbeckError

log = logging.getLogger(__name__)

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SAMPLE = 1 << 16  # characters that the delimiter is judged by
_WHOLE = re.compile(r"-?\d{1,15}\.0")  # pandas writes an integer column with nulls so
_Lines = list[tuple[int, list[str]]]  # the line where a row begins, and its cells


def csv_rows(text: str, path: Path, max_row_bytes: int) -> list[tuple[str, dict[str, Any]]]:
    """Read every row, after the words that say where it stands; all cells are text.

    The delimiter is the one of comma, semicolon, tab and bar by which the rows are as wide as the header; what is no
    comma is logged. Columns without a name (pandas' index) are left out, blank lines and lines that are comments passed
    over, and a whole number written as `1.0` is read as `1`.

    Raises:
        LimbeckError: a row is not as wide as the header or longer than `max_row_bytes`, a name stands twice, or two
            delimiters part all rows alike.
    """
    text, delimiter = _declared(text)
    delimiter = delimiter or _delimiter(text[:_SAMPLE], path)
    if delimiter != ",":
        log.info("%s: read as values between %s", path, _DELIMITERS.get(delimiter, repr(delimiter)))
    lines = _lines(text, delimiter, path, max_row_bytes)
    while len(lines) > 1 and _comment(lines[0][1]) and len(lines[0][1]) != len(lines[1][1]):
        del lines[0]
    if not lines:
        return []
    (first, header), *rows = lines
    header = [name.strip() for name in header]
    names = [name for name in header if name]
    if len(set(names)) != len(names):
        raise LimbeckError(f"{path}:{first}: a column name stands twice in {header!r:.200}")
    return [
        (f"{path}:{line}", {name: _plain(cell) for name, cell in zip(header, cells, strict=True) if name})
        for line, cells in _whole(rows, len(header), path)
    ]


def _whole(rows: _Lines, width: int, path: Path) -> _Lines:
    """Return the rows as wide as the header, without comments and without blank cells beyond its end.

    Raises:
        LimbeckError: a row has fewer or more cells; names its line.
    """
    whole, comments = [], 0
    for line, cells in rows:
        surplus = cells[width:]
        if len(cells) == 1 < width and _comment(cells):
            comments += 1
        elif len(cells) < width or any(cell.strip() for cell in surplus):
            raise LimbeckError(f"{path}:{line}: {len(cells)} cells, but the header has {width}")
        else:
            whole.append((line, cells[:width]))
    if comments:
        log.info("%s: %d comments were passed over", path, comments)
    return whole


def _comment(cells: list[str]) -> bool:
    return cells[0].lstrip().startswith(("#", "//"))


def _plain(cell: str) -> str:
    return cell[:-2] if _WHOLE.fullmatch(cell) else cell


def _declared(text: str) -> tuple[str, str | None]:
    """Return the text after a first line `sep=;`, which spreadsheets write, and the delimiter that it names."""
    mark = re.match(r"sep=(.)\r?\n", text)
    return (text[mark.end() :], mark[1]) if mark else (text, None)


def _delimiter(sample: str, path: Path) -> str:
    """Return the delimiter that parts the header, of several the one by which most rows are as wide as it.

    Raises:
        LimbeckError: they are so by several; tabs in a file named .tsv are meant.
    """
    usual = "\t" if ".tsv" in path.suffixes else ","
    scores = {}
    for delimiter in _DELIMITERS:
        widths = [len(cells) for cells in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if cells]
        widths = widths[:-1] if len(widths) > 2 else widths  # the sample's end may cut the last row
        if widths and max(widths) > 1:
            width = max(set(widths), key=widths.count)
            scores[delimiter] = (width > 1, widths[0] > 1, widths.count(width) / len(widths), delimiter == usual, width)
    even = [_DELIMITERS[delimiter] for delimiter, score in scores.items() if score[1] and score[2] == 1]
    if len(even) > 1 and not (usual == "\t" and "tabs" in even):
        raise LimbeckError(
            f"{path}:1: all rows could be parted by {' or by '.join(even)}; write a line like `sep=;` before the header"
        )
    best = max(scores, key=scores.__getitem__, default=usual)
    return best if scores and scores[best][1] else usual


def _lines(text: str, delimiter: str, path: Path, max_row_bytes: int) -> _Lines:
    """Return the rows that are not blank. Tabs may part cells whose quotes mean nothing: where quoting fails."""
    try:
        return _parsed(text, delimiter, max_row_bytes)
    except _QuotingError as error:
        where = f"{path}:{error.line}"
        if "field limit" in str(error):
            raise too_long(where, max_row_bytes) from None
        if delimiter == "\t":
            lines = _parsed(text, delimiter, max_row_bytes, csv.QUOTE_NONE)
            if len({len(cells) for _, cells in lines}) == 1:
                log.info("%s: quotes are read as characters, since they enclose no cells", path)
                return lines
        raise LimbeckError(f"{where}: not CSV ({error})") from None


class _QuotingError(Exception):
    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def _parsed(text: str, delimiter: str, max_row_bytes: int, quoting: int = csv.QUOTE_MINIMAL) -> _Lines:
    spaced = re.match(rf'[^\n"]*?{re.escape(delimiter)} ', text) is not None  # "input, label": blanks before quotes
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=delimiter, strict=True, skipinitialspace=spaced, quoting=quoting)  # type: ignore[arg-type]
    lines, line = [], 1
    usual = csv.field_size_limit(max_row_bytes)  # of the whole process: put back below
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if sum(map(len, cells)) > max_row_bytes:
                    raise csv.Error("field limit")
                lines.append((line, cells))
            line = reader.line_num + 1  # where the next row begins: a cell may hold line breaks
    except csv.Error as error:
        raise _QuotingError(str(error), line) from None
    finally:
        csv.field_size_limit(usual)
    return lines
