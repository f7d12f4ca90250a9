"""The verb `push`: a finished run's student with its card, onto the Hub or into a folder."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from limbeck.errors import RecipeError


def push(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    name: Annotated[
        str | None, typer.Argument(metavar="[HUB_NAME]", help="OWNER/NAME of the new model on the Hub.")
    ] = None,
    *,
    public: Annotated[bool, typer.Option("--public", help="Make that model public.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Upload without asking.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Write the files into this new folder instead.")] = None,
    license: Annotated[
        str | None, typer.Option(help="Licence of the student, like apache-2.0; it is never guessed.")
    ] = None,
) -> None:
    """Upload a run's student with a model card to the Hugging Face Hub, as a private model unless --public is given.

    Uploaded are model, tokenizer, card, recipe, results and provenance, without command lines and paths of this
    machine; no data, no predictions, no checkpoints. The files are listed, and confirmation is asked for.
    """
    from limbeck.runs.push import contents, write
    from limbeck.runs.push import push as push_files

    if (name is None) == (folder is None):
        raise RecipeError("push goes to the Hub or to a folder: give either OWNER/NAME or --folder")
    if name is None and public:
        raise RecipeError("the model on the Hub is made public: give its OWNER/NAME", field="--public")
    files = contents(run, name, license)
    if folder is not None:
        write(files, folder)
        print(f"{folder}: {', '.join(sorted(files))}")
        return
    assert name is not None  # checked above
    if not (run / "evaluation" / "test.json").is_file():
        command = f"limbeck evaluate {shlex.quote(str(run))} --rationale"
        print(f"The card lacks measures of confidence and rationales; `{command}` adds them.")
    if not yes:
        for file, content in sorted(files.items()):
            size = len(content) if isinstance(content, bytes) else content.stat().st_size
            print(f"{size:>14,} bytes  {file}")
        typer.confirm(f"Upload these to the Hub as {name} ({'public' if public else 'private'})?", abort=True)
    print(push_files(files, name, private=not public))
