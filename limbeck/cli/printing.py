"""Options that several verbs share, and printing."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

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
