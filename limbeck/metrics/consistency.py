"""Consistency: is a rationale's own conclusion the answer that came with it?"""

import re
from collections.abc import Sequence
from typing import Any

from limbeck.llm.replies import stated_answer
from limbeck.schema import Example
from limbeck.tasks import Task, evaluate, nli, same_value

MAX_CHARACTERS = 10_000  # of a rationale, from its end
_MAX_NUMBERS = 200  # of a rationale, from its end

_SIGNS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-", "$": " "})
_TIMES = re.compile(r"(?<=[\d)])\s?[xX]\s?(?=[\d(])")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3}){1,9}(?![\d,])")
_ARITHMETIC = re.compile(r"(?<![\w.])[(\d.-](?:[\d+\-*/() \t]|\.(?!\s))*", re.ASCII)  # a sentence ends it
_OPERATOR = re.compile(r"[\d)]\s{0,3}[+\-*/]")
_WORD = re.compile(r"\w+")
_ENDING = re.compile(r"(?<=\w{3})(?:ies|es|s|e|y)$")  # cities and city, boxes and box

# phrases that went with their label in nine of ten of PaLM's e-SNLI rationales
_RELATIONS = {
    label: re.compile(phrases, re.IGNORECASE)
    for label, phrases in {
        "neutral": r"\bneutral\b|\bnot\s(?:necessarily|specified|stated|mentioned|known|clear|enough)\b|\bunclear\b"
        r"|\b(?:do|does|is)(?:\snot|n't)\s(?:\w{1,12}ly\s)?(?:mean|mention|say|specify|imply|entail|contradict)\b",
        "contradiction": r"(?<!not )(?<!n't )\bcontradict(?:s|ory|ions?)?\b|\bimpossible\b|\bmutually\sexclusive\b"
        r"|\b(?:cannot|can't|not)\s[^.\n]{1,100}\s(?:at\sthe\ssame\stime|simultaneously|at\sonce)\b",
        "entailment": r"(?<!not )(?<!n't )\b(?:entail(?:s|ed|ment)?|implies)\b|\b(?:type|kind|form)\sof\b"
        r"|\bsynonym|\banother\sway\sof\b",
    }.items()
}


def consistency(rationales: Sequence[tuple[str, str, Example]], task: Task) -> dict[str, Any]:
    """Measure how often the conclusion of a rationale equals the answer that came with it, whether right or not.

    `rationales` are each with their answer and example. Returns `consistency`, the share of those in which a conclusion
    can be `read`, and `readable`, the share of these in all `n`; None where there are none.
    """
    conclusions = [(conclusion(text, example, task), answer) for text, answer, example in rationales]
    agreeing = [task.equal(label, answer) for label, answer in conclusions if label is not None]
    n, read = len(rationales), len(agreeing)
    return {
        "consistency": sum(agreeing) / read if read else None,
        "readable": read / n if n else None,
        "read": read,
        "n": n,
    }


def conclusion(rationale: str, example: Example, task: Task) -> str | None:
    """Return the label that a rationale's own text concludes; None where none is clear.

    A sentence that states the answer, "The answer is ...", comes first. Otherwise:
    - equations: the last expression with an operator, `45 - 3` in "So 45 - 3 = 41 are left", or else the last number;
    - natural language inference: the relation that its phrases name ("not necessarily", "contradicts", "implies"),
      where all name the same;
    - other choices: the last one named in it, singular or plural. "Not a dam" names the dam.
    """
    text = rationale[-MAX_CHARACTERS:]
    if (stated := stated_answer(text, task, example)) is not None:
        return stated
    choices = example.choices or task.choices
    if task.equal is same_value:
        return _last_value(text)
    if set(choices) == set(nli.LABELS):
        relations = [label for label, phrases in _RELATIONS.items() if phrases.search(text)]
        return relations[0] if len(relations) == 1 else None
    return _last_named(text, choices)


def _last_value(text: str) -> str | None:
    text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text.translate(_SIGNS))
    runs = _ARITHMETIC.findall(_TIMES.sub("*", text))[-_MAX_NUMBERS:]
    values = [value for run in reversed(runs) if (value := _equation(run)) is not None]
    return next((value for value in values if _OPERATOR.search(value)), values[0] if values else None)


def _equation(run: str) -> str | None:
    """Return the expression in a run of numbers and signs; the parentheses around it may be the sentence's."""
    run = run.strip(" \t+*/").rstrip("-. \t")
    return next((text for text in (run, run.lstrip("( "), run.rstrip(") ")) if evaluate(text) is not None), None)


def _last_named(text: str, choices: Sequence[str]) -> str | None:
    """Return the longest of the choices that end last in the text: "music store" before "store"."""
    words = _stems(text)
    by_length = sorted(((stems, choice) for choice in choices if (stems := _stems(choice))), key=lambda c: -len(c[0]))
    for end in range(len(words), 0, -1):
        for stems, choice in by_length:
            if words[max(0, end - len(stems)) : end] == stems:
                return choice
    return None


def _stems(text: str) -> list[str]:
    return [_ENDING.sub("", word) for word in _WORD.findall(text.casefold())]
