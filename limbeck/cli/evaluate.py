"""The verb `evaluate`: everything that can be measured of finished runs, in one command."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.measured import print_accuracy, print_judged
from limbeck.cli.printing import ANSWERS, ENGINE, RECIPES, Answers, Changes, Engine, Json, SplitName, print_json
from limbeck.cli.showing import ProgressBar
from limbeck.errors import LimbeckError


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Finished runs' folders; of several, the differences too.")],
    split: Annotated[SplitName, typer.Option(help="Which split.")] = SplitName.TEST,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="TASK|RECIPE|FILE",
            help="Other data: a task with the same labels, a recipe, or a file of labelled rows.",
        ),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="The released archive's folder, which holds that task.")] = None,
    rationale: Annotated[bool, typer.Option("--rationale", help="Generate rationales too.")] = False,
    encoder: Annotated[
        str | None, typer.Option(help=f"For the rationales' similarity: a model on the Hub, or a folder. {RECIPES}")
    ] = None,
    judge: Annotated[
        Path | None, typer.Option("--judge", help="Have the rationales judged too; as `limbeck judge` has it.")
    ] = None,
    changes: Changes = None,
    engine: Annotated[Engine | None, typer.Option(help=f"{ENGINE} {RECIPES}")] = None,
    answers: Annotated[Answers | None, typer.Option(help=f"{ANSWERS} {RECIPES}")] = None,
    as_json: Json = False,
) -> None:
    """Measure runs' students on a split of their data, in place of what their folders have; rationales there stay.

    Each folder's evaluation/SPLIT.md and .json then have calibration, selective prediction and the cascade with the
    teacher; with --rationale (which --judge and --encoder imply) the rationales' quality and the dependence of the
    student's two sides; with several runs their differences. With --on all goes to NAME-SPLIT. -s changes the judge.
    """
    from limbeck.data.tables import stem
    from limbeck.runs import evaluate_runs

    if changes and judge is None:
        raise LimbeckError("-s changes what the file of --judge says: give that too")
    told: list[dict[str, Any]] = []
    asked = _judge(judge, changes or [], split.value, on, root, told) if judge else None
    engine_name: Any = engine.value if engine else None
    answers_name: Any = answers.value if answers else None
    wanted = rationale or judge is not None or encoder is not None
    found = evaluate_runs(runs, split.value, wanted, engine_name, answers_name, on, root, encoder, asked)
    if as_json:
        print_json(found if len(runs) > 1 else next(iter(found.values())))
        return
    name = f"{stem(Path(on))}-{split.value}" if on else split.value
    for run, measured in found.items():
        print_accuracy(Path(run), {name: measured})
    for judged in told:
        print_judged(judged)
    print(
        f"everything that was measured: {Path(runs[0]) / 'evaluation' / name}.md" + (" and so on" if runs[1:] else "")
    )


def _judge(
    settings: Path, changes: Sequence[str], split: Any, on: str | None, root: Path | None, told: list[dict[str, Any]]
) -> Callable[[Sequence[Path]], None]:
    """What has runs judged, and notes in `told` what came of it."""
    try:
        from limbeck.metrics.judge import JudgeSettings
        from limbeck.runs.judging import judge_runs
    except ModuleNotFoundError as error:
        raise LimbeckError(f"{error.name} is missing: pip install 'limbeck[teacher]'") from None

    chosen = JudgeSettings.load(settings, changes)

    def ask(runs: Sequence[Path]) -> None:
        with ProgressBar() as watch:
            told.append(judge_runs(runs, chosen, split, watch, on, root))

    return ask
