"""The command line `limbeck`; a verb imports what it needs when it runs."""

import io
import logging
import os
import shlex
import sys
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

import typer

import limbeck
from limbeck.cli import terminal
from limbeck.cli.annotation import annotate_app
from limbeck.cli.grids import grid
from limbeck.cli.metrics import EVALUATE_EXAMPLES, calibrate, compare, evaluate, judge, print_accuracy
from limbeck.cli.serving import SERVE_EXAMPLES, serve
from limbeck.cli.terminal import argument, option, print_json, print_table, print_text
from limbeck.distributed import disconnect, is_main_process, one_error, process_count
from limbeck.errors import LimbeckError, RecipeError
from limbeck.formatting import visible
from limbeck.notes import lines_of

app = typer.Typer(
    help="Distil the reasoning of a large language model into a small one.\n\n"
    "Begin with `limbeck quickstart`, look at data with `limbeck data show`, get rationales with "
    "`limbeck annotate run`, train with `limbeck train RECIPE`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Look at data, and unpack the authors' archive.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(annotate_app, name="annotate")


@app.command()
def quickstart(
    out: Annotated[Path, option("Folder of the runs.")] = Path("runs/quickstart"),
    seed: Annotated[int, option("Seed of weights and order.", min=0)] = 1,
    as_json: terminal.Json = False,
) -> None:
    """Train and compare finetune, dss and mi on generated arithmetic, in minutes; started again, it resumes."""
    from limbeck.report import write_report
    from limbeck.runs import quickstart as train_runs

    runs = train_runs(out, seed)
    page = write_report([out], out / "report")
    results = {run.recipe.objective.name: run.results for run in runs}
    if as_json:
        print_json(results)
        return
    print_accuracy({name: splits["test"] for name, splits in results.items()})
    print_text("One seed each: the intervals are of the test questions alone.")
    print_text(f"The runs are in {out}/, the report is {page}")
    print_text(f"Next: limbeck evaluate {shlex.quote(str(runs[-1].path))} --rationale; limbeck train --help")


@data_app.command("show")
def data_show(
    task: Annotated[str, argument("A task, like svamp or arithmetic, or a recipe file.")],
    root: terminal.Root = None,
    examples: Annotated[int, option("Number of examples to print.", min=0)] = 2,
    as_json: terminal.Json = False,
) -> None:
    """Show data: rows, parse failures, the teacher's accuracy, lengths, and examples in each view."""
    from limbeck.data import read, summary
    from limbeck.data.load import DataSettings
    from limbeck.hub import is_decoder
    from limbeck.runs import load_recipe

    values = {"task": task, "source": {"kind": "archive", "root": root} if root else None}
    recipe = load_recipe(task) if task.endswith((".yaml", ".yml")) else None
    settings = recipe.data if recipe else DataSettings.parse(values, "data show")
    if as_json:
        print_json(summary.summarise(settings, read(settings)))
        return
    texts = None
    if recipe and is_decoder(recipe.student.name):  # which needs its tokenizer
        from limbeck.models.loading import prompt_texts

        texts = prompt_texts(recipe.student, settings.get_task())
    print_text(summary.show(settings, examples, texts=texts))


@data_app.command("fetch")
def data_fetch(
    source: Annotated[str, argument("The authors' datasets.zip: a file, or its URL.")],
    root: Annotated[Path, option("Folder to unpack into.")] = Path("datasets"),
    sha256: Annotated[str | None, option("Checksum that the archive must have.")] = None,
) -> None:
    """Unpack the released archive for use with `--root`."""
    from limbeck.data.sources import fetch

    print_text(f"{root}: {', '.join(fetch(source, root, sha256))}")


@app.command(
    epilog="Examples:\n\n"
    "limbeck train recipe.yaml --out runs/mine\n\n"
    "limbeck train recipe.yaml -s objective=dss -s seed=1 --out runs/dss\n\n"
    "limbeck train recipe.yaml -s training.max_steps=500 --from runs/mine --out runs/longer\n\n"
    "torchrun --nproc-per-node 8 -m limbeck train recipe.yaml --out runs/mine"
)
def train(
    recipe: Annotated[Path, argument("Recipe, YAML; `limbeck schema` prints its fields.")],
    *,
    changes: terminal.Changes = None,
    out: Annotated[Path | None, option("Folder of the run; by default one below runs/.")] = None,
    resume: Annotated[bool, option("Resume the run in that folder.")] = False,
    parent: Annotated[Path | None, option("Finished run whose student is trained further.", "--from")] = None,
    as_json: terminal.Json = False,
) -> None:
    """Train a student by a recipe, keep the best by validation accuracy, and test it once, at the end."""
    from limbeck.runs import load_recipe
    from limbeck.runs import train as train_run

    run = train_run(load_recipe(recipe, changes or ()), out, resume=resume, parent=parent)
    disconnect()
    if not is_main_process():
        return
    if as_json:
        print_json({"run": str(run.path), **run.results})
    else:
        print_accuracy({split: run.results[split] for split in ("valid", "test")})
        print_text(f"the run is in {run.path}/")


@app.command()
def predict(
    model: Annotated[Path, argument("Folder of a run, or its model/.")],
    *,
    source: Annotated[Path, option("JSONL, CSV or Parquet with `input`; -: standard input.", "--input")],
    target: Annotated[Path, option("JSON lines, one for each row; -: standard output.", "--output")],
    rationale: Annotated[bool, option("Write the student's rationales too.", "--rationale")] = False,
    batch_size: Annotated[int, option("Number of inputs to generate from at a time.", min=1)] = 64,
    engine: terminal.Engine = None,
    answers: terminal.Answers = None,
    votes: terminal.Votes = None,
    temperature: terminal.Temperature = None,
) -> None:
    """Answer every row of a file."""
    from limbeck.runs import predict_file

    results = predict_file(
        model,
        source,
        target,
        rationales=rationale,
        batch_size=batch_size,
        engine=engine,
        answers=answers,
        votes=votes,
        temperature=temperature,
    )
    graded = f"; accuracy {results['accuracy']:.4f} on the {results['n']} with a label" if results["n"] else ""
    counts = "".join(f"; {line.text}" for line in lines_of(results, results["rows"]))
    terminal.print_about(target, f"{target}: {results['rows']} predictions{graded}{counts}")


@app.command()
def push(
    run: Annotated[Path, argument("Folder of a finished run.")],
    name: Annotated[str, argument("OWNER/NAME of the new model on the Hub.", metavar="HUB_NAME")],
    *,
    public: terminal.Public = False,
    yes: terminal.Yes = False,
    merge: Annotated[bool, option("Merge a LoRA adapter into its base first, in the run's merged/.")] = False,
    license: terminal.License = None,
) -> None:
    """Upload a run's student with a model card to the Hugging Face Hub, private unless --public is given.

    Only model, tokenizer, card, recipe, results and provenance go there, without this machine's paths.
    """
    from limbeck.hub import upload
    from limbeck.runs.publication import contents

    merged = run / "merged" if merge else None
    if merged is not None:
        from limbeck.models.loading import save_merged
        from limbeck.runs import open_run

        save_merged(open_run(run).model, merged)
    files = contents(run, name, license, merged=merged)
    terminal.confirm_upload(", ".join(sorted(files)), name, public=public, yes=yes)
    print_text(upload(files, name, "model", message="A student from limbeck", private=not public, fresh=True))


@app.command()
def export(
    run: Annotated[Path, argument("Folder of a finished run.")],
    to: Annotated[Literal["hf", "ctranslate2", "gguf"], option("Format: Hugging Face, CTranslate2, or llama.cpp's.")],
    folder: Annotated[Path, option("New folder for the model and its card.", "--output", "-o")],
    *,
    precision: Annotated[
        Literal["float32", "int8", "q8_0"], option("Weights: int8 is CTranslate2's 8 bits, q8_0 GGUF's.")
    ] = "float32",
    license: terminal.License = None,
) -> None:
    """Write a run's student with merged weights and a model card for vLLM, llama.cpp, Ollama or CTranslate2.

    The export answers test questions, and its card has the share of answers that are the run's.
    """
    from limbeck.serving.export import export

    exported = export(run, folder, to, precision=precision, license=license)
    print_text(f"{folder}: {exported.agreement:.1%} of {exported.rows} test answers are the run's")


@app.command()
def report(
    paths: Annotated[list[Path], argument("Folders of runs, or that hold runs, like a grid's.", metavar="PATH")],
    out: Annotated[Path, option("Folder of the report; an older one is replaced.", "--output", "-o")],
    *,
    online: Annotated[bool, option("Read data sets on the Hub, for the teacher's words.", "--online")] = False,
    as_json: terminal.Json = False,
) -> None:
    """Report on finished runs: index.html, one page; report.md, report.json, tables and figures."""
    from limbeck.paper import paper_section
    from limbeck.report import write_report

    page = write_report(paths, out, paper_section, online=online)
    size = page.stat().st_size
    print_json({"page": str(page), "bytes": size}) if as_json else print_text(f"{page}: {size / 1e6:.1f} MB")


app.command(epilog=EVALUATE_EXAMPLES)(evaluate)
app.command(epilog=SERVE_EXAMPLES)(serve)
for verb in (grid, calibrate, compare, judge):
    app.command()(verb)


@app.command()
def objectives(as_json: terminal.Json = False) -> None:
    """List the objectives by group: when to choose each, its formula and its reference."""
    from limbeck.objectives.methods import METHODS

    if as_json:
        fields = ("group", "choose", "formula", "summary", "reference")
        print_json({name: {field: getattr(method, field) for field in fields} for name, method in METHODS.items()})
        return
    for group, methods in groupby(METHODS.values(), lambda method: method.group):
        rows = [(method.name, method.choose, method.formula, method.reference) for method in methods]
        print_table(("name", "choose it when", "formula", "reference"), rows, title=group)


@app.command()
def schema() -> None:
    """Print the JSON schema of a recipe."""
    from limbeck.runs import Recipe

    print_json(Recipe.model_json_schema())


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context, version: Annotated[bool, option("Print the version.", "--version")] = False
) -> None:
    if process_count() > 1 and (verb := context.invoked_subcommand) not in (None, "train"):
        raise RecipeError(f"only `limbeck train` runs in several processes: start `limbeck {verb}` without a launcher")
    if version:
        print_text(f"limbeck {limbeck.__version__}")
        raise typer.Exit


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def main() -> None:
    """Run the command line; a user's mistake ends in one line and exit code 2."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("limbeck: %(message)s"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for a terminal that lacks a character
    logger = logging.getLogger("limbeck")
    logger.handlers, logger.propagate = [handler], False
    # Hugging Face libraries: no warnings for developers, bars on a terminal only
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    logger.setLevel(logging.INFO if is_main_process() else logging.ERROR)
    try:
        with one_error():
            app()
    except (LimbeckError, OSError) as error:
        logger.error("error: %s", error)
        sys.exit(2)
    except SystemExit as end:
        if end.code == terminal.INTERRUPTED:
            logger.error("interrupted; start a grid or `annotate run` again to continue, and a run with --resume")
        raise
