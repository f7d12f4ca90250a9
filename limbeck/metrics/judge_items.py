"""What is put to a judge: rationales, a sample of them, and the question about each."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.schema import Example
from limbeck.settings import yaml_value

TASK_NAMES: Mapping[str, str] = {"svamp": "SVAMP", "cqa": "CQA", "esnli": "e-SNLI", "anli1": "ANLI"}  # as in the paper


@dataclass(frozen=True, slots=True)
class Item:
    """One rationale to be judged: whose it is, and the answer that is shown with it."""

    run: str  # "Gold" for the teacher's rationales, or a run's name
    task: str
    example: Example
    label: str
    rationale: str


def sample(items: Sequence[Item], n: int, seed: int) -> list[Item]:
    """The items of `n` examples a task, of all that each run of the task has: runs are compared on the same examples.

    The examples are those whose hash with the seed is lowest: 50 of them lie in 100, and a run that comes later finds
    most of its examples judged for the others.

    Raises:
        LimbeckError: an item stands there twice, or the runs of a task share no example.
    """
    ids: dict[str, dict[str, set[str]]] = {}
    for item in items:
        of_run = ids.setdefault(item.task, {}).setdefault(item.run, set())
        if item.example.id in of_run:
            raise LimbeckError(
                f"run {item.run!r}, task {item.task!r}: example {item.example.id!r:.60} stands there twice"
            )
        of_run.add(item.example.id)
    taken: dict[str, set[str]] = {}
    for task, runs in ids.items():
        shared = set.intersection(*runs.values())
        if not shared:
            raise LimbeckError(f"task {task!r}: the runs {', '.join(map(repr, runs))} share no example to be judged on")
        taken[task] = set(sorted(shared, key=lambda id: digest([seed, id]))[:n])
    return [item for item in items if item.example.id in taken[item.task]]


def question(item: Item) -> str:
    """What the judge is asked about an item."""
    return template().format(
        task=TASK_NAMES.get(item.task, item.task),
        input=item.example.input,
        label=item.label.strip() or "(none)",
        rationale=item.rationale.strip() or "(none)",
    )


@cache
def template() -> str:
    """The question with its placeholders, from `judge_prompt.yaml`."""
    text = (files("limbeck.metrics") / "judge_prompt.yaml").read_text(encoding="utf-8")
    return str(yaml_value(text, "judge_prompt.yaml")["question"])


def digest(value: Any) -> str:
    """A short hash of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
