"""Data sets as the Hub's library loads them, here from local folders, with the Hub switched off."""

from pathlib import Path
from typing import Any

import pytest

from limbeck.data import DataSettings, read, read_rows
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from tests.helpers.archives import write_rows


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def read_hub(task: str = "custom", **source: Any) -> dict[str, list[Example]]:
    return read(DataSettings.parse({"task": task, "source": {"kind": "hub", **source}}, "x"))


def test_a_data_set_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    write_rows(tmp_path / "set" / "train.jsonl", [{"premise": "p", "hypothesis": "h", "label": 0}])
    write_rows(tmp_path / "bad" / "train.jsonl", []).write_text("{nothing")
    path = str(tmp_path / "set")
    for source, reason in [
        ({"path": path, "splits": {"test": "tset"}}, r"tset .*\['train'\]"),
        ({"path": path, "columns": {"input": "premis"}}, "no column 'premis'"),
        ({"path": path}, r"\[train\]: row 1: input: missing"),
        ({"path": str(tmp_path / "bad")}, "cannot be loaded"),
        ({}, "task 'custom' has no data set of its own"),
        ({"task": "cqa"}, "'Salesforce/cos_e' cannot be loaded"),
    ]:
        with pytest.raises(LimbeckError, match=reason) as caught:
            read_hub(**source)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_saved_data_sets_with_class_labels(tmp_path: Path) -> None:
    import datasets

    text, classes = datasets.Value("string"), datasets.ClassLabel(names=["no", "yes", "perhaps"])
    features = datasets.Features({"input": text, "label": classes, "size": datasets.Value("float32")})
    columns = {"input": [f"q{i}" for i in range(4)], "label": [1, 0, -1, None], "size": [0.1, 0.2, 3.0, None]}
    rows = datasets.Dataset.from_dict(columns, features=features)
    rows.save_to_disk(tmp_path / "single")
    datasets.DatasetDict({"train": rows, "dev": rows}).save_to_disk(tmp_path / "dict")
    (tmp_path / "folder").mkdir()
    rows.to_parquet(tmp_path / "folder" / "train.parquet")
    for path in ("single", "dict", "folder"):
        splits = read_hub(path=str(tmp_path / path))
        assert [(row.id, row.label) for row in splits["train"]] == [("train-0", "yes"), ("train-1", "no")]
        assert splits.keys() == ({"train", "valid"} if path == "dict" else {"train"})
    file = read_rows(tmp_path / "folder" / "train.parquet", labelled=False)
    assert [row.label for row in file] == ["yes", "no", "", ""]
    sizes = read_hub(path=str(tmp_path / "single"), columns={"label": "size"})["train"]
    assert [row.label for row in sizes] == ["0.1", "0.2", "3"]
