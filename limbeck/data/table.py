"""A user's own data: JSON lines, CSV or Parquet, with columns `input`, `label` and more, under whatever names."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from limbeck.data.rows import check_label
from limbeck.errors import LimbeckError
from limbeck.files import read_json, read_jsonl, read_text
from limbeck.schema import Example, listing
from limbeck.settings import Settings
from limbeck.tasks import TASKS, Row, Task
from limbeck.tasks.task import row_id, text, text_field

Column = Literal["input", "label", "rationale", "id", "teacher_label", "choices"]
Columns = Mapping[Column, str]


class FilesSource(Settings):
    """One file a split; `train` is enough. `columns` maps our names to the files': `{input: question, label: answer}`.

    What is missing is carved from train: a test split by `DataSettings.test`, validation by `DataSettings.validation`.
    """

    kind: Literal["files"] = "files"
    train: Path
    valid: Path | None = None
    test: Path | None = None
    columns: dict[Column, str] = Field(default_factory=dict)

    def read(self, task: Task) -> dict[str, list[Example]]:
        """The splits that were given. Raises LimbeckError as `read_rows`."""
        paths = {"train": self.train, "valid": self.valid, "test": self.test}
        return {
            split: read_rows(path, self.columns, labelled=True, task=task)
            for split, path in paths.items()
            if path is not None
        }


def read_rows(
    path: Path, columns: Columns | None = None, labelled: bool = True, task: Task | None = None
) -> list[Example]:
    """The examples in a JSONL, JSON (a list of objects, or one a line), CSV or Parquet file.

    A row has an `input` (a text, or a list of texts: its segments), a `label`, and where known a `rationale`, an `id`,
    a `teacher_label`, and `choices` (a list of texts; in CSV written as a JSON list). `columns` maps these names to the
    file's own; other columns are ignored. A row without `input` may have the fields of the task instead (`premise` and
    `hypothesis`; `question` and `choices`). Without an id, the file's name and the row's index are taken.
    If not `labelled`, rows may lack the label: theirs is then "", which no labelled row can have.

    Raises:
        LimbeckError: names file, line (in Parquet the row, in a JSON list the item, from 1) and field.
    """
    task = task or TASKS["custom"]
    columns = columns or {}
    rows = table_rows(path)
    check_columns(columns, (row for _, row in rows), str(path))
    return distinct(
        (where, table_example(row, task, columns, f"{path.stem}-{index}", where, labelled))
        for index, (where, row) in enumerate(rows)
    )


def distinct(examples: Iterable[tuple[str, Example]]) -> list[Example]:
    """The examples, each of which comes after the words that say where it stands.

    Raises:
        LimbeckError: an id stands twice; names both places.
    """
    seen: dict[str, str] = {}
    kept = []
    for where, example in examples:
        if example.id in seen:
            raise LimbeckError(f"{where}: field 'id': {example.id!r:.60} stands already at {seen[example.id]}")
        seen[example.id] = where
        kept.append(example)
    return kept


def check_columns(columns: Columns, rows: Iterable[Row], where: str) -> None:
    """Check that each renamed column is in at least one row: else its name is mistyped.

    Raises:
        LimbeckError: it is in none.
    """
    present = {name for row in rows for name in row}
    for ours, theirs in columns.items():
        if theirs not in present:
            raise LimbeckError(f"{where}: no column {theirs!r}, named for {ours!r}; there are {sorted(present)!r:.200}")


def table_example(row: Row, task: Task, columns: Columns, id: str, where: str, labelled: bool = True) -> Example:
    """One row as an example: see `read_rows`.

    Raises:
        LimbeckError: names `where` and the field.
    """
    ours = {name: value for name, value in row.items() if name not in columns}
    ours |= {name: row[theirs] for name, theirs in columns.items() if theirs in row}
    try:
        if ours.get("choices") is not None:
            ours["choices"] = _choices(ours["choices"])
        plain = "input" in ours or task.name == "custom"
        example = _plain(ours, task, id) if plain else task.read(ours, id)
        check_label(example, "label" if plain else task.label_field, labelled)
        rationale, teacher_label = ours.get("rationale"), _from_number(ours.get("teacher_label"))
        if not _blank(teacher_label):
            check_label(replace(example, label=text(teacher_label, "teacher_label")), "teacher_label", labelled)
        return replace(
            example,
            rationale=None if _blank(rationale) else text(rationale, "rationale"),
            teacher_label=None if _blank(teacher_label) else text(teacher_label, "teacher_label"),
        )
    except LimbeckError as error:
        renamed = ", ".join(f"{name!r} is the column {theirs!r}" for name, theirs in columns.items())
        raise LimbeckError(f"{where}: {error}" + (f" ({renamed})" if renamed else "")) from None


def _plain(row: Row, task: Task, id: str) -> Example:
    given, label = row.get("input"), _from_number(row.get("label"))
    if isinstance(given, list) and given:
        segments = tuple(text(segment, "input") for segment in given)
    else:
        segments = (text_field(row, "input"),)
    known = "" if _blank(label) else text(label, "label")
    choices = tuple(row.get("choices") or ())
    if not choices or set(choices) == set(task.choices):
        return Example(row_id(row, id), segments, known, choices=choices or task.choices)
    # an input that ends with its choices, as CommonsenseQA's were once exported, is not to have them twice
    segments = (*segments[:-1], segments[-1].removesuffix(listing(choices)) or segments[-1])
    return Example(row_id(row, id), segments, known, choices=choices, own_choices=True)


def _choices(value: Any) -> list[str]:
    """The choices as a list; CSV, which knows only text, holds them as JSON."""
    if isinstance(value, str) and not value.strip():
        return []
    try:
        choices = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        choices = None
    if not isinstance(choices, list):
        raise LimbeckError(f"field 'choices': a list of texts was expected, not {value!r:.60}")
    return [text(_from_number(choice), "choices") for choice in choices]


def _from_number(value: Any) -> Any:
    """A number as its text; anything else as it is."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return str(value) if number else value


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def table_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Each row of a JSONL, JSON, CSV or Parquet file, after the words that say where it stands.

    Raises:
        LimbeckError: the file cannot be read (names the line), or has no rows.
    """
    rows = list(_rows(path))
    if not rows:
        raise LimbeckError(f"{path}: no rows")
    return rows


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    match path.suffix.lower():
        case ".json" if read_text(path).lstrip().startswith("["):
            return _json_rows(path)
        case ".jsonl" | ".json":
            return ((f"{path}:{line}", row) for line, row in read_jsonl(path))
        case ".csv":
            return _csv_rows(path)
        case ".parquet":
            return _parquet_rows(path)
        case other:
            raise LimbeckError(f"{path}: the suffix {other!r} is none of .jsonl, .json, .csv, .parquet")


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, row in enumerate(read_json(path), start=1):
        if not isinstance(row, dict):
            raise LimbeckError(f"{path}: item {number}: a JSON object was expected, not {type(row).__name__}")
        yield f"{path}: item {number}", row


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) != len(header):
            raise LimbeckError(f"{path}:1: a column name stands twice in {header!r:.200}")
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                raise LimbeckError(f"{path}:{line}: {len(cells)} cells, but the header has {len(header)}")
            if cells:
                yield f"{path}:{line}", dict(zip(header, cells, strict=True))
            line = reader.line_num + 1  # where the next row begins: a cell may hold line breaks
    except csv.Error as error:
        raise LimbeckError(f"{path}:{reader.line_num}: not CSV ({error})") from None


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with path.open("rb") as stream:
            rows = pyarrow.parquet.read_table(stream).to_pylist()
    except FileNotFoundError:
        raise LimbeckError(f"{path}: no such file") from None
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise LimbeckError(f"{path}: cannot be read as Parquet ({error!s:.200})") from None
    for number, row in enumerate(rows, start=1):
        yield f"{path}: row {number}", row
