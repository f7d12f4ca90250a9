"""The prompts of a teacher: an instruction, worked examples and the question, read from a YAML file.

The hint, for the examples that the teacher got wrong, is STaR's rationalisation (Zelikman et al. 2022).
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from limbeck.annotation.filters import Asked, Sample
from limbeck.errors import LimbeckError
from limbeck.files import read_text
from limbeck.llm import parse
from limbeck.llm.messages import ChatMessage, Tokens, completion_thoughts, estimate
from limbeck.llm.runner import Request
from limbeck.llm.settings import SamplingSettings
from limbeck.llm.store import Key, Store
from limbeck.schema import Example, listing
from limbeck.settings import UNSHOWN, Settings, yaml_value
from limbeck.tasks import Task, get

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z_0-9]*)\}")  # other braces are text
_KNOWN_PLACEHOLDERS = {"question": ("input", "input_1", "input_2"), "choices": ("choices",), "hint": ("label",)}
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
    """A question with the reply that the teacher shall take as its model; both are sent verbatim."""

    input: Segments = Field(description="a text, or a list of texts: its segments")
    choices: tuple[Text, ...] = ()
    reply: Text


class Prompt(Settings):
    """A conversation that ends with a question; `load_prompt` reads one, and checks its worked examples.

    `{word}` in question, choices and hint is a placeholder, and an unknown one is an error; other braces are text. An
    example's own braces are never looked at.
    """

    instruction: Text = Field(description="the system's turn; sent verbatim")
    question: Text = Field(description="the user's turn: {input}, or segments apart: {input_1}, {input_2}")
    choices: Text | None = Field(None, description="follows the question where an example has {choices}, a line each")
    examples: tuple[WorkedExample, ...] = ()
    hint: Text = Field(description="follows the question where the teacher is told the {label} that it missed")

    @field_validator("instruction", "question", "choices", "hint")
    @classmethod
    def _placeholders(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None:
            return None
        placeholders = _KNOWN_PLACEHOLDERS.get(info.field_name or "", ())
        names = _PLACEHOLDER.findall(text)
        # An instruction is sent verbatim: it may well hold \boxed{answer}, but {input} there is a mistake.
        mistaken = set(sum(_KNOWN_PLACEHOLDERS.values(), ()))
        wrong = [name for name in names if (name not in placeholders if placeholders else name in mistaken)]
        listed = ", ".join(f"{{{name}}}" for name in placeholders) or "none"
        if wrong:
            raise PydanticCustomError(UNSHOWN, f"unknown placeholder {{{wrong[0]}}}; known here: {listed}")
        if placeholders and not names:
            raise PydanticCustomError(UNSHOWN, f"has to hold a placeholder: {listed}")
        return text

    def messages(self, example: Example, hint: bool = False) -> list[ChatMessage]:
        """Return the system's turn, the worked examples and the question, with or without the label as a hint.

        Raises:
            LimbeckError: the example has fewer segments than the question shows, or no label for the hint.
        """
        where = f"example {example.id!r:.60}"
        content = self.user_turn(_with_choices(example), example.choices, where)
        if hint:
            if not example.label:
                raise LimbeckError(f"{where}: no hint can be given: its label is not known")
            content = f"{content}\n\n{_filled(self.hint, {'label': example.label})}"
        return [*self._opening, {"role": "user", "content": content}]

    @cached_property
    def _opening(self) -> tuple[ChatMessage, ...]:
        messages = [{"role": "system", "content": self.instruction}]
        for example in self.examples:
            messages.append({"role": "user", "content": self.user_turn(example.input, example.choices, "examples")})
            messages.append({"role": "assistant", "content": example.reply})
        return tuple(messages)

    def user_turn(self, segments: Sequence[str], choices: Sequence[str], where: str) -> str:
        """Return the user's turn. Raises LimbeckError, naming `where`, if a segment that the question shows is missing.

        Choices that stand in the last segment are shown there, or by `choices` where the prompt has it, never twice.
        """
        if self.choices is not None and choices:
            segments = [*segments[:-1], segments[-1].removesuffix(listing(choices))]
        inputs = {f"input_{number}": segment for number, segment in enumerate(segments, start=1)}
        inputs["input"] = "\n".join(segments)
        if missing := [name for name in _PLACEHOLDER.findall(self.question) if name not in inputs]:
            raise LimbeckError(f"{where}: the prompt's question shows {{{missing[0]}}}, and there is no such input")
        question = _filled(self.question, inputs)
        if self.choices is None or not choices:
            return question
        listed = "\n".join(f"- {choice}" for choice in choices)
        return f"{question}\n\n{_filled(self.choices, {'choices': listed})}"


def load_prompt(task: Task, path: Path | None = None) -> Prompt:
    """Read the task's own prompt, or the one in the YAML file `path`.

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
    examples = {f"{where}: worked example {number}": row for number, row in enumerate(rows, start=1)}
    worked = {row_name: _worked_example(row, task, row_name) for row_name, row in examples.items()}
    prompt = Prompt.parse({**values, "examples": list(worked.values())}, where)
    for row_name, example in worked.items():
        prompt.user_turn(example.input, example.choices, row_name)
    return prompt


def prompt_text(name: str) -> str:
    """Return the text of the prompt file of the task `name`, for people to copy and edit.

    Raises:
        LimbeckError: there is no such task.
    """
    name = get(name).name
    file = files("limbeck.annotation") / "prompt_files" / f"{_SHARED.get(name, name)}.yaml"
    return file.read_text(encoding="utf-8")


def _worked_example(row: Any, task: Task, where: str) -> WorkedExample:
    if isinstance(row, dict) and "input" not in row:
        try:
            example = task.read(row, where)
        except LimbeckError as error:
            raise LimbeckError(f"{where}: {error}") from None
        row = {"input": example.segments, "choices": example.choices} | {key: row[key] for key in row if key == "reply"}
    worked = WorkedExample.parse(row, where)
    choices = worked.choices or task.choices
    example = Example(where, worked.input, "", choices=choices, own_choices=set(choices) != set(task.choices))
    worked = worked.model_copy(update={"input": _with_choices(example), "choices": choices})
    parsed = parse(worked.reply, task, example)
    if parsed.rationale is None or parsed.label is None:
        raise LimbeckError(
            f"{where}: reply: no {'rationale' if parsed.rationale is None else 'answer'} can be read in it; "
            f"it has to reason first and to end with {task.marker!r} and the answer"
        )
    return worked


def _with_choices(example: Example) -> tuple[str, ...]:
    """Return the segments, the last of them with the example's own choices, once."""
    last = example.segments[-1].removesuffix(example.choices_text) + example.choices_text
    return (*example.segments[:-1], last)


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Return the template with its placeholders replaced in one pass: braces in the values are never looked at."""
    return _PLACEHOLDER.sub(lambda placeholder: values[placeholder[1]], template)


class Questions:
    """The questions that a prompt makes of examples for one model, and the keys under which the store has replies.

    `prompt` is a hash of the messages before a question and of the sampling; `sent` has the same in full. The longest
    answer is not in it: after it was raised, only the answers that had been cut off are asked for again.
    """

    def __init__(self, examples: Sequence[Example], prompt: Prompt, model: str, sampling: SamplingSettings) -> None:
        """
        Raises:
            LimbeckError: the prompt shows an input that an example has not.
        """
        self.examples, self._prompt, self._model, self._sampling = examples, prompt, model, sampling
        self.sent = {
            "messages": prompt.messages(examples[0])[:-1],
            "temperature": sampling.heat,
            "top_p": sampling.top_p,
            "extra": sampling.extra,
        }
        self.prompt = _hash(self.sent)
        self._questions = {example.id: self._question(example, hint=False) for example in examples}

    def requests(self, examples: Sequence[Example], hint: bool = False) -> list[Request]:
        """Return the requests for all samples of these examples, round by round; with a hint for one of each."""
        samples = range(1 if hint else self._sampling.samples)
        drafts = [(example, self._question(example, hint), self._max_tokens(example, hint)) for example in examples]
        return [
            Request(Key(self._model, self.prompt, question, sample), example, hint, max_tokens)
            for sample in samples
            for example, question, max_tokens in drafts
        ]

    def messages(self, request: Request) -> list[ChatMessage]:
        """Return the messages that are sent for a request."""
        return self._prompt.messages(request.example, request.hint)

    def asked(self, store: Store) -> list[Asked]:
        """Return every example with its samples in the store; hinted ones only where there are any."""
        replies, failures = store.texts(self._model, self.prompt), store.failures(self._model, self.prompt)
        bodies = store.bodies(self._model, self.prompt)

        def sample(question: str, index: int, hinted: bool) -> Sample:
            key = (question, index)
            kind, reason = failures.get(key, (None, None))
            return Sample(replies.get(key), kind, reason, hinted, completion_thoughts(bodies.get(key, "")))

        questions = []
        for example in self.examples:
            question = self._questions[example.id]
            samples = [sample(question, index, False) for index in range(self._sampling.samples)]
            if example.label:
                hinted = sample(self._question(example, hint=True), 0, True)
                samples += [hinted] if hinted.text is not None or hinted.failure is not None else []
            questions.append(Asked(example, tuple(samples)))
        return questions

    def _question(self, example: Example, hint: bool) -> str:
        return _hash(self._prompt.messages(example, hint)[-1]["content"])

    def _max_tokens(self, example: Example, hint: bool) -> Tokens:
        return Tokens(estimate(self._prompt.messages(example, hint)), self._sampling.max_tokens)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
