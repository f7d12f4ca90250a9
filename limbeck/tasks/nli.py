"""Natural language inference: e-SNLI and ANLI."""

import re
from dataclasses import replace

from limbeck.schema import Example
from limbeck.tasks.answers import normalise, read_choice, same_text
from limbeck.tasks.task import HubInputs, Task

LABELS = ("entailment", "neutral", "contradiction")

_NAMED = re.compile("|".join(LABELS), re.IGNORECASE)
_SYNONYMS = {
    synonym: label
    for label, synonyms in {
        "entailment": "0, yes, implikation, implication, implicación, 蕴含",
        "neutral": "1, maybe, unknown, undetermined, cannot be determined, it is not possible to tell, "
        "neutre, neutro, 中立",
        "contradiction": "2, no, widerspruch, contradicción, 矛盾",
    }.items()
    for synonym in synonyms.split(", ")
}
_SUBJECT = (
    r"\A(?:(?:it|this|that|the|an?|premise|hypothesis|is|strong|clear|direct|logical|definite|likely|probable)\s+)*"
)
_NEITHER = re.compile(
    rf"{_SUBJECT}neither\s(?:an?\s)?(?:entail|contradict)\w*,?\snor\s(?:an?\s)?(?:entail|contradict)", re.I
)
_VERB = re.compile(
    rf"{_SUBJECT}(?:(?P<entails>entail(?:s|ed)?)|contradict(?:s|ed|ory)?)\b(?:\s(?:by\s)?(?:the\s)?(?:premise|hypothesis|it)\b)?",
    re.IGNORECASE,
)


def read_label(label: str) -> str | None:
    """Return the label; None for `-` and -1, on which SNLI's annotators did not agree."""
    return None if label in ("-", "-1") else label


def read_answer(answer: str, _example: Example) -> str | None:
    """Return the label that the answer is or begins with; None for no label, or one denied.

    "Entails" and "contradicts" count after the subject at most, "yes", "no", "maybe" and numbers as the whole answer.
    """
    if _NEITHER.match(answer):
        return "neutral"
    answer = _VERB.sub(lambda verb: "entailment" if verb["entails"] else "contradiction", answer)
    if _NAMED.search(answer):
        return read_choice(re.sub(_SUBJECT, "", answer, flags=re.IGNORECASE), LABELS)
    return _SYNONYMS.get(normalise(answer))


# Camburu et al. 2018. The Hub's Parquet copy: the dataset is a loading script, which `datasets` no longer runs.
ESNLI = Task(
    name="esnli",
    title="e-SNLI, natural language inference",
    fields=(("premise",), ("hypothesis",)),
    marker="Answer:",
    read_answer=read_answer,
    equal=same_text,
    choices=LABELS,
    question="Does the premise entail the hypothesis, contradict it, or neither?",
    form="entailment, neutral or contradiction",
    segments=("Premise", "Hypothesis"),
    nouns=("label", "relationship", "relation", "verdict"),
    read_label=read_label,
    hub=HubInputs(
        "esnli/esnli", None, {"train": "train", "valid": "validation", "test": "test"}, "refs/convert/parquet"
    ),
)
# Nie et al. 2020: written against a model.
ANLI1 = replace(
    ESNLI,
    name="anli1",
    title="ANLI round 1, adversarial natural language inference",
    marker="So the answer is",
    hub=HubInputs("facebook/anli", None, {"train": "train_r1", "valid": "dev_r1", "test": "test_r1"}),
)
