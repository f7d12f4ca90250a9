"""Choices of a row in the forms of docs/data.md, and the choice that a label names."""

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from limbeck.data.tables import cell_text, parse_cell
from limbeck.errors import DataError
from limbeck.tasks import Row, normalise
from limbeck.tasks.task import text

_LETTERS = string.ascii_uppercase
_LETTERED = re.compile(r"\(?([A-Za-z])\s?[).:]\s*(\S.*)", re.DOTALL)  # "(a) dam", "B)18", "C. zoo"
_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")
_COLUMN = re.compile(r"(?:(?:option|choice|ending|op|sol)[ _]?|(?!\d))([a-j\d])", re.IGNORECASE)
_IN_ONE_TEXT = re.compile(r"(?:^|[\s,;]+)\(?([A-Za-z])\s?\)")  # MathQA's "a ) 38 , b ) 30"

_READINGS = ("key", "text", "letter", "number from 0", "number from 1")
AMBIGUOUS = "number from 0 or from 1"


@dataclass(frozen=True)
class Choices:
    """Texts to choose among, and the data's keys for them (A, B, C or 1, 2, 3), if any."""

    texts: tuple[str, ...]
    keys: tuple[str, ...] = ()
    of_task: bool = False  # the same in every row


def read_choices(cell: Any) -> Choices:
    """Return the choices in a cell, without letters that all of them begin with ("A)18")."""
    value = parse_cell(cell) if isinstance(cell, str) else cell
    keys: list[Any] = []
    if isinstance(value, str):
        before, *pieces = _IN_ONE_TEXT.split(value.strip())
        if "|" in value:
            value = value.split("|")
        elif not before and len(pieces) > 2 and _are_letters(pieces[::2]):
            keys, value = pieces[::2], pieces[1::2]
    elif isinstance(value, Mapping):
        lists = isinstance(value.get("text"), list)
        keys, value = (value.get("label") or [], value["text"]) if lists else (list(value), list(value.values()))
        if not isinstance(keys, list):
            raise DataError(f"a list of the choices' labels was expected, not {keys!r:.60}", field="choices")
    elif isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        keys, value = [item.get("label") for item in value], [item.get("text") for item in value]
    if not isinstance(value, list) or not value:
        advice = "write JSON, or name a column for each, like `columns: {choices: [A, B, C]}`"
        raise DataError(f"a list of texts was expected, not {value!r:.60}; {advice}", field="choices")
    items = ["" if item is None or item != item else cell_text(item) for item in value]
    while len(items) > 1 and items[-1] == "":  # in a table of five, rows may have four
        items.pop()
    texts = tuple(text(item, "choices") for item in items)
    keys = [str(cell_text(key)) for key in keys[: len(items)] if key is not None]
    if len(keys) not in (0, len(texts)):
        raise DataError(f"{len(texts)} texts, but {len(keys)} labels for them", field="choices")
    matches = [match for choice in texts if (match := _LETTERED.fullmatch(choice))]
    if not keys and len(matches) == len(texts) > 1 and _are_letters([match[1] for match in matches]):
        return Choices(tuple(match[2].strip() for match in matches), tuple(match[1] for match in matches))
    return Choices(texts, tuple(keys))


def _are_letters(keys: Sequence[str]) -> bool:
    return "".join(keys).upper() == _LETTERS[: len(keys)]


def column_choices(row: Row) -> dict[str, Any] | list[Any] | None:
    """Return the choices in columns of their own (A to E, option_a, choice1, ending0), if any."""
    cells = {match[1].upper(): row[name] for name in row if (match := _COLUMN.fullmatch(name))}
    marks = "".join(sorted(cells))
    if len(marks) > 1 and _are_letters(marks):
        return {mark: cells[mark] for mark in marks}
    if len(marks) > 1 and marks in "0123456789" and marks[0] in "01":
        return [cells[mark] for mark in marks]  # without keys, for `choice1` may have the label 0
    return None


def named_choice(label: str, choices: Choices, reading: str) -> str | None:
    """Return the only choice that a label names in a `reading`; letters are positions only without keys."""
    if reading == "text" and label in choices.texts:
        return label
    if reading == "text" and (lettered := _LETTERED.fullmatch(label)):  # "B) green"
        choice = named_choice(lettered[1], choices, "letter")
        if choice and normalise(choice) == normalise(lettered[2]):
            return choice
    names: Iterable[object] = {
        "key": choices.keys,
        "text": choices.texts,
        "letter": choices.keys or _LETTERS,
        "number from 0": count(),
        "number from 1": count(1),
    }[reading]
    letter = None if reading == "text" else _LETTER.fullmatch(label)
    name = normalise(letter[1] if letter else label)
    matches = [choice for key, choice in zip(names, choices.texts, strict=False) if normalise(str(key)) == name]
    return matches[0] if len(matches) == 1 else None


def find_reading(labels: Iterable[tuple[str, Choices]]) -> str | None:
    """Return the first of `_READINGS` by which all labels name a choice, if any; or that numbers are `AMBIGUOUS`."""
    fitting = list(_READINGS)
    for label in labels:
        fitting = [reading for reading in fitting if named_choice(*label, reading)]
    if fitting[:2] == ["number from 0", "number from 1"]:
        return AMBIGUOUS
    return fitting[0] if fitting else None


def find_choice(label: str, choices: Choices, reading: str | None) -> str | None:
    """Return the choice that a label names by `reading`, or else by text or letter."""
    if reading == AMBIGUOUS:
        raise DataError("numbers may count from 0 or from 1; write the choice's text or letter", field="label")
    if reading in ("key", "text") and (choice := named_choice(label, choices, reading)):
        return choice
    meanings = {named_choice(label, choices, name) for name in (reading or "text", "text", "letter")} - {None}
    if len(meanings) > 1:
        texts = " or ".join(sorted(map(repr, meanings)))
        raise DataError(f"{label!r:.60} may mean {texts}; write every label as the choice's text", field="label")
    return next(iter(meanings), None)
