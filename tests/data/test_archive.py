"""The released layout, what can be wrong with a copy of it, and the released data themselves."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from limbeck.data import DataSettings, View, load, load_split, read, source
from limbeck.errors import LimbeckError
from limbeck.files import read_jsonl
from limbeck.schema import Example
from limbeck.tasks import get
from tests.helpers.archives import archive_settings as settings
from tests.helpers.archives import write_rows, write_shards


def svamp_root(root: Path, train: int = 24, test: int = 5) -> Path:
    """An archive whose row i has the answer i + 1, and whose teacher says so."""
    for split, count in {"train": train, "test": test}.items():
        rows = [{"input": f"{split} {i} and one?", "label": f"( {i}.0 + 1.0 )"} for i in range(count)]
        write_rows(root / "svamp" / f"svamp_{split}.json", rows)
        outputs = [f"Why {i}. The answer is ({i} + 1).\n\nQ: more" for i in range(count)]
        write_shards(root / "svamp" / "llm", split, outputs, size=2)
    return root


def test_outputs_meet_their_rows_over_shards_past_nine(tmp_path: Path) -> None:
    splits = read(settings(svamp_root(tmp_path, train=24)))  # twelve shards: sorted as text, 10 comes before 2
    assert list(splits) == ["train", "test"]
    for split, rows in splits.items():
        for i, row in enumerate(rows):
            assert (row.id, row.segments) == (f"{split}-{i}", (f"{split} {i} and one?",))
            assert (row.rationale, row.teacher_label, row.label) == (f"Why {i}.", f"({i} + 1)", f"( {i}.0 + 1.0 )")


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("svamp_train.json", None, "no split 'train'"),
        ("llm/train_CoT_3.json", None, "train_CoT_3.json is missing"),
        (
            "llm/train_CoT_11.json",
            '["one. The answer is (1)."]',
            "has 24 rows, but .* has 23 outputs",
        ),
        ("svamp_test.json", None, "no split 'test'"),
        ("svamp_train.json", "", "svamp_train.json has 0 rows"),
        ("svamp_train.json", '{"input": "x", "label": "1"}\n{"input', r"svamp_train.json:2: not JSON"),
        ("svamp_train.json", '{"input": "x", "label": "1"}\n\n{"input": "x"}', r"svamp_train.json:3: .*label"),
        ("svamp_train.json", '{"input": "", "label": "1"}', r"svamp_train.json:1: .*input"),
        ("svamp_train.json", "[1]", r"svamp_train.json:1: a JSON object"),
        ("llm/train_CoT_0.json", "{}", "train_CoT_0.json"),
        ("llm/train_CoT_0.json", '["a", 3]', "train_CoT_0.json"),
        ("llm/train_CoT_0.json", '["a"', "train_CoT_0.json:1: not JSON"),
        ("llm/train_CoT_0.json", "[" * 100_000, "train_CoT_0.json"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, file: str, content: str | None, says: str) -> None:
    path = svamp_root(tmp_path) / "svamp" / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(LimbeckError, match=says):
        load(settings(tmp_path))


@pytest.mark.parametrize("root", ["nowhere", "x" * 5000, "a\0b"])
def test_no_such_root_says_what_was_looked_for(tmp_path: Path, root: str) -> None:
    with pytest.raises(LimbeckError, match=r"looked for svamp_train.json, svamp_valid.json, svamp_test.json"):
        read(settings(tmp_path / root))


def test_no_outputs(tmp_path: Path) -> None:
    write_rows(tmp_path / "svamp" / "svamp_train.json", [{"input": "x", "label": "1"}])
    with pytest.raises(LimbeckError, match=r"looked for train_CoT_0.json"):
        read(settings(tmp_path))


def test_an_id_that_stands_twice(tmp_path: Path) -> None:
    row = {"uid": "u1", "premise": "p", "hypothesis": "h", "label": 0}
    write_rows(tmp_path / "anli1" / "anli1_test.json", [row, row])
    write_shards(tmp_path / "anli1" / "llm", "test", ["a", "b"], size=2)
    with pytest.raises(LimbeckError, match="the id 'u1' stands twice in the split 'test'"):
        read(settings(tmp_path, task="anli1"))


def test_a_label_outside_the_choices(tmp_path: Path) -> None:
    row = {"id": "1", "question": "q", "choices": ["a", "b"], "answer": "c"}
    write_rows(tmp_path / "cqa" / "cqa_test.json", [row])
    with pytest.raises(LimbeckError, match=r"cqa_test.json:1: answer: 'c' is none of the choices \['a', 'b'\]"):
        read(settings(tmp_path, task="cqa"))


def test_splits_say_which_split_plays_which_role(tmp_path: Path) -> None:
    source = {"kind": "archive", "root": str(svamp_root(tmp_path)), "splits": {"train": "test", "test": "train"}}
    roles = DataSettings.parse({"task": "svamp", "source": source}, "test")
    splits = read(roles)
    assert {role: len(rows) for role, rows in splits.items()} == {"train": 5, "test": 24}
    assert splits["train"][1].rationale == "Why 1."
    assert (splits["train"][1].input, splits["test"][1].input) == ("test 1 and one?", "train 1 and one?")
    assert load_split(roles, "test") == load(roles).test == tuple(splits["test"])
    fewer = DataSettings.parse({"task": "svamp", "source": source, "limit": 4}, "test")
    loaded = load(fewer)
    assert (len(loaded.train), len(loaded.valid), len(loaded.test)) == (4, 1, 4)
    assert load_split(fewer, "test") == loaded.test
    alone = DataSettings.parse({"task": "svamp", "source": source | {"splits": {"test": "test"}}}, "test")
    assert list(read(alone)) == ["test"]
    assert len(load_split(alone, "test")) == 5
    with pytest.raises(LimbeckError, match="no split 'train'"):
        load(alone)


def test_a_split_has_one_role_and_has_to_be_there(tmp_path: Path) -> None:
    source = {"kind": "archive", "root": str(svamp_root(tmp_path))}
    with pytest.raises(LimbeckError, match="'test' has two roles"):
        DataSettings.parse({"task": "svamp", "source": source | {"splits": {"train": "test", "test": "test"}}}, "test")
    named = {"train": "train", "valid": "valid"}
    roles = DataSettings.parse({"task": "svamp", "source": source | {"splits": named}}, "test")
    with pytest.raises(LimbeckError, match=r"svamp_valid.json: no such file, and it is to be the source's 'valid'"):
        read(roles)


# Rows, the accuracy known, the accuracy here, the answers that cannot be read: two choices named, or none.
@pytest.mark.parametrize(
    ("task", "split", "rows", "known", "accuracy", "unread"),
    [
        ("svamp", "train", 800, 0.7325, 0.745, 13),
        ("svamp", "test", 200, 0.740, 0.775, 2),
        pytest.param("cqa", "train", 9741, 0.7426, 0.7537, 300, marks=pytest.mark.slow),
        pytest.param("cqa", "test", 1221, 0.7723, 0.7838, 29, marks=pytest.mark.slow),
        pytest.param("esnli", "valid", 9842, 0.7317, 0.7317, 4, marks=pytest.mark.slow),
        pytest.param("esnli", "test", 9824, 0.7299, 0.7299, 0, marks=pytest.mark.slow),
    ],
)
def test_released_rows_and_accuracies(
    released: Callable[[str], dict[str, list[Example]]],
    task: str,
    split: str,
    rows: int,
    known: float,
    accuracy: float,
    unread: int,
) -> None:
    examples = released(task)[split]
    equal = get(task).equal
    right = sum(row.teacher_label is not None and equal(row.teacher_label, row.label) for row in examples)
    assert len(examples) == rows
    assert round(right / rows, 4) == accuracy >= known
    assert sum(row.teacher_label is None for row in examples) == unread


@pytest.fixture(scope="module")
def released(dss: Path) -> Callable[[str], dict[str, list[Example]]]:
    return cache(lambda task: read(settings(dss, task)))


def test_every_released_anli_row_is_parsed(dss: Path, released: Callable[[str], dict[str, list[Example]]]) -> None:
    splits = released("anli1")
    assert {split: len(rows) for split, rows in splits.items()} == {"valid": 60, "test": 60}
    for split, rows in splits.items():
        outputs = json.loads((dss / "anli1" / "llm" / f"{split}_CoT_0.json").read_text())
        for row, output in zip(rows, outputs, strict=True):
            # by plain cutting, which these raw texts are regular enough for
            reasoning, answer = output.split("Premise:")[0].split("So the answer is")
            assert (row.rationale, f"{row.teacher_label}.") == (reasoning.strip(), answer.strip())


@pytest.mark.slow
def test_released_inputs_are_those_of_the_papers_code(
    dss: Path, released: Callable[[str], dict[str, list[Example]]]
) -> None:
    rows = [row for _, row in read_jsonl(dss / "cqa" / "cqa_test.json")]
    for example, row in zip(released("cqa")["test"], rows, strict=True):
        letters = "".join(f"\n({letter}) {choice}" for letter, choice in zip("abcde", row["choices"], strict=True))
        assert source(example, View.PREDICT).text("") == f"predict: {row['question']}\nAnswer Choices:{letters}"
