"""Options, tables and progress bars that the verbs share."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from limbeck.files import is_stdout
from limbeck.formatting import interval, number, visible

if TYPE_CHECKING:
    from limbeck.llm.runner import Tally, Watch

INCOMPLETE = 1  # exit code if something is missing or failed
INTERRUPTED = 130  # as of a shell and of typer after Ctrl-C


def option(text: str, *names: str, **settings: Any) -> Any:
    """Return an option, by default named after its parameter."""
    return typer.Option(*names, help=text, **settings)


def argument(text: str, **settings: Any) -> Any:
    return typer.Argument(help=text, **settings)


_CHANGES = "Change a value, like -s seed=1 or -s teacher.name=MODEL; repeatable."
_ENGINE = "What generates; ctranslate2 runs on the CPU, with limbeck\\[fast]. By default the recipe's."
_ANSWERS = "Generate answers, or pick the likeliest choice. By default the recipe's."
_VOTES = "Samples whose majority is the answer, with --temperature; 0: a greedy answer. By default the recipe's."
_PANEL = "How the student answers"

Split = Annotated[Literal["train", "valid", "test"], option("Split of the runs' data.")]
Runs = Annotated[list[Path], argument("Folders of finished runs.")]
Root = Annotated[Path | None, option("Folder of the released archive, with svamp/ and so on in it.")]
Json = Annotated[bool, option("Print JSON, for machines.", "--json")]
Changes = Annotated[list[str] | None, option(_CHANGES, "--set", "-s", metavar="KEY=VALUE")]
Public = Annotated[bool, option("Make it public on the Hub.", "--public")]
License = Annotated[str | None, option("The student's licence, like apache-2.0; never guessed.")]
Yes = Annotated[bool, option("Upload without asking.", "--yes")]
Engines = Literal["transformers", "ctranslate2", "ctranslate2-int8"]
Engine = Annotated[Engines | None, option(_ENGINE, rich_help_panel=_PANEL)]
Votes = Annotated[int | None, option(_VOTES, min=0, rich_help_panel=_PANEL)]
Temperature = Annotated[float | None, option("Temperature of the votes' samples.", rich_help_panel=_PANEL)]
Answers = Annotated[Literal["generate", "choices"] | None, option(_ANSWERS, rich_help_panel=_PANEL)]


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))  # in ASCII: what a model wrote may be a terminal's command


def print_text(text: str, *, error: bool = False) -> None:
    """Print a text, which may hold foreign names and a model's words, with hidden characters made visible."""
    print(visible(text), file=sys.stderr if error else sys.stdout)


def print_about(output: Path, text: str) -> None:
    """Print a line about `output`, to standard error if it is standard output."""
    print_text(text, error=is_stdout(output))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table of texts; none is cut or read as markup."""
    header = [Column(escape(visible(column)), overflow="fold") for column in columns]
    table = Table(*header, title=title and escape(visible(title)), show_header=any(columns))
    for row in rows:
        table.add_row(*(escape(visible(text)) for text in row))
    Console(highlight=False).print(table)


def print_values(values: Mapping[str, Any]) -> None:
    """Print a row for every value but None, and for each in a mapping."""
    print_table(("", ""), _rows(values))


def _rows(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        title = prefix + name.replace("_", " ")
        match value:
            case dict():
                yield from _rows(value, f"{title}: ")
            case float():
                yield title, number(value)
            case [float(), float()]:
                yield title, interval(value)
            case None:
                continue
            case _:
                yield title, str(value)


def money(cost: float | None) -> str:
    return "no price known" if cost is None else f"{cost:.4f}" if cost < 1 else f"{cost:.2f}"


def confirm_upload(content: str, name: str, *, public: bool, yes: bool) -> None:
    """Ask before an upload unless `yes`; no ends the program."""
    if not yes:
        question = f"Upload {content} to the Hub as {name} ({'public' if public else 'private'})?"
        typer.confirm(visible(question), abort=True)


@contextmanager
def asking() -> Iterator["Watch"]:
    """Show a bar on a terminal; yield the function that updates it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("asking"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("", total=None)

        def show(tally: "Tally", cost: float | None) -> None:
            failed = f", {tally.failures.total()} failed" if tally.failures else ""
            text = f"{tally.sent / max(tally.seconds, 1e-3):.1f}/s, cost {money(cost)}{failed}"
            progress.update(bar, total=tally.total, completed=tally.stored + tally.given_up, description=text)

        yield show
