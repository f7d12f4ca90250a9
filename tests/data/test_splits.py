"""The carve, the nested fraction, what is trained on, and questions that splits share."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import DataSettings, load
from limbeck.data.splits import carve, count_overlap, limited, question_of, refuse_overlap, select, subset
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import get
from tests.helpers.archives import archive_settings

MULTI = Path(__file__).parents[2].parent / "shared" / "data" / "multi"


def rows(count: int) -> list[Example]:
    return [Example(str(i), (f"q{i}",), "1") for i in range(count)]


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_carve_parts_the_rows_in_their_order(count: int, share: float, seed: int) -> None:
    examples = rows(count)
    train, valid = carve(examples, share, seed, "validation")
    assert sorted(train + valid, key=lambda row: int(row.id)) == examples
    assert [int(row.id) for row in train] == sorted(int(row.id) for row in train)
    assert len(valid) == max(1, round(share * count))
    drawn = random.Random(f"validation {seed}").sample(range(count), count)[: len(valid)]
    assert [int(row.id) for row in valid] == sorted(drawn)  # the same rows in every release of limbeck


def test_a_carve_is_random_and_seeded() -> None:
    carves = {seed: [row.id for row in carve(rows(100), 0.1, seed, "test")[1]] for seed in range(20)}
    assert all(carve(rows(100), 0.1, seed, "test")[1][0].id == ids[0] for seed, ids in carves.items())
    assert len({tuple(ids) for ids in carves.values()}) == 20
    assert len({id for ids in carves.values() for id in ids}) > 70  # not always the same corner
    assert all(carves[seed] != [row.id for row in carve(rows(100), 0.1, seed, "validation")[1]] for seed in carves)


SPELLINGS = ["Why {}?", " why  {}?", "WHY {}?\n", "Why {}?.", "\uff37hy {}", '"Why {}?!"']


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(SPELLINGS)), min_size=1), st.floats(0.01, 0.99))
def test_a_question_that_stands_twice_is_never_on_both_sides(drawn: list[tuple[int, str]], share: float) -> None:
    examples = [Example(str(i), (spelling.format(number),), "1") for i, (number, spelling) in enumerate(drawn)]
    sides = carve(examples, share, 0, "test")
    train, test = ({drawn[int(row.id)][0] for row in side} for side in sides)
    assert not train & test
    # train has every row of its questions, test the first of its own: n there counts questions
    assert [int(row.id) for row in sides[0]] == [i for i, (number, _) in enumerate(drawn) if number in train]
    first = {number: i for i, (number, _) in reversed(list(enumerate(drawn)))}
    assert [int(row.id) for row in sides[1]] == sorted(first[number] for number in test)
    assert train | test == {number for number, _ in drawn}
    count = max(1, round(share * len(drawn)))
    sizes = [sum(number == other for other, _ in drawn) for number in test]
    assert count <= sum(sizes) < count + max(sizes)


def test_a_question_is_as_likely_held_out_however_often_it_stands() -> None:
    examples = [Example(f"{i}-{j}", (f"q{i}",), "1") for i in range(40) for j in range(1 + 4 * (i % 2))]
    held_out = [row.id for seed in range(200) for row in carve(examples, 0.2, seed, "test")[1] if row.id.endswith("-0")]
    often = sum(int(id.partition("-")[0]) % 2 for id in held_out)
    assert 0.45 < often / len(held_out) < 0.55


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(0, 3), st.floats(0.001, 1), st.floats(0.001, 1))
def test_smaller_fractions_lie_inside_larger_ones(count: int, seed: int, a: float, b: float) -> None:
    small, large = (subset(rows(count), fraction, seed) for fraction in sorted([a, b]))
    assert 1 <= len(small) <= len(large)
    assert {row.id for row in small} <= {row.id for row in large}
    assert [int(row.id) for row in large] == sorted(int(row.id) for row in large)


@pytest.mark.parametrize(
    ("count", "fraction", "size"), [(800, 0.125, 100), (30, 0.1, 3), (7, 1.0, 7), (3, 0.01, 1), (10, 0.7, 7)]
)
def test_the_size_of_a_fraction(count: int, fraction: float, size: int) -> None:
    assert len(subset(rows(count), fraction, 0)) == size


MIXED = [
    Example("right", ("q",), "( 1.0 + 1.0 )", "good", "(1 + 1)"),
    Example("wrong", ("q",), "( 1.0 + 1.0 )", "bad", "(1 - 1)"),
    Example("unparsed", ("q",), "( 1.0 + 1.0 )", "cut off", None),
    Example("silent", ("q",), "( 1.0 + 1.0 )", None, None),
]


@pytest.mark.parametrize(
    ("labels", "keep", "expected", "counts"),
    [
        ("gold", "all", [(row.id, row.label, row.rationale) for row in MIXED], {}),
        (
            "gold",
            "correct",
            [(row.id, row.label, "good" if row.id == "right" else None) for row in MIXED],
            {"rationales_not_kept": 2},
        ),
        (
            "teacher",
            "all",
            [("right", "(1 + 1)", "good"), ("wrong", "(1 - 1)", "bad")],
            {"rows_without_teacher_label": 2},
        ),
        (
            "teacher",
            "correct",
            [("right", "(1 + 1)", "good"), ("wrong", "(1 - 1)", None)],
            {"rationales_not_kept": 2, "rows_without_teacher_label": 2},
        ),
    ],
)
def test_selection(labels: Any, keep: Any, expected: list[Any], counts: dict[str, int]) -> None:
    selected, notes = select(MIXED, get("svamp"), labels, keep)
    assert [(row.id, row.label, row.rationale) for row in selected] == expected
    assert notes == counts


@pytest.mark.parametrize(("labels", "keep"), [("teacher", "all"), ("gold", "correct")])
def test_without_any_teacher_label(labels: Any, keep: Any) -> None:
    with pytest.raises(LimbeckError, match="no training row has a teacher_label"):
        select(rows(3), get("custom"), labels, keep)


def test_a_limit_takes_the_smaller_out_of_the_larger_and_no_more_than_there_is() -> None:
    limited_ids = {limit: [row.id for row in limited(rows(40), limit, 3)] for limit in (1, 7, 39, 40, 100, None)}
    assert [len(ids) for ids in limited_ids.values()] == [1, 7, 39, 40, 40, 40]
    assert set(limited_ids[1]) < set(limited_ids[7]) < set(limited_ids[39])
    assert all(ids == sorted(ids, key=int) for ids in limited_ids.values())
    assert limited_ids[7] != [row.id for row in limited(rows(40), 7, 4)]


def ask(*segments: str, label: str = "1", choices: tuple[str, ...] = ()) -> Example:
    return Example("x", segments, label, choices=choices)


@pytest.mark.parametrize(
    ("text", "variant"),
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
def test_one_question_in_several_spellings(text: str, variant: str) -> None:
    assert question_of(ask(text)) == question_of(ask(variant))


@pytest.mark.parametrize(
    ("question", "different"),
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
def test_different_questions(question: Example, different: Example) -> None:
    assert question_of(question) != question_of(different)


def test_choices_in_another_order_are_the_same_question() -> None:
    assert question_of(ask("Which?", choices=("a", "B"))) == question_of(ask("which", choices=("b", "a")))


labelled = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["yes", "Yes.", "no"])), max_size=8)


@settings(max_examples=60, deadline=None)
@given(labelled, labelled, labelled)
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
