"""Examples beyond memory: a file of them, and what lists and files of examples have in common."""

import hashlib
import io
import json
import os
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from limbeck.cache import cached
from limbeck.files import MANIFEST, read_json
from limbeck.schema import Example

_FILE, _ENTRIES = "examples.json", "entries.npy"
_NAMES = [field.name for field in fields(Example)]
_OLDEST = ("rationale", "teacher_label", "choices")  # optional fields that a digest always has
# those that are newer than the oldest digests are left out where they are empty
_OMITTED = {field.name for field in fields(Example) if field.default is not MISSING} - {*_OLDEST}
_SCALARS = (str, bool, type(None))
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_ENTRY = np.dtype([("begin", "<i8"), ("length", "<i4"), ("question", "<u8"), ("fields", "<u2")])

_MEANINGFUL = "%*/#&@\\-"  # at the ends of a question: "50%", "-5 + 3"
_CHARACTERS = map(chr, range(0x10000))
_PUNCTUATION = " " + "".join(c for c in _CHARACTERS if unicodedata.category(c)[0] == "P" and c not in _MEANINGFUL)
_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")

Question = tuple[tuple[str, ...], tuple[str, ...]]  # normalized segments, and choices in any order


@dataclass(frozen=True, eq=False)
class ExampleTable(Sequence[Example]):
    """Examples in a file, each made when it is asked for."""

    file: io.FileIO  # a JSON array as `digest` sees it
    entries: NDArray[np.void]  # of `_ENTRY`
    sha256: str | None = None  # the file's, where all of its examples are here

    @classmethod
    def cached(cls, key: Any, examples: Iterable[Example]) -> Self:
        """Open the table of the `examples`, which are read only if it is not in the cache."""
        folder = cached("examples", key, lambda folder: _write(examples, folder))
        file, entries = io.FileIO(folder / _FILE), np.load(folder / _ENTRIES, mmap_mode="r")
        return cls(file, entries.view(np.ndarray), read_json(folder / MANIFEST)[_FILE]["sha256"])

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, row: int) -> Example: ...
    @overload
    def __getitem__(self, row: slice) -> "ExampleTable": ...
    def __getitem__(self, row: int | slice) -> "Example | ExampleTable":
        if isinstance(row, slice):
            return replace(self, entries=self.entries[row], sha256=None)
        return _decoded(self._line(self.entries[row]))

    def __iter__(self) -> Iterator[Example]:
        return map(_decoded, self.lines())

    def lines(self) -> Iterator[bytes]:
        """Yield the examples as canonical JSON."""
        return map(self._line, self.entries)

    def _line(self, entry: Any) -> bytes:
        # not mapped, or resident memory would hold all that was read once
        return os.pread(self.file.fileno(), int(entry["length"]), int(entry["begin"]))


def _write(examples: Iterable[Example], folder: Path) -> None:
    columns = {name: array(_ENTRY[name].char) for name in _ENTRY.names or ()}
    with (folder / _FILE).open("wb") as file:
        for example in examples:
            file.write(b"," if columns["begin"] else b"[")
            line = _encoded(example)
            present = sum(1 << bit for bit, name in enumerate(_NAMES) if getattr(example, name))
            entry = (file.tell(), len(line), _question_key(example), present)
            for column, value in zip(columns.values(), entry, strict=True):
                column.append(value)
            file.write(line)
        file.write(b"]" if columns["begin"] else b"[]")
    entries = np.empty(len(columns["begin"]), _ENTRY)
    for name, column in columns.items():
        entries[name] = column
    np.save(folder / _ENTRIES, entries)


def _encoded(example: Example) -> bytes:
    values = {name: value for name in _NAMES if (value := getattr(example, name)) or name not in _OMITTED}
    return _ENCODER.encode(values).encode()


def _decoded(line: bytes) -> Example:
    values = json.loads(line)
    values["votes"] = map(tuple, values.get("votes", ()))
    tuples: Any = {name: value if isinstance(value, _SCALARS) else tuple(value) for name, value in values.items()}
    return Example(**tuples)


def digest(examples: Iterable[Example]) -> str:
    """Return the SHA-256, in hexadecimal, of the examples as canonical JSON."""
    if isinstance(examples, ExampleTable) and examples.sha256:
        return examples.sha256
    content, separator = hashlib.sha256(b"["), b""
    for line in examples.lines() if isinstance(examples, ExampleTable) else map(_encoded, examples):
        content.update(separator + line)
        separator = b","
    content.update(b"]")
    return content.hexdigest()


def has(examples: Sequence[Example], field: str) -> NDArray[np.bool_]:
    """Return which of the examples have a value, not empty, in a field."""
    if isinstance(examples, ExampleTable):
        return examples.entries["fields"] & (1 << _NAMES.index(field)) > 0
    return np.array([bool(getattr(example, field)) for example in examples], bool)


def take(examples: Sequence[Example], rows: NDArray[np.int64]) -> Sequence[Example]:
    """Return the examples in these rows."""
    if isinstance(examples, ExampleTable):
        return replace(examples, entries=examples.entries[rows], sha256=None)
    return [examples[row] for row in rows.tolist()]


def questions(examples: Sequence[Example]) -> NDArray[np.uint64]:
    """Return a number for each example's question, equal for equal ones."""
    if isinstance(examples, ExampleTable):
        return examples.entries["question"]
    return np.array(list(map(_question_key, examples)), np.uint64)


def _question_key(example: Example) -> int:
    return int.from_bytes(hashlib.blake2b(repr(question_of(example)).encode(), digest_size=8).digest(), "little")


def question_of(example: Example) -> Question:
    """Return an example's question, whatever its case, width, spacing and punctuation at the ends."""
    return tuple(map(_plain, example.segments)), tuple(sorted(map(_plain, example.choices)))


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
        text = "".join(character for character in text if unicodedata.category(character) != "Cf")  # invisible
    words = " ".join(text.casefold().split())
    return words.strip(_PUNCTUATION) or words
