"""Rows of tables as examples: labels and choices as texts, and the checks that all sources share."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from limbeck.data.cells import cell_text, is_missing, parse_cell
from limbeck.data.choices import (
    Choices,
    column_choices,
    find_choice,
    find_reading,
    named_choice,
    read_choices,
    task_choices,
)
from limbeck.data.columns import Columns, find_columns, present_columns, rename
from limbeck.data.tables import read_table, stem
from limbeck.errors import DataError, LimbeckError
from limbeck.schema import Example
from limbeck.tasks import TASKS, Row, Task
from limbeck.tasks.task import text, without_calculations

log = logging.getLogger(__name__)

_IDS = ("id", "uid", "ID")
_ANSWER_MARK = "####"  # before the answer of GSM8K's solutions

IdRows = list[tuple[str, str, dict[str, Any]]]
"""Rows, each after its location (`rows.jsonl:3`) and the id that it gets if it brings none."""
Located = list[tuple[str, Example]]
"""Examples, each after its location."""


def read_rows(
    path: Path, columns: Columns | None = None, *, task: Task | None = None, labelled: bool = True
) -> list[Example]:
    """Read examples from a file of JSON, CSV or Parquet; docs/data.md describes its columns.

    Without an id, a row gets the file's name and its index. If not `labelled`, a missing label is "".

    Raises:
        LimbeckError: the file cannot be read or a row is wrong; names the line and the field.
    """
    (examples,) = read_examples([read_files([path])], columns or {}, task or TASKS["custom"], labelled=labelled)
    for location, example in examples:
        if labelled and not example.label:
            raise DataError(f"{location}: label: missing, and without a label the row cannot be used")
    return unique(examples)


def read_later_rows(path: Path, columns: Columns, task: Task) -> list[Example]:
    """Read examples for a student that was trained on `columns`; a missing label is "".

    A column that the file lacks is looked for under limbeck's name and the usual ones.

    Raises:
        LimbeckError: as `read_rows`.
    """
    rows = read_files([path])
    (examples,) = read_examples([rows], present_columns(columns, column_names(rows)), task, labelled=False)
    return unique(examples)


def read_files(paths: Iterable[Path]) -> IdRows:
    """Return the rows of files; their ids are their file's name and an index."""
    rows: IdRows = []
    for path in paths:
        rows += [(at, f"{stem(path)}-{i}", row) for i, (at, row) in enumerate(read_table(path.expanduser()), len(rows))]
    return rows


def column_names(rows: IdRows) -> set[str]:
    """Return the names of all columns."""
    return {name for _, _, row in rows for name in row}


def read_examples(tables: Sequence[IdRows], columns: Columns, task: Task, *, labelled: bool) -> list[Located]:
    """Return the examples of each table; a missing label is "".

    Labels name their choices in the same way in all tables, which is logged where it is not by text.

    Raises LimbeckError: names the location and the field or column.
    """
    for column, source in columns.items():
        lacking = [rows for rows in tables if not present_columns({column: source}, column_names(rows))]
        required = column == "input" or (column == "label" and labelled)
        if lacking and (required or len(lacking) == len(tables)):
            reason = f"no column {source!r}, named for {column!r}; there are {sorted(column_names(lacking[0]))!r:.200}"
            raise DataError(f"{lacking[0][0][0]}: {reason}")
    drafts = []
    for rows in tables:
        all_columns = find_columns(columns, column_names(rows), location=rows[0][0], labelled=labelled)
        drafts.append([(location, *read_row(row, id, task, location, all_columns)) for location, id, row in rows])
    labels = [(row.label, choices) for table in drafts for _, row, choices in table if choices.own and row.label]
    with located(tables[0][0][0]):
        reading = find_reading(labels) if labels else None
    if reading not in (None, "text"):
        log.info("%s: labels are read as the %s of a choice", tables[0][0][0], reading)
    return [[(at, resolved(row, choices, reading, at)) for at, row, choices in table] for table in drafts]


def unique(examples: Located) -> list[Example]:
    """Return the examples without their locations. Raises DataError: an id stands twice; names both locations."""
    locations: dict[str, str] = {}
    for location, example in examples:
        if locations.setdefault(example.id, location) != location:
            raise DataError(f"{location}: id: {example.id!r:.60} stands already at {locations[example.id]}")
    return [example for _, example in examples]


def read_row(raw: Row, id: str, task: Task, location: str, columns: Columns) -> tuple[Example, Choices]:
    """Return the example of a row, and its choices; its labels are still the file's names of them.

    Raises LimbeckError: names `location` and the field.
    """
    row = rename(raw, columns)
    row = {name: value.replace("\0", "") if isinstance(value, str) else value for name, value in row.items()}
    question = row.get("input")
    if isinstance(question, Mapping) and "stem" in question:  # CommonsenseQA as it was released
        row = {"choices": question.get("choices"), **row, "input": question["stem"]}
    with located(location):
        cell = row.get("choices")
        if is_missing(cell):
            cell = None if task.choices else column_choices(raw)
        choices = task_choices(task) if cell is None else read_choices(cell)
        labels, rationale = _read_labels(row, choices), _read_rationale(row.get("rationale"))
        if labels and _ANSWER_MARK in labels[0]:
            solution, _, answer = labels[0].rpartition(_ANSWER_MARK)
            labels[0] = text(without_calculations(answer).strip(), "label")
            rationale = rationale or solution.strip() or None
        if not choices.texts:
            spellings = [task.read_label(label) for label in labels]
            labels = list(filter(None, spellings)) if spellings and spellings[0] else []
        label, *answers = dict.fromkeys(labels or [""])
        ids = (cell_text(row[name]) for name in _IDS if not is_missing(row.get(name)))
        id = text(str(next(ids, id)), "id")
        if "input" not in row and task.name != "custom":
            example = task.read({**row, task.label_field: label or None}, id)
        elif task.name == "cqa" and not choices.texts:
            raise DataError("missing", field="choices")
        else:
            own_choices = set(choices.texts) != set(task.choices)
            example = Example(id, _segments(row.get("input")), label, choices=choices.texts, own_choices=own_choices)
        teacher_label = cell_text(row.get("teacher_label"))
        teacher_label = None if _no_answer(teacher_label, choices) else text(teacher_label, "teacher_label")
        rationale = rationale and without_calculations(rationale)
        example = replace(example, id=id, rationale=rationale, teacher_label=teacher_label, answers=tuple(answers))
        return example, choices


def _read_labels(row: Row, choices: Choices) -> list[str]:
    """Return the label with further accepted answers, none where it is missing."""
    answers = row.get("answers")
    answers = parse_cell(answers) if isinstance(answers, str) else answers
    if isinstance(answers, Mapping):  # SQuAD's
        answers = answers.get("text")
    cells = [value for cell in (row.get("label"), answers) for value in (cell if isinstance(cell, list) else [cell])]
    return [text(value, "label") for value in map(cell_text, cells) if not _no_answer(value, choices)]


def _no_answer(value: Any, choices: Choices) -> bool:
    """Return whether a value is missing; a word like "None" is not, where it is a choice."""
    return is_missing(value) and not (value and named_choice(str(value), choices, "text"))


def _read_rationale(value: Any) -> str | None:
    """Return a rationale; a list of sentences becomes lines."""
    if isinstance(value, list):
        value = "\n".join(text(item, "rationale") for item in value if not is_missing(item))
    return None if is_missing(value) else text(value, "rationale")


def resolved(example: Example, choices: Choices, reading: str | None, location: str) -> Example:
    """Return the example with the texts of the choices that its labels name.

    Raises DataError: a label names none, or several; has the location and the field.
    """
    if not choices.texts:
        return example

    def choose(field: str, label: str) -> str:
        choice = find_choice(label, choices, reading if choices.own else "text")
        if choice is None:
            raise not_a_choice(field, label, choices.texts)
        return choice

    with located(location):
        labels = dict.fromkeys(choose("label", label) for label in (example.label, *example.answers) if label)
        label, *answers = labels or [""]
        teacher_label = example.teacher_label and choose("teacher_label", example.teacher_label)
        return replace(example, label=label, answers=tuple(answers), teacher_label=teacher_label)


def _segments(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    segments = tuple(text(segment, "input") for segment in values if segment is not None and segment != "")
    if not segments:
        raise DataError("missing or blank; name its column, like `columns: {input: question}`", field="input")
    return segments


def not_a_choice(field: str, label: str, choices: Sequence[str]) -> DataError:
    """Return the error for a label that names no choice."""
    advice = "a choice's text was expected, or, of a row's own choices, its letter or number"
    return DataError(f"{label!r:.60} is none of the choices {list(choices)!r:.200}; {advice}", field=field)


@contextmanager
def located(location: str) -> Iterator[None]:
    """Put the location of a row before the message of an error."""
    try:
        yield
    except LimbeckError as error:
        located_error = DataError(f"{location}: {error}")
        located_error.field = error.field
        raise located_error from None
