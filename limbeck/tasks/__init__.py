"""The tasks by name. A new one is a file that defines it and a line in the list below."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from limbeck.errors import unknown
from limbeck.tasks.answers import normalise, same_text, same_value
from limbeck.tasks.cqa import CQA
from limbeck.tasks.custom import CUSTOM, numeric_reader
from limbeck.tasks.nli import ANLI1, ESNLI
from limbeck.tasks.numbers import evaluate, read_equation, read_number
from limbeck.tasks.svamp import ARITHMETIC, SVAMP
from limbeck.tasks.task import HubInputs, Row, Split, Task, is_right

Answer = Literal["text", "number", "equation"]

TASKS: dict[str, Task] = {task.name: task for task in (SVAMP, CQA, ESNLI, ANLI1, ARITHMETIC, CUSTOM)}


def get(name: str, choices: Sequence[str] = (), answer: Answer = "text") -> Task:
    """Return the task of that name; `custom` with its user's choices and the way its answers are read and compared.

    Raises:
        LimbeckError: there is none; offers the nearest name.
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    task = TASKS[name]
    if task is not CUSTOM:
        return task
    task = replace(task, choices=tuple(choices))
    if answer == "text":
        return task
    read_label = read_number if answer == "number" else read_equation
    return replace(task, equal=same_value, read_label=read_label, read_answer=numeric_reader(read_label))


__all__ = [
    "TASKS",
    "Answer",
    "HubInputs",
    "Row",
    "Split",
    "Task",
    "evaluate",
    "get",
    "is_right",
    "normalise",
    "same_text",
    "same_value",
]
