"""The carve, what is trained on, and questions that splits share."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data.examples import question_of
from limbeck.data.splits import carve, count_overlap, refuse_overlap, select
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks import get

ROWS = [Example(str(i), (f"q{i}",), "1") for i in range(99)]


def ids(examples: list[Example]) -> list[int]:
    return [int(example.id) for example in examples]


def test_a_carve_has_the_same_rows_in_every_release() -> None:
    shuffled = random.Random("validation 3").sample(range(40), 40)
    train, valid = carve(ROWS[:40], 0.2, 3, "validation")
    assert (ids(train), ids(valid)) == (sorted(shuffled[8:]), sorted(shuffled[:8]))


SPELLINGS = ["Why {}?", " why  {}?", "WHY {}?\n", "Why {}?.", "\uff37hy {}", '"Why {}?!"']


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(SPELLINGS)), min_size=1), st.floats(0.01, 0.99))
def test_a_question_that_stands_twice_is_never_on_both_sides(questions: list[tuple[int, str]], share: float) -> None:
    numbers = [number for number, _ in questions]
    examples = [Example(str(i), (spelling.format(number),), "1") for i, (number, spelling) in enumerate(questions)]
    sides = carve(examples, share, 0, "test")
    train, test = ({numbers[i] for i in ids(side)} for side in sides)
    assert not train & test
    assert train | test == set(numbers)
    # train has every row of its questions, test the first of its own: n there counts questions
    assert ids(sides[0]) == [i for i, number in enumerate(numbers) if number in train]
    assert ids(sides[1]) == sorted(numbers.index(number) for number in test)
    count = max(1, round(share * len(numbers)))
    sizes = [numbers.count(number) for number in test]
    assert count <= sum(sizes) < count + max(sizes)


MIXED = [
    Example("right", ("q",), "( 1.0 + 1.0 )", "good", "(1 + 1)"),
    Example("wrong", ("q",), "( 1.0 + 1.0 )", "bad", "(1 - 1)"),
    Example("unparsed", ("q",), "( 1.0 + 1.0 )", "cut off", None),
    Example("silent", ("q",), "( 1.0 + 1.0 )", None, None),
]


def test_selection() -> None:
    svamp = get("svamp")
    assert select(MIXED, svamp, "gold", "all") == (MIXED, {})
    examples, counts = select(MIXED, svamp, "gold", "correct")
    assert [row.rationale for row in examples] == ["good", None, None, None]
    assert counts == {"rationales_not_kept": 2}
    examples, counts = select(MIXED, svamp, "teacher", "correct")
    assert [(row.label, row.rationale) for row in examples] == [("(1 + 1)", "good"), ("(1 - 1)", None)]
    assert counts == {"rationales_not_kept": 2, "rows_without_teacher_label": 2}
    with pytest.raises(LimbeckError, match="teacher_label"):
        select(ROWS, svamp, "teacher", "all")


def question(*segments: str, label: str = "1", choices: tuple[str, ...] = ()) -> Example:
    return Example("x", segments, label, choices=choices)


def test_questions_in_several_spellings_and_different_ones() -> None:
    for text, variant in (
        ("What is it?", "  \uff37\uff48\uff41\uff54\tIS  it\uff1f "),  # full width
        ("What is it?", "\u201cWhat is it?\u201d"),
        ("co\u00f6perate", "coo\u0308perate"),
        ("What is it", "What\u200b is it\u00a0"),
        ("Stra\u00dfe", "STRASSE"),
    ):
        assert question_of(question(text)) == question_of(question(variant))
        assert question_of(question(text, choices=("a", "B"))) == question_of(question(variant, choices=("b", "a")))
    for first, second in (
        (question("-5 + 3"), question("5 + 3")),
        (question("A man.", "He sleeps."), question("A man.", "He runs.")),  # a premise stands with several hypotheses
        (question("Which?", choices=("a", "b")), question("Which?", choices=("a", "c"))),
        (question("???"), question("!")),
    ):
        assert question_of(first) != question_of(second)


labelled = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["yes", "Yes.", "no"])), max_size=8)


@settings(max_examples=60, deadline=None)
@given(labelled, labelled, labelled)
def test_the_counts_are_those_of_plain_loops(train, valid, test) -> None:
    splits = {"train": train, "valid": valid, "test": test}
    examples = {name: [question(f"Q{i}?", label=label) for i, label in split] for name, split in splits.items()}
    counts = count_overlap(examples, get("custom"))
    for earlier, later in (("train", "valid"), ("train", "test"), ("valid", "test")):
        shared = sum(any(i == j for j, _ in splits[earlier]) for i, _ in splits[later])
        assert counts[f"{later}_in_{earlier}"] == shared
    *within, anywhere = (
        {i for i in range(6) if {"yes", "no"} <= {label.strip(".").lower() for j, label in rows if j == i}}
        for rows in (train, valid, test, [*train, *valid, *test])
    )
    assert counts["contradictory_within"] == len(set().union(*within))
    assert counts["contradictory_across"] == len(anywhere.difference(*within))


def test_more_than_the_share_is_refused_unless_it_is_allowed() -> None:
    sizes = {"train": 50, "valid": 10, "test": 200}
    for count, share in ((2, 0.01), (3, 0.015)):
        refuse_overlap({"test_in_train": count}, sizes, share)
    for name, count, share in (("test_in_train", 3, 0.01), ("test_in_train", 2, 0), ("valid_in_train", 1, 0.01)):
        with pytest.raises(LimbeckError):
            refuse_overlap({name: count}, sizes, share)
