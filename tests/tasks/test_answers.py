"""What counts as right, and votes beside a naive count."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from limbeck.schema import Example
from limbeck.tasks import TASKS, Task, get, is_right, normalise, same_text, same_value, vote_shares
from limbeck.tasks.answers import read_choice

NORMAL = {"  A \t b\n c ": "a b c", "yes .": "yes", "yes..": "yes.", "e.g. this": "e.g. this", "Straße": "strasse"}


@pytest.mark.parametrize(("text", "normal"), NORMAL.items())
def test_normalise(text: str, normal: str) -> None:
    assert normalise(text) == normal


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_case_space_and_one_full_stop_do_not_matter(text: str) -> None:
    assert same_text(f"  {text.upper()}  ".replace(" ", "\t "), text.lower())
    if not text.strip().endswith("."):
        assert same_text(text + ".", text)


RIGHT = "42 is ( 84.0 / 2.0 ); 0.3 is ( 0.1 + 0.2 ); three apples is Three apples.; 1200 apples is $1,200.00"
RIGHT += "; 10/3 is 3.33; 3.333 is 3.33; -3.33 is -10/3; 50% is 50"
# One decimal says too little, as do zeros alone; what has no value is equal to nothing.
WRONG = "( 2 / 84 ) is ( 84.0 / 2.0 ); 1 / 0 is 0; 2 / 0 is 1 / 0; 3.34 is 10/3; 3.3 is 10/3; 0.00 is 0.004"
WRONG += "; 0.66 is 2/3; 3 is 10/3; 50% is 0.5; 42 or 43 is 42"


@pytest.mark.parametrize(("claims", "right"), [(RIGHT, True), (WRONG, False)])
def test_values_are_equal_exactly_or_as_roundings(claims: str, right: bool) -> None:
    for prediction, label in (claim.split(" is ") for claim in claims.split("; ")):
        assert same_value(prediction, label) is right, (prediction, label)


def test_another_accepted_answer_is_right() -> None:
    town = Example("q", ("Which town?",), "New York", answers=("NYC", "New York City"))
    assert is_right(get("custom"), "nyc.", town)
    assert is_right(get("custom"), "New  York", town)
    assert not is_right(get("custom"), "York", town)


# Choices; answers that are the first of them; answers that name no choice or several.
CHOICES = [
    ("spam|not spam", "it is spam|spam because nobody says not spam", "spam/not spam|spam (or not spam)"),
    ("in stock|out of stock", "in stock, not out of stock", "out of stock/in stock"),
    ("C|A|B", "C|(c) A dam holds it", "C, A|(c) A|C or A|C; A"),
    ("billing|delivery", "the billing category|billing department|billing is correct", "billing is not correct"),
]


@pytest.mark.parametrize(("choices", "answers", "unclear"), CHOICES)
def test_an_answer_is_the_only_choice_that_it_names(choices: str, answers: str, unclear: str) -> None:
    names = choices.split("|")
    assert {read_choice(answer, names) for answer in answers.split("|")} == {names[0]}
    assert {read_choice(answer, names) for answer in unclear.split("|")} == {None}


EQUATION = get("custom", answer="equation")
LONG = f"1{' ' * 600}+ 1"  # past an equation's longest length, until its blanks are taken away
PIECES = ["1", "2", "1 + 1", "2.0", "( 2 )", "( 1.0 + 1.0 )", "1 +", "(2 * x)", "(2  * X).", "1 / 0", LONG, "1 + 1."]
labels = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12)
tasks = st.sampled_from([EQUATION, *TASKS.values()])


def naive(answers: list[str], task: Task) -> dict[str, float]:
    """Count by loops which answers are right by each other."""
    groups: list[list[str]] = []
    for answer in answers:
        group = next((g for g in groups if task.equal(answer, g[0]) and task.equal(g[0], answer)), None)
        groups.append([answer]) if group is None else group.append(answer)
    return {group[0]: len(group) / len(answers) for group in groups}


@given(labels, tasks, st.randoms(use_true_random=False))
@example([LONG, "1 + 1", "1 + 1", LONG, LONG], EQUATION, random.Random(0))
@example(["Rome", "paris.", "Paris", "rome"], get("custom"), random.Random(0))  # a tie, in several spellings
@example(["0.1", "1 / 10", "0.3 - 0.2", "0.10000000000000001"], get("svamp"), random.Random(0))  # exactly
def test_votes_as_counted_by_loops_and_the_order_decides_ties_alone(answers, task, rng):
    shares = vote_shares(answers, task)
    assert shares == naive(answers, task)
    rng.shuffle(answers)
    shuffled = vote_shares(answers, task)
    assert sorted(shares.values()) == sorted(shuffled.values())
    if max(shares.values(), default=0) > 0.5:
        assert task.equal(max(shares, key=shares.get), max(shuffled, key=shuffled.get))
