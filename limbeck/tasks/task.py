"""The definition of a task, and helpers to read rows and a teacher's words."""

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
    """A task's inputs on the Hugging Face Hub; `splits` maps our names to the Hub's."""

    path: str
    config: str | None
    splits: Mapping[Split, str]
    revision: str | None = None


@dataclass(frozen=True)
class Task:
    """A task: its rows, its labels, and how a teacher's answer is read and compared."""

    name: str
    title: str
    marker: str  # the teacher's answer follows it, or "the answer is" in another form
    read_answer: Callable[[str, Example], str | None]  # of a text that is an answer; None where it is unclear
    equal: Callable[[str, str], bool]  # of a prediction and a label; `is_right` knows other accepted answers
    # columns of rows as they were published: of each segment's lines, and of the label
    fields: tuple[tuple[str, ...], ...] = ()
    label_field: str = "label"
    choices: tuple[str, ...] = ()  # the fixed labels; empty where they are free or each example's own
    question: str = ""  # about the input, where that does not ask it itself
    form: str = "the answer"  # of a label, as an instruction names it
    segments: tuple[str, ...] = ()  # names of the input's segments, where there are several
    nouns: tuple[str, ...] = ()  # other words for "answer"
    hub: HubInputs | None = None
    # a label's canonical text; None where it cannot be one
    read_label: Callable[[str], str | None] = str.strip


def is_right(task: Task, prediction: str, example: Example) -> bool:
    """Return whether `prediction` is the label or another accepted answer."""
    return any(task.equal(prediction, answer) for answer in (example.label, *example.answers))


def text(value: Any, field: str) -> str:
    """Return the text in a `field` of a row. Raises DataError if it is blank, no text, or not valid Unicode."""
    if not isinstance(value, str):
        raise DataError(f"text was expected, not {value!r:.40}", field=field)
    if not value.strip():
        raise DataError("it is blank", field=field)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"not valid Unicode at character {error.start} ({error.reason})", field=field) from None
    return value


def without_calculations(text: str) -> str:
    """Take GSM8K's calculator out of a text: `48/2 = <<48/2=24>>24` is `48/2 = 24`."""
    return _CALCULATION.sub("", text)


def first_sentence(text: str) -> str:
    """Return the first sentence of a teacher's words, without its full stop."""
    return _SENTENCE.split(text.strip(), maxsplit=1)[0].rstrip(".!").rstrip()
