"""Word problems from a seed, the rows of the task `arithmetic`, with the rationales of a teacher that errs."""

import hashlib
import operator
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field

from limbeck.schema import Example
from limbeck.settings import Settings, read_mapping
from limbeck.tasks import Split, Task

_WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
_MISTAKES = {"+": "-*", "-": "+", "*": "+", "/": "*-"}  # operations that the teacher takes for another
_INVERSES = {"+": "-", "-": "+", "*": "/", "/": "*"}
_APPLY = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
# A T5 of width 128, 2 layers a side, 900 steps of 32 rows, never learns to copy numbers up to 99 (3 % right); up to 20
# it does, and has to learn which number is asked for (40 to 50 % right).
_NUMBERS = range(2, 21)


class GeneratedSource(Settings):
    """Rows of the task `arithmetic`; the first rows of a split are the same whatever its size.

    Pattern p and topic t of `wordproblems.yaml` (indices) are held out where (p + t) % 5 == 0: no row of train or valid
    combines them, and half of the test rows do. No question is in two splits.
    """

    kind: Literal["generated"] = "generated"
    train_rows: int = Field(4000, ge=1, le=100_000)
    valid_rows: int = Field(200, ge=1, le=100_000)
    test_rows: int = Field(500, ge=1, le=100_000)
    error_rate: float = Field(0.2, ge=0, le=1)  # of the teacher, in every split
    seed: int = 0
    reverse: bool = False  # rows have a reverse question, too

    def read(self, task: Task) -> dict[str, list[Example]]:
        assert task.name == "arithmetic"
        return {split: self._generate(split, getattr(self, f"{split}_rows")) for split in get_args(Split)}

    def _generate(self, split: Split, count: int) -> list[Example]:
        # two streams: the questions are the same at every error rate
        questions = random.Random(f"{self.seed} {split} questions")
        errors = random.Random(f"{self.seed} {split} errors")
        examples: dict[str, Example] = {}
        while len(examples) < count:
            problem = _draw_problem(questions, split)
            question = problem.question
            # its hash decides the split, so no two share a question, whatever their sizes
            tenth = hashlib.sha256(question.encode()).digest()[0] % 10
            if question in examples or split != ("train" if tenth < 6 else "valid" if tenth < 8 else "test"):
                continue
            answer = problem.with_mistake(errors) if errors.random() < self.error_rate else problem
            id = f"{split}-{len(examples)}"
            reverse = problem.reverse if self.reverse else None
            texts = (problem.equation, answer.rationale, answer.equation)
            examples[question] = Example(id, (question,), *texts, reverse=reverse)
        return list(examples.values())


@cache
def word_problems() -> dict[str, Any]:
    """Return the names, topics and patterns."""
    return read_mapping(Path(__file__).with_name("wordproblems.yaml"))


@dataclass(frozen=True)
class _WordProblem:
    wording: dict[str, str]  # of question and facts, with places for words and numbers
    words: dict[str, str]
    operations: str
    numbers: dict[str, int]  # a, b, c, and d, which is not needed

    @property
    def question(self) -> str:
        return self.wording["question"].format(**self.words, **self.numbers)

    @property
    def equation(self) -> str:
        """The equation as SVAMP writes it, from left to right: `( ( 3.0 + 4.0 ) * 2.0 )`."""
        text = f"{self.numbers['a']}.0"
        for operation, letter in zip(self.operations, "bc", strict=False):
            text = f"( {text} {operation} {self.numbers[letter]}.0 )"
        return text

    @property
    def rationale(self) -> str:
        steps = self._steps(zip(self.operations, "bc", strict=False))
        return f"{self.wording['facts']} So we need {{a}} {steps}.".format(**self.words, **self.numbers)

    @property
    def reverse(self) -> tuple[str, str]:
        """A question for the first number, X, that states the result, and the rationale, which undoes the steps."""
        result = f"{_values(self.operations, list(self.numbers.values()))[-1]:.0f}"
        steps = [(_INVERSES[operation], letter) for operation, letter in zip(self.operations, "bc", strict=False)]
        question = f"{self.wording['question']} The answer is {result}. What is X?"
        rationale = f"{self.wording['facts']} So X is {result} {self._steps(reversed(steps))}."
        numbers = {**self.numbers, "a": "X"}
        return question.format(**self.words, **numbers), rationale.format(**self.words, **numbers)

    def _steps(self, steps: Iterable[tuple[str, str]]) -> str:
        return ", then ".join(f"{_WORDS[operation]} {self.numbers[letter]}" for operation, letter in steps)

    def with_mistake(self, rng: random.Random) -> "_WordProblem":
        """Return the problem with a wrong operation or the number that is not needed."""
        operations, numbers = self.operations, list(self.numbers.values())
        if "d" in self.numbers and rng.random() < 0.5:
            numbers[rng.randrange(len(operations) + 1)] = self.numbers["d"]
        else:
            step = rng.randrange(len(operations))
            operations = operations[:step] + rng.choice(_MISTAKES[operations[step]]) + operations[step + 1 :]
        if _values(operations, numbers)[-1] == _values(self.operations, list(self.numbers.values()))[-1]:
            return self.with_mistake(rng)
        return replace(self, operations=operations, numbers=dict(zip(self.numbers, numbers, strict=True)))


def _draw_problem(rng: random.Random, split: Split) -> _WordProblem:
    names, topics, patterns = word_problems().values()
    index = rng.randrange(len(patterns))
    held_out = split == "test" and rng.random() < 0.5
    topic = rng.choice([topic for i, topic in enumerate(topics) if ((index + i) % 5 == 0) == held_out])
    operations = patterns[index]["operations"]
    wording = rng.choice(patterns[index]["wordings"])
    letters = "abc"[: len(operations) + 1] + ("d" if "{d}" in wording["question"] else "")
    while True:  # until steps give whole numbers above 0, and divisions above 1
        numbers = rng.sample(_NUMBERS, len(letters))
        steps = zip(operations, _values(operations, numbers), strict=True)
        if all(value % 1 == 0 and value >= (2 if operation == "/" else 1) for operation, value in steps):
            break
    n, m = rng.sample(names, 2)
    x, y = rng.sample(topic["things"], 2)
    words = {"n": n, "m": m, "x": x, "y": y, "box": topic["box"], "boxes": topic["boxes"]}
    return _WordProblem(wording, words, operations, dict(zip(letters, numbers, strict=True)))


def _values(operations: str, numbers: Sequence[int]) -> list[float]:
    """Return the value after each step, from left to right."""
    values = [float(numbers[0])]
    for operation, number in zip(operations, numbers[1:], strict=False):
        values.append(_APPLY[operation](values[-1], number))
    return values[1:]
