"""The tasks by name. A new one is a file, and a name in `TASKS`."""

from collections.abc import Sequence

from limbeck.errors import unknown
from limbeck.tasks.answers import normalise, same_text, same_value, vote_shares
from limbeck.tasks.cqa import CQA
from limbeck.tasks.custom import CUSTOM, Answer, own_task
from limbeck.tasks.nli import ANLI1, ESNLI
from limbeck.tasks.numbers import evaluate
from limbeck.tasks.svamp import ARITHMETIC, SVAMP
from limbeck.tasks.task import HubInputs, Row, Split, Task, is_right

TASKS: dict[str, Task] = {task.name: task for task in (SVAMP, CQA, ESNLI, ANLI1, ARITHMETIC, CUSTOM)}


def get(name: str, choices: Sequence[str] = (), answer: Answer = "text") -> Task:
    """Return the task `name`, `custom` as `own_task` does. Raises LimbeckError for an unknown one."""
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return own_task(choices, answer) if name == CUSTOM.name else TASKS[name]


__all__ = [
    "TASKS", "Answer", "HubInputs", "Row", "Split", "Task", "evaluate", "get", "is_right", "normalise",
    "same_text", "same_value", "vote_shares",
]  # fmt: skip
