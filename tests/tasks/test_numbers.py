"""Numbers as labels and answers have them, against values worked out by hand, and as Python's own types have them."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.schema import Example
from limbeck.tasks import get, is_right, same_value
from limbeck.tasks.numbers import read_equation, read_number, value

NUMBER = get("custom", answer="number")
EQUATION = get("custom", answer="equation")
PLAIN = Example("q", ("How many?",), "")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12,000", "12000"),
        ("1,234,567", "1234567"),
        ("1 000", "1000"),
        ("$5", "5"),
        ("-$5", "-5"),
        ("\u20ac 5", "5"),
        ("5 EUR", "5"),
        ("$1,200.00", "1200"),
        ("50%", "50"),
        ("12.5 %", "12.5"),
        ("42 apples", "42"),
        ("42kg", "42"),
        ("42 km/h", "42"),
        ("42 apples per box", "42"),
        ("42 cm^2", "42"),
        ("42 (apples)", "42"),
        ("#### 42", "42"),
        ("He has 40 and 2 more.\n#### 42", "42"),
        ("1e3", "1000"),
        ("2.5e-2", "0.025"),
        ("\u22125", "-5"),
        ("+42", "42"),
        ("0042", "42"),
        ("3 x 400 = 1200", "1200"),
        ("3 \u00d7 400", "1200"),
        ("84 apples / 2 boxes = 42 apples per box", "42"),
        ("x = 42", "42"),
        ("10/3", "10/3"),
        ("10/3 = 3.33", "10/3"),
        ("1 1/2 hours", "1.5"),
        ("1.5 million", "1500000"),
        ("10^2", "100"),
        ("about 42", "42"),
        ("\\frac{84}{2}", "42"),
        ("42\\,\\text{apples}", "42"),
        ("3.30", "3.30"),
        ("", None),
        ("many", None),
        ("forty-two", None),
        ("42 or 43", None),
        ("10-15", None),
        ("10 - 15 apples", None),
        ("12/5/2020", None),
        ("2020-12-05", None),
        ("12:30", None),
        ("3rd", None),
        ("5 less than 8", None),
        ("3 more", None),
        ("1,2000", None),
        ("2x", None),
        ("5 feet 3 inches", None),
        ("2 = 3", None),
        ("1/0", None),
        ("9**9**9**9", None),
        ("42 (not 43)", None),
        ("__import__('os')", None),
    ],
)
def test_a_label_is_read_as_the_number_that_it_is(text: str, number: str | None) -> None:
    assert read_number(text) == number == NUMBER.read_label(text)
    answer = NUMBER.read_answer(text.removeprefix("#### "), PLAIN)
    if "\n" not in text:
        assert answer == number
    if number is not None:
        assert read_number(number) == number
        assert NUMBER.equal(text.rpartition("#")[2], number)
        assert value(text.rpartition("#")[2]) == value(number)


@pytest.mark.parametrize(
    ("text", "equation"),
    [
        ("( 84.0 / 2.0 )", "( 84.0 / 2.0 )"),
        ("3 x 400 = 1200", "3 * 400"),
        ("$1,200", "1200"),
        ("10-15", "10-15"),  # of an equation's label no range
        ("two", None),
    ],
)
def test_an_equation_keeps_its_terms(text: str, equation: str | None) -> None:
    assert read_equation(text) == equation == EQUATION.read_label(text)


def test_free_text_is_read_without_outer_blanks() -> None:
    assert get("custom").read_label("  Paris ") == "Paris"
    assert get("custom").read_label(" \n") is None


@pytest.mark.parametrize(
    ("prediction", "label", "right"),
    [
        ("1200 apples", "$1,200.00", True),
        ("10/3", "3.33", True),
        ("3.33", "10/3", True),
        ("3.333", "3.33", True),
        ("-3.33", "-10/3", True),
        ("3.34", "10/3", False),
        ("3.3", "10/3", False),  # one decimal says too little
        ("0.00", "0.004", False),  # as do zeros alone
        ("0.67", "2/3", True),
        ("0.66", "2/3", False),
        ("3", "10/3", False),
        ("50%", "50", True),
        ("50%", "0.5", False),
        ("42 or 43", "42", False),
        ("forty-two", "42", False),
    ],
)
def test_values_are_equal_exactly_or_as_roundings(prediction: str, label: str, right: bool) -> None:
    assert same_value(prediction, label) is right


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=4))
def test_a_decimal_has_pythons_value(number: Decimal) -> None:
    for text in (f"{number:f}", f"{number:,f}", f"$ {number:,f}", f"{number:f} apples"):
        assert value(text) == Fraction(number)
        assert Fraction(str(read_number(text))) == Fraction(number)


@given(st.fractions(max_denominator=1000))
def test_a_fraction_has_pythons_value(number: Fraction) -> None:
    text = read_number(f"{number.numerator}/{number.denominator}")
    assert text is not None
    assert Fraction(text) == number


def test_another_accepted_answer_is_right() -> None:
    example = Example("q", ("Which town?",), "New York", answers=("NYC", "New York City"))
    assert is_right(get("custom"), "nyc.", example)
    assert is_right(get("custom"), "New  York", example)
    assert not is_right(get("custom"), "York", example)


@pytest.mark.parametrize("unit", ["1,000,", "1 ", "(", "= ", "\\frac{", "\\text{", "as ", "1/", ". ", "#", "apples "])
def test_work_in_proportion_to_the_text(unit: str) -> None:
    """A million characters: work that grew with their square would take hours."""
    text = f"42 {unit * (1_000_000 // len(unit))}"
    assert read_number(text) is None
    assert not same_value(text, "42")
