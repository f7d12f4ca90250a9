"""The names that a file has for the question, the label and the other columns."""

import logging
from collections.abc import Mapping
from typing import Any, Literal

from limbeck.errors import DataError
from limbeck.tasks import Row, Task

log = logging.getLogger(__name__)

Column = Literal["input", "label", "rationale", "id", "teacher_label", "choices", "answers"]
Columns = Mapping[Column, str | list[str]]
"""The file's name of a column, by limbeck's; several (`choices: [A, B, C]`), or one within (`question.stem`)."""

_INPUTS = ("input", "question", "prompt", "problem", "instruction", "query")
_LABELS = (
    "label", "answer", "answerkey", "correct_answer", "correct", "gold", "completion", "response", "output", "target",
)  # fmt: skip
_REPLIES = ("completion", "response", "output")
_CHOICES = ("choices", "options")
_SOLUTION = "solution"  # the label, or the rationale beside another label
_TASK_FIELDS = {"premise", "Body"}  # of tasks that read several texts


def find_columns(columns: Columns, names: set[str], task: Task, *, table: str, labelled: bool) -> Columns:
    """Return `columns` with the usual names added, where exactly one of them is among the file's `names`; logs them.

    `instruction` and `input` together are Alpaca's question. Letter case does not matter.

    Raises DataError: several columns may be the input or the label of `labelled` rows, or none; lists them.
    """
    if names & _TASK_FIELDS:
        return columns
    by_folded_name = {name.casefold(): name for name in sorted(names)}
    usual: dict[Column, str | list[str]] = {}
    if {"instruction", "input"} <= names and not columns.keys() & {"input", "label"} and "label" not in names:
        usual["input"] = ["instruction", "input"]
    labels = _LABELS if any(name in by_folded_name for name in _LABELS) else (_SOLUTION,)
    candidates: dict[Column, tuple[str, ...]] = {"input": _INPUTS, "label": labels, "choices": _CHOICES}
    if labels is _LABELS and not columns.keys() & {"label", "rationale"} and not names & {"label", "rationale"}:
        candidates["rationale"] = (_SOLUTION,)
    for column, usual_names in candidates.items():
        if column in {*columns, *usual} or names & {column, task_field(task, column)}:
            continue
        if column == "label" and "answers" in {*names, *columns}:
            continue
        matches = [by_folded_name[name] for name in usual_names if name in by_folded_name]
        if len(matches) == 1:
            usual[column] = matches[0]
        elif column == "input" or (column == "label" and labelled):
            example = matches[0] if matches else "NAME"
            raise DataError(
                f"{table}: {column}: missing; there are the columns {sorted(matches or names)!r:.200}; say which of "
                f"them it is, like `columns: {{{column}: {example}}}`"
            )
    if usual:
        log.info("%s: read as columns: {%s}", table, ", ".join(f"{column}: {name}" for column, name in usual.items()))
    if usual.get("label") in _REPLIES:
        log.info("%s: the whole %s is the label; `limbeck annotate import` splits replies", table, usual["label"])
    return {**columns, **usual}


def task_field(task: Task, column: Column) -> str:
    """Return the task's own name for a column: CommonsenseQA has `question` and `answer`."""
    names = {"input": "question", "label": task.label_field} if task.label_field == "answer" else {}
    return names.get(column, column)


def check_columns(columns: Columns, tables: Mapping[str, set[str]], *, labelled: bool) -> None:
    """Check that the input, and the label of `labelled` rows, are in every table and other columns in one at least.

    Args:
        tables: the names of the columns of each table.

    Raises DataError: a column is missing.
    """
    for column, source in columns.items():
        missing = {table: absent for table, names in tables.items() if (absent := missing_columns(source, names))}
        required = column == "input" or (column == "label" and labelled)
        if missing and (required or len(missing) == len(tables)):
            table, absent = next(iter(missing.items()))
            names = sorted(tables[table])
            raise DataError(f"{table}: no column {absent[0]!r}, named for {column!r}; there are {names!r:.200}")


def missing_columns(source: str | list[str], names: set[str]) -> list[str]:
    """Return which of the file's columns that stand for one of ours are not among `names`."""
    return [name for name in _listed(source) if not {name, name.partition(".")[0]} & names]


def rename(row: Row, columns: Columns) -> dict[str, Any]:
    """Return the row by limbeck's names; a column with such a name that is not mapped to it is left out."""
    renamed: dict[str, Any] = {name: value for name, value in row.items() if name not in columns}
    for column, source in columns.items():
        values = [_value(row, name) for name in _listed(source)]
        if any(value is not None for value in values):
            renamed[column] = values[0] if isinstance(source, str) else values
    return renamed


def _listed(source: str | list[str]) -> list[str]:
    return [source] if isinstance(source, str) else source


def _value(row: Row, name: str) -> Any:
    """Return the value of a column, or of `question.stem` within one; None where there is none."""
    outer, dot, inner = name.partition(".")
    if name in row or not dot or not isinstance(row.get(outer), Mapping):
        return row.get(name)
    return _value(row[outer], inner)
