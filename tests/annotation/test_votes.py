"""The vote of self-consistency, beside a count by loops over pairs."""

import random
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from limbeck.annotation.votes import Vote, agree, majority
from limbeck.tasks import TASKS, Task, get

EQUATION = get("custom", answer="equation")
LONG = f"1{' ' * 600}+ 1"  # past an equation's longest length, until its blanks are taken away
PIECES = ["1", "2", "1 + 1", "2.0", "( 2 )", "( 1.0 + 1.0 )", "1 +", "(2 * x)", "(2  * X).", "1 / 0", LONG, "1 + 1."]
labels = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12)
tasks = st.sampled_from([EQUATION, *TASKS.values()])


def mutual(one: str, other: str, task: Task) -> bool:
    return task.equal(one, other) and task.equal(other, one)


def naive(given: list[str], task: Task) -> Vote | None:
    best: tuple[str, int] | None = None
    for label in given:
        votes = sum(mutual(label, other, task) for other in given)
        if best is None or votes > best[1]:
            best = (label, votes)
    return None if best is None else Vote(best[0], best[1] / len(given))


@pytest.mark.parametrize(
    ("task", "given", "vote"),
    [
        ("cqa", [], None),
        ("cqa", ["dam"], Vote("dam", 1.0)),
        ("cqa", ["zoo", "dam", "dam", "town"], Vote("dam", 0.5)),
        ("cqa", ["zoo", "dam", "dam", "zoo"], Vote("zoo", 0.5)),  # a tie: who came first
        ("cqa", ["town", "dam", "zoo"], Vote("town", 1 / 3)),
        ("custom", ["Rome", "paris.", "Paris", "PARIS "], Vote("paris.", 0.75)),  # the first spelling
        ("custom", ["2", "1 + 1", "2.0", "2"], Vote("2", 0.75)),  # text is no sum
        ("svamp", ["3", "( 84.0 / 2.0 )", "42", "3", "84 / 2"], Vote("( 84.0 / 2.0 )", 0.6)),
        ("svamp", ["(2 * x)", "4", "(2  * X)"], Vote("(2 * x)", 2 / 3)),  # without a value, by their text
        ("svamp", ["0.1", "1 / 10", "0.3 - 0.2", "0.10000000000000001"], Vote("0.1", 0.75)),  # exactly
    ],
)
def test_by_hand(task: str, given: list[str], vote: Vote | None) -> None:
    assert majority(given, get(task)) == vote


@given(labels, tasks)
@example([LONG, "1 + 1", "1 + 1", LONG, LONG], EQUATION)
def test_the_same_as_counting_by_loops(given: list[str], task: Task) -> None:
    assert majority(given, task) == naive(given, task)


@given(labels, tasks)
def test_answers_that_agree_are_right_by_each_other(given: list[str], task: Task) -> None:
    for one in given:
        for other in given:
            assert agree(one, other, task) == mutual(one, other, task)


@given(labels, tasks, st.randoms(use_true_random=False))
def test_the_order_decides_ties_alone(given: list[str], task: Task, rng: random.Random) -> None:
    shuffled = given.copy()
    rng.shuffle(shuffled)
    one, other = majority(given, task), majority(shuffled, task)
    assert (one and one.agreement) == (other and other.agreement)
    if one and other and one.agreement > 0.5:
        assert agree(one.label, other.label, task)


def test_work_in_proportion_to_the_answers() -> None:
    """All different: comparing every pair would take hours."""
    given = [f"{n} / 7" for n in range(30_000)]
    assert majority([*given, "60 / 14"], EQUATION) == Vote("30 / 7", 2 / 30_001)


def test_a_way_of_comparing_that_votes_do_not_know_is_no_silent_mistake() -> None:
    with pytest.raises(KeyError):
        majority(["1"], replace(EQUATION, equal=lambda prediction, label: True))
