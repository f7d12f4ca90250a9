"""A reply with thoughts apart from its words: which of them is the rationale, and where its answer stands."""

import re
from typing import Literal

from limbeck.llm.parsing import Parsed, parse
from limbeck.llm.thoughts import split_thoughts
from limbeck.llm.words import plain, unwrapped
from limbeck.schema import Example
from limbeck.tasks import Task, same_value
from limbeck.tasks.task import without_calculations

Part = Literal["content", "thoughts", "both"]

_LONGEST_BRIEF = 80  # characters of a content that is the answer alone
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_DENIAL = re.compile(r"\b(?:not|no|never|neither|nor|or|cannot)\b|n't\b|\?", re.IGNORECASE)


def read_reply(words: str, thoughts: str, task: Task, example: Example, *, part: Part = "content") -> Parsed:
    """Return rationale and label of a reply, whose thoughts came apart from its `words` or stand there in tags.

    `part` is the rationale. The label is read in the content, beside thoughts also where that is an answer and nothing
    else; in the thoughts only where the content is blank and they are the rationale. A calculator's marks are left out.
    """
    words, thoughts = without_calculations(words), without_calculations(thoughts)
    inside, content = split_thoughts(words)
    thoughts = "\n".join(text.strip() for text in (thoughts, inside) if text.strip())
    parsed = parse(words, task, example)
    label = parsed.label
    if label is None and thoughts:
        label = _brief_answer(content, task, example)
    if part == "content" or not thoughts:
        return Parsed(None if part == "thoughts" else parsed.rationale, label)
    within = parse(thoughts, task, example)
    reasoning = within.rationale if within.label is not None else thoughts
    if not content.strip():
        label = within.label
    pieces = [reasoning, parsed.rationale if part == "both" else None]
    return Parsed("\n".join(filter(None, pieces)) or None, label)


def concluded_label(words: str, thoughts: str, task: Task, example: Example) -> str | None:
    """Return the example's label where a reply is thoughts alone and their last sentence comes to it; else None.

    It says that the thoughts may be learnt for that label, not that the teacher gave an answer.
    """
    inside, content = split_thoughts(words)
    sentences = _SENTENCE_END.split("\n".join((thoughts, inside)).strip())
    last = sentences[-1]
    if content.strip() or not example.label or _DENIAL.search(last):
        return None
    if task.equal is same_value:
        numbers = _NUMBER.findall(last)
        return example.label if numbers and task.equal(numbers[-1].replace(",", ""), example.label) else None
    named = [choice for choice in example.choices or (example.label,) if _names(last, choice)]
    return example.label if named == [example.label] else None


def _names(sentence: str, choice: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(choice.strip())}(?!\w)", sentence, re.IGNORECASE) is not None


def _brief_answer(content: str, task: Task, example: Example) -> str | None:
    """Return the answer where all of the content is one: beside its thoughts a model needs no more words."""
    line = plain(content).strip()
    if not line or "\n" in line or len(line) > _LONGEST_BRIEF or line.endswith("?"):
        return None
    return task.read_answer(unwrapped(line), example)
