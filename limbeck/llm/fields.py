"""A reply in JSON: which of its fields is the answer, and which the rationale."""

import re
from typing import Any

from limbeck.llm.words import json_object

_ANSWER_FIELDS = ("answer", "final answer", "correct answer", "label", "choice", "prediction", "predicted label")
_CLOSED_FIELDS = (
    *("result", "category", "class", "classification", "verdict", "relationship", "relation", "output", "decision"),
    *("option", "conclusion", "solution", "selected option"),
)
_INNER_FIELDS = ("value", "letter", "label", "text", "answer", "choice", "option")
_RATIONALE_FIELDS = (
    *("rationale", "reasoning", "explanation", "reason", "thoughts", "thought", "analysis", "steps", "justification"),
    *("solution", "chain of thought", "thinking"),
)
_RATIONALE_NAME = re.compile(r"\b(?:reasoning|rationale|explanation|justification|thoughts?|analysis|steps?)\b")


def answer_fields(text: str, nouns: tuple[str, ...], *, closed: bool) -> tuple[str, str] | None:
    """Return the answer and the rationale of the first JSON object in the text; None without a field for an answer.

    `nouns` are the task's own names of that field. Without one for the rationale it is the text before the object.
    """
    parts = json_object(text)
    if parts is None:
        return None
    fields = {re.sub(r"[_\s-]+", " ", name.casefold()).strip(): value for name, value in parts[0].items()}
    names = (*_ANSWER_FIELDS, *nouns, *(_CLOSED_FIELDS if closed else ("result", "category")))
    answer = next((item for name in names if name in fields and (item := _scalar(fields[name])) is not None), None)
    if answer is None:
        return None
    names = (*_RATIONALE_FIELDS, *(name for name in fields if _RATIONALE_NAME.search(name)))
    return answer, next((prose for name in names if (prose := _prose(fields.get(name))) is not None), parts[1])


def _scalar(value: Any) -> str | None:
    """Return a JSON value as text: of a list its one item, of an object its field for a value."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        fields = {name.casefold(): item for name, item in value.items()}
        value = next((fields[name] for name in _INNER_FIELDS if name in fields), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _prose(value: Any) -> str | None:
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return value if isinstance(value, str) else None
