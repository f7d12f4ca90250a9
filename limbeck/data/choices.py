"""Choices of a row in the forms that files give them, and which of them a label means."""

import ast
import json
import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from limbeck.data.cells import cell_text
from limbeck.errors import LimbeckError
from limbeck.tasks import Row, normalise
from limbeck.tasks.task import text

_TEXTS = ("text", "content", "value", "choice", "option")
_KEYS = ("label", "key", "letter", "id")
# "(a) dam", "B)18", "C. zoo", "d: sea"
_LETTERED = re.compile(r"\s*\(?([A-Za-z])\s?[).:]\s*(\S.*)", re.DOTALL)
_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")
_LETTERS = string.ascii_uppercase
# A cell as Python or numpy prints a list: what it is made of; numpy puts no commas between
_TOKEN = re.compile(
    r"""\s*(?:(?P<numpy>array\(|,\s*dtype=\w+)|(?P<value>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d*)?(?:e[+-]?\d+)?|None|True|False|nan)"""
    r"""|(?P<mark>[\[\](){},:]))""",
    re.DOTALL,
)
_MOST = 1 << 20  # characters of a printed list
_COLUMN = re.compile(r"(?P<prefix>(?:options?|opt?|choices?|endings?|sol)?)[_ -]?(?P<mark>[a-jA-J]|\d)", re.IGNORECASE)
_KEYED = "the choices as {label: [0, 1], text: [...]}"
_TRUTHS = {"true": "yes", "yes": "true", "false": "no", "no": "false"}


@dataclass(frozen=True)
class Choices:
    """The texts to choose among, and what the data itself calls them: A, B, C or 1, 2, 3; nothing where it does not."""

    texts: tuple[str, ...]
    keys: tuple[str, ...] = ()


def read_choices(value: Any) -> Choices:
    """Return the choices in a cell.

    It may be a list of texts, of numbers, or of objects with `text` and `label`; `{label: [...], text: [...]}`;
    `{A: ..., B: ...}`; or such a list as JSON, as Python or numpy prints it, or its texts between bars or on lines.
    Texts that begin with their letters ("A)18") lose them.

    Raises:
        LimbeckError: it is none of these, or a text is blank.
    """
    value = parse_cell(value) if isinstance(value, str) else value
    if isinstance(value, str):
        value = _parts(value)
    if isinstance(value, Mapping):
        value = _entries(value)
    if not isinstance(value, list | tuple):
        raise LimbeckError(
            f"field 'choices': a list of texts was expected, not {value!r:.60}; write it as JSON, or with bars "
            "between, or name one column for each, like `columns: {choices: [A, B, C]}`"
        )
    entries = [_entry(item) for item in value]
    while entries and entries[-1][1] is None:  # a table of five columns may have rows of four choices
        entries.pop()
    texts = tuple(text("" if item is None else cell_text(item), "choices") for _, item in entries)
    keys = tuple(key for key, _ in entries if key)
    if keys or len(texts) < 2:
        return Choices(texts, keys if len(keys) == len(texts) else ())
    lettered = [_LETTERED.fullmatch(item) for item in texts]
    letters = tuple(match[1] for match in lettered if match)
    if "".join(letters).upper() == _LETTERS[: len(texts)]:
        return Choices(tuple(match[2].strip() for match in lettered if match), letters)
    return Choices(texts)


def column_choices(row: Row) -> list[dict[str, Any]] | None:
    """Return the choices that stand in columns of their own: A to E, option_a, choice1, ending0, opa; None without."""
    columns = _choice_columns(tuple(row))
    return [{"label": key, "text": row[name]} for name, key in columns] if columns else None


@lru_cache(maxsize=64)
def _choice_columns(names: tuple[str, ...]) -> list[tuple[str, str | None]] | None:
    """Return the columns that hold a choice each, with its letter. Numbers are no keys: beside `choice1` labels may
    count from 0."""
    groups: dict[tuple[str, bool], dict[str, str]] = {}
    for name in names:
        if (match := _COLUMN.fullmatch(name)) and (match["prefix"] or match["mark"].isalpha()):
            groups.setdefault((match["prefix"].casefold(), match["mark"].isalpha()), {})[match["mark"].upper()] = name
    for (_, letters), columns in groups.items():
        marks = sorted(columns)
        first = _LETTERS if letters else "0123456789"[marks[0] == "1" :]
        if len(marks) > 1 and "".join(marks) == first[: len(marks)]:
            return [(columns[mark], mark if letters else None) for mark in marks]
    return None


def parse_cell(value: str) -> Any:
    """Return the list or mapping that a cell holds as JSON or as Python or numpy prints it; else the cell itself."""
    stripped = value.strip()
    if not stripped.startswith(("[", "{", "array(", "(")) or len(stripped) > _MOST:
        return value
    try:
        return json.loads(stripped)
    except (ValueError, RecursionError):
        pass
    tokens, position, after_value = [], 0, False
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            return value
        position = match.end()
        if match["numpy"] is None:
            token = "None" if match["value"] == "nan" else match["value"] or match["mark"]
            opens = match["value"] is not None or match["mark"] in ("[", "{", "(")
            tokens.append(f",{token}" if after_value and opens else token)
            after_value = match["value"] is not None or match["mark"] in ("]", "}")
        elif match["numpy"] == "array(":
            tokens.append(",(" if after_value else "(")
            after_value = False
    try:
        parsed = ast.literal_eval("".join(tokens))  # a literal of the tokens above, never a name or a call
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value
    return parsed if isinstance(parsed, list | dict | tuple) else value


def _parts(value: str) -> Any:
    """Return the texts between bars, on lines or after letters ("a ) 38 , b ) 30"); a text without any as it is."""
    for mark in ("|", "\n"):
        if mark in value:
            return [part for part in value.split(mark) if part.strip()]
    return _lettered_parts(value) or value


def _lettered_parts(value: str) -> list[str]:
    """Return the parts that begin with a), b), c) and so on, in this order."""
    starts: list[int] = []
    position = 0
    for letter in _LETTERS:
        match = re.compile(rf"(?:^|(?<=[\s,;]))\(?{letter}\s?[).:]", re.IGNORECASE).search(value, position)
        if match is None or (not starts and value[: match.start()].strip()):
            break
        starts.append(match.start())
        position = match.end()
    ends = [*starts[1:], len(value)]
    return [value[start:end].strip(" ,;") for start, end in zip(starts, ends, strict=True)] if len(starts) > 1 else []


def _entries(value: Mapping[str, Any]) -> Any:
    """Return the entries of a mapping: of two lists, or a text by key."""
    texts = next((value[name] for name in _TEXTS if isinstance(value.get(name), list | tuple)), None)
    if texts is None:
        return [{"label": key, "text": item} for key, item in value.items()] if len(value) > 1 else dict(value)
    keys = next((value[name] for name in _KEYS if isinstance(value.get(name), list | tuple)), [None] * len(texts))
    if len(keys) != len(texts):
        raise LimbeckError(f"field 'choices': {len(texts)} texts, but {len(keys)} labels for them")
    return [{"label": key, "text": item} for key, item in zip(keys, texts, strict=True)]


def _entry(item: Any) -> tuple[str | None, Any]:
    """Return a choice's key and text, None for each that is blank."""
    key = None
    if isinstance(item, Mapping):
        key = next((item[name] for name in _KEYS if item.get(name) is not None), None)
        item = next((item[name] for name in _TEXTS if name in item), None)
    return None if key is None else cell_text(key), None if _is_blank(item) else item


def _is_blank(item: Any) -> bool:
    """Return whether there is nothing; a word such as "None" is a choice."""
    return item is None or item != item or (isinstance(item, str) and not item.strip())


Reading = Callable[[str, Choices], str | None]


def by_text(label: str, choices: Choices) -> str | None:
    """Return the choice whose text the label is: the same, in another case, after its letter, or yes for true."""
    if label in choices.texts:
        return label
    for wanted in (label, _TRUTHS.get(label.casefold())):
        alike = [choice for choice in choices.texts if wanted and normalise(choice) == normalise(wanted)]
        if alike:
            return alike[0] if len(alike) == 1 else None
    lettered = _LETTERED.fullmatch(label)
    if lettered is None:
        return None
    choice = by_letter(lettered[1], choices)
    return choice if choice is not None and normalise(choice) == normalise(lettered[2]) else None


def by_key(label: str, choices: Choices) -> str | None:
    """Return the choice that the data itself gives this key."""
    letter = _LETTER.fullmatch(label)
    keys = [key.casefold() for key in choices.keys]
    key = (letter[1] if letter else label).casefold()
    return choices.texts[keys.index(key)] if keys.count(key) == 1 else None


def by_letter(label: str, choices: Choices) -> str | None:
    """Return the choice at the letter's place; by the data's own keys where it has some."""
    letter = _LETTER.fullmatch(label)
    if letter is None:
        return None
    if choices.keys and not all(key.isdecimal() for key in choices.keys):
        return by_key(label, choices)
    return _at(_LETTERS.index(letter[1].upper()), choices)


def _from_zero(label: str, choices: Choices) -> str | None:
    return _at(int(label), choices) if label.isascii() and label.isdecimal() else None


def _from_one(label: str, choices: Choices) -> str | None:
    return _at(int(label) - 1, choices) if label.isascii() and label.isdecimal() else None


def _at(index: int, choices: Choices) -> str | None:
    return choices.texts[index] if 0 <= index < len(choices.texts) else None


def reading_of(labels: Sequence[tuple[str, Choices]]) -> tuple[str, Reading] | None:
    """Return how all these labels name their choices, in words and as a function; None where no one way reads them all.

    A label is the data's own key, the text, the letter, or the number of the choice, from 0 or from 1: whichever of the
    two all labels can be.

    Raises:
        LimbeckError: they can be both, or a letter or number is also the text of another choice.
    """
    ways: Iterable[tuple[str, Reading]] = [("key", by_key), ("text", by_text), ("letter", by_letter)]
    for name, way in ways:
        if all(way(label, choices) is not None for label, choices in labels):
            if way is by_letter:
                _check_no_text(labels, way)
            return name, way
    zero, one = (all(way(label, choices) is not None for label, choices in labels) for way in (_from_zero, _from_one))
    if zero and one:
        raise LimbeckError(
            "field 'label': the labels are numbers that may count the choices from 0 or from 1; write the choice's "
            f"letter or text, or {_KEYED}"
        )
    if not zero and not one:
        return None
    name, way = ("number from 0", _from_zero) if zero else ("number from 1", _from_one)
    _check_no_text(labels, way)
    return name, way


def _check_no_text(labels: Sequence[tuple[str, Choices]], way: Reading) -> None:
    for label, choices in labels:
        choice = way(label, choices)
        if label in choices.texts and choice != label:
            raise _ambiguous(label, (label, str(choice)))


def _ambiguous(label: str, meanings: Sequence[str]) -> LimbeckError:
    first, second, *_ = meanings
    return LimbeckError(
        f"field 'label': {label!r:.60} may mean the choice {first!r:.60} or {second!r:.60}, by text or by place; "
        f"write every label as the choice's text, or {_KEYED}"
    )


def chosen(label: str, choices: Choices, reading: Reading | None) -> str | None:
    """Return the choice that a label means by `reading`, or else by text, key or letter.

    Raises:
        LimbeckError: the latter say different choices.
    """
    if reading is not None and (choice := reading(label, choices)) is not None:
        return choice
    meanings = list(dict.fromkeys(filter(None, (way(label, choices) for way in (by_text, by_key, by_letter)))))
    if len(meanings) > 1:
        raise _ambiguous(label, meanings)
    return meanings[0] if meanings else None
