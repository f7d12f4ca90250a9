"""The carve, the nested fraction, and what is trained on."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.splits import carve, limited, select, subset
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import get


def rows(count: int) -> list[Example]:
    return [Example(str(i), (f"q{i}",), "1") for i in range(count)]


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
    wanted = max(1, round(share * len(drawn)))
    sizes = [sum(number == other for other, _ in drawn) for number in test]
    assert wanted <= sum(sizes) < wanted + max(sizes)


def test_a_question_is_as_likely_held_out_however_often_it_stands() -> None:
    examples = [Example(f"{i}-{j}", (f"q{i}",), "1") for i in range(40) for j in range(1 + 4 * (i % 2))]
    held_out = [row.id for seed in range(200) for row in carve(examples, 0.2, seed, "test")[1] if row.id.endswith("-0")]
    often = sum(int(id.partition("-")[0]) % 2 for id in held_out)
    assert 0.45 < often / len(held_out) < 0.55


@given(st.integers(1, 200), st.integers(0, 3), st.floats(0.001, 1), st.floats(0.001, 1))
def test_smaller_fractions_lie_inside_larger_ones(count: int, seed: int, one: float, other: float) -> None:
    small, large = (subset(rows(count), fraction, seed) for fraction in sorted([one, other]))
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


def test_all_and_gold_change_nothing() -> None:
    assert select(MIXED, get("svamp"), "gold", "all") == (MIXED, {})


def test_keep_correct_takes_the_rationale_and_leaves_the_row() -> None:
    kept, notes = select(MIXED, get("svamp"), "gold", "correct")
    assert [(row.id, row.rationale) for row in kept] == [
        ("right", "good"), ("wrong", None), ("unparsed", None), ("silent", None),
    ]  # fmt: skip
    assert [row.label for row in kept] == [row.label for row in MIXED]
    assert notes == {"rationales_not_kept": 2}


def test_teacher_labels_replace_and_drop() -> None:
    kept, notes = select(MIXED, get("svamp"), "teacher", "all")
    assert [(row.id, row.label, row.rationale) for row in kept] == [
        ("right", "(1 + 1)", "good"),
        ("wrong", "(1 - 1)", "bad"),
    ]
    assert notes == {"rows_without_teacher_label": 2}


def test_both_judge_by_gold() -> None:
    kept, notes = select(MIXED, get("svamp"), "teacher", "correct")
    assert [(row.label, row.rationale) for row in kept] == [("(1 + 1)", "good"), ("(1 - 1)", None)]
    assert notes == {"rationales_not_kept": 2, "rows_without_teacher_label": 2}


@pytest.mark.parametrize(("labels", "keep"), [("teacher", "all"), ("gold", "correct")])
def test_without_any_teacher_label(labels: str, keep: str) -> None:
    with pytest.raises(LimbeckError, match="no training row has a teacher_label"):
        select(rows(3), get("custom"), labels, keep)  # type: ignore[arg-type]


def test_a_limit_takes_the_smaller_out_of_the_larger_and_no_more_than_there_is() -> None:
    taken = {limit: [row.id for row in limited(rows(40), limit, 3)] for limit in (1, 7, 39, 40, 100, None)}
    assert [len(ids) for ids in taken.values()] == [1, 7, 39, 40, 40, 40]
    assert set(taken[1]) < set(taken[7]) < set(taken[39])
    assert all(ids == sorted(ids, key=int) for ids in taken.values())
    assert taken[7] != [row.id for row in limited(rows(40), 7, 4)]
