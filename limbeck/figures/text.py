"""Names on figures: of any origin, made plain, and short enough for their place."""

import unicodedata

_JOINERS = "\u200c\u200d"  # hold emoji and letters of some scripts together
_BREAKING = ("Cc", "Zl", "Zp")
_GONE = ("Cf", "Cn", "Co")  # among them marks that turn the direction of the text around
_ENOUGH = 500  # signs of either end: far more than there is room for
_NARROW = frozenset("fijlrt.,:;!|'()[] ")


def plain(text: object) -> str:
    """One line that XML can hold: no control characters, surrogates or marks of direction. Markup stays, as text."""
    raw = str(text)
    if len(raw) > 2 * _ENOUGH:
        raw = f"{raw[:_ENOUGH]}…{raw[-_ENOUGH:]}"
    return " ".join("".join(map(_plain, raw)).split()) or "(no name)"


def _plain(char: str) -> str:
    kind = unicodedata.category(char)
    if kind in _BREAKING:
        return " "
    if kind == "Cs":
        return "\ufffd"
    return "" if kind in _GONE and char not in _JOINERS else char


def width(text: str) -> float:
    """How wide a plain text is, in em, in a wide sans-serif: the page decides which it is written in."""
    return sum(map(_width, text))


def _width(char: str) -> float:
    if char in _NARROW:
        return 0.4
    if unicodedata.east_asian_width(char) in "WF":
        return 1.05
    return 1.0 if char in "mwMW%@" or char > "\u2fff" else 0.7 if char.isupper() else 0.62


def shorten(text: str, limit: float) -> str:
    """A plain text at most `limit` em wide. What is too long loses its middle: names often differ in their ends."""
    if width(text) <= limit:
        return text
    return _begin(text, limit * 0.55) + "…" + _begin(text[::-1], limit * 0.45 - 1)[::-1]


def _begin(text: str, limit: float) -> str:
    used = 0.0
    for place, char in enumerate(text):
        used += _width(char)
        if used > limit:
            return text[:place]
    return text
