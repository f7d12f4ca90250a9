"""Rows of tables as examples: columns by limbeck's names, labels and choices as texts."""

import logging
import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np

from limbeck.data.choices import AMBIGUOUS, Choices, column_choices, find_choice, find_reading, read_choices
from limbeck.data.tables import (
    MAX_ROW_BYTES,
    LocatedRow,
    cell_text,
    is_missing,
    parse_cell,
    read_table,
    stem,
    table_rows,
)
from limbeck.errors import DataError, LimbeckError
from limbeck.schema import Example, listing
from limbeck.tasks import TASKS, Row, Task, normalise
from limbeck.tasks.task import text, without_calculations

log = logging.getLogger(__name__)

# fmt: off
Column = Literal[
    "input", "label", "rationale", "id", "teacher_label", "choices", "answers",
    "rationales", "rectified", "wrong_rationales", "reverse", "votes",
]
# fmt: on
# the file's names by limbeck's: one, several (`choices: [A, B, C]`), or a nested one (`question.stem`)
Columns = Mapping[Column, str | list[str]]
Item = TypeVar("Item")
TableRow = tuple[str, str, dict[str, Any]]  # location (`rows.jsonl:3`), id if it has none, cells


class TableFile:
    """The table of a file that is read anew in each pass."""

    def __init__(self, path: Path, max_row_bytes: int, start: int) -> None:
        """Take the number of rows in the files before it."""
        self.path, self.max_row_bytes, self.start = path.expanduser(), max_row_bytes, start
        self.names: set[str] = set()
        self._length = 0
        for _, row in table_rows(self.path, max_row_bytes):
            self.names.update(row)
            self._length += 1

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[TableRow]:
        return _numbered(table_rows(self.path, self.max_row_bytes), stem(self.path), self.start)


Table = list[TableRow] | TableFile

_USUAL: dict[Column, tuple[str, ...]] = {
    "input": ("input", "question", "prompt", "problem", "instruction", "query"),
    "label": ("label", "answer", "answerkey", "correct", "gold", "completion", "response", "output", "target"),
    "choices": ("choices", "options"),
}
_IDS = ("id", "uid", "ID")


@dataclass(frozen=True)
class Passes(Generic[Item]):
    """Items that are made anew in each pass over them, so that none is held."""

    make: Callable[[], Iterator[Item]]

    def __iter__(self) -> Iterator[Item]:
        return self.make()


class Draft(NamedTuple):
    """A row whose labels are still the file's names of its choices."""

    location: str
    example: Example
    choices: Choices


def read_rows(
    path: Path, columns: Columns | None = None, *, task: Task = TASKS["custom"], labelled: bool = True
) -> list[Example]:
    """Read examples from a file of JSON, CSV or Parquet; docs/data.md describes its columns.

    A missing id is the file's name and the row's index, a missing label ""; `labelled` rows need its column.
    Raises LimbeckError, with line and field, for an unreadable file or a wrong row.
    """
    return read_examples({"": read_files([path])}, columns or {}, task, labelled=labelled)[""]


def read_later_rows(path: Path, columns: Columns, task: Task) -> list[Example]:
    """Read examples, labelled or not; columns that the file lacks go by limbeck's or the usual names."""
    return read_later_table(read_files([path])[0], columns, task)


def read_later_table(table: Table, columns: Columns, task: Task) -> list[Example]:
    """Read the examples of a table as `read_later_rows` does."""
    present: Columns = {column: source for column, source in columns.items() if _has(_names(table), source)}
    return read_examples({"": [table]}, present, task, labelled=False)[""]


def read_files(paths: Iterable[Path], max_row_bytes: int = MAX_ROW_BYTES) -> list[list[TableRow]]:
    """Return each file's table; a row's id is its file's name and its index among the rows of all files."""
    tables: list[list[TableRow]] = []
    for path in paths:
        tables.append(numbered(read_table(path.expanduser(), max_row_bytes), stem(path), sum(map(len, tables))))
    return tables


def numbered(rows: Iterable[LocatedRow], name: str, start: int = 0) -> list[TableRow]:
    return list(_numbered(rows, name, start))


def _numbered(rows: Iterable[LocatedRow], name: str, start: int) -> Iterator[TableRow]:
    for index, (location, row) in enumerate(rows, start):
        yield location, f"{name}-{index}", row


def read_examples(
    splits: Mapping[str, Sequence[Table]], columns: Columns, task: Task, *, labelled: bool = True
) -> dict[str, list[Example]]:
    """Return the examples of each split, as `stream_examples` yields them."""
    streams = stream_examples(splits, columns, task, labelled=labelled)
    return {split: list(examples) for split, examples in streams.items()}


def stream_examples(
    splits: Mapping[str, Sequence[Table]], columns: Columns, task: Task, *, labelled: bool = True
) -> dict[str, Iterator[Example]]:
    """Return iterators over the examples of each split, which may consist of several tables.

    Every table has the input, and with `labelled` the label; one has the other `columns`. Labels name their choices in
    the same way in all. Raises DataError if an id stands twice in a split.
    """
    tables = list(chain(*splits.values()))
    if not all(tables):
        raise DataError("a split has no rows")
    for column, source in columns.items():
        lacking = [table for table in tables if not _has(_names(table), source)]
        required = column == "input" or (column == "label" and labelled)
        if lacking and (required or len(lacking) == len(tables)):
            names = f"{sorted(_names(lacking[0]))!r:.200}"
            raise DataError(
                f"{next(iter(lacking[0]))[0]}: no column {source!r}, named for {column!r}; there are {names}"
            )
    mappings = []
    for table in tables:
        published = task.fields and task.fields[0][0] in _names(table)
        mappings.append({**columns, **({} if published else _usual_columns(table, columns, labelled))})
    mapping, drafts = iter(mappings), dict[str, Iterable[Draft]]()
    for split in splits:
        pairs = list(zip(splits[split], mapping, strict=False))
        rows = Passes(partial(_drafts, pairs, task))
        drafts[split] = rows if any(isinstance(table, TableFile) for table, _ in pairs) else list(rows)
    reading = shared_reading(Passes(lambda: chain(*drafts.values())))
    return {split: unique(Passes(partial(_located, drafts[split], reading))) for split in splits}


def _drafts(tables: Sequence[tuple[Table, Columns]], task: Task) -> Iterator[Draft]:
    for table, columns in tables:
        for row in table:
            yield read_row(row, task, columns)


def _located(drafts: Iterable[Draft], reading: str | None) -> Iterator[tuple[str, Example]]:
    for draft in drafts:
        yield draft.location, resolved(draft, reading)


def _usual_columns(table: Table, columns: Columns, labelled: bool) -> dict[Column, str | list[str]]:
    """Return and log the usual names, in any case, for what `columns` lacks, where a table has exactly one."""
    location, names = next(iter(table))[0], _names(table)
    usual: dict[Column, str | list[str]] = {}
    if {"instruction", "input"} <= names and not {"input", "label"} & columns.keys() and "label" not in names:
        usual["input"] = ["instruction", "input"]  # Alpaca's
    for column, usual_names in _USUAL.items():
        if column in {*columns, *usual, *names} or (column == "label" and "answers" in {*names, *columns}):
            continue
        matches = sorted(name for name in names if name.casefold() in usual_names)
        if len(matches) == 1:
            usual[column] = matches[0]
        elif column == "input" or (column == "label" and labelled):
            advice = f"name it, like `columns: {{{column}: NAME}}`; there are {matches or sorted(names)!r:.200}"
            raise DataError(f"{location}: {column}: missing; {advice}")
    if usual:
        log.info("%s: read as columns: {%s}", location, ", ".join(f"{name}: {usual[name]}" for name in usual))
    return usual


def _names(table: Table) -> set[str]:
    return table.names if isinstance(table, TableFile) else {name for _, _, row in table for name in row}


def _has(names: set[str], source: str | list[str]) -> bool:
    return all({name, name.partition(".")[0]} & names for name in ([source] if isinstance(source, str) else source))


def _cell(row: Row, name: str) -> Any:
    """Return the value of a column, or of a nested one (`question.stem`), if any."""
    outer, _, inner = name.partition(".")
    return _cell(row[outer], inner) if name not in row and isinstance(row.get(outer), Mapping) else row.get(name)


def unique(examples: Iterable[tuple[str, Example]]) -> Iterator[Example]:
    """Yield examples without their locations. Raises DataError, after the last, if an id stands twice.

    The ids are not held: where two have one hash, they are compared in a second pass.
    """
    hashes = array("q")
    for _, example in examples:
        hashes.append(hash(example.id))
        yield example
    values, counts = np.unique(np.asarray(hashes), return_counts=True)
    repeated, locations = set(values[counts > 1].tolist()), dict[str, str]()
    for location, example in examples if repeated else ():
        if hash(example.id) in repeated and locations.setdefault(example.id, location) != location:
            raise DataError(f"{location}: id: {example.id!r:.60} stands already at {locations[example.id]}")


def read_row(table_row: TableRow, task: Task, columns: Columns) -> Draft:
    location, id, raw = table_row
    row = dict(raw)
    for column, source in columns.items():
        row[column] = _cell(raw, source) if isinstance(source, str) else [_cell(raw, name) for name in source]
    row = {name: value.replace("\0", "") if isinstance(value, str) else value for name, value in row.items()}
    question = row.get("input")
    if isinstance(question, Mapping) and "stem" in question:  # CommonsenseQA as it was released
        row = {"choices": question.get("choices"), **row, "input": question["stem"]}
    with located(location):
        if "input" not in row and task.fields and task.fields[0][0] in row:  # as the task was published
            segments = ["\n".join(text(row.get(name), name) for name in names) for names in task.fields]
            row = {"label": row.get(task.label_field), **row, "input": segments}
        cell = column_choices(raw) if is_missing(row.get("choices")) and not task.choices else row.get("choices")
        if is_missing(cell):  # datasets for NLI number the task's choices
            numbers = tuple(map(str, range(len(task.choices))))
            choices = Choices(task.choices, task.choices if task.name == "custom" else numbers, of_task=True)
        else:
            choices = read_choices(cell)
        words = set(map(normalise, choices.texts)) - {""}
        labels = _texts(row.get("label"), "label", words) + _texts(_listed(row.get("answers")), "answers", words)
        teacher_label = next(iter(_texts(row.get("teacher_label"), "teacher_label", words)), None)
        rationale = "\n".join(_texts(_listed(row.get("rationale")), "rationale")) or None
        rationales = _rationales(row, "rationales")
        if labels and "####" in labels[0]:  # GSM8K's solutions
            solution, _, answer = labels[0].rpartition("####")
            labels[0] = text(without_calculations(answer).strip(), "label")
            rationale = rationale or solution.strip() or None
        if not choices.texts or choices.of_task:
            spellings = [task.read_label(label) for label in labels]
            labels = list(filter(None, spellings)) if spellings and spellings[0] else []
        label, *answers = dict.fromkeys(labels or [""])
        ids = (cell_text(row[name]) for name in _IDS if not is_missing(row.get(name)))
        if task.name == "cqa" and not choices.texts:
            raise DataError("missing", field="choices")
        own_choices = set(choices.texts) != set(task.choices)
        listed = listing(choices.texts) if own_choices else ""  # which an input may list already
        texts = _texts(row.get("input"), "input")
        if not texts:
            raise DataError("missing or blank; name its column, like `columns: {input: question}`", field="input")
        example = Example(
            text(str(next(ids, id)), "id"),
            segments=tuple(segment.removesuffix(listed) or segment for segment in texts),
            label=label,
            rationale=without_calculations(rationale) if rationale else next(iter(rationales), None),
            teacher_label=teacher_label,
            choices=choices.texts,
            answers=tuple(answers),
            own_choices=own_choices,
            rationales=rationales if len(rationales) > 1 else (),
            rectified=_truth(row.get("rectified"), "rectified"),
            wrong_rationales=_rationales(row, "wrong_rationales"),
            reverse=_reverse(row.get("reverse")),
            votes=_votes(row.get("votes")),
        )
        return Draft(location, example, choices)


def _rationales(row: Row, column: str) -> tuple[str, ...]:
    """Return the texts in a column, each once."""
    return tuple(dict.fromkeys(map(without_calculations, _texts(_listed(row.get(column)), column))))


def _truth(cell: Any, field: str) -> bool:
    """Return the truth value in a cell; False where it is missing."""
    text = "false" if is_missing(cell) else str(cell_text(cell)).casefold()
    if text not in ("true", "false"):
        raise DataError(f"true or false was expected, not {cell!r:.40}", field=field)
    return text == "true"


def _reverse(cell: Any) -> tuple[str, str] | None:
    """Return the question and the rationale in a column `reverse`, an object with these two."""
    value = parse_cell(cell) if isinstance(cell, str) else cell
    if is_missing(value):
        return None
    if not isinstance(value, Mapping) or any(is_missing(value.get(name)) for name in ("question", "rationale")):
        raise DataError("an object with `question` and `rationale` was expected", field="reverse")
    return text(value["question"], "reverse"), text(value["rationale"], "reverse")


def _votes(cell: Any) -> tuple[tuple[str, float], ...]:
    """Return the shares of votes in a column, an object of numbers by label."""
    value = parse_cell(cell) if isinstance(cell, str) else cell
    if is_missing(value):
        return ()
    # Arrow has the labels of all rows in each
    counts = {k: n for k, n in value.items() if not is_missing(n)} if isinstance(value, Mapping) else {"": value}
    if not all(type(n) in (int, float) and 0 <= n < math.inf for n in counts.values()) or not sum(counts.values()):
        raise DataError("an object of numbers by label, not all 0, was expected", field="votes")
    return tuple((text(label, "votes"), n / sum(counts.values())) for label, n in counts.items() if n)


def _listed(cell: Any) -> Any:
    """Return the list that a text holds, with numbers as texts; else the cell itself."""
    value = parse_cell(cell) if isinstance(cell, str) else None
    return list(map(cell_text, value)) if isinstance(value, list) else cell


def _texts(cell: Any, field: str, words: Set[str] | None = None) -> list[str]:
    """Return the texts in a cell; with `words`, its labels, of which "None" and such count only if among these."""
    values = cell if isinstance(cell, list) else [cell]
    values = values if words is None else list(map(cell_text, values))
    return [text(v, field) for v in values if not is_missing(v) or (words and normalise(str(v or "")) in words)]


def shared_reading(drafts: Iterable[Draft]) -> str | None:
    """Return how all rows' labels name their choices; log it where it is not by text."""
    labels = ((row.example.label, row.choices) for row in drafts if row.example.label and not row.choices.of_task)
    head = list(islice(labels, 1))
    if not head:
        return None
    reading = find_reading(chain(head, labels))
    if reading not in (None, "text", AMBIGUOUS):
        log.info("%s: labels are read as the %s of a choice", next(iter(drafts)).location, reading)
    return reading


def resolved(draft: Draft, reading: str | None) -> Example:
    """Return the example with the texts of the choices that its labels name."""
    location, example, choices = draft
    if not choices.texts:
        return example

    def choose(field: str, label: str) -> str:
        if choice := find_choice(label, choices, "text" if choices.of_task else reading):
            return choice
        raise DataError(f"{label!r:.60} is none of the choices {list(choices.texts)!r:.200}", field=field)

    with located(location):
        labels = filter(None, (example.label, *example.answers))
        label, *answers = dict.fromkeys(choose("label", label) for label in labels) or [""]
        teacher_label = example.teacher_label and choose("teacher_label", example.teacher_label)
        votes: dict[str, float] = defaultdict(float)
        for name, share in example.votes:
            votes[choose("votes", name)] += share
        shares = tuple(votes.items())
        return replace(example, label=label, answers=tuple(answers), teacher_label=teacher_label, votes=shares)


@contextmanager
def located(location: str) -> Iterator[None]:
    """Put a row's location before an error's message."""
    try:
        yield
    except LimbeckError as error:
        error.args = (f"{location}: {error}",)
        raise
