"""When a prediction counts as right: equal text, or equal value."""

import re
from collections.abc import Iterable

from limbeck.tasks.equations import evaluate

_FILLER = re.compile(r"(?:(?:it|this|that|is|it's|a|an|the|one|of|likely|clearly|probably)\s+)*", re.IGNORECASE)
_TAIL = re.compile(r"\s*[.,;:!(\u2013\u2014]\s*|\s+-\s+|\s+(?=because\b|since\b|as\b)", re.IGNORECASE)
_OTHER = re.compile(r"(?:or|and|nor)\b|\(?[a-z]\)", re.IGNORECASE)  # a second answer begins


def normalise(text: str) -> str:
    """`text` without differences of case and white space, and without one final full stop."""
    return " ".join(text.casefold().split()).removesuffix(".").rstrip()


def same_text(prediction: str, label: str) -> bool:
    """Whether the two are the same text, normalised."""
    return normalise(prediction) == normalise(label)


def same_value(prediction: str, label: str) -> bool:
    """Whether the two equations have the same exact value; a label that is no equation is compared as text."""
    value = evaluate(label)
    return same_text(prediction, label) if value is None else evaluate(prediction) == value


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
