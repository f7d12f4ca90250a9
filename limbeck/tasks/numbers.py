"""Numbers and equations as people write them: `$1,200.00`, `50%`, `3 × 400 = 1200`, `\\frac{84}{2}`, `1 1/2 hours`.

Units, currencies and percent signs do not change a value: 50% equals 50, not 0.5. A decimal with at least two
decimals and two significant digits equals the values that it rounds: 3.33 equals 10/3.

Arithmetic is an `ast` whitelist over fractions, with limits: the paper's `eval()` executes code and hangs on
`9**9**9**9`.
"""

import ast
import operator
import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

MAX_CHARACTERS = 500
MAX_BITS = 4096  # of a numerator and its denominator together, after every step
MAX_EXPONENT = 64

_OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_CHARACTERS = re.compile(r"[0-9.+\-*/()\s]+", re.ASCII)
_SPLIT_POINT = re.compile(r"([0-9])\s*\.\s*([0-9])")  # "84. 0": some tokenizers lose blanks

_MAX_DECIMALS = 60  # with more, a fraction is written
_FACTORS = {"dozen": 12, "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_BELOW_TWENTY = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_NUMERALS = {word: n for n, word in enumerate(f"{_BELOW_TWENTY} seventeen eighteen nineteen".split())}
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMERALS |= {word: 10 * n for n, word in enumerate(_TENS.split(), start=2)}
# LaTeX, typographic signs and words in signs of `evaluate`; mixed numbers as sums.
_REWRITES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    ("[\u00bc-\u00be\u2150-\u215e]", lambda fraction: f" {unicodedata.normalize('NFKC', fraction[0])} "),
    (r"\\(?:text|textbf|mathrm|mathbf)\s?\{([^{}]*)\}", r" \1"),
    (r"\\times|\\cdot|[\u00d7\u00b7\u22c5\u2217]|\b(?:multiplied by|times)\b|(?<=[\d)])\s?[xX](?=\s?[\d(.])", " * "),
    (r"\\div|[\u00f7\u2215\u2044]|\bdivided by\b", " / "),
    (r"\\approx|\\(?:rightarrow|to)\b|[\u2248\u2192\u21d2]|[=-]>", "="),
    (r"[\u2212\u2013\ufe63\uff0d]|\bminus\b", "-"),
    (r"\bplus\b", "+"),
    (r"\\(?:left|right)|\^\{?\\circ\}?|\\[()\[\]!$]|[$`\u00a3\u20ac\u00a5\u20b9\u00b0]", ""),
    (r"\\[,;: ]|[\u00a0\u2009\u202f\u2007]", " "),
    (r"\\%", "%"),
    (r"\{,\}", ","),
    (r"\^", "**"),
    (r"\\[dt]?frac\s?(\d)\s?(\d)", r"((\1)/(\2))"),
    *[(r"\\[dt]?frac\s?\{([^{}]*)\}\s?\{([^{}]*)\}", r"((\1)/(\2))")] * 3,  # a fraction in a fraction
    (r"(?<![\w./*+-])(\d{1,9})\s+(\d{1,4})\s?/\s?(\d{1,4})(?![\d./*])", r"(\1 + \2/\3)"),
    (r"(?<=\d)\s{0,3}\.\s{0,3}(?=\d)", "."),
    (r"(?<![\d.])[1-9]\d{0,2}(?:[,' ]\d{3})+(?!\d)", lambda number: re.sub(r"[,' ]", "", number[0])),
    (r"(?<![\d.])0+(?=\d)", ""),
    (r"(?<![\w.])(\d{1,9}(?:\.\d{1,9})?)[eE]([+-]?\d{1,2})(?!\w)", r"(\1*10**\2)"),
    (
        rf"(?i)(?<=\d)(?:\s(?:{'|'.join(_FACTORS)})\b)+",  # "3 hundred million"
        lambda words: "".join(f" * {_FACTORS[word]}" for word in words[0].lower().split()),
    ),
)
_HEDGE = re.compile(
    r"(?:(?:an?|about|approx|approximately|around|equals?|exactly|is|it's|it|just|nearly|of|only|precisely|roughly|rs"
    r"|simply|the|to|total|eur|gbp|usd)\b\.?\s*)*",
    re.IGNORECASE,
)
_UNIT = re.compile(r"(?<=[\d)])\s?(?:%(?!\))|(?:\s?/?\s?[^\W\d_]+(?:['\u2019-][^\W\d_]+)*(?:\.|\*\*\d)?){1,8})")
# Words that change the value or bring another: "5 less than that", "2 more", "3rd".
_NO_UNIT = re.compile(
    rf"\b(?:{'|'.join(list(_NUMERALS)[1:11])}|and|as|but|fewer|half|if|less|maybe|minus|more|n|nd|no|nor|not|or|out|over|perhaps"
    r"|plus|possibly|quarter|rd|st|than|th|then|third|times|to|until|wait|wrong|x|y|z)\b",
    re.IGNORECASE,
)
_REMARK = re.compile(r"(?<=[\w%)])\s\(([^()]*)\)(?:[^\d()]*)\Z")  # "42 apples (84/2) each"
_REASON = re.compile(r"[,;:]?\s\(?(?:because|since|as|which|where|so)\b|[,;]\s(?:with|for|given)\b", re.IGNORECASE)
_RESTATED = re.compile(r"[,;]\s*(?:or|i\.e\.,?|that\sis,?|which\s(?:is|equals))\s+(?=[\d$.(\\-])", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}([/.-])\d{1,2}\1\d{2,4}")
_RANGE = re.compile(r"\d[\d.]*\s?-\s?\d[\d.]*")
_DECIMAL = re.compile(r"[-+]?\s?(?P<digits>\d{0,60}\.(?P<decimals>\d{2,60}))")


@lru_cache(4096)  # a text is compared with many others
def evaluate(text: str) -> Fraction | None:
    """Return the exact value of numbers, `+ - * / **`, signs and parentheses; None for other text and past a limit."""
    if len(text) > MAX_CHARACTERS or not _CHARACTERS.fullmatch(text):
        return None
    line = _SPLIT_POINT.sub(r"\1.\2", " ".join(text.split())).removesuffix(".").rstrip()
    try:
        return _value(ast.parse(line, mode="eval").body, line)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr, line: str) -> Fraction:
    match node:
        case ast.Constant():
            # From the text: the node holds a float.
            return Fraction(line[node.col_offset : node.end_col_offset])
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=operand):
            return _value(operand, line) * (-1 if isinstance(sign, ast.USub) else 1)
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATIONS:
            first, second = _value(left, line), _value(right, line)
            if isinstance(operation, ast.Pow) and (second.denominator != 1 or abs(second) > MAX_EXPONENT):
                raise ValueError("exponent too large")
            number = _OPERATIONS[type(operation)](first, second)
            if number.numerator.bit_length() + number.denominator.bit_length() <= MAX_BITS:
                return number
    raise ValueError("not arithmetic, or too large")


def value(text: str) -> Fraction | None:
    """Return the value of the number or equation in `text`; None for none, or several."""
    exact = evaluate(text)
    return evaluate(equation(text) or "") if exact is None else exact


@lru_cache(4096)
def equation(text: str) -> str | None:
    """Return the equation in `text` in the signs that `evaluate` reads; of `84 / 2 = 42` the first side.

    None where there is none, where sides disagree, and for a date or a range such as 10-15.
    """
    if len(text) > MAX_CHARACTERS or _DATE.fullmatch(text.strip(" .")):
        return None
    for pattern, replacement in _REWRITES:
        text = re.sub(pattern, replacement, text)
    text = " ".join(text.split()).rstrip(".,;:! ")
    first, *sides = [text] if evaluate(text) is not None else _sides(text)
    exact = evaluate(first)
    if exact is None or (exact < 0 and _RANGE.fullmatch(first)):
        return None
    return first if all(agree(first, side) for side in sides) else None


def _sides(text: str) -> list[str]:
    """Return the sides of `=` without hedges, units and remarks."""
    if "=" in text and text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    text = _RESTATED.sub(" = ", _REASON.split(text, maxsplit=1)[0])
    if remark := _REMARK.search(text):
        before, inner = text[: remark.start()], _spoken(remark[1])
        # "42 (forty-two)", "42 apples (84/2)", "42 (apples)", but neither "42 (43)" nor "42 (not 43)"
        if agree(before, inner) if value(inner) is not None else not _NO_UNIT.search(inner):
            text = before
    sides = [_HEDGE.sub("", side.strip(), count=1) for side in text.split("=") if side.strip()]
    while len(sides) > 1 and not re.search(r"\d", sides[0]):
        del sides[0]  # "x = 42", "Total = 42"
    sides = [_UNIT.sub(lambda unit: unit[0] if _NO_UNIT.search(unit[0]) else " ", side) for side in sides]
    return [" ".join(side.split()) for side in sides] or [""]


def _spoken(text: str) -> str:
    """Return the number that `text` spells, like one hundred and five, or else the text."""
    number = 0
    for word in re.findall(r"\w+", text.lower().replace(" and ", " ")):
        if word not in _FACTORS | _NUMERALS:
            return text
        # of one thousand five hundred, the last factor multiplies the five alone; a dozen multiplies all before it
        factor = _FACTORS.get(word, 1)
        number += number % (1000 if factor == 100 else 10**6) * (factor - 1) + _NUMERALS.get(word, 0)
    return str(number)


def read_equation(text: str) -> str | None:
    """Return an equation's canonical text; None without a value. Of GSM8K's `text #### 42` it is 42."""
    text = text.rpartition("####")[2].strip()
    return " ".join(text.removesuffix(".").split()) if evaluate(text) is not None else equation(text)


def read_number(text: str) -> str | None:
    """Return a number's canonical text: 12000 of `$12,000`, 1200 of `3 x 400 = 1200`; None without a single value."""
    plain = equation(text.rpartition("####")[2].strip()) or ""
    exact = evaluate(plain)
    if exact is None or (_DECIMAL.fullmatch(plain) and exact.denominator > 1):  # 3.30 keeps its zero
        return plain or None
    decimals = next((decimals for decimals in range(_MAX_DECIMALS) if 10**decimals % exact.denominator == 0), None)
    return str(exact) if decimals is None else f"{Decimal(f'{exact * 10**decimals}E-{decimals}'):f}"


def agree(first: str, second: str) -> bool:
    """Return whether two numbers or equations are equal, one perhaps rounded."""
    a, b = value(first), value(second)
    return a is not None and b is not None and (a == b or _rounds(first, b) or _rounds(second, a))


def _rounds(text: str, target: Fraction) -> bool:
    """Return whether `target` rounds to the decimal `text`."""
    plain = equation(text) or ""
    decimal = _DECIMAL.fullmatch(plain)
    if decimal is None or len(decimal["digits"].replace(".", "").lstrip("0")) < 2:
        return False
    return abs(Fraction(plain.replace(" ", "")) - target) <= Fraction(1, 2 * 10 ** len(decimal["decimals"]))
