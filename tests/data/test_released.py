"""The released outputs: at least the rows and the teacher's accuracies that are known of them."""

import json
from pathlib import Path

import pytest

from limbeck.data import DataSettings, read, task_of
from limbeck.llm import parse
from limbeck.tasks import get

# Rows, the accuracy known, the accuracy here, the answers that cannot be read: two choices named, or none.
KNOWN = [
    ("svamp", "train", 800, 0.7325, 0.745, 13),
    ("svamp", "test", 200, 0.740, 0.775, 2),
    ("cqa", "train", 9741, 0.7426, 0.7537, 300),
    ("cqa", "test", 1221, 0.7723, 0.7838, 29),
    ("esnli", "valid", 9842, 0.7317, 0.7317, 4),
    ("esnli", "test", 9824, 0.7299, 0.7299, 0),
]


@pytest.mark.parametrize(("task", "split", "rows", "known", "accuracy", "unread"), KNOWN)
def test_rows_and_accuracy(
    dss: Path, task: str, split: str, rows: int, known: float, accuracy: float, unread: int
) -> None:
    settings = DataSettings.model_validate({"task": task, "source": {"kind": "archive", "root": dss}})
    examples = read(settings)[split]
    equal = task_of(settings).equal
    right = sum(row.teacher_label is not None and equal(row.teacher_label, row.label) for row in examples)
    assert len(examples) == rows
    assert round(right / rows, 4) == accuracy >= known
    assert sum(row.teacher_label is None for row in examples) == unread


def test_every_anli_row_parses(dss: Path) -> None:
    splits = read(DataSettings.model_validate({"task": "anli1", "source": {"kind": "archive", "root": dss}}))
    assert {split: len(rows) for split, rows in splits.items()} == {"valid": 60, "test": 60}
    for split, rows in splits.items():
        raws = json.loads((dss / "anli1" / "llm" / f"{split}_CoT_0.json").read_text())
        for row, raw in zip(rows, raws, strict=True):
            assert row.rationale is not None
            # by plain cutting, which these raw texts are regular enough for
            before, after = raw.split("Premise:")[0].split("So the answer is")
            assert (row.rationale, f"{row.teacher_label}.") == (before.strip(), after.strip())


def test_anli_beside_a_parser_of_exact_words(dss: Path) -> None:
    """The released strings, and the same as a model writes them that keeps less to the format."""
    splits = read(DataSettings.model_validate({"task": "anli1", "source": {"kind": "archive", "root": dss}}))
    styles = (
        "So the answer is ",
        "Answer: ",
        "**Final answer:** ",
        "so the answer is: ",
        "Thus, the correct label is ",
    )
    ours, naive = [], []
    for split, rows in splits.items():
        raws = json.loads((dss / "anli1" / "llm" / f"{split}_CoT_0.json").read_text())
        for index, (row, raw) in enumerate(zip(rows, raws, strict=True)):
            said = raw.replace("So the answer is ", styles[index % len(styles)])
            ours.append((parse(said, get("anli1"), row).label, row.label))
            naive.append((_split_at_exact_words(said), row.label))
    assert sum(said is None for said, _ in ours) == 0 < sum(said is None for said, _ in naive)
    assert sum(said == gold for said, gold in ours) > sum(said == gold for said, gold in naive)


def _split_at_exact_words(raw: str) -> str | None:
    parts = raw.split("So the answer is ")
    label = parts[1].split(".")[0] if len(parts) > 1 else None
    return label if label in ("entailment", "neutral", "contradiction") else None
