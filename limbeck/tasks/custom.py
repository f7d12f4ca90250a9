"""A user's own task: free text in, free text out, unless its settings say more."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from limbeck.schema import Example
from limbeck.tasks.answers import choice_of, options_in, read_choice, same_text, same_value
from limbeck.tasks.numbers import read_equation, read_number
from limbeck.tasks.task import Task, first_sentence

Answer = Literal["text", "number", "equation"]

# "Paris, the capital of France" answers "Paris"; "yes, Sir" is all of it.
_APPOSITION = re.compile(
    r",\s+(?:the|an?|which|who|where|because|since|as|so)\s.*|\s(?:because|since)\s.*", re.IGNORECASE
)


def read_answer(text: str, example: Example) -> str | None:
    """Return the answer's sentence or choice; a question's options are choices, unless its label is none."""
    letters = tuple(map(str.upper, options_in(example.input)))
    are_choices = len(letters) > 1 and (not example.label or choice_of(example.label, letters) is not None)
    if choices := example.choices or (letters if are_choices else ()):
        return read_choice(text, choices, example.input)
    answer = first_sentence(text)
    if re.match(r"not\b", answer, re.IGNORECASE):
        return None
    return _APPOSITION.sub("", answer, count=1).strip() or answer or None


CUSTOM = Task(name="custom", title="your own data", marker="The answer is", read_answer=read_answer, equal=same_text)


def own_task(choices: Sequence[str], answer: Answer) -> Task:
    """Return `custom` with these choices and answers; an example's own choices go first."""
    *rest, last = choices or ("",)
    form = f"{', '.join(rest)} or {last}" if rest else CUSTOM.form
    task = replace(CUSTOM, choices=tuple(choices), form=form)
    if answer == "text":
        return task
    read_label = read_number if answer == "number" else read_equation

    def read_numeric_answer(text: str, example: Example) -> str | None:
        return read_answer(text, example) if example.choices else read_label(first_sentence(text))

    return replace(task, equal=same_value, read_label=read_label, read_answer=read_numeric_answer)
