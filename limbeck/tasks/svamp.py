"""SVAMP (Patel et al. 2021): word problems answered by an equation."""

import re
from dataclasses import replace

from limbeck.schema import Example
from limbeck.tasks.answers import same_value
from limbeck.tasks.numbers import equation, read_equation
from limbeck.tasks.task import HubInputs, Task, first_sentence

_UNKNOWN = re.compile(r"\((?![a-zA-Z]\))[^%]*")


def read_answer(text: str, _example: Example) -> str | None:
    """Return the answer's equation: anything with a value, or in balanced parentheses.

    So `(2 * x)`, with an unknown, is a wrong answer, and an equation cut off is none.
    """
    answer = first_sentence(text)
    unknown = answer.count("(") == answer.count(")") and _UNKNOWN.fullmatch(answer)
    return equation(answer) or (answer if unknown else None)


SVAMP = Task(
    name="svamp",
    title="SVAMP, arithmetic word problems",
    fields=(("Body", "Question"),),
    label_field="Equation",
    marker="The answer is",
    read_answer=read_answer,
    equal=same_value,
    form="an equation such as ( 8.0 - 3.0 )",
    read_label=read_equation,
    hub=HubInputs("ChilleD/SVAMP", None, {"train": "train", "test": "test"}),
)
# Word problems like SVAMP's, which `limbeck.data` makes from a seed.
ARITHMETIC = replace(SVAMP, name="arithmetic", title="arithmetic word problems made from a seed", hub=None)
