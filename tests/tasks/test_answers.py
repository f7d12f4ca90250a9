"""What counts as right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.schema import Example
from limbeck.tasks import get, is_right, normalise, same_text, same_value

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
    example = Example("q", ("Which town?",), "New York", answers=("NYC", "New York City"))
    assert is_right(get("custom"), "nyc.", example)
    assert is_right(get("custom"), "New  York", example)
    assert not is_right(get("custom"), "York", example)
