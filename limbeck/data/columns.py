"""Names of columns: what a file calls the question, the label and the rest."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from limbeck.errors import LimbeckError
from limbeck.tasks import Row, Task

log = logging.getLogger(__name__)

Column = Literal["input", "label", "rationale", "id", "teacher_label", "choices", "answers"]
Columns = Mapping[Column, str | list[str]]  # ours -> the file's; several: `choices: [A, B, C]`; within: `question.stem`

# What files call a column that nobody named; read where exactly one of them is there.
_INPUTS = ("input", "question", "prompt", "problem", "instruction", "query")
_LABELS = (
    "label", "answer", "answerkey", "correct_answer", "correct", "gold", "completion", "response", "output", "target",
)  # fmt: skip
_REPLIES = ("completion", "response", "output")
_CHOICES = ("choices", "options")
_SOLUTION = "solution"  # the label, or beside one the rationale
_OWN_FIELDS = {"premise", "Body"}  # of tasks that read more than one text


def columns_of(columns: Columns, names: Iterable[str], task: Task, where: str, labelled: bool) -> Columns:
    """Return `columns` with those columns added that nobody named and that can be only one; logs them.

    A file without `input` may call it question, prompt, problem, instruction (Alpaca's has its input after it) or
    query; without `label`, answer, answerKey, correct, gold, completion, response, output, target or solution (beside
    another of them, the solution is the rationale); without `choices`, options. Case does not matter.

    Raises:
        LimbeckError: several columns could be meant, or none for the input or the label of `labelled` rows; lists them.
    """
    present = set(names)
    there = {name.casefold(): name for name in sorted(present)}
    if present & _OWN_FIELDS:
        return columns
    taken: dict[Column, str | list[str]] = {}
    if {"instruction", "input"} <= present and not columns.keys() & {"input", "label"} and "label" not in present:
        taken["input"] = ["instruction", "input"]
    labels = _LABELS if any(name in there for name in _LABELS) else (_SOLUTION,)
    wanted: list[tuple[Column, tuple[str, ...]]] = [("input", _INPUTS), ("label", labels), ("choices", _CHOICES)]
    if not columns.keys() & {"label", "rationale"} and not present & {"label", "rationale"} and labels is _LABELS:
        wanted.append(("rationale", (_SOLUTION,)))
    for ours, candidates in wanted:
        if ours in columns or ours in taken or present & {ours, field_of(task, ours)}:
            continue
        if ours == "label" and "answers" in {*present, *columns}:
            continue
        fitting = [there[name] for name in candidates if name in there]
        if len(fitting) == 1:
            taken[ours] = fitting[0]
        elif ours == "input" or (ours == "label" and labelled):
            raise LimbeckError(
                f"{where}: field {ours!r}: missing; there are the columns {sorted(fitting or present)!r:.200}; say "
                f"which of them it is, like `columns: {{{ours}: {fitting[0] if fitting else 'NAME'}}}`"
            )
    if taken:
        log.info("%s: read as columns: {%s}", where, ", ".join(f"{ours}: {name}" for ours, name in taken.items()))
    if taken.get("label") in _REPLIES:
        log.info("%s: the whole %s is the label; `limbeck annotate import` takes replies apart", where, taken["label"])
    return {**columns, **taken}


def field_of(task: Task, ours: Column) -> str:
    """Return the task's own name for one of our columns: CommonsenseQA has `question` and `answer`."""
    own = {"input": "question", "label": task.label_field} if task.label_field == "answer" else {}
    return own.get(ours, ours)


def check_columns(columns: Columns, tables: Mapping[str, set[str]], labelled: bool) -> None:
    """Check the user's columns against the names in each table, by the words that say where it is.

    The input, and the label of `labelled` rows, have to be in every table; any other column in one of them.

    Raises:
        LimbeckError: a column is missing.
    """
    everywhere: set[Column] = {"input", "label"} if labelled else {"input"}
    for ours, named in columns.items():
        without = {where: absent for where, names in tables.items() if (absent := lacking(named, names))}
        for where, absent in without.items():
            if ours in everywhere or len(without) == len(tables):
                names = sorted(tables[where])
                raise LimbeckError(f"{where}: no column {absent[0]!r}, named for {ours!r}; there are {names!r:.200}")


def lacking(named: str | list[str], names: set[str]) -> list[str]:
    """Return which of the columns that stand for one of ours are not among `names`."""
    columns = [named] if isinstance(named, str) else named
    return [column for column in columns if not {column, column.partition(".")[0]} & names]


def renamed(row: Row, columns: Columns) -> dict[str, Any]:
    """Return the row by our names; a column that has a name of ours but is not mapped to it is left out."""
    ours: dict[str, Any] = {name: value for name, value in row.items() if name not in columns}
    for name, theirs in columns.items():
        values = [_value(row, column) for column in ([theirs] if isinstance(theirs, str) else theirs)]
        if any(value is not None for value in values):
            ours[name] = values[0] if isinstance(theirs, str) else values
    return ours


def _value(row: Row, name: str) -> Any:
    """Return what is in a column, or under `question.stem` within one; None where there is none."""
    if name in row:
        return row[name]
    outer, dot, inner = name.partition(".")
    return _value(row[outer], inner) if dot and isinstance(row.get(outer), Mapping) else None
