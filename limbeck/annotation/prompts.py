"""What a teacher is asked: an instruction, worked examples and the question, read from a YAML file.

The hint, for the examples that the teacher got wrong, is STaR's rationalisation (Zelikman et al. 2022).
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from limbeck.errors import LimbeckError
from limbeck.files import read_text
from limbeck.llm import parse
from limbeck.llm.messages import ChatMessage
from limbeck.schema import Example, listing
from limbeck.settings import UNSHOWN, Settings, yaml_value
from limbeck.tasks import Task, get

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z_0-9]*)\}")  # other braces are text
_KNOWN = {"question": ("input", "input_1", "input_2"), "choices": ("choices",), "hint": ("label",)}
_KNOWN_SOMEWHERE = {name for names in _KNOWN.values() for name in names}
_SHARED = {"arithmetic": "svamp"}  # a task that asks and answers as another does has no file of its own


def _unquoted(value: Any) -> Any:
    if isinstance(value, Mapping):
        raise PydanticCustomError(UNSHOWN, "text was expected; in YAML a text that begins with a brace needs quotes")
    return value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), BeforeValidator(_unquoted)]
Segments = Annotated[
    tuple[Text, ...], Field(min_length=1), BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]


class WorkedExample(Settings):
    """A question and the reply to it that the teacher shall take as its model; both are sent as they stand."""

    input: Segments = Field(description="a text, or a list of texts: its segments")
    choices: tuple[Text, ...] = ()
    reply: Text


class Prompt(Settings):
    """A conversation that ends with a question; `load_prompt` makes one, and checks its worked examples.

    What has the form `{word}` in question, choices and hint is a placeholder, and an unknown one is an error; other
    braces are text. An example's own braces are never looked at.
    """

    instruction: Text = Field(description="the system's turn; sent as it stands")
    question: Text = Field(description="the user's turn: {input}, or segments apart: {input_1}, {input_2}")
    choices: Text | None = Field(None, description="follows the question where an example has {choices}, a line each")
    examples: tuple[WorkedExample, ...] = ()
    hint: Text = Field(description="follows the question where the teacher is told the {label} that it missed")

    @field_validator("instruction", "question", "choices", "hint")
    @classmethod
    def _placeholders(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None:
            return None
        known = _KNOWN.get(info.field_name or "", ())
        found = _PLACEHOLDER.findall(text)
        # An instruction is sent as it stands: it may well hold \boxed{answer}, but {input} there is a mistake.
        wrong = [name for name in found if (name not in known if known else name in _KNOWN_SOMEWHERE)]
        listed = ", ".join(f"{{{name}}}" for name in known) or "none"
        if wrong:
            raise PydanticCustomError(UNSHOWN, f"unknown placeholder {{{wrong[0]}}}; known here: {listed}")
        if known and not found:
            raise PydanticCustomError(UNSHOWN, f"has to hold a placeholder: {listed}")
        return text

    def messages(self, example: Example, hint: bool = False) -> list[ChatMessage]:
        """The system's turn, the worked examples, and the example's question, with its label as a `hint` or without.

        Raises:
            LimbeckError: the example has fewer segments than the question shows, or no label for the hint.
        """
        where = f"example {example.id!r:.60}"
        asked = self._asked(_with_choices(example), example.choices, where)
        if hint:
            if not example.label:
                raise LimbeckError(f"{where}: no hint can be given: its label is not known")
            asked = f"{asked}\n\n{_filled(self.hint, {'label': example.label})}"
        return [*self._opening, {"role": "user", "content": asked}]

    @cached_property
    def _opening(self) -> tuple[ChatMessage, ...]:
        messages = [{"role": "system", "content": self.instruction}]
        for example in self.examples:
            messages.append({"role": "user", "content": self._asked(example.input, example.choices, "examples")})
            messages.append({"role": "assistant", "content": example.reply})
        return tuple(messages)

    def _asked(self, segments: Sequence[str], choices: Sequence[str], where: str) -> str:
        """The user's turn. Raises LimbeckError, naming `where`, if a segment that the question shows is not there.

        Choices that stand in the last segment are shown there, or by `choices` where the prompt has it, never twice.
        """
        if self.choices is not None and choices:
            segments = [*segments[:-1], segments[-1].removesuffix(listing(choices))]
        inputs = {f"input_{number}": segment for number, segment in enumerate(segments, start=1)}
        inputs["input"] = "\n".join(segments)
        if missing := [name for name in _PLACEHOLDER.findall(self.question) if name not in inputs]:
            raise LimbeckError(f"{where}: the prompt's question shows {{{missing[0]}}}, and there is no such input")
        asked = _filled(self.question, inputs)
        if self.choices is None or not choices:
            return asked
        listed = "\n".join(f"- {choice}" for choice in choices)
        return f"{asked}\n\n{_filled(self.choices, {'choices': listed})}"


def load_prompt(task: Task, path: Path | None = None) -> Prompt:
    """The task's own prompt, or the one in the YAML file `path`.

    A worked example is a row of the task's data, `input` or the task's own fields (`premise` and `hypothesis`), and
    with it the `reply`.

    Raises:
        LimbeckError: names the file, the line or field, and what is wrong with it: also a worked example whose reply
            does not show rationale and answer in a way that the task's parser reads.
    """
    where = f"the prompt of task {task.name!r}" if path is None else str(path)
    values = yaml_value(prompt_text(task.name) if path is None else read_text(path), where)
    if not isinstance(values, dict):
        raise LimbeckError(f"{where}: a prompt is a mapping with the keys {', '.join(Prompt.model_fields)}")
    rows = values.get("examples") or []  # null: all are commented out
    if not isinstance(rows, list):
        raise LimbeckError(f"{where}: examples: a list was expected")
    numbered = {f"{where}: worked example {number}": row for number, row in enumerate(rows, start=1)}
    worked = [_worked(row, task, place) for place, row in numbered.items()]
    prompt = Prompt.parse({**values, "examples": worked}, where)
    for place, example in zip(numbered, worked, strict=True):
        prompt._asked(example.input, example.choices, place)
    return prompt


def prompt_text(name: str) -> str:
    """The text of the file with the prompt of the task `name`, for people to copy and edit.

    Raises:
        LimbeckError: there is no such task.
    """
    name = get(name).name
    file = files("limbeck.annotation") / "prompt_files" / f"{_SHARED.get(name, name)}.yaml"
    return file.read_text(encoding="utf-8")


def _worked(row: Any, task: Task, where: str) -> WorkedExample:
    if isinstance(row, dict) and "input" not in row:
        try:
            read = task.read(row, where)
        except LimbeckError as error:
            raise LimbeckError(f"{where}: {error}") from None
        row = {"input": read.segments, "choices": read.choices} | {key: row[key] for key in row if key == "reply"}
    worked = WorkedExample.parse(row, where)
    choices = worked.choices or task.choices
    example = Example(where, worked.input, "", choices=choices, own_choices=set(choices) != set(task.choices))
    worked = worked.model_copy(update={"input": _with_choices(example), "choices": choices})
    parsed = parse(worked.reply, task, example)
    for part in ("rationale", "label"):
        if getattr(parsed, part) is None:
            raise LimbeckError(
                f"{where}: reply: no {'answer' if part == 'label' else part} can be read in it; "
                f"it has to reason first and to end with {task.marker!r} and the answer"
            )
    return worked


def _with_choices(example: Example) -> tuple[str, ...]:
    """Return the segments, the last of them with the example's own choices, once."""
    last = example.segments[-1].removesuffix(example.choices_text) + example.choices_text
    return (*example.segments[:-1], last)


def _filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced in one pass: braces in the values are never looked at."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)
