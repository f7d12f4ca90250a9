"""Reverse questions, which state a question's answer and ask for what it gives (RevThink, arXiv 2411.19865).

The teacher writes the reverse of a labelled question, reasons to its answer, and says if both questions with their
answers agree. Each step is a request that holds what was read in the replies before it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from limbeck.annotation.prompts import filled
from limbeck.llm.replies import LONGEST_REPLY, RationaleSource, read_reply
from limbeck.llm.settings import SamplingSettings
from limbeck.llm.store import Key, Request, Result, fingerprint
from limbeck.llm.text import plain, reasoning
from limbeck.schema import Example
from limbeck.settings import read_mapping
from limbeck.tasks import TASKS

_MARK = re.compile(r"\breversed?\s{1,3}question[*_]{0,3}\s{0,3}:[*_]{0,3}", re.IGNORECASE)


class Step(StrEnum):
    """The requests for a reverse question, in order."""

    QUESTION = "question"
    REASONING = "reasoning"
    CONSISTENCY = "consistency"


_PARTS = {
    Step.QUESTION: ("reverse_question",),
    Step.REASONING: ("rationale", "reverse_answer"),
    Step.CONSISTENCY: ("verdict",),
}


class ReverseOutcome(StrEnum):
    """The fate of a reverse question so far."""

    KEPT = "kept"
    REFUSED = "refused"  # by the teacher: the questions and answers do not agree
    UNREADABLE = "unreadable"  # a reply, or its question is the old one
    FAILED = "failed"
    UNFINISHED = "unfinished"  # not all is asked yet
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Reversal:
    """A question on the way to its reverse."""

    example: Example
    outcome: ReverseOutcome
    texts: Mapping[str, str]  # of the prompts' placeholders, and the `rationale`
    result: Result | None  # of the last step asked
    step: Step | None = None  # the next, and its request
    request: Request | None = None

    @property
    def pair(self) -> tuple[str, str] | None:
        """The reverse question and its rationale, if kept."""
        if self.outcome is not ReverseOutcome.KEPT:
            return None
        return self.texts["reverse_question"], self.texts["rationale"]


class ReversePrompt:
    """The requests for reverse questions, and the reading of their replies.

    As of every single sample, the temperature is 0 unless it is set.
    """

    def __init__(self, teacher: str, sampling: SamplingSettings, source: RationaleSource) -> None:
        self._templates = read_mapping(Path(__file__).parent / "prompt_files" / "reverse.yaml")
        self._teacher, self._source = teacher, source
        self.sampling = sampling.model_copy(update={"samples": 1})
        self.sent = {
            "prompts": self._templates,
            "temperature": self.sampling.heat,
            "top_p": sampling.top_p,
            "extra": sampling.extra,
        }
        self.prompt = fingerprint(self.sent)

    def reversal(self, example: Example, question: str, results: Mapping[tuple[str, int], Result]) -> Reversal:
        """Return how far a labelled example has come, by the results in the store."""
        texts, last = {"question": question, "label": example.label}, None
        for step in Step:
            request = self._request(example, step, texts)
            result = results.get(request.key[2:])
            if result is None or result.text is None:
                missing = ReverseOutcome.NOT_ASKED if step is Step.QUESTION else ReverseOutcome.UNFINISHED
                outcome = missing if result is None else ReverseOutcome.FAILED
                return Reversal(example, outcome, texts, result or last, step, request)
            parts = self._parts(step, result, texts, example)
            if None in parts:
                return Reversal(example, ReverseOutcome.UNREADABLE, texts, result)
            texts, last = texts | dict(zip(_PARTS[step], map(str, parts), strict=True)), result
        outcome = ReverseOutcome.KEPT if texts["verdict"] == "yes" else ReverseOutcome.REFUSED
        return Reversal(example, outcome, texts, last)

    def remaining(self, reversal: Reversal) -> Iterator[Request]:
        """Yield the requests that are missing, in which replies to come are as long as they may be."""
        longest = "..." * self.sampling.max_tokens  # by the store's estimate of three bytes a token
        texts = {"reverse_question": longest, "reverse_answer": longest, **reversal.texts}
        for step in list(Step)[list(Step).index(reversal.step) :] if reversal.step else ():
            yield self._request(reversal.example, step, texts)

    def _request(self, example: Example, step: Step, texts: Mapping[str, str]) -> Request:
        content = filled(self._templates[step], texts)
        key = Key(self._teacher, self.prompt, fingerprint(content), 0)
        return Request(key, example.id, [{"role": "user", "content": content}], self.sampling.max_tokens)

    def _parts(self, step: Step, result: Result, texts: Mapping[str, str], example: Example) -> tuple[str | None, ...]:
        """Return the parts of a step's reply; None for what is unreadable."""
        words = str(result.text)
        if step is Step.QUESTION:
            return (read_reverse_question(words, example),)
        # whatever the task's answers are, that to a reverse question is a free text
        choices = ("yes", "no") if step is Step.CONSISTENCY else ()
        question = Example(example.id, (texts["reverse_question"],), "", choices=choices)
        reply = read_reply(words, result.thoughts, TASKS["custom"], question, source=self._source)
        return reply if step is Step.REASONING else (reply.label,)


def read_reverse_question(reply: str, example: Example) -> str | None:
    """Return the reverse question in a reply, in one line; None if there is none, or it holds the example's.

    It ends with the last question mark after "Reverse question:", or in a reply of one line.
    """
    *before, text = _MARK.split(plain(reply)[:LONGEST_REPLY])
    text = reasoning(text) or ""
    question = " ".join(text[: text.rfind("?") + 1].split()).strip("*_` ")
    if question.count('"') % 2:  # the closing one followed the question mark
        question = question.lstrip('"')
    old, new = (re.sub(r"\W+", " ", f" {part} ".casefold()) for part in ("\n".join(example.segments), question))
    readable = question and (before or "\n" not in text)
    return question if readable and new.strip() and old not in new else None
