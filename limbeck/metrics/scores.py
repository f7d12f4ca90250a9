"""The score in a judge's reply, however it was written."""

import re
from typing import Any

from limbeck.llm import json_object, plain, same_length

LOWEST, HIGHEST = 1.0, 5.0
LONGEST_REPLY = 20_000  # characters, of the end and of the start together; what stands between is not read

_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_FIELDS = ("score", "final_score", "final score", "overall_score", "overall score", "rating", "grade", "overall")

_WORD = "|".join(_WORDS)
_FIVE = r"(?:5(?:\.0)?(?![\d.]*\d)|five\b)"
_NUMBER = rf"(?<![\w.,+/^-])(?P<number>\d+(?:\.\d+)?(?!\w|\.\d)|(?:{_WORD})\b)"
_SIGNS = r"[\s*_`\"'()\[\]$]{0,8}"
_TO = r"(?:-|\u2013|\u2014|\bto\b|\band\b|\bthrough\b)"
_PER = r"(?:/|\bout\s{1,2}of\b)\s{0,2}"

# The scale, told again: "from 1 to 5", "(1-5)", "5-point"; and "out of 5" where no number stands before.
_SCALE = re.compile(
    rf"(?<![\w.,/-])1(?:\.0)?\s{{0,2}}{_TO}\s{{0,2}}5(?:\.0)?(?![\w/]|\.\d)|\b(?:5|five)[- ]point\b"
    rf"|(?P<kept>(?:\d|\b(?:{_WORD}))[*_`\"')\]]{{0,3}}\s{{0,2}})?{_PER}{_FIVE}",
    re.IGNORECASE,
)
_OF_FIVE = re.compile(rf"{_SIGNS}{_PER}{_FIVE}", re.IGNORECASE)
# What may not follow on a score: a second number, another scale, a half in words, an equation, per cent.
_UNCLEAR = re.compile(
    rf"{_SIGNS}(?:(?:{_TO}|\bor\b|,){_SIGNS}(?:\d|(?:{_WORD}|a\shalf)\b)|%|[*+^=]\s{{0,2}}\d|{_PER}\w)", re.IGNORECASE
)

# From the plainest way to give a score to the least. A group is the number.
_NOUN = r"\b(?:(?:score|rating|grade)\b|overall\b(?=[\s*_]{0,4}:))"
_IS = r"(?:\bis\b|\bwould\sbe\b|\bshould\sbe\b)"
_LABELLED = (
    rf"{_NOUN}(?:[^\n.:=\d]{{0,60}}?[:=]|{_SIGNS}(?:->|\u2192|\n)|{_SIGNS}(?:\b(?:for|of)\s[^\n.:=,\d]{{0,40}}?)?{_IS})"
    rf"{_SIGNS}(?:an?\s)?{_SIGNS}{_NUMBER}"
)
_SAID = (
    rf"{_NOUN}\s{{1,2}}(?:of\s{{1,2}})?{_SIGNS}{_NUMBER}",
    r"\bI(?:'d|'ll|\s(?:would|will|can|could|must|have\sto))?\s(?:\w{1,12}ly\s)?(?:rate|give|score|assign|award|grade)\b"
    rf"[^\d.;!?\n]{{0,80}}?{_NUMBER}",
    rf"\b(?:(?:deserves|merits|warrants)|(?:it|this|that)(?:'s|\sis))\san?\s{_SIGNS}{_NUMBER}",
    rf"\\boxed\{{{_SIGNS}{_NUMBER}",
    rf"{_NUMBER}(?={_SIGNS}{_PER}(?:5|five|10|ten|100)\b)",
)
_WAYS = tuple([re.compile(way, re.IGNORECASE) for way in ways] for ways in ([_LABELLED], _SAID))
_ALONE = re.compile(rf"{_SIGNS}#{{0,4}}{_SIGNS}{_NUMBER}{_SIGNS}(?:stars?|points?)?[.!]?{_SIGNS}", re.IGNORECASE)
_OPENING = re.compile(
    rf"{_SIGNS}{_NUMBER}(?={_SIGNS}(?:[.:,;)]|\s[-\u2013\u2014(]|\sbecause\b|\ssince\b))", re.IGNORECASE
)


def read_score(reply: str) -> float | None:
    """The score from 1 to 5 that a judge gave; None where none is clear: no number, two, another scale, past the ends.

    Looked for, in this order: a JSON field; "Score: 4", "the rating is 4"; "a score of 4", "I'd give it 3.5", "4/5",
    "4 out of 5"; a number that stands alone on the last line or the first, or opens the reply ("4 - because"). In the
    first of these ways that occurs the last number counts: a judge may reason before, and change its mind. Numbers in
    prose, "84 / 2 is 42", are no scores. The work is in proportion to the text. Never raises.
    """
    text = same_length(plain(reply))
    if len(text) > LONGEST_REPLY:
        text = text[: LONGEST_REPLY // 2] + "\n" + text[-LONGEST_REPLY // 2 :]
    if (found := json_object(text)) is not None:
        fields = {name.casefold(): value for name, value in found[0].items()}
        named = next((fields[name] for name in _FIELDS if name in fields), None)
        if named is not None:
            return _of_field(named)
    return _of_text(text)


def _of_field(value: Any) -> float | None:
    if isinstance(value, str):
        return _of_text(value[:LONGEST_REPLY])
    return _valid(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _of_text(text: str) -> float | None:
    text = _SCALE.sub(lambda found: found[0] if found["kept"] else " ", text)
    for ways in _WAYS:
        if scores := [found for way in ways for found in way.finditer(text)]:
            return _clear(max(scores, key=lambda found: found.start("number")), text)
    lines = [line for line in text.split("\n") if line.strip()]
    for line in lines[-1:] + lines[:1]:
        if alone := _ALONE.fullmatch(line):
            return _valid(alone["number"])
    opening = [found for line in lines if (found := _OPENING.match(line))]
    if len(opening) == 1 and opening[0].string is lines[0]:  # several: a numbered list
        return _clear(opening[0], lines[0])
    return None


def _clear(found: re.Match[str], text: str) -> float | None:
    """The number found, unless what follows it makes it unclear."""
    end = found.end("number")
    if of_five := _OF_FIVE.match(text, end):
        end = of_five.end()
    return None if _UNCLEAR.match(text, end) else _valid(found["number"])


def _valid(number: str) -> float | None:
    value = float(_WORDS.get(number.casefold(), number))
    return value if LOWEST <= value <= HIGHEST else None
