"""The verbs `evaluate`, `judge`, `calibrate` and `compare`."""

from pathlib import Path
from typing import Annotated, Any

from limbeck.cli import terminal
from limbeck.cli.terminal import argument, asking, option, print_json, print_table, print_text
from limbeck.errors import RecipeError
from limbeck.formatting import estimate, interval, number, p_equals, p_value
from limbeck.notes import lines_of

_RATIONALES = "Rationales"
_DATASET = "Other data: a task with the same labels, a recipe, or a file of labelled rows."
_ENCODER = "Encoder for the rationales' similarity, on the Hub or a folder. By default the recipe's."

EVALUATE_EXAMPLES = (
    "Examples:\n\n"
    "limbeck evaluate runs/mine runs/dss --rationale\n\n"
    "limbeck evaluate runs/mine --dataset later.jsonl\n\n"
    "limbeck evaluate runs/mine --votes 8 --temperature 0.7\n\n"
    "limbeck evaluate runs/mine --judge judge.yaml -s runs=3"
)


def evaluate(
    runs: terminal.Runs,
    *,
    split: terminal.Split = "test",
    dataset: Annotated[str | None, option(_DATASET, metavar="TASK|RECIPE|FILE")] = None,
    root: terminal.Root = None,
    rationale: Annotated[bool, option("Generate rationales too.", "--rationale", rich_help_panel=_RATIONALES)] = False,
    encoder: Annotated[str | None, option(_ENCODER, rich_help_panel=_RATIONALES)] = None,
    judge: Annotated[Path | None, option("Config of a judge, as of `judge`.", rich_help_panel=_RATIONALES)] = None,
    changes: terminal.Changes = None,
    engine: terminal.Engine = None,
    answers: terminal.Answers = None,
    votes: terminal.Votes = None,
    temperature: terminal.Temperature = None,
    as_json: terminal.Json = False,
) -> None:
    """Measure finished runs' students on a split, and replace their predictions and results there.

    Each folder's evaluation/SPLIT.md and .json (with --dataset NAME-SPLIT) have all measurements, with --rationale,
    --judge or --encoder also of rationales, and the differences of several runs. -s changes the judge's config.
    """
    from limbeck.metrics.judge import JudgeSettings
    from limbeck.runs import EvaluationOptions, evaluate_runs
    from limbeck.runs.judging import judge_runs

    if changes and judge is None:
        raise RecipeError("changes the judge's config; give --judge too", field="-s")
    settings = JudgeSettings.load(judge, changes or ()) if judge else None
    rationales = rationale or judge is not None or encoder is not None
    options = EvaluationOptions(
        split=split,
        rationales=rationales,
        engine=engine,
        answers=answers,
        votes=votes,
        temperature=temperature,
        dataset=dataset,
        root=root,
        encoder=encoder,
    )
    results = evaluate_runs(runs, options)
    judgements = None
    if settings:
        with asking() as watch:
            judgements = judge_runs(runs, settings, split=split, dataset=dataset, root=root, watch=watch)
    if as_json:
        print_json(results if len(runs) > 1 else next(iter(results.values())))
        return
    print_accuracy(results)
    if judgements:
        print_judgements(judgements)
    print_text(f"all measurements: {', '.join(f'{run}/evaluation/' for run in results)}")


def judge(
    runs: terminal.Runs,
    config: Annotated[Path, option("Judge settings, YAML: `teacher: MODEL`, `n`, `runs`, `budget`.", "--config")],
    changes: terminal.Changes = None,
    *,
    split: terminal.Split = "test",
    as_json: terminal.Json = False,
) -> None:
    """Have the rationales of `evaluate --rationale` scored from 1 to 5; started again, it resumes."""
    from limbeck.metrics.judge import JudgeSettings
    from limbeck.runs.judging import judge_runs

    settings = JudgeSettings.load(config, changes or ())
    with asking() as watch:
        judgements = judge_runs(runs, settings, split=split, watch=watch)
    print_json(judgements) if as_json else print_judgements(judgements)


def calibrate(
    predictions: Annotated[Path, argument("File with `label`, `prediction` and `confidence`; -: standard input.")],
    validation: Annotated[Path | None, option("Another such file, to fit the temperature on.")] = None,
    *,
    seed: Annotated[int, option("Seed of the bootstrap.", min=0)] = 0,
    as_json: terminal.Json = False,
) -> None:
    """Measure how far to trust the confidence of answers in any tool's file of predictions."""
    from rich.console import Console
    from rich.markdown import Markdown

    from limbeck.runs.compare import calibrate_file
    from limbeck.runs.page import calibration_markdown

    metrics = calibrate_file(predictions, validation, seed=seed)
    print_json(metrics) if as_json else Console().print(Markdown(calibration_markdown(metrics)))


def compare(
    a: Annotated[str, argument("Run folder or file of predictions (-: standard input); several seeds with commas.")],
    b: Annotated[str, argument("The other run or runs.")],
    *,
    split: terminal.Split = "test",
    shared: Annotated[bool, option("Compare on the examples that all runs have.", "--shared")] = False,
    as_json: terminal.Json = False,
) -> None:
    """Test whether run A is better than run B on the same examples: difference, interval, paired test."""
    from limbeck.runs.compare import compare_runs

    sides = [[Path(path) for path in side.split(",") if path] for side in (a, b)]
    if not all(sides):
        raise RecipeError(f"{a!r}, {b!r}: both sides need a run folder or a file of predictions")
    comparison = compare_runs(*sides, split=split, shared=shared)
    print_json(comparison) if as_json else _print_comparison(comparison)


def print_accuracy(results: dict[str, dict[str, Any]]) -> None:
    """Print a table of accuracies by name, then their counts."""
    rows = [
        (name, number(row["accuracy"], 3), interval(row["interval"], 3, brackets=False), str(row["n"]))
        for name, row in results.items()
    ]
    print_table(("", "accuracy", "95 % interval", "n"), rows)
    for name, metrics in results.items():
        for line in lines_of(metrics, metrics["n"]):
            print_text(f"{name}: {line.text}")


def print_judgements(judgements: dict[str, Any]) -> None:
    """Print the scores of each run on each task, and their correlation with right answers."""
    rows = [
        (
            *(run, task, name.replace("_", "-"), number(scores["mean"], 2), number(scores["sd"], 2)),
            *(str(scores["n"]), str(scores["unread"] + scores["missing"])),
        )
        for run, tasks in judgements["summary"].items()
        for task, samplings in tasks.items()
        for name, scores in samplings.items()
    ]
    print_table(("", "task", "sampling", "mean", "sd", "n", "replies without a score"), rows, "scores from 1 to 5")
    for name, correlation in judgements["correlation"].items():
        text = f"undefined ({correlation['reason']})"
        if pearson := correlation["pearson"]:
            text = f"{estimate(pearson['value'], pearson['interval'], 2)}, p {p_equals(pearson['p_value'])}"
        print_text(f"{name}: correlation of a right answer with the score: {text}")


def _print_comparison(comparison: dict[str, Any]) -> None:
    rows = {
        "examples": comparison["n"],
        "examples left out": comparison["left_out"] or None,
        "accuracy of A": comparison["accuracy_a"],
        "accuracy of B": comparison["accuracy_b"],
        "A minus B": f"{number(comparison['difference'], sign=True)} {interval(comparison['interval'])}",
        "discordant examples": f"{comparison['discordant']:g}",
        f"p, {comparison['test']}": p_value(comparison["p_value"]),
        "smallest difference found 4 times in 5": comparison["detectable"],
    }
    terminal.print_values(rows)
