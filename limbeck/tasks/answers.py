"""The comparison of a prediction with a label, and the choice that an answer names."""

import re
import string
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

from limbeck.tasks.numbers import same_number

_WHOLE = re.compile(r"\A([-+]?\d+)\.0+\Z")
FILLER = re.compile(
    r"(?:(?:it|this|that|is|it's|an?|the|one|of|likely|clearly|probably|certainly|definitely|simply|indeed|most likely"
    r"|option|choice|category|label|class|la|le|el|die|das|der|l'option|opción)\s+)*",
    re.IGNORECASE,
)
# "(b) dam", "[b] dam", "B. dam", "b: dam", "option b", "B because ...": a letter, with a sign or a reason after it
_LETTERED = re.compile(
    r"(?:(?:the\s)?(?:option|choice|letter|answer)\s|选项)?(?:[(\[]\s?(?P<enclosed>[a-z])\s?[)\]](?P<colon>[.:;!]?)"
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
    r"\b(?:although|though|not|rather|instead|than|while|whereas|unlike|but|because|since|as|opposed|which|over"
    r"|excludes?|so)\b",
    re.IGNORECASE,
)
_WITHDRAWN = re.compile(
    r"\b(?:wait|hmm|scratch that|on second thought|no,)|^[\s.,]*(?:no[.!]|actually\b)|^\W*(?:(?:is|was|are|does|can"
    r"|would\sbe|seems)\s(?:\w{2,12}ly\s)?(?:not|wrong|incorrect|never|no|too|out)\b|\w{2,8}n't\b)",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"(?:because|since|as|is|not|and\snot|but\snot|rather|instead|over|which|although|though|while|due)\b|[✓✔✅]",
    re.IGNORECASE,
)
_HEAD_END = re.compile(r"[.,;:(✓✔✅]|\s(?:because|since|as|for|which)\s", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?]\s")
_QUESTION = re.compile(r"[^.!?]{0,200}\?")
# A choice may be followed, without a sign, by these: "billing issue", "yes it is", "a dam for power".
_NEXT_WORD = re.compile(
    r"(?:as|at|because|by|category|class|choice|department|desk|due|for|from|given|in|is|issue|it|label|on|option"
    r"|problem|question|queue|request|section|since|so|team|that|they|ticket|to|type|where|which|when|with)\b",
    re.IGNORECASE,
)
_SIMILAR = 0.8  # of 1; "knowledge" and a choice spelled "knowlege" are
_SHORTEST_PLURAL = 3  # characters; a shorter choice is no name after "or" in "yes, no doubt" either
_SENTENCE_WORDS = 4  # "B. Beavers build them."
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


def read_choice(answer: str, choices: Sequence[str], question: str = "") -> str | None:
    """Return the choice that an answer is, in the choice's own spelling.

    It may give the choice's letter (by position; where choices are letters, by text), its text or both, and a reason
    after it. None where these contradict each other, or name no choice or several. With the right letter before it the
    text may be misspelled. `question` may list the texts of choices that are letters.
    """
    answer = " ".join(answer.replace("**", "").replace("`", "").split())
    if (exact := choice_of(answer, choices)) is not None:
        return exact
    answer = answer.replace('"', "")
    options = _Options(choices, question)
    texts = (answer, FILLER.sub("", answer, count=1))
    for text in texts:
        if (lettered := _LETTERED.fullmatch(text)) is not None:
            return options.by_letter(lettered)
    for text in texts:
        named = options.leading(text)
        if named is not None and not options.changes(named[1], named[0]):
            return named[0]
    return None


class _Options:
    """The choices with their letters, and the text that each stands for."""

    def __init__(self, choices: Sequence[str], question: str) -> None:
        self.letters = {choice.strip().casefold(): choice for choice in choices if len(choice.strip()) == 1}
        if len(self.letters) == len(choices):
            texts = options_in(question)
            self.texts = {choice: texts.get(letter, "") for letter, choice in self.letters.items()}
        else:
            self.letters = dict(zip(string.ascii_lowercase, choices, strict=False))
            self.texts = {choice: choice for choice in choices}
        names = {(" ".join(text.split()), choice) for choice, text in self.texts.items()}
        names |= {(choice.strip(), choice) for choice in choices if choice.strip() not in self.texts.values()}
        self.names = sorted(names, key=lambda name: (-len(name[0]), name))  # "music store" before "music"

    def by_letter(self, lettered: re.Match[str]) -> str | None:
        """Return the choice of the letter; None where the text after it is another's, or brings another.

        The text may be the choice's in another spelling, a reason, or after a full stop a sentence.
        """
        choice = self.letters.get((lettered["enclosed"] or lettered["letter"]).lower())
        text = lettered["text"].strip(" \"'*_")
        if choice is None or not normalise(text.strip("()[]")):
            return choice
        text = text.lstrip("([ ")
        inner = FILLER.sub("", text, count=1)
        named = self.leading(text) or self.leading(inner)
        if named is not None:
            return choice if named[0] == choice and not self.changes(named[1], choice) else None
        if "." in (lettered["sign"] or lettered["colon"] or "") and len(text.split()) >= _SENTENCE_WORDS:
            return choice
        if self._brings_another(text, choice):
            return None
        expected = _bare(self.texts[choice])
        heads = (text, _HEAD_END.split(inner, maxsplit=1)[0])
        similar = any(SequenceMatcher(None, _bare(head), expected).ratio() >= _SIMILAR for head in heads)
        return choice if similar or not expected or _REASON.match(inner) else None

    def leading(self, answer: str) -> tuple[str, str] | None:
        """Return the choice that the text begins with, as a whole word or its plural, and what stands after it."""
        for name, choice in self.names:
            if name and answer[: len(name)].casefold() == name.casefold():
                after = answer[len(name) :]
                if len(name) >= _SHORTEST_PLURAL:
                    after = re.sub(r"\As(?!\w)", "", after, flags=re.IGNORECASE)
                if not re.match(r"\w", after):
                    return choice, after
        return None

    def changes(self, after: str, choice: str) -> bool:
        """Return whether the text after a choice makes it another word, takes it back, asks, or brings another."""
        sentence = _SENTENCE_END.split(after, maxsplit=1)[0]
        if _QUESTION.match(after) or re.match(r"[\w'-]", sentence) or self._brings_another(sentence, choice):
            return True
        following = sentence.lstrip(" *_\"'")
        return following[:1].isalnum() and not _NEXT_WORD.match(following)

    def _brings_another(self, after: str, choice: str) -> bool:
        """Return whether another choice is named beside the first and not set against it, or the first is withdrawn."""
        after = _SENTENCE_END.split(after, maxsplit=1)[0]
        if _WITHDRAWN.search(after):
            return True
        for letter in _LETTER.finditer(after):
            second_choice = self.letters.get((letter[1] or letter[2]).lower(), choice)
            if second_choice != choice and not _CONTRAST.search(after[: letter.start()]):
                return True
        alternative = _ALTERNATIVE.sub("", after, count=1)
        if not alternative or not after[: len(after) - len(alternative)].strip(" ("):
            return False
        lone = _LONE_LETTER.match(alternative)
        if lone and self.letters.get((lone[1] or lone[2]).lower(), choice) != choice:
            return True
        named = self.leading(FILLER.sub("", alternative, count=1))
        # "yes, no doubt": a short word with another after it is no choice
        return (
            named is not None
            and named[0] != choice
            and (len(named[0]) > _SHORTEST_PLURAL or not re.match(r" \w", named[1]))
        )


def _bare(text: str) -> str:
    """Return `text` without articles, apostrophes and blanks."""
    return "".join(word for word in re.findall(r"\w+", text.casefold()) if word not in ("a", "an", "the"))
