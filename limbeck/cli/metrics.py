"""The verbs `calibrate`, `compare` and `judge`, and what they and the other verbs print of metrics."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from limbeck.cli.printing import Changes, Json, ProgressBar, SplitName, print_json
from limbeck.errors import RecipeError
from limbeck.formatting import estimate, interval, number, p_equals
from limbeck.notes import lines_of

_MAX_LABELS = 20  # lines

Seed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]


def calibrate(
    predictions: Annotated[
        Path, typer.Argument(help="File with `label`, `prediction` and `confidence`; - reads standard input.")
    ],
    validation: Annotated[
        Path | None, typer.Option(help="File of the same kind to fit the temperature on, instead of the file itself.")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure how far the confidence of answers can be trusted, in a file of predictions from any tool."""
    from limbeck.runs.compare import calibrate_file

    metrics = calibrate_file(predictions, validation, seed=seed)
    print_json(metrics) if as_json else _print_calibration(metrics)


def compare(
    a: Annotated[
        str,
        typer.Argument(help="Run folder or file of predictions (- reads standard input); several seeds with commas."),
    ],
    b: Annotated[str, typer.Argument(help="The other run or runs.")],
    *,
    split: Annotated[SplitName, typer.Option(help="Split whose predictions are read from run folders.")] = (
        SplitName.TEST
    ),
    shared: Annotated[
        bool, typer.Option("--shared", help="Compare on the examples that all runs have, where they differ.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Test whether run A is better than run B on the same examples: difference, interval, paired test."""
    from limbeck.runs.compare import compare_runs

    sides = [side.split(",") for side in (a, b)]
    if not all(path for side in sides for path in side):
        raise RecipeError(f"{a!r}, {b!r}: a run's folder or a file of predictions was expected between the commas")
    paths_a, paths_b = ([Path(path) for path in side] for side in sides)
    comparison = compare_runs(paths_a, paths_b, split=split.value, shared=shared)
    print_json(comparison) if as_json else _print_comparison(comparison)


def judge(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs, evaluated with --rationale.")],
    config: Annotated[
        Path, typer.Option("--config", help="Judge settings, YAML: `teacher: MODEL`, `n`, `runs`, `budget`.")
    ],
    changes: Changes = None,
    *,
    split: Annotated[SplitName, typer.Option(help="Split whose rationales are judged.")] = SplitName.TEST,
    as_json: Json = False,
) -> None:
    """Have rationales scored from 1 to 5 by a large model, as in the paper's Table 7.

    Every reply is kept in the judge's store: an interrupted command goes on where it was.
    """
    from limbeck.metrics.judge import JudgeSettings
    from limbeck.runs.judging import judge_runs

    settings = JudgeSettings.load(config, changes or [])
    with ProgressBar() as watch:
        judgements = judge_runs(runs, settings, split=split.value, watch=watch)
    print_json(judgements) if as_json else print_judgements(judgements)


def accuracy_cells(metrics: dict[str, Any]) -> tuple[str, str, str]:
    """Return accuracy, interval and n as a table shows them."""
    return number(metrics["accuracy"], 3), interval(metrics["interval"], 3, brackets=False), str(metrics["n"])


def print_accuracy(run: Path, splits: dict[str, dict[str, Any]]) -> None:
    """Print a line for each split, and where the run is."""
    for split, metrics in splits.items():
        accuracy, ends, n = accuracy_cells(metrics)
        print(f"{split:>5}: accuracy {accuracy} (95 % interval {ends}, n = {n})")
        for line in lines_of(metrics, metrics["n"]):
            print(f"       {line.text}")
        _print_labels(metrics.get("by_label"))
    print(f"the run is in {run}/")


def print_judgements(judgements: dict[str, Any]) -> None:
    """Print the paper's tables 7 and 8: mean scores, and their correlation with right answers."""
    heading, *rows = judgements["table"]
    table = Table(*heading, title="scores from 1 to 5: mean, standard deviation (examples); ++: self-consistency")
    for row in rows:
        table.add_row(*map(escape, row))  # names of folders among them
    Console(highlight=False).print(table)
    for name, correlation in judgements["correlation"].items():
        pearson = correlation["pearson"]
        if pearson is None:
            text = f"undefined ({correlation['reason']})"
        else:
            text = f"{estimate(pearson['value'], pearson['interval'], 2)}, p {p_equals(pearson['p_value'])}"
        print(f"{name}: correlation of a right answer with the score: {text}")


def _print_labels(by_label: dict[str, Any] | None) -> None:
    """Print the accuracy of always answering the most frequent label, macro F1, and accuracy by label."""
    if not by_label:
        return
    majority, labels = by_label["majority"], by_label["labels"]
    print(f"       always {majority['label']!r:.40} would be {number(majority['accuracy'], 3)}", end="")
    print(f"; macro F1 {number(by_label['macro_f1'], 3)}")
    for label in labels[:_MAX_LABELS]:
        right = f"accuracy {estimate(label['accuracy'], label['interval'], 3)}" if label["n"] else "none of them"
        print(f"       {label['label']!r:.40}: {right}, n = {label['n']}, answered {label['predicted']} times")
    if len(labels) > _MAX_LABELS:
        print(f"       and {len(labels) - _MAX_LABELS} rarer labels: --json has them all")


def _print_calibration(metrics: dict[str, Any]) -> None:
    """Print metrics with intervals, what chance would show, what scaling does, and accuracy at coverage."""
    from limbeck.metrics.calibration import TITLES

    table = Table("metric", title=f"{metrics['n']} answers")
    for column in ("value", "95 % interval", "if calibrated"):
        table.add_column(column, justify="right")
    for name, title in TITLES.items():
        if metrics[name] is not None:
            expected = metrics.get(f"{name}_expected_if_calibrated")
            ends = interval(metrics[f"{name}_interval"], brackets=False)
            table.add_row(title, number(metrics[name]), ends, number(expected))
    Console(highlight=False).print(table)
    for line in lines_of(metrics, metrics["n"] + metrics["without_confidence"]):
        print(line.text)
    if 0 < metrics["n_choices"] < metrics["n"]:
        print(f"metrics over all choices were measured on {metrics['n_choices']} of them")
    _print_labels(metrics["by_label"])
    if metrics["ece_p_value"] is not None:
        print(f"p-value of the calibration error if all were calibrated: {metrics['ece_p_value']:.4f}")
    scaling, reason = metrics["scaling"], metrics["temperature_reason"] or metrics["scaling"]["reason"]
    if metrics["temperature"] is not None:
        print(f"temperature that fits best: {estimate(metrics['temperature'], metrics['temperature_interval'])}")
    if reason:
        print(f"no temperature: {reason}" if metrics["temperature"] is None else f"not scaled: {reason}")
    elif scaling["nll_after"] is not None:
        print(f"  negative log-likelihood {number(scaling['nll_before'])}, scaled {number(scaling['nll_after'])}")
        print(f"  calibration error {number(scaling['ece_before'])}, scaled {number(scaling['ece_after'])}")
    selective = metrics["selective"]
    print(f"area under the risk-coverage curve (AURC): {estimate(selective['aurc'], selective['aurc_interval'])}")
    for point in selective["at_coverage"]:
        print(f"  the surest {point['coverage']:.0%}: accuracy {estimate(point['accuracy'], point['interval'])}")


def _print_comparison(comparison: dict[str, Any]) -> None:
    """Print both accuracies, their difference and the test's result."""
    if not comparison["n"]:
        print("no examples to compare on")
        return
    a, b = number(comparison["accuracy_a"]), number(comparison["accuracy_b"])
    print(f"A {a}, B {b}, on {comparison['n']} examples")
    difference = number(comparison["difference"], sign=True)
    print(f"A minus B: {difference} {interval(comparison['interval'])}")
    test = f"p {p_equals(comparison['p_value'])} ({comparison['test']})"
    print(f"{test}; {comparison['discordant']:g} discordant examples")
    if comparison["detectable"] is not None:
        print(f"smallest difference found 4 times in 5 on so many examples: {number(comparison['detectable'])}")
    if comparison["left_out"]:
        print(f"left out, because not all runs have them: {comparison['left_out']} examples")
