"""What the verbs share: options, the splits' names, and JSON printed."""

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


ENGINE = "What generates; the ctranslate2 engines run T5 and mT5 on the processor and need limbeck\\[fast]."
ANSWERS = "Generate answers, or pick the likeliest of the choices that the task or the row gives."
RECIPES = "By default what the recipe says."


def print_json(value: Any) -> None:
    """`value` as indented JSON on standard output."""
    print(json_text(value), end="")


def print_about(output: Path, text: str) -> None:
    """Print a line about `output`; where that is standard output, which is the result's alone, to standard error."""
    print(text, file=sys.stderr if is_stdout(output) else sys.stdout)
