"""A source of several files: lists, patterns, ids, and columns that only some have."""

from pathlib import Path
from typing import Any

import pytest

from limbeck.data import DataSettings, Splits, load
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from tests.helpers.archives import write_rows


def load_files(source: dict[str, Any], **settings: Any) -> Splits:
    return load(DataSettings.parse({"task": "custom", "source": {"kind": "files", **source}, **settings}, "x"))


def all_rows(splits: Splits) -> list[Example]:
    return [*splits.train, *splits.valid, *splits.test]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/part.jsonl", "b/part.jsonl"):
        write_rows(tmp_path / name, [{"input": f"{name} {i}", "label": "y"} for i in range(10)])
    (tmp_path / "c.csv").write_text("input,label\n" + "".join(f"c {i},y\n" for i in range(10)))
    return tmp_path


def test_several_files_are_one_split_with_an_id_for_each_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for train in (
        [str(folder / "a" / "part.jsonl"), str(folder / "b" / "part.jsonl")],
        str(folder / "*" / "part.jsonl"),
        [str(folder / "**" / "part.jsonl")],
    ):
        rows = all_rows(load_files({"train_file": train}))
        assert {row.id for row in rows} == {f"part-{i}" for i in range(20)}
        assert {row.input for row in rows} == {f"{name}/part.jsonl {i}" for name in "ab" for i in range(10)}
    monkeypatch.setenv("HOME", str(folder))
    assert len(all_rows(load_files({"train_file": ["~/a/*.jsonl", "~/c.csv"]}))) == 20
    (folder / "d[1].jsonl").write_text((folder / "a" / "part.jsonl").read_text())
    assert len(all_rows(load_files({"train_file": str(folder / "d[1].jsonl")}))) == 10


def test_a_mapped_column_may_be_in_some_files_only(tmp_path: Path) -> None:
    rows = [{"q": f"q{i}", "a": "y"} for i in range(10)]
    write_rows(tmp_path / "with.jsonl", [{**row, "why": "so", "who": "7"} for row in rows])
    write_rows(tmp_path / "without.jsonl", rows)
    files = {"train_file": str(tmp_path / "with.jsonl"), "test_file": str(tmp_path / "without.jsonl")}
    columns = {"input": "q", "label": "a", "rationale": "why", "teacher_label": "who"}
    splits = load_files({**files, "columns": columns})
    assert {(row.rationale, row.teacher_label) for row in splits.train} == {("so", "7")}
    assert {(row.rationale, row.teacher_label) for row in splits.test} == {(None, None)}
    for mistyped in ({"rationale": "wy"}, {"input": "question"}, {"label": "why"}):
        with pytest.raises(LimbeckError, match="no column"):
            load_files({**files, "columns": {**columns, **mistyped}})


def test_the_files_of_a_split_may_name_their_columns_differently(tmp_path: Path) -> None:
    for name, label, choices in [("a", "answer", "options"), ("b", "label", "choices")]:
        rows = [{"input": f"{name}{i}", label: "y", choices: ["y", "n"]} for i in range(10)]
        write_rows(tmp_path / f"{name}.jsonl", rows)
    rows = all_rows(load_files({"train_file": str(tmp_path / "*.jsonl")}))
    assert {row.id for row in rows} == {f"{'ab'[i // 10]}-{i}" for i in range(20)}
    assert {(row.label, row.choices) for row in rows} == {("y", ("y", "n"))}


def test_labels_that_only_all_files_together_make_clear(tmp_path: Path) -> None:
    choices = ["red", "green"]
    write_rows(tmp_path / "a.jsonl", [{"input": f"q{i}", "choices": choices, "label": i % 2} for i in range(10)])
    write_rows(tmp_path / "b.jsonl", [{"input": "r", "choices": choices, "label": 1}])  # alone: from 0, or from 1
    with pytest.raises(LimbeckError, match="from 0 or from 1"):
        load_files({"train_file": str(tmp_path / "b.jsonl")})
    splits = load_files({"train_file": str(tmp_path / "a.jsonl"), "test_file": str(tmp_path / "b.jsonl")})
    assert [row.label for row in splits.test] == ["green"]


def test_choices_of_a_recipe_are_named_by_text(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", [{"input": f"q{i}", "label": i % 2} for i in range(10)])
    files = {"train_file": str(tmp_path / "a.jsonl")}
    splits = load_files({**files, "test_file": str(tmp_path / "a.jsonl")}, choices=[0, 1.0])
    assert (len(splits.train), len(splits.valid), len(splits.test)) == (9, 1, 10)
    assert {row.label for row in all_rows(splits)} == {"0", "1"}
    assert splits.train[0].choices == ("0", "1")
    for choices in ([1, 2], ["no", "yes"]):
        with pytest.raises(LimbeckError, match=r"a.jsonl:1: label"):
            load_files(files, choices=choices)


def test_files_that_are_refused(folder: Path) -> None:
    file = folder / "a" / "part.jsonl"
    write_rows(folder / "x.jsonl", [{"id": "7", "input": "x", "label": "y"}])
    write_rows(folder / "y.jsonl", [{"id": "7", "input": "y", "label": "y"}])
    write_rows(folder / "unlabelled.jsonl", [{"input": "q", "label": None}])
    for source, reason in [
        ({"train_file": str(folder / "*.parquet")}, "no file matches"),
        ({"train_file": str(folder / "[xy].jsonl")}, r"y.jsonl:1: .*x.jsonl:1"),
        ({"train_file": [str(file), str(folder / "b" / ".." / "a" / "part.jsonl")]}, "twice"),
        ({"train_file": []}, r"source\.files\.train_file: "),
        ({"train_file": str(file), "test_file": str(folder / "unlabelled.jsonl")}, "'test'"),
    ]:
        with pytest.raises(LimbeckError, match=reason):
            load_files(source)
