"""`limbeck grid`: every cell of a grid trained, in a folder each, several at a time."""

import signal
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.grid_table import GridTable, print_cells, print_ended
from limbeck.cli.printing import Json, ProgressBar, print_json
from limbeck.errors import LimbeckError, unknown

INCOMPLETE = 1  # the exit code where cells failed
INTERRUPTED = 130


class GridEngine(StrEnum):
    LOCAL = "local"
    RAY = "ray"


_GRIDS = (
    "A grid, YAML: `recipe`, `axes`, `seeds`; or a table or figure of the paper: table1 to table8, figure2 to figure5, "
    "or `paper` for all of them."
)
_CHANGES = "Change every cell's recipe, like -s training.max_steps=9, or the grid, like -s seeds=3; repeatable."
_ENGINE = (
    "local: processes of this machine; ray: the Ray cluster that RAY_ADDRESS names, or one started here "
    "(limbeck\\[ray]). Its machines need the same paths: a file system that they share, with locks."
)
_WORKERS = "Cells at a time; without it one a GPU, or where there is none one for two cores."


def grid(
    grids: Annotated[list[str], typer.Argument(metavar="GRID", help=_GRIDS)],
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    changes: Annotated[list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help=_CHANGES)] = None,
    workers: Annotated[int | None, typer.Option(min=1, help=_WORKERS)] = None,
    engine: Annotated[GridEngine, typer.Option(help=_ENGINE)] = GridEngine.LOCAL,
    retry: Annotated[bool, typer.Option("--retry", help="Train failed cells again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Train nothing; list cells and how they stand.")] = False,
    judge: Annotated[
        Path | None, typer.Option(help="Have finished runs' rationales judged afterwards; the file is `judge`'s.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="The paper's grids with what needs no download.")] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="The paper's grids in a few steps.")] = False,
    root: Annotated[Path, typer.Option(help="The released archive, for the paper's grids.")] = Path("datasets"),
    as_json: Json = False,
) -> None:
    """Train every cell of grids that is not finished; start it again, or twice, and no cell is done twice.

    Exit code 0: all are finished; 1: some failed (it says why); 2: a mistake; 130: interrupted.
    """
    from limbeck.grids import run_grid, states

    chosen = _grids(grids, changes or [], (offline, smoke, root))
    settings = _judge(judge) if judge else None
    if dry_run:
        found = states(chosen, out)
        print_json(_plain(found, out)) if as_json else print_cells(found)
        return
    try:
        with GridTable(quiet=as_json) as watch:
            found = run_grid(chosen, out, workers, engine.value, retry, watch)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all has stopped: another one has nothing to say
        raise typer.Exit(INTERRUPTED) from None
    judged = _judged(found, chosen, settings) if settings is not None else None
    if as_json:
        print_json(_plain(found, out) | ({"judged": judged} if judged else {}))
    else:
        print_ended(found, out, judged)
    if any(state.status == "failed" for state in found):
        raise typer.Exit(INCOMPLETE)


def _grids(names: Sequence[str], changes: Sequence[str], paper: tuple[bool, bool, Path]) -> list[Any]:
    """The grids of files and of the paper's names."""
    from limbeck.grids import Grid

    ours = [name for name in names if Path(name).suffix not in (".yaml", ".yml")]
    if not ours and any(paper[:2]):
        raise LimbeckError("--offline and --smoke are about the paper's grids: give one, like table1")
    found = []
    for name in dict.fromkeys(names):
        if name not in ours:
            found.append(Grid.load(Path(name), changes))
        elif name == ours[0]:  # all of the paper's together, for they may be in one another
            found += [one.changed(changes) for one in _named(ours, *paper)]
    return found


def _named(names: Sequence[str], offline: bool, smoke: bool, root: Path) -> list[Any]:
    """The paper's grids of these names; what is left out of them is said."""
    from limbeck.paper import NAMES, PAPER, named_grids

    for name in names:
        if name not in (*NAMES, PAPER):
            raise unknown("grid (of the paper; others are files, .yaml)", name, [*NAMES, PAPER])
    found, left_out = named_grids(names, offline, smoke, root)
    for said in left_out:
        typer.echo(f"limbeck: {said}", err=True)
    return found


def _judge(path: Path) -> Any:
    """The judge's settings, read before hours of training."""
    try:
        from limbeck.metrics.judge import JudgeSettings
    except ModuleNotFoundError as error:
        raise LimbeckError(f"{error.name} is missing: pip install 'limbeck[teacher]'") from None
    return JudgeSettings.load(path)


def _judged(found: Sequence[Any], grids: Sequence[Any], settings: Any) -> dict[str, Any] | None:
    """What the judge says of the finished runs that have rationales; None: none has."""
    from limbeck.grids import cells
    from limbeck.paper import judged_grids
    from limbeck.runs.judging import judge_runs

    wanted = {cell.name for one in judged_grids(grids) for cell in cells(one) if cell.recipe.evaluation.rationales}
    runs = [state.path for state in found if state.status == "finished" and state.cell.name in wanted]
    if not runs:
        return None
    with ProgressBar() as watch:
        return judge_runs(runs, settings, watch=watch)


def _plain(found: Sequence[Any], out: Path) -> dict[str, Any]:
    """The states for machines."""
    return {
        "out": str(out),
        "counts": dict(Counter(state.status for state in found)),
        "cells": [
            {
                "run": str(state.path),
                "status": state.status,
                "task": state.cell.recipe.data.task,
                "objective": state.cell.recipe.objective.name,
                "seed": state.cell.recipe.seed,
                "values": dict(state.cell.values),
                "error": state.error,
            }
            for state in found
        ],
    }
