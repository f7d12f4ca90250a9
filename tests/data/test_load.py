"""Settings, the way from them to splits, sources of several files, and the digest."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from limbeck.data import DataSettings, Splits, load, sources
from limbeck.data.examples import ExampleTable, digest
from limbeck.data.mismatch import teacher_mismatch
from limbeck.errors import DataError, LimbeckError
from limbeck.schema import Example
from tests.helpers.archives import file_settings, write_rows

SMALL: dict[str, Any] = {
    "task": "arithmetic",
    "source": {"kind": "generated", "train_rows": 80, "valid_rows": 5, "test_rows": 5},
}


def load_files(source: dict[str, Any], **fields: Any) -> Splits:
    return load(file_settings(source, **fields))


def all_rows(splits: Splits) -> list[Example]:
    return [*splits.train, *splits.valid, *splits.test]


@pytest.mark.parametrize(
    ("values", "field"),
    [
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
    assert list(eighth.train) == [row for row in full.train if row in eighth.train]
    assert (eighth.valid, eighth.test) == (full.valid, full.test)


def test_one_file_is_enough(tmp_path: Path) -> None:
    rows = [{"input": f"q{i}", "label": "y", "rationale": f"r{j}"} for i in range(60) for j in range(1 + i % 3)]
    path = write_rows(tmp_path / "all.jsonl", rows)
    fractions = {"test_fraction": 0.2, "valid_fraction": 0.25}
    splits = load(file_settings(path, **fractions))
    questions = [{row.input for row in side} for side in (splits.train, splits.valid, splits.test)]
    assert sum(map(len, questions)) == 60  # each question in one split, and none lost
    assert all(24 <= sum(row["input"] in side for row in rows) <= 26 for side in questions[1:])
    changed = load(file_settings(path, test_fraction=0.2, valid_fraction=0.5, train_fraction=0.5))
    assert changed.test == splits.test  # carved first: what else is chosen does not move it
    assert load(file_settings(path, **fractions, seed=1)).test != splits.test
    write_rows(path, rows[:1])
    with pytest.raises(LimbeckError, match="no training rows are left"):
        load_files({"train_file": path, "test_file": path})


def test_the_digest_sees_every_field() -> None:
    row = Example("1", ("q",), "a", "r", "t", ("a", "b"))
    changes: list[dict[str, Any]] = [
        *({"id": "2"}, {"segments": ("q", "")}, {"label": "b"}, {"rationale": None}, {"teacher_label": None}),
        *({"choices": ()}, {"answers": ("b",)}, {"own_choices": True}),
    ]
    assert len({digest([variant]) for variant in [row, *(replace(row, **change) for change in changes)]}) == 9
    assert digest([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"  # of the two characters []


def test_several_files_are_one_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, label in (("a/part.jsonl", "answer"), ("b/part.jsonl", "label")):  # by two of the usual names
        write_rows(tmp_path / name, [{"input": f"{name} {i}", label: "y"} for i in range(10)])
    first, second = tmp_path / "a" / "part.jsonl", tmp_path / "b" / "part.jsonl"
    for train in ([first, second], tmp_path / "*" / "part.jsonl", ["~/**/part.jsonl"]):
        rows = all_rows(load_files({"train_file": train}))
        assert {row.id for row in rows} == {f"part-{i}" for i in range(20)}
        assert {row.input for row in rows} == {f"{name}/part.jsonl {i}" for name in "ab" for i in range(10)}
    (tmp_path / "d[1].jsonl").write_text(first.read_text())
    assert len(all_rows(load_files({"train_file": tmp_path / "d[1].jsonl"}))) == 10
    for name in "xy":
        write_rows(tmp_path / f"{name}.jsonl", [{"id": "7", "input": name, "label": "y"}])
    write_rows(tmp_path / "unlabelled.jsonl", [{"input": "q", "label": None}])
    refused: list[tuple[dict[str, Any], str]] = [
        ({"train_file": tmp_path / "*.parquet"}, "no file matches"),
        ({"train_file": tmp_path / "[xy].jsonl"}, r"y.jsonl:1: .*x.jsonl:1"),
        ({"train_file": [first, tmp_path / "b" / ".." / "a" / "part.jsonl"]}, "twice"),
        ({"train_file": []}, r"source\.files\.train_file: "),
        ({"train_file": first, "test_file": tmp_path / "unlabelled.jsonl"}, "'test'"),
    ]
    for source, reason in refused:
        with pytest.raises(LimbeckError, match=reason):
            load_files(source)


LARGE = [
    {
        "input": f"Which {i % 40}?",
        "choices": ["red", "green", f"blue {i % 40}"],
        "label": None if i % 11 == 0 else i % 3,
        "rationale": None if i % 7 == 0 else f"It is {i}, of {i % 40}.",
        "teacher_label": None if i % 5 == 0 else (i + (i % 4 == 0)) % 3,
    }
    for i in range(120)
]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"labels": "teacher"},
        {"keep": "correct", "train_fraction": 0.5},
        {"labels": "teacher", "keep": "correct", "limit": 20, "seed": 3},
    ],
)
def test_large_files_give_the_same_splits(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    first, second = (write_rows(tmp_path / name, LARGE[i::2]) for i, name in enumerate(("a.jsonl", "b.jsonl")))
    settings = file_settings({"train_file": [first, second], "test_file": first}, **changes)
    small = load(settings)
    assert not assets.exists()
    monkeypatch.setattr(sources, "MAX_IN_MEMORY", 0)
    for _ in range(2):
        large = load(settings)
        assert large.notes == small.notes
        assert large.notes["test_in_train"] > 0
        for split in ("train", "valid", "test"):
            assert isinstance(getattr(large, split), ExampleTable)
            assert tuple(getattr(large, split)) == getattr(small, split)
            assert teacher_mismatch(getattr(large, split), settings.get_task()) == teacher_mismatch(
                getattr(small, split), settings.get_task()
            )
    tables = set(assets.rglob("entries.npy"))
    write_rows(second, [{**row, "rationale": "other"} for row in LARGE[1::2]])
    assert {row.rationale for row in load(settings).train} >= {"other"}
    assert set(assets.rglob("entries.npy")) > tables


def test_mistakes_in_large_files(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_IN_MEMORY", 0)
    good = [{"id": i, "input": f"q{i}", "label": "y"} for i in range(9)]
    for bad, reason in (
        ({"id": 3, "input": "q", "label": "y"}, r"a.jsonl:10: id: .*a.jsonl:4"),
        ({"id": 10, "input": "q", "label": {"y": 2}}, r"a.jsonl:10: label"),
        ({"id": 10, "input": "q", "choices": ["a", "b"], "label": "c"}, r"a.jsonl:10: label"),
    ):
        with pytest.raises(LimbeckError, match=reason):
            load_files({"train_file": write_rows(tmp_path / "a.jsonl", [*good, bad])})
    assert not list(assets.rglob("*.json"))


def test_a_large_file_that_changes_while_it_is_read(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sources, "MAX_IN_MEMORY", 0)
    rows = [{"question": f"q{i}", "label": "y"} for i in range(30)]
    path = write_rows(tmp_path / "a.jsonl", rows)

    class Change(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:  # between its first and its second reading
            write_rows(path, [*rows, rows[0]])

    caplog.set_level(logging.INFO)
    change, logger = Change(), logging.getLogger("limbeck.data.rows")
    logger.addHandler(change)
    try:
        with pytest.raises(DataError, match=r"a\.jsonl: it changed"):
            load_files({"train_file": path})
    finally:
        logger.removeHandler(change)
    assert not list(assets.rglob("*.json"))
    assert len(all_rows(load_files({"train_file": path}))) >= 30


def test_a_mapped_column_may_be_in_some_files_only(tmp_path: Path) -> None:
    rows = [{"q": f"q{i}", "a": "y"} for i in range(10)]
    explained = write_rows(tmp_path / "with.jsonl", [{**row, "why": "so", "who": "7"} for row in rows])
    files = {"train_file": explained, "test_file": write_rows(tmp_path / "without.jsonl", rows)}
    columns = {"input": "q", "label": "a", "rationale": "why", "teacher_label": "who"}
    splits = load_files({**files, "columns": columns})
    sides = [{(row.rationale, row.teacher_label) for row in side} for side in (splits.train, splits.test)]
    assert sides == [{("so", "7")}, {(None, None)}]
    for mistyped in ({"rationale": "wy"}, {"input": "question"}, {"label": "why"}):
        with pytest.raises(LimbeckError, match="no column"):
            load_files({**files, "columns": {**columns, **mistyped}})


def test_labels_that_only_all_files_together_make_clear(tmp_path: Path) -> None:
    choices = ["red", "green"]
    rows = [{"input": f"q{i}", "choices": choices, "label": i % 2} for i in range(10)]
    clear = write_rows(tmp_path / "a.jsonl", rows)
    unclear = write_rows(tmp_path / "b.jsonl", rows[1:2])  # alone: from 0, or from 1
    with pytest.raises(LimbeckError, match="from 0 or from 1"):
        load_files({"train_file": unclear})
    splits = load_files({"train_file": clear, "test_file": unclear})
    assert [row.label for row in splits.test] == ["green"]


def test_choices_of_a_recipe_are_named_by_text(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", [{"input": f"q{i}", "label": i % 2} for i in range(10)])
    splits = load_files({"train_file": path, "test_file": path}, choices=[0, 1.0])
    assert (len(splits.train), len(splits.valid), len(splits.test)) == (9, 1, 10)
    assert {(row.label, row.choices) for row in all_rows(splits)} == {("0", ("0", "1")), ("1", ("0", "1"))}
    for choices in ([1, 2], ["no", "yes"]):
        with pytest.raises(LimbeckError, match=r"a.jsonl:1: label"):
            load_files({"train_file": path}, choices=choices)
