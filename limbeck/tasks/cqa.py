"""CommonsenseQA (Talmor et al. 2019) in CoS-E's version 1.11: a question and five choices."""

import string

from limbeck.errors import DataError
from limbeck.schema import Example
from limbeck.tasks.answers import read_choice, same_text
from limbeck.tasks.task import HubInputs, Row, Task, label_text, row_id, text, text_field


def read(row: Row, id: str) -> Example:
    """Return the example of a row with `question`, `choices` (a list) and `answer`."""
    choices = row.get("choices")
    if not isinstance(choices, list | tuple) or not 2 <= len(choices) <= len(string.ascii_lowercase):
        raise DataError(f"field 'choices': a list of 2 to 26 texts was expected, not {choices!r:.60}")
    choices = tuple(text(choice, "choices") for choice in choices)
    question = text_field(row, "question")
    return Example(row_id(row, id), (question,), label_text(row, "answer"), choices=choices, own_choices=True)


CQA = Task(
    name="cqa",
    title="CommonsenseQA, five choices",
    read=read,
    marker="So the answer is",
    read_answer=lambda answer, example: read_choice(answer, example.choices),
    equal=same_text,
    label_field="answer",
    nouns=("choice", "option"),
    hub=HubInputs("Salesforce/cos_e", "v1.11", {"train": "train", "test": "validation"}),
)
