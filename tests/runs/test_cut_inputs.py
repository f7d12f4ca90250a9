"""Inputs that are too long for a student: the same cut wherever it is asked, counted beside every accuracy."""

import json

from limbeck.runs import evaluate, predict_file, train
from tests.runs.recipes import TINY, rows_of, tiny

LONG = "Ann has a cow. " * 12
ROWS = [
    {
        "input": f"{LONG if i % 4 == 0 else ''}How many are {i}?",
        "label": f"{i % 2}",
        "rationale": " ".join(f"{j} of {i} is so." for j in range(i % 3 * 5)),
    }
    for i in range(60)
]


def is_cut(row: dict[str, str]) -> bool:
    return len(row["input"]) > 100


def test_every_count_and_mark_is_the_same_wherever_a_student_is_asked(tmp_path):
    splits = {"train": ROWS[:40], "valid": ROWS[40:48], "test": ROWS[48:]}
    for name, rows in splits.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"kind": "files", **{f"{name}_file": str(tmp_path / f"{name}.jsonl") for name in splits}}
    student = {**TINY["student"], "max_source_length": 40}
    run = train(tiny(data={"task": "custom", "source": source}, student=student), tmp_path / "run")
    assert run.results["notes"]["sources_cut"] == 2 * sum(map(is_cut, splits["train"]))
    predictions = {split: rows_of(run.predictions(split)) for split in ("valid", "test")}
    for split, rows in predictions.items():
        expected = list(map(is_cut, splits[split]))
        assert run.results[split]["sources_cut"] == sum(expected) > 0
        assert [row.get("input_cut", False) for row in rows] == expected
    assert evaluate(run.path)["sources_cut"] == run.results["test"]["sources_cut"]
    measured = predict_file(run.path, tmp_path / "test.jsonl", tmp_path / "out.jsonl")
    assert measured["sources_cut"] == run.results["test"]["sources_cut"]
    for name in ("prediction", "input_cut"):
        again = [row.get(name) for row in rows_of(tmp_path / "out.jsonl")]
        assert again == [row.get(name) for row in predictions["test"]]
