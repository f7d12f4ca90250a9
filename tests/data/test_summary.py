"""The counts of `data show`, against counting by hand."""

from pathlib import Path
from typing import Any

from limbeck.data import DataSettings, read
from limbeck.data.summary import show, summarise
from tests.helpers.archives import archive_settings, file_settings, write_rows, write_shards


def own_settings(folder: Path, **splits: list[dict[str, Any]]) -> DataSettings:
    """Write the rows of each split to a file, and return the settings that read them."""
    for split, rows in splits.items():
        write_rows(folder / f"{split}.jsonl", rows)
    return file_settings({f"{split}_file": folder / f"{split}.jsonl" for split in splits}, test_fraction=0.25)


def test_counts_of_an_archive(tmp_path: Path) -> None:
    inputs = ["one two", "one two three", "one", "one two three four"]
    write_rows(tmp_path / "svamp" / "svamp_train.json", [{"input": text, "label": "( 1.0 + 1.0 )"} for text in inputs])
    outputs = ["So it is. The answer is (2).", "So. The answer is (3).", "So. The answer is ((1", "nothing"]
    write_shards(tmp_path / "svamp" / "llm", "train", outputs, size=4)
    counts = summarise(archive_settings(tmp_path), read(archive_settings(tmp_path)))
    assert counts["train"].pop("words") == {
        "input": {"min": 1, "median": 2.5, "p95": 3.85, "max": 4},
        "label": {"min": 5, "median": 5, "p95": 5, "max": 5},
        "rationale": {"min": 1, "median": 1, "p95": 2.8, "max": 3},
    }
    missing = {"unparsed": 2, "unparsed_rationales": 1, "unparsed_labels": 2, "without_rationale": 0}
    notes = {"contradictory_within": 0, "contradictory_across": 0}
    expected = {"rows": 4, "teacher_accuracy": 0.25, **missing, "teacher_doubt": None, "notes": notes}
    assert counts == {"train": expected}
    assert "test:" not in show(archive_settings(tmp_path), 0)  # a run cannot hold one out


def test_counts_of_own_data(tmp_path: Path) -> None:
    rows = [
        {"input": "a", "label": "x", "rationale": "r", "teacher_label": "X."},
        {"input": "b", "label": "x", "rationale": "r", "teacher_label": "y"},
        {"input": "c", "label": "x"},
    ]
    settings = own_settings(tmp_path, train=rows, test=rows[2:])
    train, test = summarise(settings, read(settings)).values()
    assert (train["rows"], train["teacher_accuracy"], train["unparsed"], train["without_rationale"]) == (3, 0.5, 0, 1)
    assert (test["teacher_accuracy"], test["without_rationale"], test["words"]["rationale"]) == (None, 1, None)
    assert test["notes"] == {"test_in_train": 1, "test_in_valid": 0}
    assert "a training refuses this: 1 of 1 test rows" in show(settings, 0)


def test_the_page_has_the_counts_and_the_examples(tmp_path: Path) -> None:
    rows = [
        {"input": "What\nis it?", "label": "x", "rationale": "Because."},
        {"id": "a\x1b[31m", "input": "b\x1b[0m", "label": "y"},
    ]
    page = show(own_settings(tmp_path, train=rows), 2)
    for text in [
        "train: 2 rows, teacher's accuracy none",
        "without rationale 1",
        "words of the rationale: min 1, median 1, p95 1, max 1",
        "reads:  explain: What\n            is it?",
        "writes: Because. Answer: x",
        "writes: nothing, for the rationale is missing",
        "test: no file of its own; a run holds out 0.25 of the training rows for it",
        "valid: no file of its own; a run holds out 0.1 of the training rows",
    ]:
        assert text in page
    assert "\x1b" not in page
    assert page.count("\n  rationale-first\n") == page.count("\n  answer-first\n") == 2
    assert "no file of its own" not in show(own_settings(tmp_path, train=rows, valid=rows[:1], test=rows[1:]), 0)
