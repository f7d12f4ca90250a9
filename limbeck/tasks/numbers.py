"""Numbers and equations as people write them: `$1,200.00`, `50%`, `3 × 400 = 1200`, `\\frac{84}{2}`, `1 1/2 hours`.

A unit, a currency and a percent sign do not change a value: 50% equals 50, and not 0.5. A decimal with at least two
decimals and two significant digits equals every value that it is the rounding of: 3.33 equals 10/3.
"""

import re
import unicodedata
from fractions import Fraction
from itertools import islice

from limbeck.tasks.equations import MAX_CHARACTERS, evaluate

_LEAST_DIGITS = 2
_MAX_DECIMALS = 60  # a value with more decimals is spelled as a fraction

_SPELLED = {
    **dict.fromkeys(("\\times", "\\cdot", "\u00d7", "\u00b7", "\u22c5", "\u2217"), "*"),
    **dict.fromkeys(("\\div", "\u00f7", "\u2215", "\u2044"), "/"),
    **dict.fromkeys(("\\approx", "\\simeq", "\u2248", "\u2192", "\u21d2", "\\to", "\\rightarrow", "=>", "->"), "="),
    **dict.fromkeys(("\u2212", "\u2013", "\ufe63", "\uff0d"), "-"),
    **dict.fromkeys(("\\left", "\\right", "\\(", "\\)", "\\[", "\\]", "\\!", "\\$", "$", "`"), ""),
    **dict.fromkeys(("\u00a3", "\u20ac", "\u00a5", "\u20b9"), ""),
    **dict.fromkeys(("\\,", "\\;", "\\:", "\\ ", "\\quad", "\u00a0", "\u2009", "\u202f", "\u2007"), " "),
    "\\%": "%",
    "{,}": ",",
    "^\\circ": "%",
    "^{\\circ}": "%",
    "\u00b0": "%",
}
_SPELLING = re.compile("|".join(re.escape(sign) for sign in sorted(_SPELLED, key=len, reverse=True)))
_FRACTION = re.compile(r"\\[dt]?frac\s?(?:\{([^{}]*)\}\s?\{([^{}]*)\}|(\d)\s?(\d))")
_MIXED = re.compile(r"(?<![\w./*+^-])(\d{1,9})\s+(\d{1,4})\s?/\s?(\d{1,4})(?![\d./*])")
_TEXT = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox)\s?\{([^{}]*)\}")
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_POINT = re.compile(r"(?<=\d)\s{0,3}\.\s{0,3}(?=\d)")  # "84. 0": some tokenizers lose where the blanks were
_LEXEME = re.compile(
    r"(?P<number>(?:[1-9]\d{0,2}(?:[,' ]\d{3})+(?![\d])|\d+)(?:\.\d+)?(?:[eE][+-]?\d{1,3}(?!\w))?|\.\d+)"
    r"|(?P<operator>\*\*|[-+*/()^]|[x\u00d7](?=\s?[\d(.])|(?:divided|multiplied)\sby\b|(?:times|plus|minus)\b)"
    r"|(?P<word>[^\W\d_]+(?:['\u2019-][^\W\d_]+)*\.?|%)|(?P<other>\S)",
    re.IGNORECASE,
)
_OPERATORS = {sign: sign for sign in ("+", "-", "*", "/", "**")} | {"plus": "+", "minus": "-", "^": "**"}
_OPERATORS |= dict.fromkeys(("x", "\u00d7", "times", "multiplied by"), "*") | {"divided by": "/"}
_MAGNITUDES = {"dozen": 12, "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_HEDGE = re.compile(
    r"a|about|approx|approximately|around|equal|eur|exactly|gbp|is|it|it's|just|nearly|of|only|precisely|roughly|rs"
    r"|simply|the|to|total|usd"
)
# Words that no unit holds, since they change the value or bring another: "5 less than that", "2 more", "3rd".
_NO_UNIT = re.compile(
    r"and|as|but|eight|fewer|five|four|half|if|less|maybe|minus|more|n|nd|nine|no|nor|not|one|or|out|over|perhaps|plus"
    r"|possibly|quarter|rd|seven|six|st|ten|than|th|then|third|three|times|to|two|until|wait|wrong|x|y|z"
)
_MAX_UNIT_WORDS = 8
_UNIT_SIGNS = frozenset((("/", "word"), ("**", "number")))  # "km/h", "cm^2"
_REASON = re.compile(r"[,;:]?\s\(?(?:because|since|as|which|where|so)\b|[,;]\s(?:with|for|given)\b", re.IGNORECASE)
_RESTATED = re.compile(r"[,;]\s*(?:or|i\.e\.,?|that\sis,?|which\s(?:is|equals))\s+(?=[\d$.(\\-])", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}([/.-])\d{1,2}\1\d{2,4}")
_RANGE = re.compile(r"(\d[\d.,]{0,20})\s?-\s?(\d[\d.,]{0,20})(?:\s?[^\W\d]{1,30})?")
_DECIMAL = re.compile(r"[-+]?\s?(\d{0,60})\.(\d{2,60})")
_AFTER_HASHES = re.compile(r"#{4}([^#\n]*)\s*\Z")


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
    text = _REASON.split(text, maxsplit=1)[0]
    sides = [side for side in _RESTATED.sub(" = ", text).split("=") if side.strip()]
    while len(sides) > 1 and not re.search(r"\d", sides[0]):
        del sides[0]  # "x = 42", "Total = 42"
    expressions = [expression for side in sides if (expression := _expression(side)) is not None]
    if not expressions or len(expressions) < len(sides):
        return None
    first = expressions[0]
    return first if all(_agree(first, side) for side in expressions) else None


def read_equation(text: str) -> str | None:
    """Return an equation's canonical text, of one that stands in a file as a label; None where it has no value.

    Of `text #### 42`, GSM8K's form, the part after the hashes is read.
    """
    text = _after_hashes(text)
    return " ".join(text.removesuffix(".").split()) if evaluate(text) is not None else equation(text)


def read_number(text: str) -> str | None:
    """Return a number's canonical text: 12000 of `$12,000`, 1200 of `3 x 400 = 1200`, 10/3 of `10/3`.

    None where `text` has no value, or several. GSM8K's form is read as in `read_equation`.
    """
    plain = equation(_after_hashes(text))
    exact = None if plain is None else evaluate(plain)
    if plain is None or exact is None:
        return None
    # The zeros of 3.30 say how far it is rounded.
    return plain if _DECIMAL.fullmatch(plain) and exact.denominator > 1 else _spell(exact)


def _after_hashes(text: str) -> str:
    after = _AFTER_HASHES.search(text[-MAX_CHARACTERS:])
    return (after[1] if after else text).strip()


def _spell(exact: Fraction) -> str:
    """Return a value as a decimal where it has a finite one, else as a fraction."""
    decimals = next((decimals for decimals in range(_MAX_DECIMALS) if 10**decimals % exact.denominator == 0), None)
    if decimals is None:
        return f"{exact.numerator}/{exact.denominator}"
    if decimals == 0:
        return str(exact.numerator)
    digits = str(abs(exact.numerator) * 10**decimals // exact.denominator).rjust(decimals + 1, "0")
    return f"{'-' if exact < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"


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
    lexemes = list(_LEXEME.finditer(side))
    terms: list[str] = []
    operand = False  # an operand is complete; units may follow
    unit_words = 0
    skip = False
    for lexeme, following in zip(lexemes, [*lexemes[1:], None], strict=True):
        word = " ".join(lexeme[0].lower().rstrip(".").split())
        sign = _OPERATORS.get(word, word) if lexeme["operator"] else ""
        if skip:
            skip = False
        elif operand and sign == "(":
            return " ".join(terms) if _remark(side[lexeme.end() :], " ".join(terms)) else None
        elif lexeme["number"] and not operand:
            unary = terms[-1:] == ["-"] and (len(terms) == 1 or terms[-2] in _OPERATORS.values() or terms[-2] == "(")
            terms.append(f"{terms.pop() if unary else ''}{_decimal(lexeme[0])}")
            operand, unit_words = True, 0
        elif unit_words and following is not None and (sign, following.lastgroup) in _UNIT_SIGNS:
            skip = True
        elif sign == ")" if operand else sign in ("(", "-", "+"):
            terms.append(sign)
        elif sign and operand:
            terms.append(sign)
            operand = False
        elif lexeme["word"] and operand and word in _MAGNITUDES and not unit_words:
            terms.append(f"* {_MAGNITUDES[word]}")
        elif lexeme["word"] and operand and _is_unit(word, terms) and unit_words < _MAX_UNIT_WORDS:
            unit_words += 1
        elif not (lexeme["word"] and not terms and _HEDGE.fullmatch(word)):
            return None
    return " ".join(terms) if operand else None


def _is_unit(word: str, terms: list[str]) -> bool:
    return not _NO_UNIT.fullmatch(word) and not (word == "%" and "(" in terms)


def _decimal(number: str) -> str:
    """Return a number without marks between thousands, leading zeros and an exponent."""
    number = re.sub(r"[,' ]", "", number)
    if "e" in number.lower():
        return _spell(Fraction(number))
    return re.sub(r"^0+(?=\d)", "", number)


def _remark(remainder: str, expression: str) -> bool:
    """Return whether a side's rest, from inside a parenthesis, is a remark that leaves the expression's value."""
    remark, _, after = remainder.partition(")")
    if re.search(r"\d", after) or re.search(r"\b(?:not|or|wrong|maybe|possibly|perhaps)\b", remark, re.IGNORECASE):
        return False
    return (plain := equation(remark)) is None or _agree(expression, plain)


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


_DECIMAL_COMMA = re.compile(r"(?<![\d.,])([1-9]\d{0,2}(?:\.\d{3})+|\d+)(?:,(\d+))?(?![.,]?\d)")
_RESULT = re.compile(r"=\s?[^\w\s=]?\s?(?P<number>\d(?:[\d.,]{0,20}\d)?)")
_OPERAND = re.compile(r"(?<![\w.,])[\d(]")
_LONGEST_SIDE = 60  # characters before `=`
_MAX_RESULTS = 20


def decimal_points(text: str) -> str:
    """Return the text with decimal commas as points and without points between thousands: 1500.5 of `1.500,5`."""
    return _DECIMAL_COMMA.sub(lambda match: match[1].replace(".", "") + (f".{match[2]}" if match[2] else ""), text)


def writes_decimal_commas(text: str, answer: str) -> bool | None:
    """Return whether the equations in `text` whose result stands in `answer` hold with decimal commas, not points.

    `1.500` and `1,500` are two values each. None where no such equation tells them apart, or equations contradict.
    """
    signs = set()
    for result in islice(_RESULT.finditer(text), _MAX_RESULTS):
        if result["number"] not in answer:
            continue
        for start in _OPERAND.finditer(text, max(0, result.start() - _LONGEST_SIDE), result.start()):
            side = text[start.start() : result.end()]
            points, commas = equation(side) is not None, equation(decimal_points(side)) is not None
            if points or commas:
                signs.add(None if points and commas else commas)
                break
    return signs.pop() if len(signs) == 1 else None


_CHUNK = re.compile(r"(?<![\w.])[-+(\s$]{0,5}\d(?:[\d\s.,%*/()=x+$^-]{0,80}[\d)%])?(?![\d])", re.IGNORECASE)
_BEFORE = re.compile(
    r"\b(?:step|page|box|number|no|part|question|figure|option|case|line|row|day|week|year|in|of|on|at|for|from|by|with|than"
    r"|under|over|between|each|per|every|the|these|those|least|most|not|or|either|more|less|up|to|after|before|until"
    r"|divide|multiply|add|subtract|and)\W*$",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:more|fewer|less|than|another|or|not|maybe|perhaps|possibly|between|if|would|could|might|cannot|one|two|three|four|five|six|seven|eight|nine|ten"
    r"|unclear|unknown)\b|n't\b|\?",
    re.IGNORECASE,
)


def sole_number(sentence: str) -> str | None:
    """Return the number or equation in a sentence that holds no other: "Jo packs 25 things in total"."""
    plain = _plain(sentence[:MAX_CHARACTERS])
    chunks = list(_CHUNK.finditer(plain))
    if len(chunks) != 1 or _UNSURE.search(plain):
        return None
    chunk = chunks[0]
    before, after = plain[: chunk.start()], plain[chunk.end() :]
    if _BEFORE.search(before) or re.match(r"[:\w-]", after) or (before.strip() and not re.search(r"\w\s*$", before)):
        return None
    return equation(chunk[0])
