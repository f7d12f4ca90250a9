"""Equations: exact values, and nothing that a string can do to the machine."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.tasks.equations import MAX_BITS, MAX_CHARACTERS, evaluate, spell


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("( 84.0 / 2.0 )", 42),
        ("(8 - 10)", -2),
        ("2 + 3 * 4", 14),
        ("( 10.0 - ( 6.0 + 3.0 ) )", 1),
        ("2 ** 10", 1024),
        ("2 ** -2", Fraction(1, 4)),
        ("-2 ** 2", -4),
        ("--3", 3),
        ("+3", 3),
        ("0.1 + 0.2", Fraction(3, 10)),  # floats would give 0.30000000000000004
        ("1 / 3", Fraction(1, 3)),
        ("1/3 + 1/3 + 1/3", 1),
        (" ( 1 +\n 2 ) . ", 3),
        ("84. 0", 84),
        ("84 . 0", 84),
        ("( 84. 0 / 2 . 0 ) .", 42),
        ("84.", 84),
        (".5", Fraction(1, 2)),
    ],
)
def test_values(text: str, value: Fraction) -> None:
    assert evaluate(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "()", "True", "None", "x", "2 * x", "1j", "inf", "nan", "'1'", '"1"', "[1]", "1, 2"),
        *("1 2", "1(2)", "(1)(2)", "1 // 2", "5 % 2", "1 < 2", "1 if 1 else 2", "1_000", "0x10", "1e5"),
        *("1e999999999", "1.2.3", "( 1 + 2", "1 + 2 )", "= 3", "1 + 2 = 3", "1 / 0", "1 / ( 2 - 2 )", "0 ** -1"),
        *("2 ** 0.5", "\u0663", "\x00", "1\x00", "\ud800", "1 + \udfff", "__import__('os').system('x')"),
        *("().__class__", "lambda: 1", "1 # 2"),
    ],
)
def test_no_equation(text: str) -> None:
    assert evaluate(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9**9",
        "9**9**9",
        "2**100000",
        "**".join("9" * 100),
        "(" * 10**6,
        "(" * 10**6 + "1" + ")" * 10**6,
        "(" * 240 + "1" + ")" * 240,
        "-" * 10**6 + "1",
        "-" * (MAX_CHARACTERS - 1) + "1",
        "1" * 10**6,
        " " * 10**6,
        "*".join(["9" * 60] * 8),
        "(((9**60)**60)**60)**60",
        "1/" * 249 + "9",
        "(1/7+1/9)**64**64",
    ],
)
def test_hostile_text_is_answered_at_once(text: str) -> None:
    begin = time.perf_counter()
    value = evaluate(text)
    assert time.perf_counter() - begin < 0.5
    assert value is None or value.numerator.bit_length() <= 2 * MAX_BITS


@given(st.text() | st.text(alphabet="0123456789.+-*/() ", max_size=60))
def test_never_raises(text: str) -> None:
    value = evaluate(text)
    assert value is None or isinstance(value, Fraction)


numbers = st.integers(0, 999).map(str) | st.tuples(st.integers(0, 99), st.integers(0, 99)).map(
    lambda n: f"{n[0]}.{n[1]}"
)
trees = st.recursive(
    numbers,
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=8,
)


def exactly(tree: str) -> Fraction:
    """The value by Python itself, each number made a Fraction first."""
    import re

    return eval(re.sub(r"\d+(\.\d+)?", lambda n: f"F('{n[0]}')", tree), {"F": Fraction})


@given(trees)
def test_agrees_with_python_over_fractions(tree: str) -> None:
    assert evaluate(tree) == exactly(tree)


@given(trees)
def test_svamp_notation_keeps_the_value(tree: str) -> None:
    spelled = spell(tree)
    assert spelled is not None
    assert evaluate(spelled) == exactly(tree)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("7+2", "( 7.0 + 2.0 )"),
        ("(7+2)*3", "( ( 7.0 + 2.0 ) * 3.0 )"),
        ("7+2*3", "( 7.0 + ( 2.0 * 3.0 ) )"),
        ("0.5*4", "( 0.5 * 4.0 )"),
        ("9", "9.0"),
        ("-9+10", "( -9.0 + 10.0 )"),
        ("84. 0 + 1 .", "( 84.0 + 1.0 )"),
        ("x+1", None),
        ("1/0", None),
    ],
)
def test_svamp_notation(text: str, spelled: str | None) -> None:
    assert spell(text) == spelled
