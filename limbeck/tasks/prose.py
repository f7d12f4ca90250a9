"""Equations as people and LaTeX write them: `\\frac{84}{2}`, `3 × 4`, `1,200 apples`, `84 / 2 = 42`."""

import re

from limbeck.tasks.equations import MAX_CHARACTERS, evaluate

_FRACTION = re.compile(r"\\[dt]?frac\s?\{([^{}]*)\}\s?\{([^{}]*)\}")
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d,])")
_SPELLED = {
    "\\times": "*",
    "\\cdot": "*",
    "\\div": "/",
    "\\left": "",
    "\\right": "",
    "\\,": "",
    "\\$": "",
    "$": "",
    "\u00d7": "*",
    "\u00b7": "*",
    "\u22c5": "*",
    "\u00f7": "/",
    "\u2212": "-",
    "\u2013": "-",
    "{,}": ",",
}
_UNIT = re.compile(r"(?P<number>[-0-9.+*/() ]*[0-9)])(?P<unit>(?:\s+[A-Za-z][A-Za-z'-]*){1,4})", re.ASCII)
# Words after a number that change its value: "5 less than that", "2 hundred".
_NO_UNIT = re.compile(
    r"\b(?:and|as|divided|dozen|fewer|hundred|less|minus|million|more|or|out|over|per|percent|plus|thousand|times|to)\b",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(r"[A-Za-z]\s*", re.ASCII)


def from_prose(text: str) -> str | None:
    """The equation in `text`, in plain signs; None where there is none, or sides of `=` that are not equal."""
    if len(text) > MAX_CHARACTERS:
        return None
    for sign, plain in _SPELLED.items():
        text = text.replace(sign, plain)
    for _ in range(3):  # a fraction in a fraction
        text = _FRACTION.sub(r"((\1)/(\2))", text)
    text = _THOUSANDS.sub(lambda number: number[1].replace(",", ""), text)
    sides = [side.strip() for side in text.split("=")]
    if len(sides) > 1 and _UNKNOWN.fullmatch(sides[0]):
        sides = sides[1:]  # "x = 42"
    sides = [_without_unit(side) for side in sides]
    values = {evaluate(side) for side in sides}
    return sides[0] if len(values) == 1 and None not in values else None


def _without_unit(side: str) -> str:
    side = side.removesuffix(".").rstrip()
    unit = _UNIT.fullmatch(side)
    return unit["number"] if unit and not _NO_UNIT.search(unit["unit"]) else side
