"""`limbeck teach`: rationales from a large model, asked for, looked at, taken out."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from limbeck.cli.printing import Changes, Json, print_json
from limbeck.errors import LimbeckError

teach_app = typer.Typer(
    help="Get rationales from a large model: any OpenAI-compatible endpoint, or a local Hugging Face model.\n\n"
    "A job file says what to ask whom; `rows: questions.jsonl` and `teacher: MODEL` are enough. Every reply is kept in "
    "the job's store the moment it arrives: start the job again, and only what is missing is asked for.",
    no_args_is_help=True,
)

INCOMPLETE = 1  # the exit code of a job that ended before all was answered
INTERRUPTED = 130

JobFile = Annotated[Path, typer.Argument(help="The job, YAML; `limbeck teach schema` says what may be in it.")]


class Form(StrEnum):
    LIMBECK = "limbeck"
    PROMPT_COMPLETION = "prompt-completion"
    MESSAGES = "messages"
    INSTRUCTION = "instruction"


def _needed(error: ModuleNotFoundError) -> LimbeckError:
    return LimbeckError(f"{error.name} is missing: pip install 'limbeck[teacher]'")


def _load(job: Path, changes: list[str] | None) -> Any:
    """The job in a file, once the extra is found to be installed."""
    try:
        from limbeck.data.job import Job
    except ModuleNotFoundError as error:
        raise _needed(error) from None
    return Job.load(job, changes or [])


@teach_app.command("run")
def run(
    job: JobFile,
    changes: Changes = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask nothing; say what it would cost.")] = False,
    as_json: Json = False,
) -> None:
    """Ask the teacher for every answer that the store has not.

    Exit code 0: all is answered; 1: something is missing yet (it says why); 2: a mistake; 130: interrupted.
    """
    settings = _load(job, changes)
    from limbeck.data.teaching import plan, teach

    if dry_run:
        planned = plan(settings)
        print_json(planned) if as_json else _print_plan(planned)
        return
    with _progress() as watch:
        done = teach(settings, watch)
    print_json(done) if as_json else _print_done(done, settings.store)
    if done["stopped"] == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if done["missing"] or done["stopped"]:
        raise typer.Exit(INCOMPLETE)


@teach_app.command("show")
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
    settings = _load(job, changes)
    from limbeck.data import taught

    found = taught.read_taught(settings)
    shown = taught.summary(found)
    if replies is not None:
        shown["replies"] = taught.replies(found, replies, count)
    print_json(shown) if as_json else _print_shown(shown)


@teach_app.command("export")
def export(
    job: JobFile,
    output: Annotated[Path, typer.Option(help="JSON lines; beside it goes NAME.provenance.json.")],
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
    settings = _load(job, changes)
    from limbeck.data import transfer

    done = transfer.export(settings, output, form.value, every)
    left_out = f"; {done['left_out']} left out" if done["left_out"] else ""
    print(f"{output}: {done['rows']} rows, {done['rationales']} of them with a rationale{left_out}")
    if hub is not None:
        if not yes:
            typer.confirm(f"Upload {output} to the Hub as {hub} ({'public' if public else 'private'})?", abort=True)
        print(transfer.upload(output, hub, private=not public))


@teach_app.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(help="Conversations of other tools (JSONL, Parquet), or the archive's root.")
    ],
    output: Annotated[
        Path, typer.Option(help="JSON lines to train on; of the archive a file a split, in this folder.")
    ],
    task: Annotated[str, typer.Option(help="Whose answers these are.")] = "custom",
) -> None:
    """Make training rows of data from elsewhere: chat formats of other tools, or the authors' released archive."""
    from limbeck.data.transfer import import_rows

    for path, rows in import_rows(source, output, task).items():
        print(f"{path}: {', '.join(f'{name} {count}' for name, count in rows.items())}")


@teach_app.command("prompt")
def prompt(task: Annotated[str, typer.Argument(help="A task's name.")]) -> None:
    """Print a task's own prompt, to copy and edit; a job takes the copy as `prompt: FILE`."""
    from limbeck.teacher.prompts import prompt_text

    print(prompt_text(task), end="")


@teach_app.command("schema")
def schema() -> None:
    """Print the JSON schema of a job, for editors and other machines."""
    try:
        from limbeck.data.job import Job
    except ModuleNotFoundError as error:
        raise _needed(error) from None
    print_json(Job.model_json_schema())


class _progress:  # noqa: N801 - used as a function
    """A bar on standard error, where that is a terminal: how far, how fast, how dear, how many failures."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Any:
        self._bar.start()
        return self._watch

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _watch(self, tally: Any, cost: float | None) -> None:
        if self._task is None:
            self._task = self._bar.add_task("asking", said="")
        said = f"{tally.sent / max(tally.seconds, 1e-3):.1f}/s"
        said += "" if cost is None else f", cost {_money(cost)}"
        said += f", {tally.failures.total()} failed" if tally.failures else ""
        self._bar.update(self._task, total=tally.wanted, completed=tally.stored + tally.given_up, said=said)


def _money(cost: float | None) -> str:
    return "no price known" if cost is None else f"{cost:.4f}" if cost < 1 else f"{cost:.2f}"


def _print_plan(planned: dict[str, Any]) -> None:
    tokens = planned["tokens"]
    print(f"{planned['teacher']}: {planned['questions']} questions, {planned['answers']} answers stored")
    hinted = f" and up to {planned['hinted']} with a hint" if planned["hinted"] else ""
    print(
        f"to send: {planned['missing']} requests{hinted}, about {tokens['prompt']} tokens of questions, "
        f"at most {tokens['completion']} of answers"
    )
    print(f"cost: at most {_money(planned['cost'])} if none has to be sent again", end="")
    print("" if planned["expected_cost"] is None else f", about {_money(planned['expected_cost'])} at the mean so far")
    print(f"spent so far: {sum(planned['spent']['tokens'].values())} tokens, {_money(planned['spent']['cost'])}")


def _print_done(done: dict[str, Any], store: Path) -> None:
    tokens = done["tokens"]
    if not done["requests"] and not done["missing"]:
        print(f"nothing to ask: all {done['answers']} answers are in {store}")
        return
    print(
        f"{done['stored']} replies stored in {store}, {done['requests']} requests, "
        f"{tokens['prompt']} + {tokens['completion']} tokens, cost {_money(done['cost'])}"
    )
    if done["failures"]:
        print("failures: " + ", ".join(f"{kind} {count}" for kind, count in done["failures"].items()))
    why = {"budget": "the budget is spent", "time": "its time is over", "interrupted": "it was interrupted"}
    if done["missing"]:
        because = f" ({why[done['stopped']]})" if done["stopped"] else ""
        print(f"{done['missing']} answers are missing{because}; start the job again to ask for them")
    if "cut off" in done["failures"]:
        print("what was cut off reached sampling.max_tokens: raise it before you start the job again")


def _print_shown(shown: dict[str, Any]) -> None:
    table = Table(title=f"{shown['teacher']}: {shown['questions']} questions")
    table.add_column("outcome of a sample")
    table.add_column("samples", justify="right")
    for outcome, samples in shown["outcomes"].items():
        if samples:
            table.add_row(outcome, str(samples))
    Console(highlight=False).print(table)
    if shown["failures"]:
        print("without a reply: " + ", ".join(f"{kind} {count}" for kind, count in shown["failures"].items()))
    votes = shown["votes"]
    if votes["n"]:
        low, high = votes["interval"]
        print(
            f"the votes' accuracy: {votes['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}, n = {votes['n']}); "
            f"{votes['without_vote']} questions without a vote, {votes['without_label']} without a label"
        )
    kept = shown["kept"]
    print(f"kept: {kept['rationales']} rationales of {kept['questions']} questions")
    print(f"spent: {sum(shown['spent']['tokens'].values())} tokens, {_money(shown['spent']['cost'])}")
    for reply in shown.get("replies", []):
        print(f"\n--- {reply['id']} (label {reply['label']!r}, read {reply['read']!r})\n{reply['text']}")
