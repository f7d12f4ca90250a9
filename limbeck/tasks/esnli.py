"""e-SNLI (Camburu et al. 2018): does the premise entail the hypothesis, contradict it, or neither?"""

from limbeck.tasks import nli
from limbeck.tasks.answers import same_text
from limbeck.tasks.task import HubInputs, Task

TASK = Task(
    name="esnli",
    title="e-SNLI, natural language inference",
    read=nli.read,
    marker="Answer:",
    stop="Premise:",
    read_answer=nli.read_answer,
    equal=same_text,
    choices=nli.LABELS,
    nouns=nli.NOUNS,
    # The Hub's Parquet copy: the dataset itself is a loading script, which `datasets` no longer runs.
    hub=HubInputs(
        "esnli/esnli", None, {"train": "train", "valid": "validation", "test": "test"}, "refs/convert/parquet"
    ),
)
