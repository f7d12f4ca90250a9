"""`limbeck annotate`: rationales of a large model."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from limbeck.cli import terminal
from limbeck.cli.terminal import argument, asking, option, print_json, print_text
from limbeck.errors import RecipeError
from limbeck.files import is_stream

annotate_app = typer.Typer(
    help="Get rationales from a large model: any OpenAI-compatible endpoint, or a local Hugging Face model.\n\n"
    "A job file needs `rows: questions.jsonl` and `teacher: MODEL`. Replies are stored as they arrive; a job that is "
    "started again asks only for what is missing.",
    no_args_is_help=True,
)

MAX_PLACES = 3  # shown of the rows left out for one reason
Form = Literal["limbeck", "prompt-completion", "messages", "instruction"]
JobFile = Annotated[Path, argument("The job, YAML; `limbeck annotate schema` prints its fields.")]


@annotate_app.command()
def run(
    job: JobFile,
    changes: terminal.Changes = None,
    dry_run: Annotated[bool, option("Ask nothing; print the number and cost of requests.", "--dry-run")] = False,
    as_json: terminal.Json = False,
) -> None:
    """Ask the teacher for every answer that the store lacks.

    Exit code 0: all is answered; 1: something is missing yet; 2: a mistake; 130: interrupted.
    """
    from limbeck.annotation.job import Job, annotate, plan

    settings = Job.load(job, changes or ())
    if dry_run:
        costs = plan(settings)
        print_json(costs) if as_json else terminal.print_values(costs | {"cost": terminal.money(costs["cost"])})
        return
    with asking() as progress:
        outcome = annotate(settings, progress)
    print_json(outcome) if as_json else _print_outcome(outcome, settings.store)
    if outcome["stopped"] == "interrupted":
        raise typer.Exit(terminal.INTERRUPTED)
    if outcome["missing"] or outcome["stopped"]:
        raise typer.Exit(terminal.INCOMPLETE)


@annotate_app.command()
def show(
    job: JobFile,
    changes: terminal.Changes = None,
    *,
    outcome: Annotated[str | None, option('Print replies of an outcome too, like "no answer".', "--replies")] = None,
    count: Annotated[int, option("Number of those replies.", "-n", min=1)] = 3,
    as_json: terminal.Json = False,
) -> None:
    """Show the results so far: outcomes, the teacher's accuracy against the labels, the cost."""
    from limbeck.annotation.job import Job
    from limbeck.annotation.results import read_results, replies, summary

    results = read_results(Job.load(job, changes or ()))
    counts = summary(results)
    if outcome is not None:
        counts["replies"] = replies(results, outcome, count)
    print_json(counts) if as_json else _print_summary(counts)


@annotate_app.command()
def export(
    job: JobFile,
    output: Annotated[Path, option("JSON lines, with NAME.provenance.json beside it; -: standard output.")],
    *,
    changes: terminal.Changes = None,
    form: Annotated[Form, option("limbeck: rows to train on here; else other trainers' form.")] = "limbeck",
    all_rationales: Annotated[bool, option("Write all rationales, wrong ones and votes too.", "--every")] = False,
    hub: Annotated[str | None, option("Upload the file as a data set of the Hub, too.", metavar="NAME")] = None,
    public: terminal.Public = False,
    yes: terminal.Yes = False,
) -> None:
    """Write questions, labels and the rationales kept to a file, and to the Hub."""
    from limbeck.annotation import results
    from limbeck.annotation.job import Job

    if (public and hub is None) or (hub is not None and is_stream(output)):
        raise RecipeError("--hub NAME uploads the file of --output, no stream; --public needs it")
    _print_export(output, results.export(Job.load(job, changes or ()), output, form, all_rationales=all_rationales))
    if hub is not None:
        terminal.confirm_upload(str(output), hub, public=public, yes=yes)
        print_text(results.upload(output, hub, private=not public))


@annotate_app.command()
def harvest(
    store: Annotated[Path, argument("The store of the job that `limbeck serve --teacher` was given.")],
    output: Annotated[Path, option("JSON lines, with NAME.provenance.json beside it; -: standard output.")],
) -> None:
    """Write the questions that a server passed on, with the teacher's labels and rationales, to train on.

    Each stands there once, and none that the served run was validated or tested on.
    """
    from limbeck.annotation import results

    provenance = results.harvest(store, output)
    _print_export(output, provenance)
    kept_out = f"{provenance['measured']} on which the run was measured, {provenance['repeated']} repeated"
    terminal.print_about(output, f"not among them: {kept_out}")


@annotate_app.command("import")
def import_(
    source: Annotated[Path, argument("Conversations of other tools (JSONL, Parquet), or the archive's root.")],
    output: Annotated[Path, option("JSON lines to train on; for the archive a folder.")],
    task: Annotated[str, option("The task that the answers belong to.")] = "custom",
) -> None:
    """Make training rows of other tools' conversations, or of the authors' released archive.

    Exit code 0: rows were written; 1: none could be used; 2: a mistake.
    """
    from limbeck.annotation.results import import_rows

    files, left_out = import_rows(source, output, task)
    for path, counts in files.items():
        terminal.print_about(output, f"{path}: {', '.join(f'{name} {count}' for name, count in counts.items())}")
    for reason, rows in sorted(left_out.items(), key=lambda item: -len(item[1])):
        suffix = f" and {len(rows) - MAX_PLACES} more" if len(rows) > MAX_PLACES else ""
        terminal.print_about(output, f"left out: {len(rows)}, {reason} ({', '.join(rows[:MAX_PLACES])}{suffix})")
    if all(counts["rows"] == counts["left_out"] for counts in files.values()):
        print_text(f"limbeck: nothing in {source} could be used; {output} was not written", error=True)
        raise typer.Exit(terminal.INCOMPLETE)


@annotate_app.command()
def prompt(task: Annotated[str, argument("A task's name.")]) -> None:
    """Print a task's prompt, to edit; a job takes the file as `prompt: FILE`."""
    from limbeck.annotation.prompts import prompt_file

    print_text(prompt_file(task).read_text("utf-8").removesuffix("\n"))


@annotate_app.command()
def schema() -> None:
    """Print the JSON schema of a job."""
    from limbeck.annotation.job import Job

    print_json(Job.model_json_schema())


def _print_export(output: Path, provenance: dict[str, Any]) -> None:
    counts = f"{provenance['rows']} rows with {provenance['rationales']} rationales"
    rectified = f", {provenance['rectified']} of them rectified" if provenance["rectified"] else ""
    left_out = f"; {provenance['left_out']} left out" if provenance["left_out"] else ""
    terminal.print_about(output, f"{output}: {counts}{rectified}{left_out}")


def _print_outcome(outcome: dict[str, Any], store: Path) -> None:
    print_text(f"{outcome['stored']} replies stored in {store}")
    terminal.print_values(outcome)
    if outcome["missing"]:
        advice = "Raise the budget" if outcome["stopped"] == "budget" else "Start the job again"
        print_text(f"missing yet: {outcome['missing']} answers. {advice} to go on.")
    if "cut off" in outcome["failures"]:
        print_text("Some replies were cut off at sampling.max_tokens: raise it first.")


def _print_summary(summary: dict[str, Any]) -> None:
    terminal.print_values(summary | {"doubt": None, "replies": None})
    if summary["doubt"]:
        print_text(f"warning: {summary['doubt']}")
    for reply in summary.get("replies", []):
        print_text(f"\n--- {reply['id']} (label {reply['label']!r}, read {reply['read']!r})\n{reply['text']}")
