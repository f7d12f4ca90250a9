"""Rows of tables as examples: labels and choices as texts, and the checks that all sources share."""

import logging
from collections import Counter
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
    column_choices,
    find_choice,
    find_reading,
    read_choices,
)
from limbeck.data.columns import Columns, check_columns, find_columns, missing_columns, rename, task_field
from limbeck.data.tables import MAX_ROW_BYTES, read_table, stem
from limbeck.errors import DataError, LimbeckError
from limbeck.schema import Example, listing
from limbeck.tasks import TASKS, Row, Task, normalise
from limbeck.tasks.task import row_id, text, text_field, without_calculations

log = logging.getLogger(__name__)

_IDS = ("id", "uid", "ID")
_ANSWER_MARK = "####"  # before the answer of GSM8K's solutions
_NO_CONSENSUS = {"-1", "-"}  # labels in data for natural language inference whose annotators did not agree


@dataclass(frozen=True)
class LocatedRows:
    """Rows, each with its location (`rows.jsonl:3`) and the id that it gets if it brings none."""

    name: str
    rows: Sequence[tuple[str, str, Row]]

    @property
    def columns(self) -> set[str]:
        """The names of all columns."""
        return {name for _, _, row in self.rows for name in row}


@dataclass(frozen=True)
class Draft:
    """A row by limbeck's names, before it is known how the labels of all rows name their choices."""

    location: str
    id: str
    row: dict[str, Any]
    plain: bool  # its question is `input`, not in the task's own fields
    choices: Choices | None  # the row's own
    labels: tuple[str, ...]  # the label and further accepted answers; empty where the label is not known
    rationale: str | None


def read_rows(
    path: Path,
    columns: Columns | None = None,
    *,
    task: Task | None = None,
    labelled: bool = True,
    max_row_bytes: int = MAX_ROW_BYTES,
) -> list[Example]:
    """Read examples from a file of JSON, CSV or Parquet; docs/data.md describes its columns.

    Without an id, a row gets the file's name and its index. If not `labelled`, a missing label is "".

    Raises:
        LimbeckError: the file cannot be read or a row is wrong; names the line and the field.
    """
    table = file_table(path, max_row_bytes)
    (examples,) = read_examples([table], columns or {}, task or TASKS["custom"], labelled=labelled)
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
    table = file_table(path)
    present: Any = {name: source for name, source in columns.items() if not missing_columns(source, table.columns)}
    (examples,) = read_examples([table], present, task, labelled=False)
    return unique(examples)


def file_table(path: Path, max_row_bytes: int = MAX_ROW_BYTES, first: int = 0) -> LocatedRows:
    """Return the table in a file; ids are the file's name and an index that begins with `first`."""
    rows = read_table(path.expanduser(), max_row_bytes)
    return LocatedRows(
        str(path), [(location, f"{stem(path)}-{i}", row) for i, (location, row) in enumerate(rows, start=first)]
    )


def read_examples(
    tables: Sequence[LocatedRows], columns: Columns, task: Task, *, labelled: bool
) -> list[list[tuple[str, Example]]]:
    """Return the examples of each table, each after its location; a missing label is "".

    Labels name their choices in the same way in all tables. What was read as something else is logged.

    Raises LimbeckError: names the location and the field, or the table and the column.
    """
    check_columns(columns, {table.name: table.columns for table in tables}, labelled=labelled)
    notes: Counter[str] = Counter()
    drafts = []
    for table in tables:
        all_columns = find_columns(columns, table.columns, task, table=table.name, labelled=labelled)
        drafts.append(
            [
                read_draft(row, id, task, location=location, columns=all_columns, notes=notes)
                for location, id, row in table.rows
            ]
        )
    reading = shared_reading(draft for table_drafts in drafts for draft in table_drafts)
    for note, count in notes.items():
        log.info("%s: %d %s", ", ".join(table.name for table in tables), count, note)
    return [
        [(draft.location, draft_example(draft, task, reading)) for draft in table_drafts] for table_drafts in drafts
    ]


def unique(examples: Iterable[tuple[str, Example]]) -> list[Example]:
    """Return the examples without their locations. Raises DataError: an id stands twice; names both locations."""
    locations: dict[str, str] = {}
    rows = []
    for location, example in examples:
        if example.id in locations:
            raise DataError(f"{location}: id: {example.id!r:.60} stands already at {locations[example.id]}")
        locations[example.id] = location
        rows.append(example)
    return rows


def read_draft(raw: Row, id: str, task: Task, *, location: str, columns: Columns, notes: Counter[str]) -> Draft:
    """Return a row of a file as a draft. Raises LimbeckError: names `location` and the field."""
    row = rename(raw, columns)
    with located(location):
        if any(isinstance(value, str) and "\0" in value for value in row.values()):
            notes["rows held NUL characters, which are left out"] += 1
        row = {name: value.replace("\0", "") if isinstance(value, str) else value for name, value in row.items()}
        for name in ("input", "question"):
            if isinstance(row.get(name), Mapping) and "stem" in row[name]:  # CommonsenseQA as it was released
                row = {"choices": row[name].get("choices"), **row, name: row[name]["stem"]}
        for name in _IDS:
            if name in row:
                row[name] = None if is_missing(row[name]) else cell_text(row[name])
        own_fields = task_field(task, "label") != "label" and ("input" not in row or "input" in columns)
        if own_fields and "input" in row:
            row["question"] = row["input"]
        plain = not own_fields and ("input" in row or task.name == "custom")
        label = row.get("label") if plain or "label" in columns else row.get(task.label_field)
        cell = row.get("choices")
        if is_missing(cell):
            cell = None if task.choices else column_choices(raw)
        choices = None if cell is None else read_choices(cell)
        if choices and len(set(map(normalise, choices.texts))) < len(choices.texts):
            notes["rows have choices that differ by case and spacing alone: one answer"] += 1
        labels, solution = _read_labels(label, row.get("answers"), task, choices=choices, notes=notes)
        reasoning = _read_rationale(row.get("rationale")) or solution
        rationale = without_calculations(reasoning) if reasoning else None
        if rationale != reasoning:
            notes["rationales had a calculator's marks, which are left out"] += 1
        if len(labels) > 1:
            notes["rows have several accepted answers"] += 1
        return Draft(location, id, row, plain, choices, labels, rationale)


def _read_labels(
    label: Any, answers: Any, task: Task, *, choices: Choices | None, notes: Counter[str]
) -> tuple[tuple[str, ...], str | None]:
    """Return the label with further accepted answers, none where it is missing; and the reasoning written beside it.

    Without choices, labels are spelled as the task has them, and a label that the task cannot read is missing.
    """
    allowed = choices.texts if choices else task.choices
    folded = set(map(normalise, allowed))
    labels: dict[str, None] = {}
    answers = parse_cell(answers) if isinstance(answers, str) else answers
    for value in map(cell_text, (*_answers(label), *_answers(answers))):
        is_text = isinstance(value, str)
        undecided = bool(task.choices) and task.name != "custom" and is_text and value in _NO_CONSENSUS
        if (is_text and normalise(value) in folded) or not (undecided or is_missing(value)):
            labels[text(value, "label")] = None
        elif is_text and value:
            notes["labels count as missing (as one of the `choices` they would be answers)"] += 1
    texts, solution = tuple(labels), None
    if texts and _ANSWER_MARK in texts[0]:
        reasoning, _, answer = texts[0].rpartition(_ANSWER_MARK)
        if not answer.strip():
            raise DataError(f"an answer was expected after {_ANSWER_MARK}, not {texts[0][-40:]!r}", field="label")
        notes[f"labels end with their answer after {_ANSWER_MARK}; the text before it is the rationale"] += 1
        solution = reasoning.strip() or None
        texts = (without_calculations(answer).strip(), *texts[1:])
    if texts and not allowed:
        spelled = [task.read_label(label) for label in texts]
        if spelled[0] is None:
            notes["labels count as missing, for the task cannot read them"] += 1
        texts = tuple(dict.fromkeys(filter(None, spelled))) if spelled[0] is not None else ()
    return texts, solution


def _answers(value: Any) -> Sequence[Any]:
    """Return the answers in a cell: one, a list, or the objects of SQuAD and TriviaQA."""
    if isinstance(value, Mapping) and "text" in value:
        value = value["text"]
    elif isinstance(value, Mapping) and "value" in value:
        value = [value["value"], *(value.get("aliases") or ())]
    return value if isinstance(value, list | tuple) else [value]


def _read_rationale(cell: Any) -> str | None:
    """Return a rationale; a list of sentences becomes lines."""
    value = cell
    if isinstance(cell, str) and isinstance(printed := parse_cell(cell), list | tuple):
        value = printed if all(isinstance(item, str) for item in printed) else cell
    if isinstance(value, list | tuple):
        value = "\n".join(text(item, "rationale") for item in value if not is_missing(item))
    return None if is_missing(value) else text(value, "rationale")


def shared_reading(drafts: Iterable[Draft]) -> Reading | None:
    """Return the way in which the labels of all rows with choices name them; logged where it is not by text.

    Raises DataError: as `find_reading`.
    """
    rows = [(draft, draft.choices) for draft in drafts if draft.choices and draft.labels]
    if not rows:
        return None
    with located(rows[0][0].location):
        reading = find_reading([(label, choices) for draft, choices in rows for label in draft.labels])
    if reading is None:
        return None
    name, read = reading
    if name != "text":
        label = rows[0][0].labels[0]
        log.info("labels are read as the %s of a choice: %r is %r", name, label, read(label, rows[0][1]))
    return read


def draft_example(draft: Draft, task: Task, reading: Reading | None) -> Example:
    """Return the example of a row; a missing label is "". Raises LimbeckError: names the location and the field."""
    numbers = () if task.name == "custom" else tuple(map(str, range(len(task.choices))))  # as in `limbeck.tasks.nli`
    choices = draft.choices or Choices(task.choices, numbers)

    def choose(field: str, label: str) -> str:
        if draft.choices:
            choice = find_choice(label, choices, reading)
        else:
            choice = by_text(label, choices) or by_key(label, choices)
        if choice is None:
            raise not_a_choice(field, label, choices.texts)
        return choice

    with located(draft.location):
        labels = draft.labels
        if choices.texts and (draft.plain or draft.choices):
            labels = tuple(dict.fromkeys(choose("label", label) for label in labels))
        label = labels[0] if labels else ""
        if draft.plain:
            example = _plain_example(draft, label, choices.texts, task)
        else:
            own_choices = {"choices": list(choices.texts)} if draft.choices else {}
            example = task.read({**draft.row, **own_choices, task.label_field: label or None}, draft.id)
        teacher_label = cell_text(draft.row.get("teacher_label"))
        if is_missing(teacher_label) and not (teacher_label and by_text(str(teacher_label), choices)):
            teacher_label = None
        else:
            teacher_label = text(teacher_label, "teacher_label")
            teacher_label = choose("teacher_label", teacher_label) if choices.texts else teacher_label
        return replace(example, rationale=draft.rationale, teacher_label=teacher_label, answers=labels[1:])


def _plain_example(draft: Draft, label: str, choices: tuple[str, ...], task: Task) -> Example:
    value = draft.row.get("input")
    if isinstance(value, list):
        segments = tuple(text(segment, "input") for segment in value if segment is not None and segment != "")
    elif "input" in draft.row and not is_missing(value):
        segments = (text_field(draft.row, "input"),)
    else:
        segments = ()
    if not segments:
        names = [name for name, cell in draft.row.items() if cell is not None]
        raise DataError(
            f"missing or blank; the row has {names!r:.200}; name its column, like `columns: {{input: question}}`",
            field="input",
        )
    id = row_id(draft.row, draft.id)
    if not choices or set(choices) == set(task.choices):
        return Example(id, segments, label, choices=choices)
    # an input that ends with its choices, as CommonsenseQA's were once exported, does not get them twice
    segments = (*segments[:-1], segments[-1].removesuffix(listing(choices)) or segments[-1])
    return Example(id, segments, label, choices=choices, own_choices=True)


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
