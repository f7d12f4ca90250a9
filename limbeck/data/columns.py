"""The names that a file has for the question, the label and the other columns."""

import logging
from collections.abc import Mapping
from typing import Any, Literal

from limbeck.errors import DataError
from limbeck.tasks import Row

log = logging.getLogger(__name__)

Column = Literal["input", "label", "rationale", "id", "teacher_label", "choices", "answers"]
Columns = Mapping[Column, str | list[str]]
"""The file's name of a column, by limbeck's; several (`choices: [A, B, C]`), or one within (`question.stem`)."""

_USUAL: dict[Column, tuple[str, ...]] = {
    "input": ("question", "prompt", "problem", "instruction", "query"),
    "label": ("answer", "answerkey", "correct", "gold", "completion", "response", "output", "target"),
    "choices": ("options",),
}
_TASK_FIELDS = {"premise", "Body"}  # of tasks that read several texts


def find_columns(columns: Columns, names: set[str], *, location: str, labelled: bool) -> Columns:
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
    for column, usual_names in _USUAL.items():
        answered = column == "label" and "answers" in {*names, *columns}
        if column in {*columns, *usual, *names} or answered:
            continue
        matches = [by_folded_name[name] for name in (column, *usual_names) if name in by_folded_name]
        if len(matches) == 1:
            usual[column] = matches[0]
        elif column == "input" or (column == "label" and labelled):
            raise DataError(
                f"{location}: {column}: missing; there are the columns {sorted(matches or names)!r:.200}; say which of "
                f"them it is, like `columns: {{{column}: NAME}}`"
            )
    if usual:
        log.info(
            "%s: read as columns: {%s}", location, ", ".join(f"{column}: {name}" for column, name in usual.items())
        )
    return {**columns, **usual}


def present_columns(columns: Columns, names: set[str]) -> Columns:
    """Return those of `columns` whose source is among a file's `names`."""
    return {
        column: source
        for column, source in columns.items()
        if all({name, name.partition(".")[0]} & names for name in ([source] if isinstance(source, str) else source))
    }


def rename(row: Row, columns: Columns) -> dict[str, Any]:
    """Return the row by limbeck's names; a column with such a name that is not mapped to it is left out."""
    renamed: dict[str, Any] = {name: value for name, value in row.items() if name not in columns}
    for column, source in columns.items():
        values = [_value(row, name) for name in ([source] if isinstance(source, str) else source)]
        if any(value is not None for value in values):
            renamed[column] = values[0] if isinstance(source, str) else values
    return renamed


def _value(row: Row, name: str) -> Any:
    """Return the value of a column, or of `question.stem` within one; None where there is none."""
    outer, _, inner = name.partition(".")
    nested = row.get(outer)
    return _value(nested, inner) if name not in row and inner and isinstance(nested, Mapping) else row.get(name)
