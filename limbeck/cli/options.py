"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def option(text: str, *names: str, **settings: Any) -> Any:
    """Return an option with a help text; without names it is named after its parameter."""
    return typer.Option(*names, help=text, **settings)


def argument(text: str, **settings: Any) -> Any:
    """Return an argument with a help text."""
    return typer.Argument(help=text, **settings)


_STUDENT = "How the student answers"

Split = Annotated[Literal["train", "valid", "test"], option("Split of the runs' data.")]
Runs = Annotated[list[Path], argument("Folders of finished runs.")]
Root = Annotated[Path | None, option("Folder of the released archive, with svamp/ and so on in it.")]
Json = Annotated[bool, option("Print JSON, for machines.", "--json")]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="KEY=VALUE", help="Change a value, like -s seed=1 or -s teacher.name=MODEL; repeatable."
    ),
]
Public = Annotated[bool, option("Make it public on the Hub.", "--public")]
Yes = Annotated[bool, option("Upload without asking.", "--yes")]

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
