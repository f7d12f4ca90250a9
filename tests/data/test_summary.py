"""What `data show` counts, against counting by hand."""

from pathlib import Path

from limbeck.data import DataSettings, read, show, summarise
from tests.helpers.archives import archive_settings as settings
from tests.helpers.archives import write_rows, write_shards


def test_counts_of_an_archive(tmp_path: Path) -> None:
    inputs = ["one two", "one two three", "one", "one two three four"]
    write_rows(tmp_path / "svamp" / "svamp_train.json", [{"input": text, "label": "( 1.0 + 1.0 )"} for text in inputs])
    outputs = ["So it is. The answer is (2).", "So. The answer is (3).", "So. The answer is ((1", "nothing"]
    write_shards(tmp_path / "svamp" / "llm", "train", outputs, size=4)
    assert summarise(settings(tmp_path)) == {
        "train": {
            "rows": 4,
            "teacher_accuracy": 0.25,
            "unparsed": 2,
            "unparsed_rationales": 1,
            "unparsed_labels": 2,
            "without_rationale": 0,
            "teacher_doubt": None,
            "notes": {"contradictory_within": 0, "contradictory_across": 0},
            "words": {
                "input": {"min": 1, "median": 2.5, "p95": 3.85, "max": 4},
                "label": {"min": 5, "median": 5, "p95": 5, "max": 5},
                "rationale": {"min": 1, "median": 1, "p95": 2.8, "max": 3},
            },
        }
    }


def test_counts_of_own_data(tmp_path: Path) -> None:
    rows = [
        {"input": "a", "label": "x", "rationale": "r", "teacher_label": "X."},
        {"input": "b", "label": "x", "rationale": "r", "teacher_label": "y"},
        {"input": "c", "label": "x"},
    ]
    write_rows(tmp_path / "train.jsonl", rows)
    write_rows(tmp_path / "test.jsonl", rows[2:])
    source = {"kind": "files", "train_file": str(tmp_path / "train.jsonl"), "test_file": str(tmp_path / "test.jsonl")}
    summary = summarise(DataSettings.parse({"task": "custom", "source": source}, "x"))
    train, test = summary["train"], summary["test"]
    assert (train["rows"], train["teacher_accuracy"], train["unparsed"], train["without_rationale"]) == (3, 0.5, 0, 1)
    assert (test["teacher_accuracy"], test["without_rationale"], test["words"]["rationale"]) == (None, 1, None)


def test_as_many_rows_as_asked_are_shown_in_every_view() -> None:
    source = {"kind": "generated", "train_rows": 30, "valid_rows": 5, "test_rows": 5}
    settings = DataSettings.parse({"task": "arithmetic", "source": source}, "x")
    inputs = [row.input for row in read(settings)["train"]]
    for n, rows in {2: 2, 100: 30}.items():
        page = show(settings, n, seed=3)
        assert page.count("\n  rationale-first\n") == page.count("\n  answer-first\n") == rows
        assert sum(f"reads:  predict: {text}\n" in page for text in inputs) == rows
        assert sum(f"reads:  explain: {text}\n" in page for text in inputs) == rows


def test_the_page_says_which_splits_a_run_carves(tmp_path: Path) -> None:
    write_rows(tmp_path / "r.jsonl", [{"input": "q", "label": "x"}])
    source = {"kind": "files", "train_file": str(tmp_path / "r.jsonl")}
    page = show(DataSettings.parse({"task": "custom", "source": source, "test_fraction": 0.25}, "x"), 0)
    assert "test: no file of its own; a run holds out 0.25 of the training rows for it" in page
    assert "valid: no file of its own; a run holds out 0.1 of the training rows" in page
    complete = {**source, "test_file": source["train_file"], "valid_file": source["train_file"]}
    assert "no file of its own" not in show(DataSettings.parse({"task": "custom", "source": complete}, "x"), 0)
    write_rows(tmp_path / "svamp" / "svamp_train.json", [{"input": "q", "label": "( 1.0 + 1.0 )"}])
    write_shards(tmp_path / "svamp" / "llm", "train", ["So. The answer is (2)."], size=1)
    assert "test:" not in show(settings(tmp_path), 0)  # of an archive without its test split a run makes nothing


def test_the_page_holds_the_counts_and_the_examples(tmp_path: Path) -> None:
    rows = [{"input": "What\nis it?", "label": "x", "rationale": "Because."}, {"input": "And it?", "label": "y"}]
    write_rows(tmp_path / "r.jsonl", rows)
    source = {"kind": "files", "train_file": str(tmp_path / "r.jsonl"), "test_file": str(tmp_path / "r.jsonl")}
    page = show(DataSettings.parse({"task": "custom", "source": source}, "x"), 2)
    for text in [
        "train: 2 rows, teacher's accuracy none",
        "test: 2 rows",
        "without rationale 1",
        "words of the rationale: min 1, median 1, p95 1, max 1",
        "reads:  explain: What\n            is it?",
        "writes: Because. Answer: x",
        "writes: nothing, for the rationale is missing",
    ]:
        assert text in page


def test_the_page_shows_no_control_characters(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", [{"id": "a\x1b[31m", "input": "b\x1b[0m", "label": "x"}])
    source = {"kind": "files", "train_file": str(tmp_path / "train.jsonl")}
    assert "\x1b" not in show(DataSettings.parse({"task": "custom", "source": source}, "x"), 1)
