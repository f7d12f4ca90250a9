"""The embedded task's source: word problems made from a seed, with the rationales of a scripted teacher that errs."""

import hashlib
import operator
import random
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from limbeck.data.wordproblems import NAMES, PATTERNS, TOPICS, Topic
from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.settings import Settings
from limbeck.tasks import Split, Task, evaluate

Numbers = dict[str, int]  # the values of a, b, c and d in a question

_WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
_MISTAKES = {"+": "-*", "-": "+", "*": "+", "/": "*-"}  # the operation that the teacher takes for another
_APPLY = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.floordiv}
# Measured on a T5 of width 128, 2 layers a side, 900 steps of 32 rows: with numbers up to 99 it never learns to copy
# them (3 % right); up to 20 it copies soon, and what is left to learn is which number is asked for (40 to 50 % right).
LARGEST = 20
_LIMIT = 100_000


class GeneratedSource(Settings):
    """Rows of the task `arithmetic`; the first rows of a split do not depend on how many are asked for.

    A pattern and a topic (`limbeck.data.wordproblems`, by their indices p and t) are held out where (p + t) % 5 == 0:
    no row of train or valid combines them, and half of the test rows do. No question stands in two splits.
    """

    kind: Literal["generated"] = "generated"
    train_rows: int = Field(default=4000, ge=1, le=_LIMIT)
    valid_rows: int = Field(default=200, ge=1, le=_LIMIT)
    test_rows: int = Field(default=500, ge=1, le=_LIMIT)
    error_rate: float = Field(default=0.2, ge=0, le=1)  # of the teacher, in every split
    seed: int = 0

    def read(self, task: Task) -> dict[str, list[Example]]:
        """The three splits.

        Raises:
            LimbeckError: the task is not `arithmetic`.
        """
        if task.name != "arithmetic":
            raise LimbeckError(f"source kind 'generated' makes rows of task 'arithmetic', not {task.name!r}")
        return {
            "train": self._split("train", self.train_rows),
            "valid": self._split("valid", self.valid_rows),
            "test": self._split("test", self.test_rows),
        }

    def _split(self, split: Split, count: int) -> list[Example]:
        # Two streams, so that the questions are the same at every error rate.
        questions = random.Random(f"{self.seed} {split} questions")
        errors = random.Random(f"{self.seed} {split} errors")
        examples: list[Example] = []
        seen: set[str] = set()
        while len(examples) < count:
            problem = _problem(questions, split)
            if problem.question in seen or _split_of(problem.question) != split:
                continue
            seen.add(problem.question)
            answer = problem.answer()
            said = problem.mistaken(errors) if errors.random() < self.error_rate else problem
            examples.append(
                Example(f"{split}-{len(examples)}", (problem.question,), answer, said.rationale(), said.answer())
            )
        return examples


def _split_of(question: str) -> Split:
    """The one split that a question may stand in, by its hash: so no two splits share one, whatever their sizes."""
    tenth = hashlib.sha256(question.encode()).digest()[0] % 10
    return "train" if tenth < 6 else "valid" if tenth < 8 else "test"


@dataclass(frozen=True)
class _Problem:
    question: str
    facts: str  # with the places of the numbers left open
    operations: str
    numbers: Numbers

    def answer(self) -> str:
        return _equation(self.operations, self.numbers)

    def rationale(self) -> str:
        first, rest = self.operations[0], self.operations[1:]
        said = f"{{a}} {_WORDS[first]} {{b}}" + "".join(f", then {_WORDS[operation]} {{c}}" for operation in rest)
        return f"{self.facts} So we need {said}.".format(**self.numbers)

    def mistaken(self, rng: random.Random) -> "_Problem":
        """The problem as a teacher sees it who takes a wrong operation, or the number that is not needed."""
        operands = "abc"[: len(self.operations) + 1]
        while True:
            operations, numbers = self.operations, self.numbers
            if "d" in numbers and rng.random() < 0.5:
                numbers = numbers | {rng.choice(operands): numbers["d"]}
            else:
                place = rng.randrange(len(operations))
                wrong = rng.choice(_MISTAKES[operations[place]])
                operations = operations[:place] + wrong + operations[place + 1 :]
            if evaluate(_equation(operations, numbers)) != evaluate(self.answer()):
                return _Problem(self.question, self.facts, operations, numbers)


def _problem(rng: random.Random, split: Split) -> _Problem:
    pattern_index = rng.randrange(len(PATTERNS))
    held_out = split == "test" and rng.random() < 0.5
    topics = [topic for index, topic in enumerate(TOPICS) if ((pattern_index + index) % 5 == 0) == held_out]
    pattern, topic = PATTERNS[pattern_index], rng.choice(topics)
    question, facts = rng.choice(pattern.wordings)
    numbers = _numbers(rng, pattern.operations, "{d}" in question)
    names = _names(rng, topic)
    return _Problem(question.format(**names, **numbers), facts.format(**names, **_OPEN), pattern.operations, numbers)


_OPEN = {letter: f"{{{letter}}}" for letter in "abcd"}


def _names(rng: random.Random, topic: Topic) -> dict[str, str]:
    n, m = rng.sample(NAMES, 2)
    x, y = rng.sample(topic.things, 2)
    return {"n": n, "m": m, "x": x, "y": y, "box": topic.box, "boxes": topic.boxes}


def _numbers(rng: random.Random, operations: str, distracting: bool) -> Numbers:
    """Different numbers from 2 to `LARGEST`; every step gives a whole number above 0, and no division gives 1."""
    letters = "abc"[: len(operations) + 1] + ("d" if distracting else "")
    while True:
        numbers = dict(zip(letters, rng.sample(range(2, LARGEST + 1), len(letters)), strict=True))
        if _comes_out_whole(operations, numbers):
            return numbers


def _comes_out_whole(operations: str, numbers: Numbers) -> bool:
    value = numbers["a"]
    for operation, letter in zip(operations, "bc", strict=False):
        number = numbers[letter]
        if operation == "/" and (value % number or value == number):
            return False
        value = _APPLY[operation](value, number)
        if value < 1:
            return False
    return True


def _equation(operations: str, numbers: Numbers) -> str:
    """The equation as SVAMP writes it, from left to right: `( ( 3.0 + 4.0 ) * 2.0 )`."""
    text = f"{numbers['a']}.0"
    for operation, letter in zip(operations, "bc", strict=False):
        text = f"( {text} {operation} {numbers[letter]}.0 )"
    return text
