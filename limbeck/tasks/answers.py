"""When a prediction counts as right: equal text, or equal value."""

import re
import unicodedata
from collections.abc import Iterable

from limbeck.tasks.numbers import same_number

_WHOLE = re.compile(r"\A([-+]?\d+)\.0+\Z")
_FILLER = re.compile(r"(?:(?:it|this|that|is|it's|a|an|the|one|of|likely|clearly|probably)\s+)*", re.IGNORECASE)
_TAIL = re.compile(r"\s*[.,;:!(\u2013\u2014]\s*|\s+-\s+|\s+(?=because\b|since\b|as\b)", re.IGNORECASE)
_OTHER = re.compile(r"(?:or|and|nor)\b|\(?[a-z]\)", re.IGNORECASE)  # a second answer begins


def normalise(text: str) -> str:
    """Return `text` without differences of case, white space and Unicode's forms, and without one final full stop.

    A whole number loses its zeros after the point: 42.0 is 42.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _WHOLE.sub(r"\1", " ".join(text.split()).removesuffix(".").rstrip())


def same_text(prediction: str, label: str) -> bool:
    """Whether the two are the same text, normalised."""
    return normalise(prediction) == normalise(label)


def same_value(prediction: str, label: str) -> bool:
    """Return whether two numbers or equations have the same value; a label that is neither is compared as text.

    Values are exact fractions. Units and a percent sign are left aside, and a decimal may be the other's rounding: see
    `limbeck/tasks/numbers.py`.
    """
    same = same_number(prediction, label)
    return same_text(prediction, label) if same is None else same


def choice_of(text: str, choices: Iterable[str]) -> str | None:
    """The choice that `text` is, in the choice's own spelling; None where it is none of them."""
    return next((choice for choice in choices if same_text(choice, text)), None)


def leading_choice(text: str, choices: Iterable[str]) -> str | None:
    """The choice that `text` is, or begins with before a sign or a reason; None where another choice follows on it."""
    choices = tuple(choices)
    if (whole := choice_of(text, choices)) is not None:
        return whole
    said = _FILLER.sub("", " ".join(text.split()), count=1)
    for choice in sorted(choices, key=len, reverse=True):  # "music store" before "music"
        words = " ".join(choice.split())
        if not words or said[: len(words)].casefold() != words.casefold():
            continue
        rest = said[len(words) :]
        tail = _TAIL.match(rest)
        if rest and tail is None:
            continue
        after = rest[tail.end() :] if tail else ""
        listed = _OTHER.match(after) or any(after.casefold().startswith(other.casefold().strip()) for other in choices)
        return None if listed else choice
    return None
