"""A teacher joined to the wrong rows is noticed, and a right one is never accused: on real rationales, shifted."""

import json
import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from limbeck.data.mismatch import teacher_mismatch
from limbeck.data.summary import show
from limbeck.files import read_jsonl
from limbeck.schema import Example
from limbeck.tasks import get
from tests.helpers.archives import archive_settings, write_shards

MULTI = Path(__file__).parents[2].parent / "shared" / "data" / "multi"


mismatch = partial(teacher_mismatch, task=get("custom"))


@pytest.mark.parametrize(("task", "split", "shift"), [("svamp", "test", -1), ("anli1", "valid", 1)])
def test_released_outputs_of_the_row_before_or_after_are_noticed(
    task: str, split: str, shift: int, *, dss: Path, tmp_path: Path
) -> None:
    name = f"{task}_{split}.json"
    (tmp_path / task).mkdir()
    (tmp_path / task / name).symlink_to(dss / task / name)
    shards = sorted((dss / task / "llm").glob(f"{split}_CoT_*.json"), key=lambda path: int(path.stem.split("_")[-1]))
    outputs = [output for shard in shards for output in json.loads(shard.read_text())]
    settings = archive_settings(tmp_path, task)
    for shifted_outputs, doubtful in ((outputs, False), (outputs[shift:] + outputs[:shift], True)):
        write_shards(tmp_path / task / "llm", split, shifted_outputs, size=5000)
        assert ("most likely joined to the wrong rows" in show(settings, 0)) == doubtful


def multi(name: str) -> list[Example]:
    if not MULTI.is_dir():
        pytest.skip(f"no data at {MULTI}")
    rows = [row for _, row in read_jsonl(MULTI / name / "train.jsonl") if row["rationales"]]
    return [Example(row["id"], (row["input"],), row["label"], row["rationales"][0]) for row in rows]


def shifted(rows: list[Example]) -> list[Example]:
    pairs = zip(rows, rows[1:] + rows[:1], strict=True)
    return [replace(row, rationale=next_row.rationale, teacher_label=next_row.teacher_label) for row, next_row in pairs]


@pytest.mark.parametrize("name", ["asdiv", "strategyqa", "svamp"])
def test_rationales_without_answers_are_compared_with_their_questions(name: str) -> None:
    rows = multi(name)
    assert mismatch(rows) is None
    assert mismatch(shifted(rows))
    assert mismatch([*rows[: len(rows) // 2], *shifted(rows[len(rows) // 2 :])])  # a rationale lost on the way
    for size in (10, 20, 40):
        assert all(mismatch(random.Random(i).sample(rows, size)) is None for i in range(5))
    assert mismatch(shifted(rows[:10])) is None  # ten rows are too few for any conclusion
    assert mismatch(shifted(rows[:30]))


def tickets(count: int, accuracy: float, labels: tuple[str, ...] = ("yes", "no")) -> list[Example]:
    """Return rows whose rationales are all alike, with a teacher of that accuracy."""
    rng = random.Random(f"{count} {accuracy}")
    rows = []
    for i in range(count):
        label = rng.choice(labels)
        answer = label if rng.random() < accuracy else rng.choice([wrong for wrong in labels if wrong != label])
        rows.append(Example(str(i), (f"Ticket {i}?",), label, "So says the rule.", answer))
    return rows


def test_an_accuracy_at_chance_is_ground_enough_where_the_rows_are_many() -> None:
    assert mismatch(tickets(200, 0.7)) is None
    assert mismatch(shifted(tickets(200, 0.9)))
    assert mismatch(tickets(200, 0.5))
    assert mismatch(tickets(10, 0.0)) is None
    assert mismatch(tickets(300, 0.95, labels=("no",) * 19 + ("yes",))) is None
    assert mismatch(tickets(200, 0.7, labels=("no", "no", "yes"))) is None


def test_rationales_in_writing_without_blanks_are_read() -> None:
    words = "山川海木火土金水日月星風雨雪花鳥魚虫犬猫牛馬羊豚"
    rng = random.Random(3)
    rows = []
    for a, b, c in (rng.sample(words, 3) for _ in range(60)):
        rows.append(Example(f"{a}{b}{c}", (f"{a}{b}と{c}はどちらが大きいか",), "1", f"{a}{b}は{c}より大きいので"))
    assert mismatch(rows) is None
    assert mismatch(shifted(rows))
