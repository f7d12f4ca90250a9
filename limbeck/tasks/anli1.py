"""ANLI, round 1 (Nie et al. 2020): natural language inference written against a model."""

from limbeck.tasks import nli
from limbeck.tasks.answers import same_text
from limbeck.tasks.task import HubInputs, Task

TASK = Task(
    name="anli1",
    title="ANLI round 1, adversarial natural language inference",
    read=nli.read,
    marker="So the answer is",
    stop="Premise:",
    read_answer=nli.read_answer,
    equal=same_text,
    choices=nli.LABELS,
    nouns=nli.NOUNS,
    hub=HubInputs("facebook/anli", None, {"train": "train_r1", "valid": "dev_r1", "test": "test_r1"}),
)
