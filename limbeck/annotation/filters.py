"""What a teacher's rationale has to be like to be trained on: its length, its language, and no answer given away."""

import re
from functools import cache
from importlib.util import find_spec
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from limbeck.errors import LimbeckError
from limbeck.llm import CHAT_TOKEN, THOUGHT_TAG, stated_answer
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.tasks import Task

# Of 31,731 released rationales, all English, none is taken for another language at 10, two at 5, nine at 2. Of 35
# short ones in German, French, Spanish and Chinese none is taken for English, at any of these.
LANGUAGE_MARGIN = 10
NO_LANGUAGE = "zxx"  # py3langid's label of code and the like
_DIGITS = re.compile(r"\d+")  # to py3langid the numbers from 0 to 59 are Volapük

# Chinese, Japanese, Thai, Lao, Burmese and Khmer are written without blanks between words.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")

_ANSWER_TAG = re.compile(r"</?(?:rationale|answer)>", re.IGNORECASE)
_ANSWER_FORM = r"^[^\w\n]{0,12}(?:final\s{1,3})?answer[*_]{0,3}\s?:|\\boxed\b"  # what every task's parser knows
_GIVEN = r"(?:given|provided|stated|supplied|expected|known|reference|gold)"
_ANSWER = r"(?:answer|label|solution)"
_THE_ANSWER = rf"the\s(?:(?:correct|right|final|true)\s)?{_ANSWER}"
_HINTED = re.compile(
    rf"\b(?:the|this|that|your)\shint\b(?!\sof\b)|\bas\shinted\b|\bhinted\s{_ANSWER}\b"
    rf"|\b{_GIVEN}\s(?:(?:correct|right|final|true)\s)?{_ANSWER}\b"
    rf"|\b{_ANSWER}\s(?:(?:is|was|has\sbeen|already|that|we|were|are)\s){{0,4}}{_GIVEN}\b"
    rf"|\b(?:told|given|know|knowing|said)\sthat\s{_THE_ANSWER}\b"
    rf"|\b(?:according\sto|based\son|consistent\swith|match(?:es|ing)?)\s{_THE_ANSWER}\b",
    re.IGNORECASE,
)


class FilterSettings(Settings):
    """Which of a teacher's rationales are kept."""

    gold: bool = Field(True, description="keep only answers that are the gold label, where one is known; else the vote")
    agreement: float = Field(0, ge=0, le=1, description="the least share of the answers that give the vote")
    min_words: int = Field(2, ge=0, description="parted by white space; a character each in Chinese, Japanese, Thai")
    max_words: int | None = Field(None, ge=1)
    language: str | None = Field(None, description="of the rationales, like en, de or zh; needs limbeck[teacher]")
    leaks: bool = Field(True, description="drop what holds an answer, a template's token or talk of the hint")
    duplicates: bool = Field(True, description="drop what repeats a rationale kept for the same question")

    @field_validator("language")
    @classmethod
    def _known(cls, code: str | None) -> str | None:
        if code is not None and (len(code) != 2 or code not in _identifier().labels):
            raise ValueError("an ISO 639-1 code of a language that py3langid knows, like en, de or zh, was expected")
        return code

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_words is not None and self.max_words < self.min_words:
            raise ValueError(f"max_words: {self.max_words} is less than min_words, {self.min_words}")
        return self


def words(text: str) -> int:
    """How many words: parted by white space, and a character each in the scripts that write none between words."""
    return len(_WORD.findall(text))


def foreign(text: str, language: str) -> bool:
    """Whether another language is at least `LANGUAGE_MARGIN` times as probable as `language`, an ISO 639-1 code.

    py3langid's probabilities are tempered by the text's length, so that a short one is rarely sure of anything and is
    let pass.

    Raises:
        LimbeckError: py3langid is not installed.
    """
    probabilities = dict(_identifier().rank(_DIGITS.sub(" ", text)))
    probabilities.pop(NO_LANGUAGE, None)
    return max(probabilities.values()) >= LANGUAGE_MARGIN * probabilities[language]


def leaks(rationale: str, task: Task, example: Example, hinted: bool) -> bool:
    """Whether the text gives away what the student is to find out, or what it should never learn to write.

    That is an answer in a form that the parser reads, or a form for one with nothing readable in it; a tag or token of
    a chat template; in a hinted sample talk of the hint, in words that the question itself does not use. "The answer
    is" in a sentence of prose ("The answer is in the text.") is none of these.
    """
    if any(form.search(rationale) for form in (CHAT_TOKEN, THOUGHT_TAG, _ANSWER_TAG, _open_form(task.marker))):
        return True
    if hinted and any(talk[0].casefold() not in example.input.casefold() for talk in _HINTED.finditer(rationale)):
        return True
    return stated_answer(rationale, task, example) is not None


@cache
def _open_form(marker: str) -> re.Pattern[str]:
    """A place for an answer: the marker at a line's end or before a bracket; one with a colon is no prose anywhere."""
    own = r"\s{1,9}".join(re.escape(word) for word in marker.split())
    after = "" if marker.endswith(":") else r"\s{0,9}(?:[:(\[{$\\*_]|$)"
    return re.compile(rf"(?<!\w){own}{after}|{_ANSWER_FORM}", re.IGNORECASE | re.MULTILINE)


@cache
def _identifier() -> Any:
    """py3langid's classifier, a second to load. Its own, so that nobody else's settings of it count here."""
    if find_spec("py3langid") is None:
        raise LimbeckError("filters.language: py3langid is not installed; `pip install 'limbeck[teacher]'`")
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
