"""300 replies of today's models with the label to be read, and 3,000 made of them by what leaves it unchanged."""

import json
import random
from collections.abc import Callable
from functools import cache
from typing import Any

from limbeck.llm.replies import parse
from limbeck.schema import Example
from limbeck.tasks import Task, get
from tests.cases import CASES, needs_cases

pytestmark = needs_cases

MUTANTS = 3_000


@cache
def cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / "replies.jsonl").read_text("utf-8").splitlines()]


def task_and_example(case: dict[str, Any]) -> tuple[Task, Example]:
    settings = (case.get("choices") or (), case.get("answer") or "text") if case["task"] == "custom" else ()
    task = get(case["task"], *settings)
    return task, Example("q", (case["input"],), "", choices=tuple(case.get("choices") or task.choices))


def as_expected(task: Task, label: str | None, expected: str | None) -> bool:
    return label is expected if label is None or expected is None else task.equal(label, expected)


def test_replies_are_read_and_never_guessed() -> None:
    unread = 0
    for case in cases():
        task, example = task_and_example(case)
        label = parse(case["reply"], task, example).label
        unread += label is None and case["label"] is not None
        assert label is None or as_expected(task, label, case["label"]), case["reply"]
    assert unread <= 0.05 * len(cases())


MUTATIONS: dict[str, Callable[[str], str]] = {
    "blanks": lambda reply: f" \n\t {reply.replace(' ', '  ')}  \n\n",
    "Windows lines": lambda reply: reply.replace("\n", "\r\n"),
    "no-break blanks": lambda reply: reply.replace(" ", "\u00a0"),
    "lower case": str.lower,
    "bold": lambda reply: reply if "*" in reply or "\n" in reply else f"**{reply}**",
    "heading": lambda reply: f"## Response\n\n{reply}",
    "quote": lambda reply: "\n".join(f"> {line}" for line in reply.split("\n")),
    "rule": lambda reply: f"---\n\n{reply}\n\n---",
    "fence": lambda reply: reply if "`" in reply else f"```\n{reply}\n```",
    "smart quotes": lambda reply: f"\u201c{reply}\u201d",
    "thoughts": lambda reply: f"<think>\nIs it that? The answer is 7, or (e).\n</think>\n\n{reply}",
    "turn": lambda reply: f"<|im_start|>assistant\n{reply}<|im_end|>",
    "response tag": lambda reply: f"<response>\n{reply}\n</response>",
    "courtesy": lambda reply: f"Certainly! Here is the solution.\n\n{reply}\n\nLet me know if you have any questions.",
    "farewell": lambda reply: f"{reply} Feel free to ask if anything is unclear!",
}


def test_what_says_nothing_changes_no_label() -> None:
    rng = random.Random(13)
    changed = []
    for _ in range(MUTANTS):
        case = rng.choice(cases())
        task, example = task_and_example(case)
        names = rng.sample(sorted(MUTATIONS), rng.randint(1, 2))
        mutant = case["reply"]
        for name in names:
            mutant = MUTATIONS[name](mutant)
        if not as_expected(task, parse(mutant, task, example).label, parse(case["reply"], task, example).label):
            changed.append((names, mutant))
    assert len(changed) <= 0.01 * MUTANTS, changed
