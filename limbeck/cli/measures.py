"""The verbs that measure: `calibrate` and `compare`, on runs or anybody's predictions, and `judge`."""

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.measured import print_calibration, print_comparison, print_judged
from limbeck.cli.printing import Changes, Json, ProgressBar, SplitName, print_json
from limbeck.errors import LimbeckError


def calibrate(
    predictions: Annotated[
        Path, typer.Argument(help="JSON lines with `label`, `prediction`, `confidence`; -: standard input.")
    ],
    validation: Annotated[
        Path | None, typer.Option(help="Likewise, to fit the temperature on; without it, on the file itself.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: Json = False,
) -> None:
    """Measure how far the confidence of answers can be trusted; any tool may have made the file."""
    from limbeck.runs.measures import calibrate_file

    found = calibrate_file(predictions, validation, seed)
    print_json(found) if as_json else print_calibration(found)


def compare(
    a: Annotated[
        str,
        typer.Argument(
            help="A run's folder or a file of predictions (-: standard input); of several seeds, with commas."
        ),
    ],
    b: Annotated[str, typer.Argument(help="Likewise.")],
    split: Annotated[SplitName, typer.Option(help="Whose predictions in the folders.")] = SplitName.TEST,
    shared: Annotated[bool, typer.Option("--shared", help="On the examples that all have, if others differ.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: Json = False,
) -> None:
    """Say whether run A is better than run B on the same examples: difference, interval, paired test."""
    from limbeck.runs.measures import compare_runs

    sides = [[Path(part) for part in side.split(",")] for side in (a, b)]
    if not all(part for side in (a, b) for part in side.split(",")):
        raise LimbeckError(f"{a!r}, {b!r}: a run's folder or a file of predictions was expected between the commas")
    found = compare_runs(sides[0], sides[1], split.value, shared, seed)
    print_json(found) if as_json else print_comparison(found)


def judge(
    runs: Annotated[list[Path], typer.Argument(help="Finished runs' folders, evaluated with --rationale.")],
    settings: Annotated[
        Path, typer.Option("--judge", help="Who judges, YAML: `teacher: MODEL`, `n`, `runs`, `budget`.")
    ],
    changes: Changes = None,
    split: Annotated[SplitName, typer.Option(help="Whose rationales.")] = SplitName.TEST,
    as_json: Json = False,
) -> None:
    """Have rationales scored from 1 to 5 by a large model, as the paper's Table 7 has it.

    Every reply is kept in the judge's store: what is interrupted goes on where it was.
    """
    try:
        from limbeck.metrics.judge import JudgeSettings
        from limbeck.runs.judging import judge_runs
    except ModuleNotFoundError as error:
        raise LimbeckError(f"{error.name} is missing: pip install 'limbeck[teacher]'") from None

    chosen = JudgeSettings.load(settings, changes or [])
    with ProgressBar() as watch:
        found = judge_runs(runs, chosen, split=split.value, watch=watch)
    print_json(found) if as_json else print_judged(found)
