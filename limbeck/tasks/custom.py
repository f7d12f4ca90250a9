"""A user's own task: free text in, free text out, unless the data's settings say more."""

from collections.abc import Callable

from limbeck.schema import Example
from limbeck.tasks.answers import leading_choice, same_text
from limbeck.tasks.task import Row, Task, first_line, first_sentence, label_text, row_id, text_field


def read(row: Row, id: str) -> Example:
    """A row with `input` and `label`."""
    return Example(row_id(row, id), (text_field(row, "input"),), label_text(row, "label"))


def read_answer(text: str, example: Example) -> str | None:
    """What stands on the rest of the line; where the example has choices, the choice that it is."""
    answer = first_line(text)
    if example.choices:
        return leading_choice(answer, example.choices)
    return answer.removesuffix(".").rstrip() or None


def numeric_reader(read_number: Callable[[str], str | None]) -> Callable[[str, Example], str | None]:
    """Return the `read_answer` of a task whose answers are numbers or equations, which `read_number` reads.

    An example with choices has one of them as its answer.
    """

    def read_numeric_answer(text: str, example: Example) -> str | None:
        return read_answer(text, example) if example.choices else read_number(first_sentence(text))

    return read_numeric_answer


TASK = Task(
    name="custom",
    title="your own data",
    read=read,
    marker="The answer is",
    stop="Q:",
    read_answer=read_answer,
    equal=same_text,
)
