"""The vote of self-consistency (Wang et al. 2022, arXiv 2203.11171): the answer that most samples give."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from limbeck.tasks import Task, normalise, same_text, same_value
from limbeck.tasks.numbers import value


@dataclass(frozen=True, slots=True)
class Vote:
    """What a question's samples agree on. `agreement` is the share of it among the samples that gave an answer."""

    label: str
    agreement: float


def majority(labels: Sequence[str], task: Task) -> Vote | None:
    """The answer given most often, as it was first spelled; of equally many the first. None without any answer.

    Answers count together where each would be right if the other were the label, by the task's own rule; a rounded
    decimal counts apart from what it is the rounding of. The work is in proportion to the answers, however many differ.
    """
    if not labels:
        return None
    keys = [_key(label, task) for label in labels]
    winner, votes = max(Counter(keys).items(), key=lambda group: group[1])  # in the order they came; max: the first
    return Vote(labels[keys.index(winner)], votes / len(labels))


def agree(label: str, other: str, task: Task) -> bool:
    """Return whether each of the two answers is right by the other."""
    return task.equal(label, other) and task.equal(other, label)


def _key(label: str, task: Task) -> Hashable:
    return _KEYS[task.equal](label)


def _value_or_text(label: str) -> Hashable:
    exact = value(label)
    return normalise(label) if exact is None else exact


# For each way of comparing, what two answers share if each is right by the other.
_KEYS: dict[Callable[[str, str], bool], Callable[[str], Hashable]] = {
    same_text: normalise,
    same_value: _value_or_text,
}
