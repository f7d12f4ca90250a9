"""A teacher's prompts: instruction, worked examples, question, and a hint (STaR, Zelikman et al. 2022)."""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from limbeck.data.rows import read_examples
from limbeck.errors import DataError, RecipeError
from limbeck.llm.messages import ChatMessage
from limbeck.llm.replies import parse
from limbeck.schema import Example, listing
from limbeck.settings import Settings, read_mapping
from limbeck.tasks import Task, get

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z_0-9]*)\}")  # other braces are text
_PLACEHOLDERS = {"question": ("input", "input_1", "input_2"), "choices": ("choices",), "hint": ("label",)}
_SHARED = {"arithmetic": "svamp"}  # tasks that ask and answer alike

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class WorkedExample(NamedTuple):
    """A question with a model reply."""

    example: Example
    reply: str


class Prompt(Settings):
    """A conversation that ends with a question; `{word}` in question, choices and hint is filled in."""

    instruction: Text = Field(description="the system's turn; sent verbatim")
    question: Text = Field(description="the user's turn: {input}, or segments apart: {input_1}, {input_2}")
    choices: Text | None = Field(None, description="follows the question, with {choices} a line each")
    examples: tuple[WorkedExample, ...] = ()
    hint: Text = Field(description="follows a question that is asked again, with its {label}")

    @field_validator("question", "choices", "hint")
    @classmethod
    def _placeholders(cls, text: str | None, info: ValidationInfo) -> str | None:
        placeholders = _PLACEHOLDERS[str(info.field_name)]
        if text is not None and (not (names := _PLACEHOLDER.findall(text)) or not set(names) <= set(placeholders)):
            listed = " or ".join(f"{{{name}}}" for name in placeholders)
            raise ValueError(f"the placeholder {listed} was expected, and no other one")
        return text

    def messages(self, example: Example, hint: bool = False) -> list[ChatMessage]:
        """Return the system's turn, the worked examples and the question, with the label if `hint`."""
        hint_text = f"\n\n{filled(self.hint, {'label': example.label})}" if hint else ""
        return [*self.opening, {"role": "user", "content": self._user_turn(example) + hint_text}]

    @cached_property
    def opening(self) -> tuple[ChatMessage, ...]:
        """The turns before the question."""
        messages = [{"role": "system", "content": self.instruction}]
        for example, reply in self.examples:
            messages.append({"role": "user", "content": self._user_turn(example)})
            messages.append({"role": "assistant", "content": reply})
        return tuple(messages)

    def _user_turn(self, example: Example) -> str:
        """Return the user's turn, with choices once: after the last segment, or by `choices`."""
        *front, last = example.segments
        listed = ""
        if self.choices is not None and example.choices:
            last = last.removesuffix(listing(example.choices))
            choices = "\n".join(f"- {choice}" for choice in example.choices)
            listed = "\n\n" + filled(self.choices, {"choices": choices})
        else:
            last = last.removesuffix(example.choices_text) + example.choices_text
        segments = [*front, last]
        inputs = {f"input_{number}": segment for number, segment in enumerate(segments, start=1)}
        inputs["input"] = "\n".join(segments)
        for name in _PLACEHOLDER.findall(self.question):
            if name not in inputs:
                raise DataError(f"example {example.id!r:.60} lacks the {{{name}}} of the prompt's question")
        return filled(self.question, inputs) + listed


def load_prompt(task: Task, path: Path | None = None) -> Prompt:
    """Read the task's prompt, or the YAML file `path`. Raises LimbeckError, also for a reply that cannot be read."""
    path = path or prompt_file(task.name)
    values = read_mapping(path)
    rows = values.get("examples") or []  # null where all are commented out
    valid = isinstance(rows, list) and all(isinstance(row, dict) and isinstance(row.get("reply"), str) for row in rows)
    if not valid:
        raise RecipeError("a list of questions, each with its `reply`, was expected", path=path, field="examples")
    return Prompt.parse({**values, "examples": _worked_examples(rows, task, path) if rows else ()}, str(path))


def prompt_file(name: str) -> Path:
    """Return the path of a task's prompt. Raises LimbeckError if there is no such task."""
    get(name)
    return Path(__file__).parent / "prompt_files" / f"{_SHARED.get(name, name)}.yaml"


def _worked_examples(rows: list[dict[str, Any]], task: Task, path: Path) -> list[WorkedExample]:
    replies = [row.pop("reply").strip() for row in rows]
    table = [(f"{path}: example {number}", str(number), row) for number, row in enumerate(rows, start=1)]
    examples = read_examples({"": [table]}, {}, task, labelled=False)[""]
    for (location, *_), example, reply in zip(table, examples, replies, strict=True):
        if None in parse(reply, task, example):
            text = f"cannot be read; reason first, then write {task.marker!r} and the answer"
            raise RecipeError(text, path=location, field="reply")
    return list(map(WorkedExample, examples, replies))


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return the template with values for its placeholders, in one pass, since texts may hold braces."""
    return _PLACEHOLDER.sub(lambda placeholder: values[placeholder[1]], template)
