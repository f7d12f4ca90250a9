"""The same question in several splits and with several labels, against plain loops and on real data."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data import DataSettings, load
from limbeck.data.overlap import count_overlap, question_of, refuse_overlap
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import get
from tests.archives import archive_settings

MULTI = Path(__file__).parents[2].parent / "shared" / "data" / "multi"


def ask(*segments: str, label: str = "1", choices: tuple[str, ...] = ()) -> Example:
    return Example("x", segments, label, choices=choices)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is it?", "  what\tIS  it "),
        ("What is it?", "\uff37\uff48\uff41\uff54 is it\uff1f"),  # full width
        ("What is it?", "\u201cWhat is it?\u201d"),
        ("It isn't so.", "It isn\u2019t so"),
        ("co\u00f6perate", "coo\u0308perate"),
        ("What is it", "What\u200b is it\u00a0"),
        ("Stra\u00dfe", "STRASSE"),
        ("(What is it?)", "What is it ?"),
    ],
)
def test_one_question_in_other_writing_is_the_same(one: str, other: str) -> None:
    assert question_of(ask(one)) == question_of(ask(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ask("-5 + 3"), ask("5 + 3")),
        (ask("What is 50%"), ask("What is 50")),
        (ask("A man.", "He sleeps."), ask("A man.", "He runs.")),  # a premise stands with several hypotheses
        (ask("A man. He", "sleeps"), ask("A man.", "He sleeps")),
        (ask("Which?", choices=("a", "b")), ask("Which?", choices=("a", "c"))),
        (ask("???"), ask("!")),
        (ask("3.5"), ask("35")),
    ],
)
def test_what_differs_in_meaning_is_another_question(one: Example, other: Example) -> None:
    assert question_of(one) != question_of(other)


def test_choices_in_another_order_are_the_same_question() -> None:
    assert question_of(ask("Which?", choices=("a", "B"))) == question_of(ask("which", choices=("b", "a")))


rows = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["yes", "Yes.", "no"])), max_size=8)


@given(rows, rows, rows)
def test_the_counts_are_those_of_plain_loops(train, valid, test) -> None:
    splits = {"train": train, "valid": valid, "test": test}
    examples = {name: [ask(f"Q{i}?", label=label) for i, label in part] for name, part in splits.items()}
    counts = count_overlap(examples, get("custom"))
    for earlier, later in (("train", "valid"), ("train", "test"), ("valid", "test")):
        shared = sum(any(i == j for j, _ in splits[earlier]) for i, _ in splits[later])
        assert counts[f"{later}_in_{earlier}"] == shared
    two = {
        name: {i for i in range(6) if {"yes", "no"} <= {label.strip(".").lower() for j, label in part if j == i}}
        for name, part in (*splits.items(), ("all", [*train, *valid, *test]))
    }
    within = two["train"] | two["valid"] | two["test"]
    assert counts["contradictory_within"] == len(within)
    assert counts["contradictory_across"] == len(two["all"] - within)


def test_answers_that_are_equal_by_the_task_do_not_contradict_each_other() -> None:
    examples = [ask("How many?", label="( 1.0 + 1.0 )"), ask("How many", label="2.0")]
    assert count_overlap({"train": examples}, get("svamp"))["contradictory_within"] == 0
    assert count_overlap({"train": examples}, get("custom"))["contradictory_within"] == 1


def test_more_than_the_share_is_refused_unless_it_is_allowed() -> None:
    notes = {"valid_in_train": 0, "test_in_train": 2, "test_in_valid": 0}
    rows_of = {"train": 50, "valid": 10, "test": 200}
    refuse_overlap(notes, rows_of, None)  # 1 %
    with pytest.raises(LimbeckError):
        refuse_overlap(notes | {"test_in_train": 3}, rows_of, None)
    refuse_overlap(notes | {"test_in_train": 3}, rows_of, 0.015)
    with pytest.raises(LimbeckError):
        refuse_overlap(notes, rows_of, 0)
    with pytest.raises(LimbeckError):
        refuse_overlap(notes | {"valid_in_train": 1}, rows_of, None)


def test_real_data_share_next_to_nothing(dss: Path) -> None:
    assert {load(archive_settings(dss)).notes[f"{pair}"] for pair in ("valid_in_train", "test_in_train")} == {0}
    if not MULTI.is_dir():
        pytest.skip(f"no data at {MULTI}")
    for name, shared in (("strategyqa", 1), ("asdiv", 0), ("svamp", 0)):
        source = {
            "kind": "files",
            "train_file": f"{MULTI / name}/train.jsonl",
            "test_file": f"{MULTI / name}/test.jsonl",
        }
        notes = load(DataSettings.parse({"task": "custom", "source": source}, "x")).notes
        assert (notes["test_in_train"], notes["test_in_valid"], notes["contradictory_within"]) == (shared, 0, 0)
