"""A user's own task: free text in, free text out, unless the data's settings say more."""

import re
from collections.abc import Callable

from limbeck.schema import Example
from limbeck.tasks.answers import choice_of, options_in, read_choice, same_text
from limbeck.tasks.task import Row, Task, first_line, first_sentence, label_text, row_id, text_field

# "Paris, the capital of France" answers "Paris"; "yes, Sir" is all of it.
_APPOSITION = re.compile(
    r",\s+(?:the|an?|which|who|where|because|since|as|so)\s.*|\s(?:because|since)\s.*", re.IGNORECASE
)

_DENIED = re.compile(r"not\b", re.IGNORECASE)


def read(row: Row, id: str) -> Example:
    """Return the example of a row with `input` and `label`."""
    return Example(row_id(row, id), (text_field(row, "input"),), label_text(row, "label"))


def read_answer(text: str, example: Example) -> str | None:
    """Return the answer's sentence; where the example has choices, the choice that it is.

    A question that lists lettered options, a line each, has their letters as its choices, unless its label is none.
    """
    choices = example.choices or _letters(example)
    if choices:
        return read_choice(first_line(text), choices, example.input)
    answer = first_sentence(text)
    if _DENIED.match(answer):
        return None
    return _APPOSITION.sub("", answer, count=1).strip() or answer or None


def _letters(example: Example) -> tuple[str, ...]:
    letters = tuple(letter.upper() for letter in options_in(example.input))
    unlike = bool(example.label) and choice_of(example.label, letters) is None
    return () if len(letters) < 2 or unlike else letters


def numeric_reader(read_number: Callable[[str], str | None]) -> Callable[[str, Example], str | None]:
    """Return the `read_answer` of a task whose answers are numbers or equations, which `read_number` reads.

    An example with choices has one of them as its answer.
    """

    def read_numeric_answer(text: str, example: Example) -> str | None:
        return read_answer(text, example) if example.choices else read_number(first_sentence(text))

    return read_numeric_answer


CUSTOM = Task(
    name="custom",
    title="your own data",
    read=read,
    marker="The answer is",
    stop="Q:",
    read_answer=read_answer,
    equal=same_text,
)
