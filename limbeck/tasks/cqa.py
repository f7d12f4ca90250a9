"""CommonsenseQA (Talmor et al. 2019) in CoS-E's version 1.11: a question and five choices."""

import re
import string
from difflib import SequenceMatcher

from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.tasks.answers import choice_of, leading_choice, normalise, same_text
from limbeck.tasks.task import HubInputs, Row, Task, first_line, label_text, row_id, text, text_field

# "(b) dam", "B. dam", "b: dam", "b": a letter alone, or with a sign after it
_LETTERED = re.compile(
    r"(?:(?:the )?(?:option|choice|letter|answer) )?"
    r"\(?(?P<letter>[a-zA-Z])(?P<sign>\)[.:]?|[.:](?=\s|$)| [-\u2013\u2014](?=\s)|$)\s*(?P<text>.*)",
    re.IGNORECASE,
)
_ALIKE = 0.8  # of 1; "knowledge" and a choice spelled "knowlege" are
_SENTENCE = 4  # words: "B. Beavers build them."


def read(row: Row, id: str) -> Example:
    """A row with `question`, `choices` (a list) and `answer`."""
    choices = row.get("choices")
    if not isinstance(choices, list | tuple) or not 2 <= len(choices) <= len(string.ascii_lowercase):
        raise LimbeckError(f"field 'choices': a list of 2 to 26 texts was expected, not {choices!r:.60}")
    choices = tuple(text(choice, "choices") for choice in choices)
    question = text_field(row, "question")
    return Example(row_id(row, id), (question,), label_text(row, "answer"), choices=choices, own_choices=True)


def read_answer(words: str, example: Example) -> str | None:
    """The choice that the answer is, in the choice's own spelling.

    The letter, the text, or both may stand there. None where they contradict each other, or name no choice or several:
    nothing says which of the two the teacher meant. With the right letter before it the text may be misspelled.
    """
    answer = first_line(words)
    lettered = _LETTERED.fullmatch(answer)
    if lettered is None:
        return leading_choice(answer, example.choices)
    choice = _choice(lettered["letter"].lower(), example)
    said = lettered["text"]
    if choice is None or not normalise(said) or _says(said, choice, example, lettered["sign"]):
        return choice
    return None


def _says(said: str, choice: str, example: Example, sign: str) -> bool:
    """Whether the text after a letter is its choice, if in another spelling, or says why, or is a new sentence."""
    if same_text(said, choice) or said.casefold().startswith(("because ", "since ")):
        return True
    named = leading_choice(said, example.choices)
    if named is not None or choice_of(said, example.choices) is not None:
        return named is not None and same_text(named, choice)
    if "." in sign and len(said.split()) >= _SENTENCE:
        return True
    return SequenceMatcher(None, _bare(said), _bare(choice)).ratio() >= _ALIKE


def _bare(text: str) -> str:
    """Without articles, apostrophes and blanks."""
    return "".join(word for word in re.findall(r"\w+", text.casefold()) if word not in ("a", "an", "the"))


def _choice(letter: str, example: Example) -> str | None:
    index = string.ascii_lowercase.find(letter)
    return example.choices[index] if 0 <= index < len(example.choices) else None


TASK = Task(
    name="cqa",
    title="CommonsenseQA, five choices",
    read=read,
    marker="So the answer is",
    stop="Q:",
    read_answer=read_answer,
    equal=same_text,
    label_field="answer",
    nouns=("choice", "option"),
    hub=HubInputs("Salesforce/cos_e", "v1.11", {"train": "train", "test": "validation"}),
)
