"""Numbers and equations as people write them: `$1,200.00`, `50%`, `3 × 400 = 1200`, `\\frac{84}{2}`, `1 1/2 hours`.

A unit, a currency and a percent sign do not change a value: 50% equals 50, and not 0.5. A decimal with at least two
decimals and two significant digits equals every value that it is the rounding of: 3.33 equals 10/3.
"""

import re
import unicodedata
from decimal import Decimal
from fractions import Fraction

from limbeck.tasks.equations import MAX_CHARACTERS, evaluate

_LEAST_DIGITS = 2
_MAX_DECIMALS = 60  # a value with more decimals is spelled as a fraction

_SPELLED = {
    **dict.fromkeys(("\\times", "\\cdot", "\u00d7", "\u00b7", "\u22c5", "\u2217", "multiplied by", "times"), " * "),
    **dict.fromkeys(("\\div", "\u00f7", "\u2215", "\u2044", "divided by"), " / "),
    **dict.fromkeys(("\\approx", "\u2248", "\u2192", "\u21d2", "\\to", "\\rightarrow", "=>", "->"), "="),
    **dict.fromkeys(("\u2212", "\u2013", "\ufe63", "\uff0d", "minus"), "-"),
    **dict.fromkeys(("\\left", "\\right", "\\(", "\\)", "\\[", "\\]", "\\!", "\\$", "$", "`"), ""),
    **dict.fromkeys(("\u00a3", "\u20ac", "\u00a5", "\u20b9", "^{\\circ}", "^\\circ", "\u00b0"), ""),
    **dict.fromkeys(("\\,", "\\;", "\\:", "\\ ", "\u00a0", "\u2009", "\u202f", "\u2007"), " "),
    "\\%": "%",
    "{,}": ",",
    "^": "**",
    "plus": "+",
}
_SPELLING = re.compile(
    "|".join(
        rf"\b{sign}\b" if sign.isascii() and sign[-1].isalpha() and sign[0].isalpha() else re.escape(sign)
        for sign in sorted(_SPELLED, key=len, reverse=True)
    ),
)
_FRACTION = re.compile(r"\\[dt]?frac\s?(?:\{([^{}]*)\}\s?\{([^{}]*)\}|(\d)\s?(\d))")
_MIXED = re.compile(r"(?<![\w./*+^-])(\d{1,9})\s+(\d{1,4})\s?/\s?(\d{1,4})(?![\d./*])")
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s?\{([^{}]*)\}")
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_POINT = re.compile(r"(?<=\d)\s{0,3}\.\s{0,3}(?=\d)")  # "84. 0": some tokenizers lose where the blanks were
_THOUSANDS = re.compile(r"(?<![\d.])[1-9]\d{0,2}(?:[,' ]\d{3})+(?!\d)")
_EXPONENT = re.compile(r"\d+(?:\.\d+)?[eE][+-]?\d{1,2}(?!\w)")
_TIMES = re.compile(r"(?<=[\d)])\s?x(?=\s?[\d(.])", re.IGNORECASE)
_MAGNITUDES = {"dozen": 12, "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_MAGNITUDE = re.compile(rf"(?<=\d)\s({'|'.join(_MAGNITUDES)})\b", re.IGNORECASE)
_HEDGE = re.compile(
    r"(?:(?:an?|about|approx|approximately|around|equals?|exactly|is|it|it's|just|nearly|of|only|precisely|roughly|rs"
    r"|simply|the|to|total|eur|gbp|usd)\b\.?\s*)*",
    re.IGNORECASE,
)
_UNIT = re.compile(r"(?<=[\d)])\s?(?:%|(?:\s?/?\s?[^\W\d_]+(?:['\u2019-][^\W\d_]+)*(?:\.|\*\*\d)?){1,8})")
# Words that no unit holds, since they change the value or bring another: "5 less than that", "2 more", "3rd".
_NO_UNIT = re.compile(
    r"\b(?:and|as|but|eight|fewer|five|four|half|if|less|maybe|minus|more|n|nd|nine|no|nor|not|one|or|out|over|perhaps"
    r"|plus|possibly|quarter|rd|seven|six|st|ten|than|th|then|third|three|times|to|two|until|wait|wrong|x|y|z)\b",
    re.IGNORECASE,
)
_REMARK = re.compile(r"(?<=[\w%)])\s\(([^()]*)\)(?:[^\d()]*)\Z")  # "42 apples (84/2) each"
_REASON = re.compile(r"[,;:]?\s\(?(?:because|since|as|which|where|so)\b|[,;]\s(?:with|for|given)\b", re.IGNORECASE)
_RESTATED = re.compile(r"[,;]\s*(?:or|i\.e\.,?|that\sis,?|which\s(?:is|equals))\s+(?=[\d$.(\\-])", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}([/.-])\d{1,2}\1\d{2,4}")
_RANGE = re.compile(r"(\d[\d.,]{0,20})\s?-\s?(\d[\d.,]{0,20})(?:\s?[^\W\d]{1,30})?")
_DECIMAL = re.compile(r"[-+]?\s?(\d{0,60})\.(\d{2,60})")


def value(text: str) -> Fraction | None:
    """Return the exact value of the number or equation in `text`; None where there is none, or several."""
    exact = evaluate(text)
    return evaluate(equation(text) or "") if exact is None else exact


def same_number(prediction: str, label: str) -> bool | None:
    """Return whether two numbers or equations are equal, one as a rounding of the other at most; None: no number."""
    target = value(label)
    if target is None:
        return None
    number = value(prediction)
    return number is not None and (number == target or _rounds(prediction, target) or _rounds(label, number))


def equation(text: str) -> str | None:
    """Return the equation in `text` in the signs that `evaluate` reads; None where there is none.

    None as well where sides of `=` differ in value, and for a date or a range such as 10-15. Of `84 / 2 = 42` it is the
    first side.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    text = _plain(text)
    if _DATE.fullmatch(text) or _ascending(text):
        return None
    if evaluate(text) is not None:
        return text
    if "=" in text and text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    text = _RESTATED.sub(" = ", _REASON.split(text, maxsplit=1)[0])
    if (remark := _REMARK.search(text)) is not None:
        if _NO_UNIT.search(remark[1]):
            return None
        text = text[: remark.start()] + (f" = {remark[1]}" if equation(remark[1]) is not None else "")
    sides = [side for side in text.split("=") if side.strip()]
    while len(sides) > 1 and not re.search(r"\d", sides[0]):
        del sides[0]  # "x = 42", "Total = 42"
    expressions = [_expression(side) for side in sides]
    first = expressions[0] if expressions else None
    return first if first is not None and all(side and _agree(first, side) for side in expressions) else None


def read_equation(text: str) -> str | None:
    """Return an equation's canonical text, of one that stands in a file as a label; None where it has no value.

    Of `text #### 42`, GSM8K's form, the part after the hashes is read.
    """
    text = text.rpartition("####")[2].strip()
    return " ".join(text.removesuffix(".").split()) if evaluate(text) is not None else equation(text)


def read_number(text: str) -> str | None:
    """Return a number's canonical text: 12000 of `$12,000`, 1200 of `3 x 400 = 1200`, 10/3 of `10/3`.

    None where `text` has no value, or several. GSM8K's form is read as in `read_equation`.
    """
    plain = equation(text.rpartition("####")[2].strip())
    exact = None if plain is None else evaluate(plain)
    if plain is None or exact is None:
        return None
    # The zeros of 3.30 say how far it is rounded.
    return plain if _DECIMAL.fullmatch(plain) and exact.denominator > 1 else _spell(exact)


def _spell(exact: Fraction) -> str:
    """Return a value as a decimal where it has a finite one, else as a fraction."""
    decimals = next((decimals for decimals in range(_MAX_DECIMALS) if 10**decimals % exact.denominator == 0), None)
    return str(exact) if decimals is None else f"{Decimal(f'{exact * 10**decimals}E-{decimals}'):f}"


def _plain(text: str) -> str:
    """Return `text` with LaTeX and typographic signs as `evaluate` has them, mixed numbers as sums."""
    text = _VULGAR.sub(lambda sign: f" {unicodedata.normalize('NFKC', sign[0])} ", text)
    for _ in range(2):
        text = _TEXT.sub(r" \1", text)
    text = _SPELLING.sub(lambda sign: _SPELLED[sign[0]], text)
    for _ in range(3):  # a fraction in a fraction
        text = _FRACTION.sub(lambda match: f"(({match[1] or match[3]})/({match[2] or match[4]}))", text)
    text = _MIXED.sub(r"(\1 + \2/\3)", text)
    return _POINT.sub(".", text).strip().rstrip(".,;:!").rstrip()


def _ascending(text: str) -> bool:
    """Return whether `text` is a range, 10-15: a difference of bare numbers is rarely below zero."""
    ends = _RANGE.fullmatch(text)
    if ends is None:
        return False
    low, high = (evaluate(end.replace(",", "")) for end in ends.groups())
    return low is not None and high is not None and low < high


def _expression(side: str) -> str | None:
    """Return the expression of one side of `=`, without hedges before it and units; None where there is none."""
    if "(" in side and "%" in side:
        return None
    side = _HEDGE.sub("", side.strip(), count=1)
    side = _THOUSANDS.sub(lambda number: re.sub(r"[,' ]", "", number[0]), side)
    side = _EXPONENT.sub(lambda number: _spell(Fraction(number[0])), side)
    side = _MAGNITUDE.sub(lambda magnitude: f" * {_MAGNITUDES[magnitude[1].lower()]}", _TIMES.sub(" *", side))
    side = _UNIT.sub(lambda unit: unit[0] if _NO_UNIT.search(unit[0]) else "", side)
    side = " ".join(re.sub(r"(?<![\d.])0+(?=\d)", "", side).split())
    return side if evaluate(side) is not None else None


def _agree(expression: str, expected: str) -> bool:
    number, target = evaluate(expression), evaluate(expected)
    return number is not None and target is not None and (number == target or _rounds(expected, number))


def _rounds(text: str, target: Fraction) -> bool:
    """Return whether `text` is a decimal that `target` rounds to, of enough digits to say something."""
    plain = equation(text)
    decimal = _DECIMAL.fullmatch(plain) if plain else None
    if plain is None or decimal is None or len((decimal[1] + decimal[2]).lstrip("0")) < _LEAST_DIGITS:
        return False
    return abs(Fraction(plain.replace(" ", "")) - target) <= Fraction(1, 2 * 10 ** len(decimal[2]))
