"""The verb `evaluate`: all measurements of finished runs in one command."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.metrics import print_accuracy, print_judgements
from limbeck.cli.printing import AnswersOption, Changes, EngineOption, Json, ProgressBar, SplitName, print_json
from limbeck.errors import RecipeError

_DATA, _RATIONALES = "What is measured", "Rationales"
Dataset = Annotated[
    str | None,
    typer.Option(
        metavar="TASK|RECIPE|FILE",
        help="Other data to measure on: a task with the same labels, a recipe, or a file of labelled rows.",
        rich_help_panel=_DATA,
    ),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        help="Encoder for the rationales' similarity: a model on the Hub, or a folder. By default the recipe's.",
        rich_help_panel=_RATIONALES,
    ),
]
EPILOG = (
    "Examples:\n\n"
    "limbeck evaluate runs/mine runs/dss --rationale\n\n"
    "limbeck evaluate runs/mine --dataset later.jsonl\n\n"
    "limbeck evaluate runs/mine --judge judge.yaml -s runs=3"
)


def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of finished runs; differences between several are tested.")
    ],
    *,
    split: Annotated[SplitName, typer.Option(help="Split to measure.", rich_help_panel=_DATA)] = SplitName.TEST,
    dataset: Dataset = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder of the released archive, which has that task.", rich_help_panel=_DATA)
    ] = None,
    rationale: Annotated[
        bool, typer.Option("--rationale", help="Generate rationales too.", rich_help_panel=_RATIONALES)
    ] = False,
    encoder: EncoderName = None,
    judge: Annotated[
        Path | None,
        typer.Option(help="Config of a judge, as of `judge`, to score the rationales.", rich_help_panel=_RATIONALES),
    ] = None,
    changes: Changes = None,
    engine: EngineOption = None,
    answers: AnswersOption = None,
    as_json: Json = False,
) -> None:
    """Measure finished runs' students on a split of their data, and replace their predictions and results there.

    Each folder's evaluation/SPLIT.md and .json have calibration, selective prediction and the cascade with the teacher;
    with --rationale (implied by --judge and --encoder) the rationales' quality and the dependence of the student's two
    sides; with several runs their differences. With --dataset they are NAME-SPLIT. -s changes the judge's config.
    """
    from limbeck.data.tables import stem
    from limbeck.runs.evaluation import EvaluationOptions, evaluate_runs

    if changes and judge is None:
        raise RecipeError("changes the judge's config: give --judge too", field="-s")
    options = EvaluationOptions(
        split=split.value,
        rationales=rationale or judge is not None or encoder is not None,
        engine=engine.value if engine else None,
        answers=answers.value if answers else None,
        dataset=dataset,
        root=root,
        encoder=encoder,
    )
    scores: list[dict[str, Any]] = []
    results = evaluate_runs(runs, options, _judge(judge, changes or [], options, scores) if judge else None)
    if as_json:
        print_json(results if len(runs) > 1 else next(iter(results.values())))
        return
    name = f"{stem(Path(dataset))}-{split.value}" if dataset else split.value
    for run, measured in results.items():
        print_accuracy(Path(run), {name: measured})
    for judgements in scores:
        print_judgements(judgements)
    print(f"all measurements: {', '.join(str(run / 'evaluation' / f'{name}.md') for run in runs)}")


def _judge(
    config: Path, changes: Sequence[str], options: Any, scores: list[dict[str, Any]]
) -> Callable[[Sequence[Path]], None]:
    """Return the function that has runs judged and appends the result to `scores`."""
    from limbeck.metrics.judge import JudgeSettings
    from limbeck.runs.judging import judge_runs

    settings = JudgeSettings.load(config, changes)

    def judge(paths: Sequence[Path]) -> None:
        with ProgressBar() as watch:
            scores.append(
                judge_runs(
                    paths,
                    settings,
                    split=options.split,
                    dataset=options.dataset,
                    root=options.root,
                    watch=watch,
                )
            )

    return judge
