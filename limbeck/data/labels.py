"""Labels of a row as texts: its answer, what else is accepted, and solutions that end with their answer."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.data.cells import cell_text, is_missing
from limbeck.data.choices import parse_cell
from limbeck.errors import LimbeckError
from limbeck.tasks import Task, normalise
from limbeck.tasks.task import text, without_calculations

log = logging.getLogger(__name__)

_MARK = "####"  # GSM8K's solutions end with it and the answer
_NO_LABEL = {"-1", "-"}  # of data for natural language inference whose annotators did not agree


class Notes:
    """Counts of what was read as something else than it looks like, each with its first example."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, note: str, example: str) -> None:
        """Count one more."""
        self._counts[note] += 1
        self._examples.setdefault(note, example)

    def log(self, where: str) -> None:
        """Log a line for each kind."""
        for note, count in self._counts.items():
            log.info("%s: %d %s, like %.80r", where, count, note, self._examples[note])


def read_labels(
    label: Any, answers: Any, choices: Sequence[str], task: Task, notes: Notes
) -> tuple[tuple[str, ...], str | None]:
    """Return the label with what else is accepted, none where there is no label; and the reasoning beside it.

    `label` and `answers` are the row's cells, `choices` its own. Where there are no choices, labels are spelled as the
    task has them, and what it cannot read counts as missing.

    Raises:
        LimbeckError: a label is no text, or has nothing after its mark.
    """
    known, solution = tuple(choices) or task.choices, None
    answers = parse_cell(answers) if isinstance(answers, str) else answers
    labels: dict[str, None] = {}
    for value in (*_several(label), *_several(answers)):
        words = cell_text(value)
        choice = isinstance(words, str) and any(normalise(choice) == normalise(words) for choice in known)
        undecided = bool(task.choices) and task.name != "custom" and isinstance(words, str) and words in _NO_LABEL
        if choice or not (undecided or is_missing(words)):
            labels[text(words, "label")] = None
        elif isinstance(words, str) and words:
            notes.add("labels count as missing (as one of the `choices` it would be an answer)", words)
    texts = tuple(labels)
    if texts and _MARK in texts[0]:
        solution, answer = _solution(texts[0], notes)
        texts = (answer, *texts[1:])
    if texts and not known:
        texts = _spelled(texts, task, notes)
    if len(texts) > 1:
        notes.add("rows have several accepted answers", ", ".join(texts))
    return texts, solution


def _several(value: Any) -> Sequence[Any]:
    """Return the answers in a cell: a list of them, or SQuAD's and TriviaQA's objects."""
    if isinstance(value, Mapping) and "text" in value:
        value = value["text"]
    elif isinstance(value, Mapping) and "value" in value:
        value = [value["value"], *(value.get("aliases") or ())]
    return value if isinstance(value, list | tuple) else [value]


def _solution(words: str, notes: Notes) -> tuple[str | None, str]:
    """Return the reasoning and the answer of GSM8K's form, `text #### 42`.

    Raises:
        LimbeckError: nothing stands after the mark.
    """
    reasoning, _, answer = words.rpartition(_MARK)
    if not answer.strip():
        raise LimbeckError(f"field 'label': an answer was expected after {_MARK}, not {words[-40:]!r}")
    notes.add(f"labels end with their answer after {_MARK}; what stands before is the rationale", words[-40:])
    return reasoning.strip() or None, without_calculations(answer).strip()


def _spelled(labels: tuple[str, ...], task: Task, notes: Notes) -> tuple[str, ...]:
    """Return the labels as the task spells them; none where it cannot read the first."""
    spelled = [task.read_label(label) for label in labels]
    if spelled[0] is None:
        notes.add("labels count as missing, for the task cannot read them", labels[0])
        return ()
    return tuple(dict.fromkeys(label for label in spelled if label is not None))
