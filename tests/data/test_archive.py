"""The released layout, and everything that can be wrong with a copy of it."""

from pathlib import Path

import pytest

from limbeck.data import DataSettings, load, load_split, read
from limbeck.data.asdiv import label_of
from limbeck.errors import LimbeckError
from tests.archives import archive_settings as settings
from tests.archives import write_rows, write_shards


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


def test_another_number_of_outputs_names_both_counts(tmp_path: Path) -> None:
    svamp_root(tmp_path, train=24)
    (tmp_path / "svamp" / "llm" / "train_CoT_11.json").write_text('["one. The answer is (1)."]')
    with pytest.raises(LimbeckError, match=r"svamp_train.json has 24 rows, but .*llm has 23 outputs"):
        read(settings(tmp_path))


def test_a_gap_in_the_shards(tmp_path: Path) -> None:
    svamp_root(tmp_path)
    (tmp_path / "svamp" / "llm" / "train_CoT_3.json").unlink()
    with pytest.raises(LimbeckError, match=r"train_CoT_3.json is missing"):
        read(settings(tmp_path))


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("svamp_train.json", None, "no split 'train'"),
        ("svamp_test.json", None, "no split 'test'"),
        ("svamp_train.json", "", "svamp_train.json has 0 rows"),
        ("svamp_train.json", '{"input": "x", "label": "1"}\n{"input', r"svamp_train.json:2: not JSON"),
        ("svamp_train.json", '{"input": "x", "label": "1"}\n\n{"input": "x"}', r"svamp_train.json:3: field 'label'"),
        ("svamp_train.json", '{"input": "", "label": "1"}', r"svamp_train.json:1: field 'input'"),
        ("svamp_train.json", "[1]", r"svamp_train.json:1: a JSON object"),
        ("llm/train_CoT_0.json", "{}", "train_CoT_0.json: a JSON list"),
        ("llm/train_CoT_0.json", '["a", 3]', "train_CoT_0.json: text was expected as item 1"),
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


def test_an_empty_split(tmp_path: Path) -> None:
    svamp_root(tmp_path)
    (tmp_path / "svamp" / "svamp_test.json").write_text("\n")
    for number in range(3):
        (tmp_path / "svamp" / "llm" / f"test_CoT_{number}.json").write_text("[]")
    with pytest.raises(LimbeckError, match="split 'test' is empty"):
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
    with pytest.raises(LimbeckError, match=r"cqa_test.json:1: field 'answer': 'c' is none of the choices \['a', 'b'\]"):
        read(settings(tmp_path, task="cqa"))


def asdiv_root(root: Path) -> Path:
    rows = [
        {"Body": "Seven apples and two.", "Question": "How many?", "Formula": "7+2=9", "Answer": "9 (apples)"},
        {"Body": "x.", "Question": "Who?", "Formula": "7>2", "Answer": "Ann"},
    ]
    write_rows(root / "asdiv" / "asdiv_train.json", rows)
    write_shards(root / "asdiv" / "llm", "train", ["So. The answer is (7 + 2).", "So. The answer is (2)."], size=1)
    return root


def test_asdiv_adds_to_training_only(tmp_path: Path) -> None:
    root = asdiv_root(svamp_root(tmp_path, train=20))
    plain, augmented = load(settings(root)), load(settings(root, augment=["asdiv"]))
    assert augmented.valid == plain.valid
    assert augmented.test == plain.test
    assert augmented.train[:-2] == plain.train
    assert [(row.id, row.label) for row in augmented.train[-2:]] == [("asdiv-0", "( 7.0 + 2.0 )"), ("asdiv-1", "Ann")]
    assert augmented.train[-2].input == "Seven apples and two.\nHow many?"
    assert augmented.train[-2].teacher_label == "(7 + 2)"


def test_asdiv_is_for_svamp(tmp_path: Path) -> None:
    with pytest.raises(LimbeckError, match="augment"):
        settings(tmp_path, task="cqa", augment=["asdiv"])


def test_a_bad_asdiv_row_names_its_field(tmp_path: Path) -> None:
    root = asdiv_root(svamp_root(tmp_path))
    write_rows(root / "asdiv" / "asdiv_train.json", [{"Body": "b", "Question": "q", "Answer": "9"}])
    with pytest.raises(LimbeckError, match=r"asdiv_train.json:1: field 'Formula': missing"):
        read(settings(root, augment=["asdiv"]))


@pytest.mark.parametrize(
    ("formula", "answer", "label"),
    [
        ("7+2=9", "9 (apples)", "( 7.0 + 2.0 )"),
        ("(7+2)*3=27", "27 (apples)", "( ( 7.0 + 2.0 ) * 3.0 )"),
        ("1500-200=1300", "1,300 (dollars)", "( 1500.0 - 200.0 )"),
        ("1/2=0.5", "0.5 (cup)", "( 1.0 / 2.0 )"),
        ("7+2=10", "9 (apples)", "( 7.0 + 2.0 )"),  # the left side's value is the answer
        ("7+2=9", "10 (apples)", "10"),
        ("x+2=9", "7", "7"),
        ("lcm(8,9)=72", "72 (days)", "72"),
        ("2*3=6; 6/2=3", "3 (a); 2 (b)", "3  ; 2"),
    ],
)
def test_asdiv_labels(formula: str, answer: str, label: str) -> None:
    assert label_of(formula, answer).split() == label.split()


def test_splits_say_which_split_plays_which_role(tmp_path: Path) -> None:
    source = {"kind": "archive", "root": str(svamp_root(tmp_path)), "splits": {"train": "test", "test": "train"}}
    given = DataSettings.parse({"task": "svamp", "source": source}, "test")
    splits = read(given)
    assert {role: len(rows) for role, rows in splits.items()} == {"train": 5, "test": 24}
    assert splits["train"][1].rationale == "Why 1."
    assert (splits["train"][1].input, splits["test"][1].input) == ("test 1 and one?", "train 1 and one?")
    assert load_split(given, "test") == load(given).test == tuple(splits["test"])
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
    given = DataSettings.parse({"task": "svamp", "source": source | {"splits": named}}, "test")
    with pytest.raises(LimbeckError, match=r"svamp_valid.json: no such file, and it is to be the source's 'valid'"):
        read(given)
