"""What counts as right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.schema import Example
from limbeck.tasks import get, is_right, normalise, same_text, same_value


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  A \t b\n c ", "a b c"),
        ("yes .", "yes"),
        ("yes..", "yes."),
        ("e.g. this", "e.g. this"),
        ("Straße", "strasse"),
    ],
)
def test_normalise(text: str, normal: str) -> None:
    assert normalise(text) == normal


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_case_space_and_one_full_stop_do_not_matter(text: str) -> None:
    assert same_text(f"  {text.upper()}  ".replace(" ", "\t "), text.lower())
    if not text.strip().endswith("."):
        assert same_text(text + ".", text)


@pytest.mark.parametrize(
    ("prediction", "label", "right"),
    [
        ("42", "( 84.0 / 2.0 )", True),
        ("( 2 / 84 )", "( 84.0 / 2.0 )", False),
        ("0.3", "( 0.1 + 0.2 )", True),
        ("", "( 84.0 / 2.0 )", False),
        ("1 / 0", "0", False),
        ("three apples", "Three apples.", True),  # no equation: compared as text
        ("2 / 0", "1 / 0", False),  # both without a value, and yet not equal
        ("1200 apples", "$1,200.00", True),
        ("10/3", "3.33", True),
        ("3.333", "3.33", True),
        ("-3.33", "-10/3", True),
        ("3.34", "10/3", False),
        ("3.3", "10/3", False),  # one decimal says too little
        ("0.00", "0.004", False),  # as do zeros alone
        ("0.66", "2/3", False),
        ("3", "10/3", False),
        ("50%", "50", True),
        ("50%", "0.5", False),
        ("42 or 43", "42", False),
    ],
)
def test_values_are_equal_exactly_or_as_roundings(prediction: str, label: str, right: bool) -> None:
    assert same_value(prediction, label) is right


def test_another_accepted_answer_is_right() -> None:
    example = Example("q", ("Which town?",), "New York", answers=("NYC", "New York City"))
    assert is_right(get("custom"), "nyc.", example)
    assert is_right(get("custom"), "New  York", example)
    assert not is_right(get("custom"), "York", example)
