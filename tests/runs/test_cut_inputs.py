"""Inputs that are too long for a student: the same cut wherever it is asked, counted beside every accuracy."""

import json

import pytest

from limbeck.files import read_jsonl
from limbeck.runs import Recipe, evaluate, predict_file, train
from tests.runs.recipes import TINY

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cut")


@pytest.fixture(scope="module")
def run(folder):
    splits = {"train": ROWS[:40], "valid": ROWS[40:48], "test": ROWS[48:]}
    for name, rows in splits.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"kind": "files", **{f"{name}_file": str(folder / f"{name}.jsonl") for name in splits}}
    student = {**TINY["student"], "max_source_length": 40}
    return train(
        Recipe.parse({**TINY, "data": {"task": "custom", "source": source}, "student": student}, "t"), folder / "run"
    )


def test_every_split_has_its_count_and_every_row_its_mark(run):
    for split, rows in (("valid", ROWS[40:48]), ("test", ROWS[48:])):
        expected = [is_cut(row) for row in rows]
        assert run.results[split]["sources_cut"] == sum(expected) > 0
        predictions = [row for _, row in read_jsonl(run.predictions(split))]
        assert [row.get("input_cut", False) for row in predictions] == expected
    assert run.results["notes"]["sources_cut"] == 2 * sum(is_cut(row) for row in ROWS[:40])


def test_it_is_the_same_when_asked_again(run, folder):
    assert evaluate(run.path)["sources_cut"] == run.results["test"]["sources_cut"]
    done = predict_file(run.path, folder / "test.jsonl", folder / "out.jsonl")
    assert done["sources_cut"] == run.results["test"]["sources_cut"]
    answers = [row["prediction"] for _, row in read_jsonl(folder / "out.jsonl")]
    assert answers == [row["prediction"] for _, row in read_jsonl(run.predictions("test"))]
    assert [row.get("input_cut", False) for _, row in read_jsonl(folder / "out.jsonl")] == list(map(is_cut, ROWS[48:]))
