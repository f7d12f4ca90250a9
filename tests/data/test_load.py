"""Settings, the way from them to splits, and the digest."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limbeck.data import DataSettings, load
from limbeck.data.load import digest
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from tests.helpers.archives import write_rows

SMALL: dict[str, Any] = {
    "task": "arithmetic",
    "source": {"kind": "generated", "train_rows": 80, "valid_rows": 5, "test_rows": 5},
}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"task": "svmp"}, "task"),
        ({**SMALL, "train_fration": 0.5}, "train_fration"),
        ({**SMALL, "train_fraction": 0}, "train_fraction"),
        ({"task": "svamp", "source": {"kind": "archive"}}, "source.archive.root"),
        ({"task": "custom", "source": {"kind": "generated"}}, None),
        ({"task": "custom", "source": {"kind": "files", "test_file": "t.jsonl"}}, "source.files.train_file"),
    ],
)
def test_settings_that_do_not_fit(values: dict[str, Any], field: str | None) -> None:
    with pytest.raises(LimbeckError) as caught:
        DataSettings.parse(values, "recipe.yaml")
    assert caught.value.field == field


def test_fractions_leave_validation_and_test_alone() -> None:
    full = load(DataSettings.parse(SMALL, "x"))
    eighth, quarter = (load(DataSettings.parse({**SMALL, "train_fraction": f}, "x")) for f in (0.125, 0.25))
    assert (len(eighth.train), len(quarter.train), len(full.train)) == (10, 20, 80)
    assert set(eighth.train) < set(quarter.train) < set(full.train)
    assert (eighth.valid, eighth.test) == (full.valid, full.test)


def test_one_file_is_enough(tmp_path: Path) -> None:
    rows = [{"input": f"q{i}", "label": "y", "rationale": f"r{j}"} for i in range(60) for j in range(1 + i % 3)]
    write_rows(tmp_path / "all.jsonl", rows)
    source = {"kind": "files", "train_file": str(tmp_path / "all.jsonl")}
    values = {"task": "custom", "source": source, "test_fraction": 0.2, "valid_fraction": 0.25}
    splits = load(DataSettings.parse(values, "x"))
    questions = [{row.input for row in side} for side in (splits.train, splits.valid, splits.test)]
    assert sum(map(len, questions)) == 60  # each question in one split, and none lost
    for side in questions[1:]:
        assert 24 <= sum(row["input"] in side for row in rows) <= 26
    changed = load(DataSettings.parse({**values, "valid_fraction": 0.5, "train_fraction": 0.5}, "x"))
    assert changed.test == splits.test  # carved first: what else is chosen does not move it
    assert load(DataSettings.parse({**values, "seed": 1}, "x")).test != splits.test
    write_rows(tmp_path / "all.jsonl", rows[:1])
    with pytest.raises(LimbeckError, match="no training rows are left"):
        load(DataSettings.parse({**values, "source": {**source, "test_file": source["train_file"]}}, "x"))


def test_the_digest_sees_every_field() -> None:
    row = Example("1", ("q",), "a", "r", "t", ("a", "b"))
    changes: list[dict[str, Any]] = [
        *({"id": "2"}, {"segments": ("q", "")}, {"label": "b"}, {"rationale": None}, {"teacher_label": None}),
        *({"choices": ()}, {"answers": ("b",)}, {"own_choices": True}),
    ]
    assert len({digest([variant]) for variant in [row, *(replace(row, **change) for change in changes)]}) == 9
    assert digest([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"  # of the two characters []
