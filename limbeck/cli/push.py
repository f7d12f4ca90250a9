"""`limbeck push`: a finished run's student with its card, onto the Hub or into a folder."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from limbeck.errors import LimbeckError


def push(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    hub_name: Annotated[str | None, typer.Argument(help="OWNER/NAME of the new model on the Hub.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Make that model public.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Upload without asking.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Write the same into this new folder instead.")] = None,
    license: Annotated[str | None, typer.Option(help="Of the student, like apache-2.0; it is never guessed.")] = None,
) -> None:
    """Upload a run's student as a model of the Hugging Face Hub, private unless said otherwise, with a model card.

    Model, tokenizer, card, recipe, results and provenance go there, without command lines and paths of this machine;
    no data, no predictions, no checkpoints. It shows what goes where, and asks.
    """
    from limbeck.runs.push import contents, write
    from limbeck.runs.push import push as push_files

    if (hub_name is None) == (folder is None):
        raise LimbeckError("push goes to the Hub or to a folder: give either OWNER/NAME or --folder")
    if hub_name is None and public:
        raise LimbeckError("--public is about the model on the Hub: give its OWNER/NAME")
    files = contents(run, hub_name, license)
    if folder is not None:
        write(files, folder)
        print(f"{folder}: {', '.join(sorted(files))}")
        return
    assert hub_name is not None  # checked above
    if not (run / "evaluation" / "test.json").is_file():
        how = f"limbeck evaluate {shlex.quote(str(run))} --rationale"
        print(f"The card says little of confidence and rationales; `{how}` measures them.")
    if not yes:
        _print_files(files)
        typer.confirm(f"Upload these to the Hub as {hub_name} ({'public' if public else 'private'})?", abort=True)
    print(push_files(files, hub_name, private=not public))


def _print_files(files: Mapping[str, bytes | Path]) -> None:
    for name, content in sorted(files.items()):
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        print(f"{size:>14,} bytes  {name}")
