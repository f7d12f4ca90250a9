"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

_STUDENT = "How the student answers"

Split = Annotated[Literal["train", "valid", "test"], typer.Option(help="Split of the runs' data.")]
Runs = Annotated[list[Path], typer.Argument(help="Folders of finished runs.")]
Root = Annotated[Path | None, typer.Option(help="Folder of the released archive, with svamp/ and so on in it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="KEY=VALUE", help="Change a value, like -s seed=1 or -s teacher.name=MODEL; repeatable."
    ),
]
Public = Annotated[bool, typer.Option("--public", help="Make it public on the Hub.")]
Yes = Annotated[bool, typer.Option("--yes", help="Upload without asking.")]

Engine = Annotated[
    Literal["transformers", "ctranslate2", "ctranslate2-int8"] | None,
    typer.Option(
        help="What generates; the ctranslate2 engines run T5 and mT5 on the processor and need limbeck\\[fast]. "
        "By default the recipe's.",
        rich_help_panel=_STUDENT,
    ),
]
Answers = Annotated[
    Literal["generate", "choices"] | None,
    typer.Option(
        help="Generate answers, or pick the likeliest of the choices that the task or the row has. "
        "By default the recipe's.",
        rich_help_panel=_STUDENT,
    ),
]
