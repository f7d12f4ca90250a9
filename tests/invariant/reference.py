"""Reference files: numbers by the last key above them, compared to 1e-6 after renamings."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.invariant.package import DROPPED, RENAMED

TOLERANCE = 1e-6  # relative and absolute
# Texts are compared under these keys alone: the wording of messages is free.
TEXTS = ("id", "label", "objective", "prediction", "rationale", "status", "task", "teacher_label")
# Never compared: times, paths, sizes, versions, hashes.
CHANGING = ("bytes", "date", "finished", "hash", "page", "path", "seconds", "sha256", "started", "versions")


def numbers(value: Any) -> dict[str, list[Any]]:
    """Return the numbers, truth values, nulls and the texts of `TEXTS` in `value`, in order, by their last key."""
    by_key: dict[str, list[Any]] = {}
    for key, leaf in _leaves(value, ""):
        by_key.setdefault(key, []).append(float(f"{leaf:.9g}") if isinstance(leaf, float) else leaf)
    return dict(sorted(by_key.items()))


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, child in value.items():
            if name not in CHANGING:
                yield from _leaves(child, name)
    elif isinstance(value, list):
        for child in value:
            yield from _leaves(child, key)
    elif not isinstance(value, str) or key in TEXTS:
        yield key, value


@dataclass(frozen=True)
class Reference:
    """A file of references by name, which is compared with or, with `update`, written."""

    path: Path
    update: bool

    def check(self, name: str, value: Any, tolerance: float = TOLERANCE) -> None:
        """Compare the numbers of `value` with those that the file has under `name`."""
        actual = numbers(value)
        stored = self._stored()
        if self.update:
            stored[name] = actual
            self.path.parent.mkdir(exist_ok=True)
            self.path.write_text(_text(dict(sorted(stored.items()))))
            return
        by_key = {RENAMED.get(old, old): values for old, values in stored.items()}[name]
        expected = {RENAMED.get(key, key): leaves for key, leaves in by_key.items() if key not in DROPPED}
        assert sorted(actual) == sorted(expected)
        for key, leaves in expected.items():
            assert len(actual[key]) == len(leaves), f"{name}, {key}: {actual[key]} instead of {leaves}"
            for leaf, reference in zip(actual[key], leaves, strict=True):
                assert _same(leaf, reference, tolerance), f"{name}, {key}: {leaf!r} instead of {reference!r}"

    def names(self) -> set[str]:
        """Return the names that the file has."""
        return {RENAMED.get(name, name) for name in self._stored() if name not in DROPPED}

    def _stored(self) -> dict[str, dict[str, list[Any]]]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}


def _same(value: Any, reference: Any, tolerance: float) -> bool:
    if isinstance(value, float) or isinstance(reference, float):
        return None not in (value, reference) and abs(value - reference) <= tolerance * (1 + abs(reference))
    return type(value) is type(reference) and value == reference


def _text(stored: dict[str, dict[str, list[Any]]]) -> str:
    """Return JSON with a line for every key."""
    blocks = []
    for name, by_key in stored.items():
        lines = ",\n".join(f"    {json.dumps(key)}: {json.dumps(leaves)}" for key, leaves in by_key.items())
        blocks.append(f"  {json.dumps(name)}: {{\n{lines}\n  }}")
    return "{\n" + ",\n".join(blocks) + "\n}\n"
