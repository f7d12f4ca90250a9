"""The definition of a task, and readers of rows and of a teacher's words."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from limbeck.errors import DataError
from limbeck.schema import Example

_SENTENCE = re.compile(r"(?<!\b[A-Z])(?<!\b(?:St|Mr|Dr|Mt|Ft|vs|Jr))(?<!\bMrs)[.!?][\"')\]]{0,3}\s+(?=[^\d\s.+*/()-])")
_CALCULATION = re.compile(r"<<[-+*/^().,%$\dxX ]{1,200}=[-+*/^().,%$\dxX =]{0,200}>>")

Row = Mapping[str, Any]
Split = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class HubInputs:
    """A task's inputs on the Hugging Face Hub."""

    path: str
    config: str | None
    splits: Mapping[Split, str]  # our names to the Hub's
    revision: str | None = None


@dataclass(frozen=True)
class Task:
    """A task: its rows, its labels, and how answers are read and compared."""

    name: str
    title: str
    marker: str  # before the teacher's answer; other forms of "the answer is" count too
    read_answer: Callable[[str, Example], str | None]  # of an answer's text; None where unclear
    equal: Callable[[str, str], bool]  # of a prediction and a label; `is_right` knows other answers
    # published columns: of each segment's lines, and of the label
    fields: tuple[tuple[str, ...], ...] = ()
    label_field: str = "label"
    choices: tuple[str, ...] = ()  # the fixed labels; empty: free text, or each example's own
    question: str = ""  # about the input, unless that asks it itself
    form: str = "the answer"  # of a label, as an instruction names it
    segments: tuple[str, ...] = ()  # names of the input's several segments
    nouns: tuple[str, ...] = ()  # other words for "answer"
    hub: HubInputs | None = None
    # a label's canonical text; None: no label
    read_label: Callable[[str], str | None] = str.strip

    @property
    def key(self) -> str:
        """The task as far as its rows and labels depend on it."""
        return f"{self.name} {self.choices} {self.equal.__qualname__} {self.read_label.__qualname__}"


def is_right(task: Task, prediction: str, example: Example) -> bool:
    """Return whether `prediction` is the label or another of its answers."""
    return any(task.equal(prediction, answer) for answer in (example.label, *example.answers))


def text(value: Any, field: str) -> str:
    """Return the text in a row's `field`. Raises DataError if it is blank, no text, or not valid Unicode."""
    if not isinstance(value, str):
        raise DataError(f"expected text, not {value!r:.40}", field=field)
    if not value.strip():
        raise DataError("blank", field=field)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"not valid Unicode at character {error.start} ({error.reason})", field=field) from None
    return value


def without_calculations(text: str) -> str:
    """Remove GSM8K's calculator: of `48/2 = <<48/2=24>>24` it leaves `48/2 = 24`."""
    return _CALCULATION.sub("", text)


def first_sentence(text: str) -> str:
    """Return the first sentence, without its full stop."""
    return _SENTENCE.split(text.strip(), maxsplit=1)[0].rstrip(".!").rstrip()
