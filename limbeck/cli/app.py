"""The verbs, their help, their output. What they do is done on the floors below; heavy imports wait for a verb."""

import logging
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import limbeck
from limbeck.cli.annotate import annotate_app
from limbeck.cli.evaluate import evaluate
from limbeck.cli.grid import grid
from limbeck.cli.measured import accuracy_cells, print_accuracy
from limbeck.cli.measures import calibrate, compare, judge
from limbeck.cli.printing import ANSWERS, ENGINE, RECIPES, Answers, Changes, Engine, Json, print_about, print_json
from limbeck.cli.push import push
from limbeck.cli.report import report
from limbeck.errors import LimbeckError

app = typer.Typer(
    help="Distil the reasoning of a large language model into a small one.\n\n"
    "Begin with `limbeck quickstart`, look at data with `limbeck data show`, "
    "get rationales with `limbeck annotate run`, "
    "train with `limbeck train RECIPE`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Look at data, and unpack the authors' archive.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(annotate_app, name="annotate")

INTERRUPTED = 130  # what typer exits with on Ctrl-C
_INTERRUPTED = (
    "interrupted; to go on, start a grid or `annotate run` again, and a run with --resume from its last checkpoint"
)


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/quickstart"),
    seed: Annotated[int, typer.Option(min=0, help="Of weights and order.")] = 1,
    as_json: Json = False,
) -> None:
    """Train finetune, dss and mi on the embedded arithmetic task and compare them (a few minutes on two cores).

    What is finished already is not trained again; what was interrupted goes on.
    """
    from limbeck.report import write_report
    from limbeck.runs import quickstart as run_quickstart

    runs = run_quickstart(out, seed)
    page = write_report([out], out / "report")
    if as_json:
        print_json({run.recipe.objective.name: run.results for run in runs})
        return
    table = Table(title="arithmetic: accuracy on the test split")
    for column in ("objective", "accuracy", "95 % interval", "n", "training"):
        table.add_column(column, justify="left" if column == "objective" else "right")
    for run in runs:
        test, seconds = run.results["test"], run.results["training"]["seconds"]
        table.add_row(run.recipe.objective.name, *accuracy_cells(test), f"{seconds:.0f} s")
    Console().print(table)
    print(f"One seed each: the intervals are of the test questions alone. The runs are in {out}/.")
    print(f"The report, to be opened in a browser: {page}")
    print(f"Next: limbeck evaluate {shlex.quote(str(runs[-1].path))} --rationale; limbeck train --help")


@data_app.command("show")
def data_show(
    task: Annotated[str, typer.Argument(help="A task's name, like svamp or arithmetic, or a recipe file.")],
    root: Annotated[
        Path | None, typer.Option(help="The released archive's folder, which holds svamp/ and so on.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="How many examples to print.")] = 2,
    as_json: Json = False,
) -> None:
    """Show a task's data: rows, what did not parse, the teacher's accuracy, lengths, and examples in each view."""
    from limbeck.data import DataSettings, show, summarise

    if task.endswith((".yaml", ".yml")):
        from limbeck.runs import load_recipe

        settings = load_recipe(Path(task)).data
    else:
        source = {"kind": "archive", "root": root} if root else None
        settings = DataSettings.parse({"task": task, "source": source}, "data show")
    if as_json:
        print_json(summarise(settings))
    else:
        print(show(settings, examples))


@data_app.command("fetch")
def data_fetch(
    source: Annotated[str, typer.Argument(help="The authors' datasets.zip: a file, or its URL.")],
    root: Annotated[Path, typer.Option(help="Folder to unpack into.")] = Path("datasets"),
    sha256: Annotated[str | None, typer.Option(help="Refuse an archive of another checksum.")] = None,
) -> None:
    """Unpack the released archive (questions and the teacher's outputs) so that `--root` can name it."""
    from limbeck.data import fetch

    print(f"{root}: {', '.join(fetch(source, root, sha256))}")


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, YAML; `limbeck schema` says what may be in it.")],
    changes: Changes = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; without it, one below runs/.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with the run in that folder.")] = False,
    parent: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="Train a finished run's student further; the schedule starts anew."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a student as a recipe says, keep the best by validation accuracy, and test it once, at the end."""
    from limbeck.runs import load_recipe
    from limbeck.runs import train as run_train

    run = run_train(load_recipe(recipe, changes or []), out, resume, parent)
    if as_json:
        print_json({"run": str(run.path), **run.results})
    else:
        print_accuracy(run.path, {split: run.results[split] for split in ("valid", "test")})


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A run's folder, or its model/.")],
    source: Annotated[
        Path,
        typer.Option("--input", help="JSONL, CSV or Parquet with `input` (and `label`, if known); -: standard input."),
    ],
    target: Annotated[
        Path,
        typer.Option("--output", help="JSON lines: id, input, prediction, and what else is known; -: standard output."),
    ],
    rationale: Annotated[bool, typer.Option("--rationale", help="Write the student's rationales too.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Inputs at a time.")] = 64,
    engine: Annotated[Engine | None, typer.Option(help=f"{ENGINE} {RECIPES}")] = None,
    answers: Annotated[Answers | None, typer.Option(help=f"{ANSWERS} {RECIPES}")] = None,
) -> None:
    """Answer every row of a file."""
    from limbeck.runs import predict_file

    how: Any = (engine.value if engine else None, answers.value if answers else None)
    done = predict_file(model, source, target, rationale, batch_size, *how)
    graded = f"; accuracy {done['accuracy']:.4f} on the {done['n']} with a label" if done["n"] else ""
    cut = f"; {done['sources_cut']} inputs are too long for the student and were cut" if done["sources_cut"] else ""
    print_about(target, f"{target}: {done['rows']} predictions{graded}{cut}")


for verb in (grid, report, evaluate, calibrate, compare, judge, push):
    app.command()(verb)


@app.command()
def objectives(as_json: Json = False) -> None:
    """List the objectives: what each is, its formula, where it comes from."""
    from limbeck.objectives import METHODS

    if as_json:
        fields = ("formula", "summary", "reference")
        print_json({name: {field: getattr(method, field) for field in fields} for name, method in METHODS.items()})
        return
    table = Table(show_lines=True)
    for column in ("name", "formula", "what it is", "from"):
        table.add_column(column, overflow="fold")
    for name, method in METHODS.items():
        table.add_row(name, method.formula, method.summary, method.reference)
    Console(highlight=False).print(table, markup=False)


@app.command()
def schema() -> None:
    """Print the JSON schema of a recipe, for editors and other machines."""
    from limbeck.runs import Recipe

    print_json(Recipe.model_json_schema())


def _version(wanted: bool) -> None:
    if wanted:
        print(f"limbeck {limbeck.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


def main() -> None:
    """What the command `limbeck` runs: a LimbeckError is one line and exit code 2."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("limbeck: %(message)s"))
    logger = logging.getLogger("limbeck")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    # read by the Hugging Face libraries once imported: no warnings meant for developers, bars on a terminal only
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    try:
        app()
    except LimbeckError as error:
        print(f"limbeck: error: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print(f"limbeck: {_INTERRUPTED}", file=sys.stderr)
        raise
