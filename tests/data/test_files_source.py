"""A source of several files: lists, patterns, ids, and columns that only some have."""

import json
from pathlib import Path
from typing import Any

import pytest

from limbeck.data import DataSettings, Splits, load
from limbeck.errors import LimbeckError
from tests.archives import write_rows


def loaded(source: dict[str, Any], **more: Any) -> Splits:
    return load(DataSettings.parse({"task": "custom", "source": {"kind": "files", **source}, **more}, "x"))


def parts(splits: Splits) -> list[Any]:
    return [*splits.train, *splits.valid, *splits.test]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/part.jsonl", "b/part.jsonl", "c.csv"):
        rows = [{"input": f"{name} {i}", "label": "y"} for i in range(10)]
        write_rows(tmp_path / name, rows)
    lines = "".join(f"c {i},y\n" for i in range(10))
    (tmp_path / "c.csv").write_text(f"input,label\n{lines}")
    return tmp_path


def test_several_files_are_one_split_with_an_id_for_each_row(folder: Path) -> None:
    for train in (
        [str(folder / "a" / "part.jsonl"), str(folder / "b" / "part.jsonl")],
        str(folder / "*" / "part.jsonl"),
        str(folder / "[ab]" / "*"),
        [str(folder / "**" / "part.jsonl")],
    ):
        rows = parts(loaded({"train_file": train}))
        assert {row.id for row in rows} == {f"part-{i}" for i in range(20)}
        assert {row.input for row in rows} == {f"{name}/part.jsonl {i}" for name in "ab" for i in range(10)}


def test_the_home_folder_and_a_file_named_like_a_pattern(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert len(parts(loaded({"train_file": "~/c.csv"}))) == 10
    assert len(parts(loaded({"train_file": ["~/a/*.jsonl", "~/c.csv"]}))) == 20
    (folder / "d[1].jsonl").write_text((folder / "a" / "part.jsonl").read_text())
    assert len(parts(loaded({"train_file": str(folder / "d[1].jsonl")}))) == 10


def test_a_pattern_that_fits_nothing_and_an_id_that_stands_twice(folder: Path) -> None:
    with pytest.raises(LimbeckError, match="no file fits"):
        loaded({"train_file": str(folder / "*.parquet")})
    for name in "ab":
        write_rows(folder / f"{name}.jsonl", [{"id": "7", "input": name, "label": "y"}])
    with pytest.raises(LimbeckError, match=r"b.jsonl:1: field 'id': .*a.jsonl:1"):
        loaded({"train_file": str(folder / "?.jsonl")})


def test_a_mapped_column_that_is_not_needed_may_be_in_some_files_only(tmp_path: Path) -> None:
    rows = [{"q": f"q{i}", "a": "y"} for i in range(10)]
    write_rows(tmp_path / "with.jsonl", [{**row, "why": "so", "who": "7"} for row in rows])
    write_rows(tmp_path / "without.jsonl", rows)
    files = {"train_file": str(tmp_path / "with.jsonl"), "test_file": str(tmp_path / "without.jsonl")}
    columns = {"input": "q", "label": "a", "rationale": "why", "teacher_label": "who"}
    splits = loaded({**files, "columns": columns})
    assert {(row.rationale, row.teacher_label) for row in splits.train} == {("so", "7")}
    assert {(row.rationale, row.teacher_label) for row in splits.test} == {(None, None)}
    for mistyped in ({"rationale": "wy"}, {"input": "question"}, {"label": "why"}):
        with pytest.raises(LimbeckError, match="no column"):
            loaded({**files, "columns": {**columns, **mistyped}})


def test_labels_that_only_all_files_together_make_clear(tmp_path: Path) -> None:
    choices = ["red", "green"]
    write_rows(tmp_path / "a.jsonl", [{"input": f"q{i}", "choices": choices, "label": i % 2} for i in range(10)])
    write_rows(tmp_path / "b.jsonl", [{"input": "r", "choices": choices, "label": 1}])  # alone: from 0, or from 1
    with pytest.raises(LimbeckError, match="from 0 or from 1"):
        loaded({"train_file": str(tmp_path / "b.jsonl")})
    splits = loaded({"train_file": str(tmp_path / "a.jsonl"), "test_file": str(tmp_path / "b.jsonl")})
    assert [row.label for row in splits.test] == ["green"]


def test_a_split_without_any_label_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", [{"input": "q", "label": "y"}])
    write_rows(tmp_path / "b.jsonl", [{"input": "q", "label": None}])
    with pytest.raises(LimbeckError, match="'test'"):
        loaded({"train_file": str(tmp_path / "a.jsonl"), "test_file": str(tmp_path / "b.jsonl")})


def test_numbers_as_choices_in_a_recipe(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", [{"input": f"q{i}", "label": i % 2} for i in range(10)])
    splits = loaded({"train_file": str(tmp_path / "a.jsonl")}, choices=[0, 1.0])
    assert {row.label for row in parts(splits)} == {"0", "1"}
    assert splits.train[0].choices == ("0", "1")
    (tmp_path / "a.jsonl").write_text(json.dumps({"input": "q", "label": 2}))
    with pytest.raises(LimbeckError, match=r"a.jsonl:1: field 'label'"):
        loaded({"train_file": str(tmp_path / "a.jsonl")}, choices=[0, 1])


def test_a_file_named_twice_is_no_more_rows(folder: Path) -> None:
    part = folder / "a" / "part.jsonl"
    for train in ([part, part], [folder / "a" / "*", part], [part, folder / "b" / ".." / "a" / "part.jsonl"]):
        with pytest.raises(LimbeckError, match="twice"):
            loaded({"train_file": [str(path) for path in train]})


@pytest.mark.parametrize("train", [[], 3])
def test_no_file_at_all_is_said_by_the_field_alone(train: object) -> None:
    with pytest.raises(LimbeckError, match=r"source\.files\.train_file: "):
        loaded({"train_file": train})
