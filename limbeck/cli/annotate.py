"""`limbeck annotate`: rationales from a large model, asked for, looked at, taken out."""

import sys
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from limbeck.cli.printing import Changes, Json, print_about, print_json
from limbeck.cli.showing import ProgressBar, left_out_lines, print_done, print_plan, print_shown
from limbeck.errors import LimbeckError
from limbeck.files import is_stream

annotate_app = typer.Typer(
    help="Get rationales from a large model: any OpenAI-compatible endpoint, or a local Hugging Face model.\n\n"
    "A job file says what to ask whom; `rows: questions.jsonl` and `teacher: MODEL` are enough. Every reply is kept in "
    "the job's store the moment it arrives: start the job again, and only what is missing is asked for.",
    no_args_is_help=True,
)

INCOMPLETE = 1  # the exit code of a job that ended before all was answered
INTERRUPTED = 130

JobFile = Annotated[Path, typer.Argument(help="The job, YAML; `limbeck annotate schema` says what may be in it.")]


class Form(StrEnum):
    LIMBECK = "limbeck"
    PROMPT_COMPLETION = "prompt-completion"
    MESSAGES = "messages"
    INSTRUCTION = "instruction"


def _annotation() -> ModuleType:
    """What the verbs do, once the extra is found to be installed."""
    try:
        from limbeck import annotation
    except ModuleNotFoundError as error:
        raise LimbeckError(f"{error.name} is missing: pip install 'limbeck[teacher]'") from None
    return annotation


@annotate_app.command("run")
def run(
    job: JobFile,
    changes: Changes = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask nothing; say what it would cost.")] = False,
    as_json: Json = False,
) -> None:
    """Ask the teacher for every answer that the store has not.

    Exit code 0: all is answered; 1: something is missing yet (it says why); 2: a mistake; 130: interrupted.
    """
    annotation = _annotation()
    settings = annotation.Job.load(job, changes or [])
    if dry_run:
        planned = annotation.plan(settings)
        print_json(planned) if as_json else print_plan(planned)
        return
    with ProgressBar() as watch:
        done = annotation.annotate(settings, watch)
    print_json(done) if as_json else print_done(done, settings.store)
    if done["stopped"] == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if done["missing"] or done["stopped"]:
        raise typer.Exit(INCOMPLETE)


@annotate_app.command("show")
def show(
    job: JobFile,
    changes: Changes = None,
    replies: Annotated[
        str | None, typer.Option(metavar="OUTCOME", help='Print replies of this outcome too, like "no answer".')
    ] = None,
    count: Annotated[int, typer.Option("-n", min=1, help="How many of them.")] = 3,
    as_json: Json = False,
) -> None:
    """Show what the teacher has said so far: outcomes, its accuracy against the labels, the cost."""
    annotation = _annotation()
    found = annotation.read_taught(annotation.Job.load(job, changes or []))
    shown = annotation.summary(found)
    if replies is not None:
        shown["replies"] = annotation.replies(found, replies, count)
    print_json(shown) if as_json else print_shown(shown)


@annotate_app.command("export")
def export(
    job: JobFile,
    output: Annotated[
        Path, typer.Option(help="JSON lines; beside a file goes NAME.provenance.json. -: standard output.")
    ],
    changes: Changes = None,
    form: Annotated[
        Form, typer.Option(help="limbeck: rows to train on here; the others are what other trainers read.")
    ] = Form.LIMBECK,
    every: Annotated[bool, typer.Option("--every", help="A row for every rationale kept, not one a question.")] = False,
    hub: Annotated[str | None, typer.Option(metavar="NAME", help="Upload it as a data set of the Hub, too.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Make that data set public.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Upload without asking.")] = False,
) -> None:
    """Write the rationales that passed the filters, with their questions and labels, to a file (and to the Hub)."""
    annotation = _annotation()
    if public and hub is None:
        raise LimbeckError("--public is about the data set of the Hub: give its name with --hub")
    if hub is not None and is_stream(output):
        raise LimbeckError(f"{output}: what goes to the Hub is read from a file; name one as --output")
    done = annotation.export(annotation.Job.load(job, changes or []), output, form.value, every)
    left_out = f"; {done['left_out']} left out" if done["left_out"] else ""
    print_about(output, f"{output}: {done['rows']} rows, {done['rationales']} of them with a rationale{left_out}")
    if hub is not None:
        if not yes:
            typer.confirm(f"Upload {output} to the Hub as {hub} ({'public' if public else 'private'})?", abort=True)
        print(annotation.upload(output, hub, private=not public))


@annotate_app.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(help="Conversations of other tools (JSONL, Parquet), or the archive's root.")
    ],
    output: Annotated[
        Path, typer.Option(help="JSON lines to train on; of the archive a file a split, in this folder.")
    ],
    task: Annotated[str, typer.Option(help="Whose answers these are.")] = "custom",
) -> None:
    """Make training rows of data from elsewhere: chat formats of other tools, or the authors' released archive.

    Exit code 0: rows were written; 1: none could be used, and nothing was written; 2: a mistake.
    """
    files, left_out = _annotation().import_rows(source, output, task)
    for path, rows in files.items():
        print_about(output, f"{path}: {', '.join(f'{name} {count}' for name, count in rows.items())}")
    for line in left_out_lines(left_out):
        print_about(output, line)
    if all(rows["rows"] == rows.get("left_out", 0) for rows in files.values()):
        print(f"limbeck: nothing in {source} could be used, and {output} was not written", file=sys.stderr)
        raise typer.Exit(INCOMPLETE)


@annotate_app.command("prompt")
def prompt(task: Annotated[str, typer.Argument(help="A task's name.")]) -> None:
    """Print a task's own prompt, to copy and edit; a job takes the copy as `prompt: FILE`."""
    from limbeck.annotation.prompts import prompt_text

    print(prompt_text(task), end="")


@annotate_app.command("schema")
def schema() -> None:
    """Print the JSON schema of a job, for editors and other machines."""
    print_json(_annotation().Job.model_json_schema())
