"""Rationales to be judged, and a judge that is started in a process of its own.

`python -m tests.metrics.judging URL STORE EXAMPLES` judges the items of `items(EXAMPLES)`.
"""

import sys
from pathlib import Path

from limbeck.metrics.judge import Item, JudgeSettings, judge
from limbeck.schema import Example
from tests.helpers.servers import Asked

RUNS = ("Gold", "DSS", "Ours")


def items(count: int, runs: tuple[str, ...] = RUNS, task: str = "svamp") -> list[Item]:
    return [
        Item(run, task, Example(f"e{i}", (f"What is {i} + 1?",), f"({i} + 1)"), f"({i} + 1)", f"{run} adds 1 to {i}.")
        for run in runs
        for i in range(count)
    ]


def settings(url: str, store: Path, **more) -> JudgeSettings:
    limits = {"concurrency": 16, "request_seconds": 5, "attempts": 30} | more.pop("limits", {})
    return JudgeSettings.model_validate(
        {"teacher": {"name": "m", "base_url": url}, "limits": limits, "store": store, "n": 1000} | more
    )


def asked_for(asked: Asked) -> str:
    """Return the rationale that a request is about."""
    return asked.question.partition("<chain-of-thought>\n")[2].partition("\n</chain-of-thought>")[0]


if __name__ == "__main__":
    url, store, count = sys.argv[1:]
    judge(items(int(count)), settings(url, Path(store)))
