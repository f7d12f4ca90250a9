"""The tasks, one file each. A new one is a file that defines `TASK` and a name in the list below."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from limbeck.errors import unknown
from limbeck.tasks import anli1, arithmetic, cqa, custom, esnli, svamp
from limbeck.tasks.answers import normalise, same_text, same_value
from limbeck.tasks.equations import evaluate
from limbeck.tasks.numbers import read_equation, read_number
from limbeck.tasks.task import HubInputs, Row, Split, Task, is_right

Answer = Literal["text", "number", "equation"]

_MODULES = (
    svamp,
    cqa,
    esnli,
    anli1,
    arithmetic,
    custom,
)
TASKS: dict[str, Task] = {module.TASK.name: module.TASK for module in _MODULES}


def get(name: str, choices: Sequence[str] = (), answer: Answer = "text") -> Task:
    """Return the task of that name; `custom` with its user's choices and the way its answers are read and compared.

    Raises:
        LimbeckError: there is none; offers the nearest name.
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    task = TASKS[name]
    if task is not custom.TASK:
        return task
    task = replace(task, choices=tuple(choices))
    if answer == "text":
        return task
    read_label = read_number if answer == "number" else read_equation
    return replace(task, equal=same_value, read_label=read_label, read_answer=custom.numeric_reader(read_label))


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
