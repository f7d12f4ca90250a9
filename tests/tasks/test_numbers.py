"""Numbers and equations against values worked out by hand and by Python, and what hostile text cannot do."""

import re
import time
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.schema import Example
from limbeck.tasks import get, same_value
from limbeck.tasks.numbers import MAX_BITS, MAX_CHARACTERS, evaluate, read_equation, read_number, value

NUMBER = get("custom", answer="number")

VALUES = {"( 10.0 - ( 6.0 + 3.0 ) )": 1, "2 + 3 * 4": 14, "-2 ** 2": -4, "--3": 3, " ( 1 +\n 2 ) . ": 3, ".5": 1 / 2}
VALUES |= {"2 ** -2": 1 / 4, "1/3 + 1/3 + 1/3": 1, "( 84. 0 / 2 . 0 ) .": 42}


@pytest.mark.parametrize("text", VALUES)
def test_equations_have_exact_values(text: str) -> None:
    assert evaluate(text) == VALUES[text]
    assert evaluate("0.1 + 0.2") == Fraction(3, 10)  # floats would give 0.30000000000000004


NO_EQUATIONS = ["", "1, 2", "1 / ( 2 - 2 )", "( 1 + 2", "1 + 2 = 3", "0 ** -1", "2 ** 0.5", "2 * x", "5 % 2", "1 2"]
NO_EQUATIONS += ["1_000", "0x10", "1j", "1e999999999", ".", "()", "True", "nan", "'1'", "[1]", "1(2)", "\u0663"]
NO_EQUATIONS += ["1\x00", "\ud800", "__import__('os').system('x')", "().__class__", "lambda: 1", "1 # 2", "1 < 2"]


@pytest.mark.parametrize("text", NO_EQUATIONS)
def test_no_equation(text: str) -> None:
    assert evaluate(text) is None


HOSTILE = ["9**9**9**9", "2**100000", "**".join("9" * 100), "(" * 10**6, "(" * 240 + "1" + ")" * 240, "1" * 10**6]
HOSTILE += ["-" * (MAX_CHARACTERS - 1) + "1", "*".join(["9" * 60] * 8), "(((9**60)**60)**60)**60", "1/" * 249 + "9"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_answered_at_once(text: str) -> None:
    begin = time.perf_counter()
    exact = evaluate(text)
    assert time.perf_counter() - begin < 0.5
    assert exact is None or exact.numerator.bit_length() <= 2 * MAX_BITS


@pytest.mark.parametrize("unit", ["1,000,", "1 ", "(", "= ", "\\frac{", "\\text{", "as ", "1/", ". ", "#", "apples "])
def test_work_in_proportion_to_the_text(unit: str) -> None:
    """A million characters: work that grew with their square would take hours."""
    text = f"42 {unit * (1_000_000 // len(unit))}"
    assert read_number(text) is None
    assert not same_value(text, "42")


integers = st.integers(0, 999).map(str) | st.decimals(0, 99, places=2).map(str)
trees = st.recursive(
    integers,
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda tree: f"({' '.join(tree)})"),
    max_leaves=8,
)


@given(trees)
def test_agrees_with_python_over_fractions(tree: str) -> None:
    fractions = re.sub(r"\d+(\.\d+)?", lambda number: f"Fraction('{number[0]}')", tree)
    assert evaluate(tree) == eval(fractions, {"Fraction": Fraction})


@given(st.text() | st.text(alphabet="0123456789.+-*/() ", max_size=60))
def test_never_raises(text: str) -> None:
    assert isinstance(evaluate(text), Fraction | None)


NUMBERS = "1,234,567 -> 1234567; 1 000 -> 1000; -$5 -> -5; \u20ac 5 -> 5; $1,200.00 -> 1200; 12.5 % -> 12.5; 42kg -> 42"
NUMBERS += "; 42 km/h -> 42; 42 cm^2 -> 42; 42 (apples) -> 42; He has 40.\n#### 42 -> 42; \u22125 -> -5; 0042 -> 42"
NUMBERS += "; 3 x 400 = 1200 -> 1200; 84 apples / 2 boxes = 42 apples per box -> 42; x = 42 -> 42; 1e3 -> 1000"
NUMBERS += "; 10/3 = 3.33 -> 10/3; 1 1/2 hours -> 1.5; 1.5 million -> 1500000; 10^2 -> 100; about 42 -> 42"
NUMBERS += "; \\frac{84}{2} -> 42; 3.30 -> 3.30; 42\\,\\text{apples} -> 42"
NUMBERS += "; 12 twenty-dollar bills -> 12; 20 zero-calorie drinks -> 20"
NUMBERS += "; $3 hundred million -> 300000000; 2 hundred thousand -> 200000; it's 42 apples -> 42; \\frac12 -> 0.5"
NUMBERS += "; 42 (forty-two) -> 42; 105 (one hundred and five) -> 105; 90^\\circ -> 90; 42 apples (84/2) each -> 42"
NUMBERS += "; 1500 (one thousand five hundred) -> 1500; 240 (twenty dozen) -> 240; 12000 (one thousand dozen) -> 12000"
NUMBERS += "; 1,200 (twelve hundred) -> 1200"
NUMBERS += (
    "; 2001300 (two million one thousand three hundred) -> 2001300; 2000000000 (two thousand million) -> 2000000000"
)
NO_NUMBERS = ["42 or 43", "10 - 15 apples", "2020-12-05", "12:30", "3rd", "5 less than 8", "1,2000", "2x", "many"]
NO_NUMBERS += ["5 feet 3 inches", "2 = 3", "42 (not 43)", "42 (43)", "3 (four)"]
READINGS = [tuple(pair.split(" -> ")) for pair in NUMBERS.split("; ")] + [(text, None) for text in NO_NUMBERS]


@pytest.mark.parametrize(("text", "number"), READINGS)
def test_a_label_is_read_as_the_number_that_it_is(text: str, number: str | None) -> None:
    assert read_number(text) == number == NUMBER.read_label(text)
    if "\n" not in text:
        assert NUMBER.read_answer(text, Example("q", ("How many?",), "")) == number
    if number is not None:
        assert read_number(number) == number
        assert NUMBER.equal(text.rpartition("#")[2], number)


def test_an_equation_keeps_its_terms() -> None:
    texts = ("( 84.0 / 2.0 )", "3 x 400 = 1200", "$1,200", "10-15", "two")  # as a label 10-15 is no range
    assert [read_equation(text) for text in texts] == ["( 84.0 / 2.0 )", "3 * 400", "1200", "10-15", None]


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=4))
def test_a_decimal_has_pythons_value(number: Decimal) -> None:
    for text in (f"{number:f}", f"{number:,f}", f"$ {number:,f}", f"{number:f} apples"):
        assert value(text) == Fraction(number)
        assert Fraction(str(read_number(text))) == Fraction(number)


@given(st.fractions(max_denominator=1000))
def test_a_fraction_has_pythons_value(number: Fraction) -> None:
    assert Fraction(str(read_number(f"{number.numerator}/{number.denominator}"))) == number
