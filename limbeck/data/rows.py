"""Raw rows made into examples, and the checks that every source shares."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limbeck.data.cells import cell_text, is_missing, parse_cell
from limbeck.data.choices import (
    Choices,
    Reading,
    by_key,
    by_text,
    chosen,
    column_choices,
    read_choices,
    reading_of,
)
from limbeck.data.columns import Columns, check_columns, columns_of, field_of, lacking, renamed
from limbeck.data.labels import Notes, read_labels
from limbeck.data.table import MAX_ROW_BYTES, stem, table_rows
from limbeck.errors import LimbeckError
from limbeck.schema import Example, listing
from limbeck.tasks import TASKS, Row, Task, normalise
from limbeck.tasks.task import row_id, text, text_field, without_calculations

log = logging.getLogger(__name__)

_IDS = ("id", "uid", "ID")


@dataclass(frozen=True)
class Table:
    """Rows that stand in one place, each with the words that say where, and an id for it if it has none."""

    where: str
    rows: Sequence[tuple[str, str, Row]]


@dataclass(frozen=True)
class Draft:
    """A row by our names, before it is known how the labels of all rows name their choices."""

    where: str
    id: str
    row: dict[str, Any]
    plain: bool  # its question is `input`; else in the task's own fields
    choices: Choices | None  # its own
    labels: tuple[str, ...]  # the label, and what else is accepted; none where it is not known
    rationale: str | None
    columns: Columns


def read_rows(
    path: Path,
    columns: Columns | None = None,
    labelled: bool = True,
    task: Task | None = None,
    max_row_bytes: int = MAX_ROW_BYTES,
) -> list[Example]:
    """Return the examples in a file of JSON, CSV or Parquet.

    A row has an `input` (a text, or a list of texts: its segments), a `label`, and where known a `rationale`, an `id`,
    a `teacher_label`, `choices` (in any form of `read_choices`) and `answers` (all that is right). `columns` maps these
    names to the file's own; other columns are ignored. A row without `input` may have the fields of the task instead
    (`premise` and `hypothesis`; `question` and `choices`), or a usual name (`columns_of`). Without an id, the file's
    name and the row's index are taken. If not `labelled`, rows may lack the label: theirs is then "", which no labelled
    row can have.

    Raises:
        LimbeckError: names file, line (in Parquet the row, in a JSON list the item, from 1) and field.
    """
    (examples,) = examples_of([file_table(path, max_row_bytes)], columns or {}, task or TASKS["custom"], labelled)
    for where, example in examples:
        with _located(where, columns or {}):
            _check_labelled(example, labelled)
    return distinct(examples)


def read_later_rows(path: Path, columns: Columns, task: Task) -> list[Example]:
    """Return the examples in a file that came after a student was trained on `columns`; "" is a missing label.

    A column that the file does not have is looked for under our name and the usual ones, as if nobody had named it.

    Raises:
        LimbeckError: as `read_rows`.
    """
    table = file_table(path)
    names = {name for _, _, row in table.rows for name in row}
    there = {ours: named for ours, named in columns.items() if not lacking(named, names)}
    (examples,) = examples_of([table], there, task, labelled=False)
    return distinct(examples)


def file_table(path: Path, max_row_bytes: int = MAX_ROW_BYTES, first: int = 0) -> Table:
    """Return the rows of a file; their ids are its name and their index, from `first` on."""
    rows = table_rows(path.expanduser(), max_row_bytes)
    name = stem(path)
    return Table(str(path), [(where, f"{name}-{i}", row) for i, (where, row) in enumerate(rows, start=first)])


def examples_of(
    tables: Sequence[Table], columns: Columns, task: Task, labelled: bool
) -> list[list[tuple[str, Example]]]:
    """Return the examples of each table, each after the words that say where it stands; "" for a missing label.

    How labels name their choices is one thing for all tables. What was taken for what is logged.

    Raises:
        LimbeckError: names the row and the field, or the table and the column.
    """
    names = {table.where: {name for _, _, row in table.rows for name in row} for table in tables}
    check_columns(columns, names, labelled)
    notes = Notes()
    drafts = [
        [read_draft(where, id, row, task, resolved, notes) for where, id, row in table.rows]
        for table in tables
        for resolved in [columns_of(columns, names[table.where], task, table.where, labelled)]
    ]
    reading = shared_reading(drafts, columns)
    examples = [[(draft.where, draft_example(draft, task, reading)) for draft in table] for table in drafts]
    notes.log(", ".join(table.where for table in tables))
    return examples


def _check_labelled(example: Example, labelled: bool, field: str = "label") -> None:
    if labelled and not example.label:
        raise LimbeckError(f"field {field!r}: missing, and without a label the row cannot be used")


def distinct(examples: Iterable[tuple[str, Example]]) -> list[Example]:
    """Return the examples, each of which comes after the words that say where it stands.

    Raises:
        LimbeckError: an id stands twice; names both places.
    """
    seen: dict[str, str] = {}
    rows = []
    for where, example in examples:
        if example.id in seen:
            raise LimbeckError(f"{where}: field 'id': {example.id!r:.60} stands already at {seen[example.id]}")
        seen[example.id] = where
        rows.append(example)
    return rows


def read_draft(where: str, id: str, row: Row, task: Task, columns: Columns, notes: Notes) -> Draft:
    """Return a row by our names.

    Raises:
        LimbeckError: names `where` and the field.
    """
    ours = {name: _without_nul(value, notes) for name, value in renamed(row, columns).items()}
    with _located(where, columns):
        for name in ("input", "question"):
            if isinstance(ours.get(name), Mapping) and "stem" in ours[name]:  # CommonsenseQA as it was released
                ours = {"choices": ours[name].get("choices"), **ours, name: ours[name]["stem"]}
        for name in _IDS:
            if name in ours:
                ours[name] = None if is_missing(ours[name]) else cell_text(ours[name])
        own_fields = field_of(task, "label") != "label" and ("input" not in ours or "input" in columns)
        plain = not own_fields and ("input" in ours or task.name == "custom")
        if own_fields and "input" in ours:
            ours["question"] = ours["input"]
        label = ours.get("label") if plain or "label" in columns else ours.get(task.label_field)
        choices = _own_choices(ours, row, task, notes)
        labels, solution = read_labels(label, ours.get("answers"), choices.texts if choices else (), task, notes)
        reasoning = _rationale(ours.get("rationale")) or solution
        rationale = without_calculations(reasoning) if reasoning else None
        if reasoning and rationale != reasoning:
            notes.add("rationales had a calculator's marks, which were left out", reasoning)
        return Draft(where, id, ours, plain, choices, labels, rationale, columns)


def _own_choices(ours: Row, row: Row, task: Task, notes: Notes) -> Choices | None:
    cell = ours.get("choices")
    if is_missing(cell) and (cell := None if task.choices else column_choices(row)) is None:
        return None
    choices = read_choices(cell)
    if len(set(map(normalise, choices.texts))) < len(choices.texts):
        notes.add("rows have choices that are the same but for case and spacing: one answer", ", ".join(choices.texts))
    return choices


def _rationale(value: Any) -> str | None:
    """Return a rationale; a list of sentences has a line for each."""
    if isinstance(value, str) and isinstance(printed := parse_cell(value), list | tuple):
        value = printed if all(isinstance(item, str) for item in printed) else value
    if isinstance(value, list | tuple):
        value = "\n".join(text(item, "rationale") for item in value if not is_missing(item))
    return None if is_missing(value) else text(value, "rationale")


def _without_nul(value: Any, notes: Notes) -> Any:
    if isinstance(value, str) and "\0" in value:
        notes.add("texts held NUL characters, which were left out", value)
        return value.replace("\0", "")
    return value


def shared_reading(drafts: Iterable[Iterable[Draft]], columns: Columns) -> Reading | None:
    """Return how the labels of all rows with choices of their own name them; logged where not by their texts.

    Raises:
        LimbeckError: as `reading_of`.
    """
    rows = [(draft, draft.choices) for table in drafts for draft in table if draft.choices and draft.labels]
    if not rows:
        return None
    with _located(rows[0][0].where, columns):
        way = reading_of([(label, choices) for draft, choices in rows for label in draft.labels])
    if way is not None and way[0] != "text":
        log.info("labels are read as the %s of a choice: %r is %r", way[0], *_shown(*rows[0], way[1]))
    return way[1] if way else None


def _shown(draft: Draft, choices: Choices, reading: Reading) -> tuple[str, str | None]:
    return draft.labels[0], reading(draft.labels[0], choices)


def draft_example(draft: Draft, task: Task, reading: Reading | None) -> Example:
    """Return the example of a row, "" for a missing label.

    Raises:
        LimbeckError: names the row and the field.
    """
    numbers = () if task.name == "custom" else tuple(map(str, range(len(task.choices))))  # as in `limbeck.tasks.nli`
    choices = draft.choices or Choices(task.choices, numbers)
    with _located(draft.where, draft.columns):
        labels = draft.labels
        if choices.texts and (draft.plain or draft.choices):
            labels = tuple(dict.fromkeys(_chosen("label", label, draft, choices, reading) for label in labels))
        label = labels[0] if labels else ""
        if draft.plain:
            example = _plain(draft, label, choices.texts, task)
        else:
            own = {"choices": list(choices.texts)} if draft.choices else {}
            example = task.read({**draft.row, **own, task.label_field: label or None}, draft.id)
        teacher_label = cell_text(draft.row.get("teacher_label"))
        if is_missing(teacher_label) and not (teacher_label and by_text(str(teacher_label), choices)):
            teacher_label = None
        elif choices.texts:
            teacher_label = _chosen("teacher_label", text(teacher_label, "teacher_label"), draft, choices, reading)
        return replace(
            example,
            rationale=draft.rationale,
            teacher_label=None if teacher_label is None else text(teacher_label, "teacher_label"),
            answers=labels[1:],
        )


def _plain(draft: Draft, label: str, choices: tuple[str, ...], task: Task) -> Example:
    segments, id = _segments(draft.row), row_id(draft.row, draft.id)
    if not choices or set(choices) == set(task.choices):
        return Example(id, segments, label, choices=choices)
    # an input that ends with its choices, as CommonsenseQA's were once exported, is not to have them twice
    segments = (*segments[:-1], segments[-1].removesuffix(listing(choices)) or segments[-1])
    return Example(id, segments, label, choices=choices, own_choices=True)


def _chosen(field: str, label: str, draft: Draft, choices: Choices, reading: Reading | None) -> str:
    own = draft.choices is not None
    choice = chosen(label, choices, reading) if own else by_text(label, choices) or by_key(label, choices)
    if choice is None:
        raise _no_choice(field, label, choices.texts)
    return choice


def _no_choice(field: str, label: str, choices: Sequence[str]) -> LimbeckError:
    return LimbeckError(
        f"field {field!r}: {label!r:.60} is none of the choices {list(choices)!r:.200}; a choice's text was expected, "
        "or, of a row's own choices, its letter or number"
    )


def _segments(row: Row) -> tuple[str, ...]:
    value = row.get("input")
    if isinstance(value, list) and (texts := [segment for segment in value if segment is not None and segment != ""]):
        return tuple(text(segment, "input") for segment in texts)
    if "input" not in row:
        raise LimbeckError(
            f"field 'input': missing; the row has {[name for name in row if row[name] is not None]!r:.200}; say which "
            "column it is, like `columns: {input: question, label: answer}`"
        )
    if is_missing(value) or isinstance(value, list):
        raise LimbeckError("field 'input': it is blank")
    return (text_field(row, "input"),)


@contextmanager
def _located(where: str, columns: Columns) -> Iterator[None]:
    """Put before an error's words where the row stands, and after them what columns were renamed."""
    try:
        yield
    except LimbeckError as error:
        mapping = ", ".join(f"{ours!r} is the column {theirs!r}" for ours, theirs in columns.items())
        raise LimbeckError(f"{where}: {error}" + (f" ({mapping})" if mapping else "")) from None


def example_of(row: Row, task: Task, id: str, where: str, labelled: bool = True) -> Example:
    """Return `task.read` of a row of a released data set, checked.

    Raises:
        LimbeckError: names `where` (file and line) and the field.
    """
    with _located(where, {}):
        example = task.read(row, id)
        if not example.choices:
            example = replace(example, choices=task.choices)
        _check_labelled(example, labelled, task.label_field)
        if example.label and example.choices and example.label not in example.choices:
            raise _no_choice(task.label_field, example.label, example.choices)
    return example
