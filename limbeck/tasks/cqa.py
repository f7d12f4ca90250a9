"""CommonsenseQA (Talmor et al. 2019) in CoS-E's version 1.11: a question and five choices."""

from limbeck.tasks.answers import read_choice, same_text
from limbeck.tasks.task import HubInputs, Task

CQA = Task(
    name="cqa",
    title="CommonsenseQA, five choices",
    marker="So the answer is",
    read_answer=lambda answer, example: read_choice(answer, example.choices),
    equal=same_text,
    form="one of the choices",
    nouns=("choice", "option"),
    hub=HubInputs("Salesforce/cos_e", "v1.11", {"train": "train", "test": "validation"}),
)
