"""The comparison of a prediction with a label, votes over answers, and the choice that an answer names."""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from limbeck.tasks.numbers import agree, value
from limbeck.tasks.task import Task

_WHOLE = re.compile(r"\A([-+]?\d+)\.0+\Z")
_FILLER = re.compile(
    r"(?:(?:it|this|that|is|it's|an?|the|one|of|likely|clearly|probably|certainly|definitely|indeed|most likely|option"
    r"|choice|category|label|class|answer|letter|la|le|el|die|das|der)\s+|选项)*",
    re.IGNORECASE,
)
# "(b) dam", "[b] dam", "B. dam", "b: dam", "B because ...": a letter, with a sign or a reason after it
_LETTER = re.compile(
    r"(?:[(\[]\s?([a-z])\s?[)\]]|([a-z])(?=[).:;!,]|\s?[\u2013\u2014\u2192-]\s|\s\(|$|\s(?:because|since|is|as)\b))"
    r"(?P<sign>[).:;!,]*)[\s\u2192\u2013\u2014-]*",
    re.IGNORECASE,
)
_SECOND_LETTER = re.compile(
    r"(?i:[(\[](?:option\s|choice\s)?([a-z])[)\]]|\b([a-z])\))|\b([B-Z])\b|(?:^|[,;/]|\b(?:or|and)\b)\s*(A)\b(?!\s\w)"
)
_WITHDRAWN = re.compile(
    r"\b(?:wait|hmm|scratch that|second thought|actually|no,)|^[\s.,]*no[.!]"
    r"|^\W*(?:(?:is|was|are|does|can|seems)\s(?:\w{2,12}ly\s)?(?:not|wrong|incorrect|never|no)\b|\w{2,8}n't\b)",
    re.IGNORECASE,
)
# What follows may name other choices.
_EXPLANATION = re.compile(
    r"\b(?:because|since|as|although|though|while|whereas|but|not|neither|rather|instead|which|where|over|so|due|for"
    r"|in|that|to|with)\b|[✓✔✅]",
    re.IGNORECASE,
)
_HEAD_END = re.compile(r"[,;:.!(/\u2013\u2014]|(?:\s|\A)-\s")
_NOUNS = frozenset(("issue", "problem", "question", "request", "team", "ticket", "type", "it", "is"))  # "billing issue"
_NOUNS |= {"category", "choice", "class", "correct", "department", "desk", "label", "option", "queue", "section"}
_FIRST_SIGN = 0xF0000  # private use
_SENTENCE_WORDS = 4  # "B. Beavers build them."
_SIMILAR = 0.8  # as "knowledge" and "knowlege" are
_OPTION_LINE = re.compile(r"^[ \t]{0,9}[(\[]?([A-Za-z])[)\].:][ \t]+(\S[^\n]{0,300})$", re.MULTILINE)


def normalise(text: str) -> str:
    """Return `text` in one case, spacing and Unicode form, without a final full stop and 42.0's zero."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _WHOLE.sub(r"\1", " ".join(text.split()).removesuffix(".").rstrip())


def same_text(prediction: str, label: str) -> bool:
    return normalise(prediction) == normalise(label)


def same_value(prediction: str, label: str) -> bool:
    """Return whether two numbers or equations `agree`, or other texts are the `same_text`."""
    return same_text(prediction, label) if value(label) is None else agree(prediction, label)


def vote_shares(labels: Sequence[str], task: Task) -> dict[str, float]:
    """Return the share of each answer, as first spelled and in the order of first votes.

    Answers count together where each is right by the other, but for rounded decimals.
    """
    numbers = [value(label) if task.equal is same_value else None for label in labels]
    keys = [normalise(label) if number is None else number for label, number in zip(labels, numbers, strict=True)]
    return {labels[keys.index(key)]: votes / len(labels) for key, votes in Counter(keys).items()}


def choice_of(text: str, choices: Sequence[str]) -> str | None:
    """Return the choice that `text` is, if any."""
    return next((choice for choice in choices if same_text(choice, text)), None)


def options_in(text: str) -> dict[str, str]:
    """Return the options on lines of a question, by lower-case letter."""
    return {letter.lower(): option.strip() for letter, option in _OPTION_LINE.findall(text)}


def read_choice(answer: str, choices: Sequence[str], question: str = "") -> str | None:
    """Return the choice that an answer names; None for none, or several.

    It may give the choice's letter, its text (misspelled after the right letter), or both, and a reason. `question` may
    list the texts of choices that are letters.
    """
    answer = " ".join(re.sub(r'\*\*|[`"]', "", answer).split())
    if (exact := choice_of(answer, choices)) is not None:
        return exact
    letters, texts = _options(choices, question)
    bare = _FILLER.sub("", answer, count=1)
    letter = _LETTER.match(answer) or _LETTER.match(bare)
    text = letter.string[letter.end() :] if letter else bare
    owner, after = _leading(text, texts)
    choice = letters.get((letter[1] or letter[2]).lower()) if letter else owner
    if letter and "." in letter["sign"] and len(text.split()) >= _SENTENCE_WORDS:
        return choice if letter[1] or not _WITHDRAWN.search(text) else None
    sentence = re.split(r"[.!]\s", after, maxsplit=1)[0]
    if choice is None or _WITHDRAWN.search(sentence) or "?" in sentence:
        return None
    # Signs replace the choices in the sentence, since in "not spam" a word opens an explanation.
    signs = {option: chr(_FIRST_SIGN + position) for position, option in enumerate(texts)}
    marked = sentence
    for option in sorted(texts, key=lambda option: len(texts[option]), reverse=True):  # "music store" before "music"
        marked = re.sub(_name(texts[option]), signs[option], marked) if texts[option] else marked
    remark = _EXPLANATION.split(marked, maxsplit=1)[0]
    named = {choice, owner or choice} | {option for option in texts if signs[option] in remark}
    named |= {letters.get("".join(second.groups("")).lower(), choice) for second in _SECOND_LETTER.finditer(remark)}
    head = _HEAD_END.split(remark.strip(" '_"), maxsplit=1)[0]
    if named != {choice}:
        return None
    if not set(re.findall(r"\w+", head.casefold())) - _NOUNS:
        return choice
    similar = not texts[choice] or any(_similar(wording, texts[choice]) for wording in (head, sentence))
    return choice if letter and not owner and similar else None


def _options(choices: Sequence[str], question: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the choices by lower-case letter, and each one's text."""
    letters = {choice.strip().casefold(): choice for choice in choices if len(choice.strip()) == 1}
    if len(letters) < len(choices):
        return dict(zip(string.ascii_lowercase, choices, strict=False)), dict(zip(choices, choices, strict=True))
    texts = options_in(question)
    return letters, {choice: texts.get(letter, "") for letter, choice in letters.items()}


def _name(text: str) -> str:
    """Return the pattern of a choice's words, singular or plural."""
    return rf"(?i:(?<![\w'-]){re.escape(' '.join(text.split()))}s?(?![\w'-]))"


def _leading(answer: str, texts: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the choice, the longest, that the answer begins with, and what follows it."""
    answer = answer.lstrip(" '_([")
    for text in (answer, _FILLER.sub("", answer, count=1)):
        matches = [(choice, re.match(_name(name), text)) for choice, name in texts.items() if name]
        if ends := {choice: match.end() for choice, match in matches if match}:
            choice = max(ends, key=ends.__getitem__)
            return choice, text[ends[choice] :]
    return None, answer


def _similar(text: str, expected: str) -> bool:
    first, second = (re.sub(r"\b(?:an?|the)\b|\W", "", words.casefold()) for words in (text, expected))
    return SequenceMatcher(None, first, second).ratio() >= _SIMILAR
