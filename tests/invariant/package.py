"""The command line, its files, and references: numbers by the last key above them, compared after renamings."""

import contextlib
import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from limbeck.cli import main
from tests.helpers.archives import write_rows
from tests.invariant import small
from tests.runs.recipes import rows_of

NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]\d+)?")

# Keys of outputs and names of a report's tables renamed since the reference files were written: {old: new}.
RENAMED: dict[str, str] = {}
# Keys of outputs dropped on purpose since then, by their old names.
DROPPED = frozenset(
    {"bootstrap_interval", "bootstrap_p_value", "mcnemar_exact", "odds_ratio", "components"}
    | {"counts-custom", "labels-custom", "reliability-custom-dss", "reliability-custom-mi"}
    | {"ece_range_if_calibrated", "adaptive_ece_range_if_calibrated"}
    | {"wanted", "given_up", "other_replies", "passed", "length_ratio"}
    | {
        f"{name}{key}"
        for name in ("mce", "classwise_ece")
        for key in ("", "_interval", "_expected_if_calibrated", "_range_if_calibrated", "_p_value")
    }
)


def limbeck(*words: str) -> Any:
    """Run the command line and return what it prints, read as JSON where it is JSON."""
    output, errors = io.StringIO(), io.StringIO()
    argv = mock.patch.object(sys, "argv", ["limbeck", *words])
    with argv, contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            main()
        except SystemExit as end:
            assert not end.code, errors.getvalue()
    text = output.getvalue()
    return json.loads(text) if text.startswith("{") else text


def recipe(model: Path | dict[str, Path], objective: str, counts: dict[str, int], **training: Any) -> dict[str, Any]:
    """Write splits of so many rows, and return a recipe on them; a pair of encoders is a dict of its two sides."""
    names = {"name": model} if isinstance(model, Path) else model
    files = {
        f"{split}_file": str(write_rows(Path(f"{split}.jsonl"), small.rows(split, n))) for split, n in counts.items()
    }
    training |= {"optim": "sgd"}  # Adam magnifies rounding errors, which differ between processors
    return {
        "data": {"task": "custom", "source": {"kind": "files", **files}, "max_overlap": 1.0},
        "student": {**{name: str(path) for name, path in names.items()}, "max_target_length": 20},
        "objective": objective,
        "training": {**training, "eval_strategy": "no", "save_strategy": "no", "use_cpu": True},
        "seed": 3,
    }


def steps(run: Path) -> dict[str, list[float | None]]:
    """Return the loss, each term's mean and each term's share of the gradient, by step, from a run's log."""
    entries = [entry for entry in rows_of(run / "log.jsonl") if "loss" in entry]
    names = dict.fromkeys(name for entry in entries for name in entry if name.startswith(("loss", "term_", "share_")))
    return {name: [entry.get(name) for entry in entries] for name in sorted(names)}


def report_tables(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Return the tables of a report by name, as the numbers that there are in each row, and its comparisons."""
    tables = {"comparisons": json.loads((folder / "report.json").read_text())["comparisons"]}
    for path in sorted((folder / "tables").glob("*.csv")):
        rows = csv.DictReader(path.read_text().splitlines())
        tables[path.stem] = [{key: float(text) for key, text in row.items() if NUMBER.fullmatch(text)} for row in rows]
    return tables


def write_yaml(path: str, values: dict[str, Any]) -> None:
    Path(path).write_text(yaml.safe_dump(values))


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
            close = partial(pytest.approx, rel=tolerance, abs=tolerance)
            assert actual[key] == [close(leaf) if type(leaf) is float else leaf for leaf in leaves], f"{name}, {key}"

    def names(self) -> set[str]:
        """Return the names that the file has."""
        return {RENAMED.get(name, name) for name in self._stored() if name not in DROPPED}

    def _stored(self) -> dict[str, dict[str, list[Any]]]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}


def _text(stored: dict[str, dict[str, list[Any]]]) -> str:
    """Return JSON with a line for every key."""
    blocks = []
    for name, by_key in stored.items():
        lines = ",\n".join(f"    {json.dumps(key)}: {json.dumps(leaves)}" for key, leaves in by_key.items())
        blocks.append(f"  {json.dumps(name)}: {{\n{lines}\n  }}")
    return "{\n" + ",\n".join(blocks) + "\n}\n"
