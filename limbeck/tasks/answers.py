"""When a prediction counts as right, and which of its choices an answer names."""

import re
import string
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

from limbeck.tasks.numbers import same_number

_WHOLE = re.compile(r"\A([-+]?\d+)\.0+\Z")
_FILLER = re.compile(
    r"(?:(?:it|this|that|is|it's|an?|the|one|of|likely|clearly|probably|certainly|definitely|simply|indeed|most likely"
    r"|option|choice|category|label|class|la|le|el|die|das|der|l'option|opci\u00f3n)\s+)*",
    re.IGNORECASE,
)
# "(b) dam", "[b] dam", "B. dam", "b: dam", "option b", "B because ...": a letter, with a sign or a reason after it
_LETTERED = re.compile(
    r"(?:(?:the\s)?(?:option|choice|letter|answer)\s|\u9009\u9879)?(?:[(\[]\s?(?P<enclosed>[a-z])\s?[)\]](?P<colon>[.:;!]?)"
    r"|(?P<letter>[a-z])(?P<sign>\)[.:;!]?|[.:;!](?=\s|$)|,(?=\s)|\s?[-\u2013\u2014\u2192](?=\s)|(?=\s\()|$"
    r"|(?=\s(?:because|since|is|as)\b)))[\s,\u2192\u2013\u2014-]{0,4}(?P<text>.*)",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[(\[](?:option\s|choice\s)?([a-z])[)\]]|\b([a-z])\)", re.IGNORECASE)
_LONE_LETTER = re.compile(r"(?:option\s|choice\s)?(?:[(\[]([A-Za-z])[)\]]|([A-Z])(?=[\s.,)]|$))")
_ALTERNATIVE = re.compile(
    r"(?:[,;/&(]|\b(?:or|and|nor|possibly|maybe|perhaps|also|even|either|alternatively|both)\b|\s)*", re.IGNORECASE
)
_CONTRAST = re.compile(
    r"\b(?:although|though|not|rather|instead|than|while|whereas|unlike|but|because|since|as|opposed|which|over|excludes?|so)\b",
    re.IGNORECASE,
)
_WITHDRAWN = re.compile(
    r"\b(?:wait|hmm|scratch that|on second thought|no,)|^[\s.,]*(?:no[.!]|actually\b)"
    r"|^\W*(?:(?:is|was|are|does|can|would\sbe|seems)\s(?:\w{2,12}ly\s)?(?:not|wrong|incorrect|never|no|too|out)\b|\w{2,8}n't\b)",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"(?:because|since|as|is|not|and\snot|but\snot|rather|instead|over|which|although|though|while|due)\b|[\u2713\u2714\u2705]",
    re.IGNORECASE,
)
_HEAD_END = re.compile(r"[.,;:(\u2713\u2714\u2705]|\s(?:because|since|as|for|which)\s", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?]\s")
_ASKED = re.compile(r"[^.!?]{0,200}\?")
# A choice may be followed, without a sign, by these: "billing issue", "yes it is", "a dam for power".
_NEXT_WORD = re.compile(
    r"(?:as|at|because|by|category|class|choice|department|desk|due|for|from|given|in|is|issue|it|label|on|option"
    r"|problem|question|queue|request|section|since|so|team|that|they|ticket|to|type|where|which|when|with)\b",
    re.IGNORECASE,
)
_ALIKE = 0.8  # of 1; "knowledge" and a choice spelled "knowlege" are
_SHORT = 3  # characters
_SHORTEST_PLURAL = 3
_SENTENCE = 4  # words: "B. Beavers build them."
_OPTION_LINE = re.compile(r"^[ \t]{0,9}[(\[]?([A-Za-z])[)\].:][ \t]+(\S[^\n]{0,300})$", re.MULTILINE)


def normalise(text: str) -> str:
    """Return `text` without differences of case, white space and Unicode's forms, and without one final full stop.

    A whole number loses its zeros after the point: 42.0 is 42.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _WHOLE.sub(r"\1", " ".join(text.split()).removesuffix(".").rstrip())


def same_text(prediction: str, label: str) -> bool:
    """Return whether the two are the same text, normalised."""
    return normalise(prediction) == normalise(label)


def same_value(prediction: str, label: str) -> bool:
    """Return whether two numbers or equations have the same value; a label that is neither is compared as text.

    Values are exact fractions. Units and a percent sign are left aside, and a decimal may be the other's rounding: see
    `limbeck/tasks/numbers.py`.
    """
    same = same_number(prediction, label)
    return same_text(prediction, label) if same is None else same


def choice_of(text: str, choices: Sequence[str]) -> str | None:
    """Return the choice that `text` is, in the choice's own spelling; None where it is none of them."""
    return next((choice for choice in choices if same_text(choice, text)), None)


def options_in(text: str) -> dict[str, str]:
    """Return the lettered options that a question lists, a line each, by their lower-case letters."""
    return {letter.lower(): option.strip() for letter, option in _OPTION_LINE.findall(text)}


def read_choice(words: str, choices: Sequence[str], question: str = "") -> str | None:
    """Return the choice that an answer is, in the choice's own spelling.

    Its letter (by position; where choices are letters, by text), its text or both may stand there, and a reason after
    it. None where they contradict each other, or name no choice or several: nothing says which the teacher meant. With
    the right letter before it the text may be misspelled. `question` may list what choices that are letters stand for.
    """
    answer = " ".join(words.replace("**", "").replace("`", "").split())
    if (whole := choice_of(answer, choices)) is not None:
        return whole
    answer = answer.replace('"', "")
    options = _Options(choices, question)
    for text in (answer, _FILLER.sub("", answer, count=1)):
        lettered = _LETTERED.fullmatch(text)
        if lettered is not None:
            return options.by_letter(lettered)
    return options.by_text(answer)


class _Options:
    """The choices with their letters, and what each letter stands for."""

    def __init__(self, choices: Sequence[str], question: str) -> None:
        self.choices = tuple(choices)
        letters = {choice.strip().casefold(): choice for choice in self.choices if len(choice.strip()) == 1}
        if letters and len(letters) == len(self.choices):
            self.letters = letters
            listed = options_in(question)
            self.texts = {choice: listed.get(letter, "") for letter, choice in letters.items()}
        else:
            self.letters = dict(zip(string.ascii_lowercase, self.choices, strict=False))
            self.texts = {choice: choice for choice in self.choices}

    def by_letter(self, lettered: re.Match[str]) -> str | None:
        """Return the choice of the letter; None where the text after it is another's, or brings another."""
        choice = self.letters.get((lettered["enclosed"] or lettered["letter"]).lower())
        rest = lettered["text"].strip(" \"'*_")
        if choice is None or not normalise(rest.strip("()[]")):
            return choice
        full_stop = "." in (lettered["sign"] or lettered["colon"] or "")
        return choice if self._fits(rest, choice, full_stop) else None

    def by_text(self, answer: str) -> str | None:
        """Return the choice that `answer` begins with, before a sign or a reason; None where another follows it."""
        for text in (answer, _FILLER.sub("", answer, count=1)):
            named = self._leading(text)
            if named is not None and not self._changed(named[1], named[0]):
                return named[0]
        return None

    def _fits(self, rest: str, choice: str, full_stop: bool) -> bool:
        """Return whether the text after a letter is its choice, if in another spelling, says why, or is a sentence."""
        rest = rest.lstrip("([ ")
        inner = _FILLER.sub("", rest, count=1)
        named = self._leading(rest) or self._leading(inner)
        if named is not None:
            return named[0] == choice and not self._changed(named[1], choice)
        if full_stop and len(rest.split()) >= _SENTENCE:
            return True
        if self._brings_another(rest, choice):
            return False
        text = self.texts[choice]
        if not text or _REASON.match(inner):
            return True
        heads = (rest, _HEAD_END.split(inner, maxsplit=1)[0])
        return any(SequenceMatcher(None, _bare(head), _bare(text)).ratio() >= _ALIKE for head in heads)

    def _leading(self, answer: str) -> tuple[str, str] | None:
        """Return the choice that the text begins with, as a whole word or its plural, and what stands after it."""
        pairs = [(" ".join(text.split()), choice) for choice, text in self.texts.items()]
        pairs += [(choice.strip(), choice) for choice in self.choices if choice.strip() not in self.texts.values()]
        for text, choice in sorted(pairs, key=lambda pair: -len(pair[0])):  # "music store" before "music"
            if text and answer[: len(text)].casefold() == text.casefold():
                after = answer[len(text) :]
                if len(text) >= _SHORTEST_PLURAL and re.match(r"s(?!\w)", after, re.IGNORECASE):
                    after = after[1:]
                if not re.match(r"\w", after):
                    return choice, after
        return None

    def _changed(self, after: str, choice: str) -> bool:
        """Return whether what follows a choice makes it another word, takes it back, or brings another choice."""
        if _ASKED.match(after):
            return True
        after = _SENTENCE_END.split(after, maxsplit=1)[0]
        if re.match(r"[\w'-]", after) or self._brings_another(after, choice):
            return True
        following = after.lstrip(" *_\"'")
        return bool(following) and following[0].isalnum() and not _NEXT_WORD.match(following)

    def _brings_another(self, after: str, choice: str) -> bool:
        """Return whether another choice is named beside the first and not set against it, or the first is withdrawn."""
        after = _SENTENCE_END.split(after, maxsplit=1)[0]
        if _WITHDRAWN.search(after):
            return True
        for letter in _LETTER.finditer(after):
            other = self.letters.get((letter[1] or letter[2]).lower(), choice)
            if other != choice and not _CONTRAST.search(after[: letter.start()]):
                return True
        start = _ALTERNATIVE.match(after)
        rest = after[start.end() :] if start else ""
        if not rest or start is None or not start[0].strip(" ("):
            return False
        lone = _LONE_LETTER.match(rest)
        if lone and self.letters.get((lone[1] or lone[2]).lower(), choice) != choice:
            return True
        named = self._leading(_FILLER.sub("", rest, count=1))
        # "yes, no doubt": a short word with another after it is no choice
        return named is not None and named[0] != choice and (len(named[0]) > _SHORT or not re.match(r" \w", named[1]))


def _bare(text: str) -> str:
    """Return `text` without articles, apostrophes and blanks."""
    return "".join(word for word in re.findall(r"\w+", text.casefold()) if word not in ("a", "an", "the"))
