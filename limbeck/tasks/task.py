"""What a task is: how its raw rows are read, how its teacher's answers are read, and what counts as right."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from limbeck.errors import LimbeckError
from limbeck.schema import Example

_ABBREVIATIONS = "".join(
    rf"(?<!\b{word})" for word in ("[A-Z]", "St", "Mr", "Mrs", "Dr", "Mt", "Ft", "vs", "Jr", "Prof")
)
_SENTENCE = re.compile(rf"{_ABBREVIATIONS}[.!?][\"')\]]{{0,3}}\s+(?=[^\d\s.+*/()-])")

_CALCULATION = re.compile(r"<<[-+*/^().,%$\dxX ]{1,200}=[-+*/^().,%$\dxX =]{0,200}>>")

Row = Mapping[str, Any]
Split = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class HubInputs:
    """Where the Hugging Face Hub has a task's inputs; `splits` maps our names to the Hub's."""

    path: str
    config: str | None
    splits: Mapping[Split, str]
    revision: str | None = None


def stripped(label: str) -> str | None:
    """Return a label of free text: without white space around it, None where it is blank."""
    return label.strip() or None


@dataclass(frozen=True)
class Task:
    """One task. `choices` is the fixed set of labels, empty where the labels are free or each example has its own.

    `read(row, id)` makes an example of a raw row, with the row's own id where it has one. A row without the column
    `label_field` gives an example with the label "", which stands for "not known": a label is otherwise never blank.
    It raises LimbeckError naming the field; the caller knows file and line and adds them.

    The teacher wrote its answer after `marker`, or after "the answer is" in another form; `nouns` are other words for
    "answer". From `stop` on it ran on into a question of its own making.
    `read_answer(text, example)` is the answer in what follows the marker, None where there is no clear one.
    `equal(prediction, label)` says whether a prediction is right; `is_right` knows an example's other accepted answers.
    `read_label(text)` is the canonical text of a label that stands in a data file, None where it cannot be one.
    """

    name: str
    title: str
    read: Callable[[Row, str], Example]
    marker: str
    stop: str
    read_answer: Callable[[str, Example], str | None]
    equal: Callable[[str, str], bool]
    label_field: str = "label"
    choices: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()
    hub: HubInputs | None = None
    read_label: Callable[[str], str | None] = stripped


def is_right(task: Task, prediction: str, example: Example) -> bool:
    """Return whether `prediction` is the example's label or another of its accepted answers."""
    return any(task.equal(prediction, answer) for answer in (example.label, *example.answers))


def text_field(row: Row, name: str) -> str:
    """The text in a row's column.

    Raises:
        LimbeckError: the column is missing, or is no `text`.
    """
    if name not in row:
        raise LimbeckError(f"field {name!r}: missing; the row has {list(row)!r:.200}")
    return text(row[name], name)


def text(value: Any, name: str) -> str:
    """The value of the field `name`, if it is text.

    Raises:
        LimbeckError: it is not text, is blank, or holds what no UTF-8 file can hold.
    """
    if not isinstance(value, str):
        raise LimbeckError(f"field {name!r}: text was expected, not {value!r:.40}")
    if not value.strip():
        raise LimbeckError(f"field {name!r}: it is blank")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise LimbeckError(f"field {name!r}: not valid Unicode at character {error.start} ({error.reason})") from None
    return value


def label_text(row: Row, name: str) -> str:
    """As `text_field`, but "" (not known) where the row has no such column, or null in it."""
    return "" if row.get(name) is None else text_field(row, name)


def row_id(row: Row, id: str) -> str:
    """The row's own id, or `id` where it has none. Raises LimbeckError as `text`."""
    for name in ("id", "uid", "ID"):
        value = row.get(name)
        if value not in (None, ""):
            return text(str(value), name)
    return id


def without_calculations(text: str) -> str:
    """Return `text` without the marks of GSM8K's calculator: `48/2 = <<48/2=24>>24` is `48/2 = 24`."""
    return _CALCULATION.sub("", text)


def first_line(text: str) -> str:
    """The first line of a teacher's words, without white space around it: an answer is never longer."""
    return text.strip().partition("\n")[0].strip()


def first_sentence(text: str) -> str:
    """Return the first sentence of a teacher's words, without its full stop."""
    return _SENTENCE.split(first_line(text), maxsplit=1)[0].rstrip(".!").rstrip()
