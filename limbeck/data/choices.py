"""Choices of a row in the forms that files have them, and the choice that a label names."""

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from limbeck.data.cells import cell_text, parse_cell
from limbeck.errors import DataError
from limbeck.tasks import Row, normalise
from limbeck.tasks.task import text

_TEXTS = ("text", "content", "value", "choice", "option")
_KEYS = ("label", "key", "letter", "id")
_LETTERS = string.ascii_uppercase
_LETTERED = re.compile(r"\s*\(?([A-Za-z])\s?[).:]\s*(\S.*)", re.DOTALL)  # "(a) dam", "B)18", "C. zoo", "d: sea"
_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")
_COLUMN = re.compile(r"(?P<prefix>(?:options?|opt?|choices?|endings?|sol)?)[_ -]?(?P<mark>[a-jA-J]|\d)", re.IGNORECASE)
_TRUTHS = {"true": "yes", "yes": "true", "false": "no", "no": "false"}
_ADVICE = "the choices as {label: [0, 1], text: [...]}"


@dataclass(frozen=True)
class Choices:
    """The texts to choose among, and the data's own names for them (A, B, C or 1, 2, 3) where it has some."""

    texts: tuple[str, ...]
    keys: tuple[str, ...] = ()


def read_choices(cell: Any) -> Choices:
    """Return the choices in a cell.

    It holds a list of texts, numbers or objects with `text` and `label`; `{label: [...], text: [...]}`;
    `{A: ..., B: ...}`; such a value as JSON, Python or numpy print it; or texts between bars, on
    lines or after letters ("a ) 38 , b ) 30"). Texts that all begin with their letters ("A)18") lose them.

    Raises DataError: it holds none of these, or a text is blank.
    """
    value = parse_cell(cell) if isinstance(cell, str) else cell
    if isinstance(value, str):
        value = _split(value)
    if isinstance(value, Mapping):
        value = _items(value)
    if not isinstance(value, list | tuple):
        raise DataError(
            f"a list of texts was expected, not {value!r:.60}; write it as JSON, or with bars between, or name a "
            "column for each, like `columns: {choices: [A, B, C]}`",
            field="choices",
        )
    entries = [_entry(item) for item in value]
    while entries and entries[-1][1] is None:  # a table of five columns may have rows of four choices
        entries.pop()
    texts = tuple(text("" if item is None else cell_text(item), "choices") for _, item in entries)
    keys = tuple(key for key, _ in entries if key)
    if keys or len(texts) < 2:
        return Choices(texts, keys if len(keys) == len(texts) else ())
    matches = [match for choice in texts if (match := _LETTERED.fullmatch(choice))]
    letters = tuple(match[1] for match in matches)
    if "".join(letters).upper() == _LETTERS[: len(texts)]:
        return Choices(tuple(match[2].strip() for match in matches), letters)
    return Choices(texts)


def _split(value: str) -> list[str] | str:
    """Return the texts between bars, on lines or after letters in alphabetical order; other text as it is."""
    if mark := next((mark for mark in "|\n" if mark in value), None):
        return [piece for piece in value.split(mark) if piece.strip()]
    starts: list[int] = []
    for letter in _LETTERS:
        pattern = re.compile(rf"(?:^|(?<=[\s,;]))\(?{letter}\s?[).:]", re.IGNORECASE)
        match = pattern.search(value, starts[-1] + 1 if starts else 0)
        if match is None or (not starts and value[: match.start()].strip()):
            break
        starts.append(match.start())
    if len(starts) < 2:
        return value
    return [value[start:end].strip(" ,;") for start, end in zip(starts, [*starts[1:], None], strict=True)]


def _items(value: Mapping[str, Any]) -> Any:
    """Return the choices of a mapping as objects: it has two lists, or a text by key."""
    texts = next((value[name] for name in _TEXTS if isinstance(value.get(name), list | tuple)), None)
    if texts is None:
        return [{"label": key, "text": item} for key, item in value.items()] if len(value) > 1 else dict(value)
    keys = next((value[name] for name in _KEYS if isinstance(value.get(name), list | tuple)), [None] * len(texts))
    if len(keys) != len(texts):
        raise DataError(f"{len(texts)} texts, but {len(keys)} labels for them", field="choices")
    return [{"label": key, "text": item} for key, item in zip(keys, texts, strict=True)]


def _entry(item: Any) -> tuple[str | None, Any]:
    """Return a choice's key and text; None for each that is blank. A word such as "None" is a choice."""
    key = None
    if isinstance(item, Mapping):
        key = next((item[name] for name in _KEYS if item.get(name) is not None), None)
        item = next((item[name] for name in _TEXTS if name in item), None)
    blank = item is None or item != item or (isinstance(item, str) and not item.strip())
    return None if key is None else cell_text(key), None if blank else item


def column_choices(row: Row) -> list[dict[str, Any]] | None:
    """Return the choices in columns of their own (A to E, option_a, choice1, ending0, opa); None without them."""
    columns = _choice_columns(tuple(row))
    return [{"label": key, "text": row[name]} for name, key in columns] if columns else None


@lru_cache(maxsize=64)
def _choice_columns(names: tuple[str, ...]) -> list[tuple[str, str | None]] | None:
    """Return the columns with a choice each, and their letters. A number is no key: `choice1` may have the label 0."""
    groups: dict[tuple[str, bool], dict[str, str]] = {}
    for name in names:
        if (match := _COLUMN.fullmatch(name)) and (match["prefix"] or match["mark"].isalpha()):
            groups.setdefault((match["prefix"].casefold(), match["mark"].isalpha()), {})[match["mark"].upper()] = name
    for (_, lettered), columns in groups.items():
        marks = sorted(columns)
        expected = _LETTERS if lettered else "0123456789"[marks[0] == "1" :]
        if len(marks) > 1 and "".join(marks) == expected[: len(marks)]:
            return [(columns[mark], mark if lettered else None) for mark in marks]
    return None


Reading = Callable[[str, Choices], str | None]
"""A way in which labels name choices: it returns the choice of a label, None where the label names none."""


def by_key(label: str, choices: Choices) -> str | None:
    """Return the choice to which the data itself gives this key."""
    letter = _LETTER.fullmatch(label)
    keys = [key.casefold() for key in choices.keys]
    key = (letter[1] if letter else label).casefold()
    return choices.texts[keys.index(key)] if keys.count(key) == 1 else None


def by_text(label: str, choices: Choices) -> str | None:
    """Return the choice with this text: the same, in another case, after its letter, or "yes" for "true"."""
    if label in choices.texts:
        return label
    for name in (label, _TRUTHS.get(label.casefold())):
        matches = [choice for choice in choices.texts if name and normalise(choice) == normalise(name)]
        if matches:
            return matches[0] if len(matches) == 1 else None
    lettered = _LETTERED.fullmatch(label)
    choice = by_letter(lettered[1], choices) if lettered else None
    return choice if lettered and choice is not None and normalise(choice) == normalise(lettered[2]) else None


def by_letter(label: str, choices: Choices) -> str | None:
    """Return the choice with this letter: by the data's own keys where it has some, else by its position."""
    letter = _LETTER.fullmatch(label)
    if letter is None:
        return None
    if choices.keys and not all(key.isdecimal() for key in choices.keys):
        return by_key(label, choices)
    return _at(_LETTERS.index(letter[1].upper()), choices)


def _by_number(first: int) -> Reading:
    return lambda label, choices: _at(int(label) - first, choices) if re.fullmatch("[0-9]{1,9}", label) else None


def _at(index: int, choices: Choices) -> str | None:
    return choices.texts[index] if 0 <= index < len(choices.texts) else None


_READINGS: dict[str, Reading] = {
    "key": by_key,
    "text": by_text,
    "letter": by_letter,
    "number from 0": _by_number(0),
    "number from 1": _by_number(1),
}


def find_reading(labels: Sequence[tuple[str, Choices]]) -> tuple[str, Reading] | None:
    """Return the first way, with its name, in which all labels name a choice; None where there is none.

    Raises DataError: numbers may count from 0 or from 1, or a letter or number is also the text of another choice.
    """
    names = [
        name for name, read in _READINGS.items() if all(read(label, choices) is not None for label, choices in labels)
    ]
    if not names:
        return None
    if names[0] == "number from 0" and "number from 1" in names:
        reason = "the labels are numbers that may count the choices from 0 or from 1"
        raise DataError(f"{reason}; write the choice's letter or text, or {_ADVICE}", field="label")
    reading = _READINGS[names[0]]
    if names[0] not in ("key", "text"):
        for label, choices in labels:
            choice = str(reading(label, choices))
            if label in choices.texts and choice != label:
                raise _ambiguous(label, [label, choice])
    return names[0], reading


def find_choice(label: str, choices: Choices, reading: Reading | None) -> str | None:
    """Return the choice that a label names by `reading`, or else by text, key or letter.

    Raises DataError: the latter name different choices.
    """
    if reading is not None and (choice := reading(label, choices)) is not None:
        return choice
    meanings = list(dict.fromkeys(filter(None, (read(label, choices) for read in (by_text, by_key, by_letter)))))
    if len(meanings) > 1:
        raise _ambiguous(label, meanings)
    return meanings[0] if meanings else None


def _ambiguous(label: str, meanings: Sequence[str]) -> DataError:
    first, second, *_ = meanings
    return DataError(
        f"{label!r:.60} may mean the choice {first!r:.60} or {second!r:.60}, by text or by position; write every label "
        f"as the choice's text, or {_ADVICE}",
        field="label",
    )
