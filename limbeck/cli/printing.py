"""Options that several verbs share, and printing."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from limbeck.files import is_stdout, json_text

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="KEY=VALUE", help="Change a value, like -s seed=1 or -s teacher.name=MODEL; repeatable."
    ),
]


class SplitName(StrEnum):
    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


class Engine(StrEnum):
    TRANSFORMERS = "transformers"
    CTRANSLATE2 = "ctranslate2"
    INT8 = "ctranslate2-int8"


class Answers(StrEnum):
    GENERATE = "generate"
    CHOICES = "choices"


STUDENT = "How the student answers"
EngineOption = Annotated[
    Engine | None,
    typer.Option(
        help="What generates; the ctranslate2 engines run T5 and mT5 on the processor and need limbeck\\[fast]. "
        "By default the recipe's.",
        rich_help_panel=STUDENT,
    ),
]
AnswersOption = Annotated[
    Answers | None,
    typer.Option(
        help="Generate answers, or pick the likeliest of the choices that the task or the row has. "
        "By default the recipe's.",
        rich_help_panel=STUDENT,
    ),
]


def print_json(value: Any) -> None:
    """Print `value` as indented JSON."""
    print(json_text(value), end="")


def print_about(output: Path, text: str) -> None:
    """Print a line about `output`: to standard error where the output itself goes to standard output."""
    print(text, file=sys.stderr if is_stdout(output) else sys.stdout)


class ProgressBar:
    """A bar on standard error, where that is a terminal, while a large model is asked."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("asking"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("", total=None, status="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, tally: Any, cost: float | None) -> None:
        """Show a `Tally` and the cost so far."""
        status = f"{tally.sent / max(tally.seconds, 1e-3):.1f}/s"
        status += "" if cost is None else f", cost {money(cost)}"
        status += f", {tally.failures.total()} failed" if tally.failures else ""
        self._bar.update(self._task, total=tally.total, completed=tally.stored + tally.given_up, status=status)


def money(cost: float | None) -> str:
    """Return a cost as text; None: no price is known."""
    return "no price known" if cost is None else f"{cost:.4f}" if cost < 1 else f"{cost:.2f}"
