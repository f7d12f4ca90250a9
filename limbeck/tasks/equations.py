"""The value of an equation, exactly: an `ast` whitelist over fractions, with limits.

The code released with the paper ran `eval()` on whatever a model wrote: that executes code, and hangs on `9**9**9**9`.
"""

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

MAX_CHARACTERS = 500
MAX_BITS = 4096  # of a numerator and its denominator together, at every step
MAX_EXPONENT = 64

_OPERATIONS: dict[type[ast.operator], tuple[str, Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.Pow: ("**", lambda base, exponent: Fraction(base ** int(exponent))),
}
_CHARACTERS = re.compile(r"[0-9.+\-*/()\s]+", re.ASCII)
_SPLIT_POINT = re.compile(r"([0-9])\s*\.\s*([0-9])")  # "84. 0": some tokenizers lose where the blanks were


def evaluate(text: str) -> Fraction | None:
    """Return the exact value of `text`, or None where it is no equation or passes a limit. Never raises, never hangs.

    Numbers, `+ - * / **`, signs and parentheses are read; around them white space and one final full stop.
    Decimals are exact: `0.1` is 1/10.
    """
    try:
        return _value(*_parse(text))
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def spell(text: str) -> str | None:
    """Return the equation in SVAMP's notation, `( ( 7.0 + 2.0 ) * 3.0 )` for `(7+2)*3`; None where it has no value."""
    return None if evaluate(text) is None else _spell(*_parse(text))


def _parse(text: str) -> tuple[ast.expr, str]:
    """Return the syntax tree, and the line that its offsets refer to."""
    if len(text) > MAX_CHARACTERS or not _CHARACTERS.fullmatch(text):
        raise ValueError("not arithmetic")
    line = _SPLIT_POINT.sub(r"\1.\2", " ".join(text.split())).removesuffix(".").rstrip()
    return ast.parse(line, mode="eval").body, line


def _value(node: ast.expr, line: str) -> Fraction:
    match node:
        case ast.Constant():
            # From the text, not from the node: the node holds a float.
            return Fraction(line[node.col_offset : node.end_col_offset])
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=operand):
            return _value(operand, line) * (-1 if isinstance(sign, ast.USub) else 1)
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATIONS:
            return _combine(operation, _value(left, line), _value(right, line))
    raise ValueError("not arithmetic")


def _combine(operation: ast.operator, left: Fraction, right: Fraction) -> Fraction:
    """Return the result of an operation, after a check that it cannot grow past `MAX_BITS`."""
    bits = [number.numerator.bit_length() + number.denominator.bit_length() for number in (left, right)]
    if isinstance(operation, ast.Pow):
        if right.denominator != 1 or abs(right) > MAX_EXPONENT or bits[0] * abs(right) > MAX_BITS:
            raise ValueError("exponent too large")
    elif sum(bits) > MAX_BITS:
        raise ValueError("number too large")
    return _OPERATIONS[type(operation)][1](left, right)


def _spell(node: ast.expr, line: str) -> str:
    match node:
        case ast.BinOp(left=left, op=operation, right=right):
            return f"( {_spell(left, line)} {_OPERATIONS[type(operation)][0]} {_spell(right, line)} )"
        case ast.UnaryOp(op=sign, operand=operand):
            return f"{'-' if isinstance(sign, ast.USub) else ''}{_spell(operand, line)}"
    number = line[node.col_offset : node.end_col_offset]
    return number if "." in number else f"{number}.0"
