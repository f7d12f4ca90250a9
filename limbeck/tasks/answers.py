"""The comparison of a prediction with a label, and the choice that an answer names."""

import re
import string
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

from limbeck.tasks.numbers import same_number

_WHOLE = re.compile(r"\A([-+]?\d+)\.0+\Z")
FILLER = re.compile(
    r"(?:(?:it|this|that|is|it's|an?|the|one|of|likely|clearly|probably|certainly|definitely|indeed|most likely|option"
    r"|choice|category|label|class|answer|letter|la|le|el|die|das|der)\s+|选项)*",
    re.IGNORECASE,
)
# "(b) dam", "[b] dam", "B. dam", "b: dam", "B because ...": a letter, with a sign or a reason after it
_LETTERED = re.compile(
    r"(?:[(\[]\s?(?P<enclosed>[a-z])\s?[)\]](?P<colon>[.:;!]?)"
    r"|(?P<letter>[a-z])(?:(?P<sign>[).:;!]+)(?=\s|\w{2}|$)|,?(?=\s[(\u2013\u2014\u2192-])|,(?=\s)|$"
    r"|(?=\s(?:because|since|is|as)\b)))[\s,\u2192\u2013\u2014-]*(?P<text>.*)",
    re.IGNORECASE,
)
_NAMED_LETTER = re.compile(r"[(\[](?:option\s|choice\s)?([a-z])[)\]]|\b([a-z])\)|\b([B-Z])\b", re.IGNORECASE)
_WITHDRAWN = re.compile(
    r"\b(?:wait|hmm|scratch that|second thought|actually|no,)|^[\s.,]*no[.!]"
    r"|^\W*(?:(?:is|was|are|does|can|seems)\s(?:\w{2,12}ly\s)?(?:not|wrong|incorrect|never|no)\b|\w{2,8}n't\b)",
    re.IGNORECASE,
)
# An explanation follows, which may name other choices.
_EXPLANATION = re.compile(
    r"\b(?:because|since|as|although|though|while|whereas|but|not|neither|rather|instead|which|over|so|due|is)\b|[✓✔✅]",
    re.IGNORECASE,
)
# "billing issue", "yes it is", "a dam for power": other words after a choice make it another.
_NEXT_WORD = re.compile(r"(?:for|in|it|issue|problem|of|on|question|request|team|that|ticket|to|where|with)\b", re.I)
_SENTENCE_END = re.compile(r"[.!]\s")
_SENTENCE_WORDS = 4  # "B. Beavers build them."
_SIMILAR = 0.8  # of 1; "knowledge" and a choice spelled "knowlege" are
_SHORTEST_PLURAL = 3  # characters
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
    answer = " ".join(re.sub(r'\*\*|[`"]', "", answer).split())
    if (exact := choice_of(answer, choices)) is not None:
        return exact
    options = _Options(choices, question)
    texts = (answer, FILLER.sub("", answer, count=1))
    for text in texts:
        if (lettered := _LETTERED.fullmatch(text)) is not None:
            return options.by_letter(lettered)
    for text in texts:
        leading = options.leading(text)
        if leading is not None and not options.unclear(leading[1], leading[0]):
            return leading[0]
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
        names = [(" ".join(text.split()), choice) for choice, text in self.texts.items() if text]
        self.names = sorted(names, key=lambda name: (-len(name[0]), name))  # "music store" before "music"

    def by_letter(self, lettered: re.Match[str]) -> str | None:
        """Return the choice of the letter; None where the text after it is another's, or brings another.

        The text may be the choice's in another spelling, a reason, or after a full stop a sentence.
        """
        choice = self.letters.get((lettered["enclosed"] or lettered["letter"]).lower())
        text = lettered["text"].strip(" \"'*_()[]")
        if choice is None or not normalise(text):
            return choice
        if "." in (lettered["sign"] or lettered["colon"] or "") and len(text.split()) >= _SENTENCE_WORDS:
            return choice if lettered["enclosed"] or not _WITHDRAWN.search(text) else None
        leading = self.leading(text) or self.leading(FILLER.sub("", text, count=1))
        if leading is not None:
            return choice if leading[0] == choice and not self.unclear(leading[1], choice) else None
        if self._brings_another(text, choice):
            return None
        text = FILLER.sub("", text, count=1)
        expected = _bare(self.texts[choice])
        heads = (text, re.split(r"[.,;:(]|\s(?:because|since|as|for|which)\s", text, maxsplit=1)[0])
        similar = any(SequenceMatcher(None, _bare(head), expected).ratio() >= _SIMILAR for head in heads)
        return choice if similar or not expected or _EXPLANATION.match(text) else None

    def leading(self, answer: str) -> tuple[str, str] | None:
        """Return the choice that the text begins with, as a whole word or its plural, and what stands after it."""
        for name, choice in self.names:
            if answer[: len(name)].casefold() == name.casefold():
                after = answer[len(name) :]
                if len(name) >= _SHORTEST_PLURAL:
                    after = re.sub(r"\As(?!\w)", "", after, flags=re.IGNORECASE)
                if not re.match(r"\w", after):
                    return choice, after
        return None

    def unclear(self, after: str, choice: str) -> bool:
        """Return whether the text after a choice makes it another word, takes it back, asks, or brings another."""
        sentence = _SENTENCE_END.split(after, maxsplit=1)[0]
        following = sentence.lstrip(" *_\"'")
        another_word = following[:1].isalnum() and not (_NEXT_WORD.match(following) or _EXPLANATION.match(following))
        return another_word or sentence[:1] in ("'", "-") or "?" in sentence or self._brings_another(sentence, choice)

    def _brings_another(self, after: str, choice: str) -> bool:
        """Return whether the words before an explanation name another choice, or the first is withdrawn."""
        sentence = _SENTENCE_END.split(after, maxsplit=1)[0]
        if _WITHDRAWN.search(sentence):
            return True
        head = _EXPLANATION.split(sentence, maxsplit=1)[0]
        letters = {self.letters.get("".join(letter.groups("")).lower()) for letter in _NAMED_LETTER.finditer(head)}
        names = {other for name, other in self.names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", head, re.I)}
        return bool((letters | names) - {choice, None})


def _bare(text: str) -> str:
    """Return `text` without articles, apostrophes and blanks."""
    return "".join(word for word in re.findall(r"\w+", text.casefold()) if word not in ("a", "an", "the"))
