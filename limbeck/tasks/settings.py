"""The settings of a task."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from limbeck.errors import unknown
from limbeck.settings import Settings
from limbeck.tasks import TASKS, Answer, get
from limbeck.tasks.task import Task

MAX_CHOICES = 1000  # each is a part of prompts, and scored


class TaskSettings(Settings):
    """A task by name; of `custom`, also its labels and how answers are compared."""

    task: str
    choices: list[str] = Field(default_factory=list, max_length=MAX_CHOICES)  # the labels allowed
    answer: Answer = "text"

    @field_validator("choices", mode="before")
    @classmethod
    def _numbers_as_text(cls, choices: Any) -> Any:
        """Write numbers as labels are read: 1 and 1.0 are "1"."""
        if not isinstance(choices, list):
            return choices
        return [f"{choice:.15g}" if type(choice) in (int, float) else choice for choice in choices]

    @field_validator("task")
    @classmethod
    def _name_of_a_task(cls, task: str) -> str:
        if task not in TASKS:
            raise ValueError(str(unknown("task", task, TASKS)))
        return task

    @model_validator(mode="after")
    def _fits_the_task(self) -> Self:
        if self.task != "custom" and (self.choices or self.answer != "text"):
            raise ValueError(f"choices and answer are for task 'custom' only, not {self.task!r}")
        return self

    def get_task(self) -> Task:
        return get(self.task, self.choices, self.answer)
