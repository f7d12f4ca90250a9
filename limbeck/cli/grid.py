"""`limbeck grid`: every cell of a grid trained, in a folder each, several at a time."""

import logging
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from limbeck.cli.printing import Json, ProgressBar, print_json
from limbeck.errors import LimbeckError, unknown

if TYPE_CHECKING:
    from limbeck.grids import CellState, Grid
    from limbeck.metrics.judge import JudgeSettings

log = logging.getLogger(__name__)

SOME_FAILED = 1  # exit codes
INTERRUPTED = 130


class GridEngine(StrEnum):
    LOCAL = "local"
    RAY = "ray"


_GRIDS = (
    "A grid's YAML file: `recipe`, `axes`, `seeds`; or a table or figure of the paper: table1 to table8, figure2 to "
    "figure5, or `paper` for all of them."
)
_CHANGES = "Change every cell's recipe, like -s training.max_steps=9, or the grid, like -s seeds=3; repeatable."
_ENGINE = (
    "local: processes of this machine; ray: the Ray cluster at RAY_ADDRESS, or one started here (limbeck\\[ray]). "
    "Its machines need a file system that they share, with locks."
)
_WORKERS = "Cells at a time. By default one a GPU, or one for two cores."
_ROOT = "Folder of the released data, for the paper's grids."


def grid(
    grids: Annotated[list[str], typer.Argument(metavar="GRID", help=_GRIDS)],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    changes: Annotated[list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help=_CHANGES)] = None,
    workers: Annotated[int | None, typer.Option(min=1, help=_WORKERS)] = None,
    engine: Annotated[GridEngine, typer.Option(help=_ENGINE)] = GridEngine.LOCAL,
    retry: Annotated[bool, typer.Option("--retry", help="Train failed cells again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Train nothing; list the cells and their states.")] = False,
    judge: Annotated[
        Path | None, typer.Option(help="Have the finished runs' rationales judged; the file is that of `judge`.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="The paper's grids without any download.")] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="The paper's grids in a few steps.")] = False,
    root: Annotated[Path, typer.Option(help=_ROOT)] = Path("datasets"),
    as_json: Json = False,
) -> None:
    """Train every cell of grids that is not finished. Start it again, or twice: no cell is trained twice.

    Exit code 0: all are finished; 1: some failed, and it says why; 2: a mistake; 130: interrupted.
    """
    from limbeck.grids import run_grid, states

    grid_list = _load(grids, changes or [], offline=offline, smoke=smoke, root=root)
    settings = _judge_settings(judge) if judge else None
    if dry_run:
        cell_states = states(grid_list, out)
        print_json(_as_json(cell_states, out)) if as_json else _print_cells(cell_states)
        return
    try:
        with _progress(quiet=as_json) as watch:
            cell_states = run_grid(grid_list, out, workers=workers, engine=engine.value, retry=retry, watch=watch)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # everything has stopped: another Ctrl-C has no meaning
        raise typer.Exit(INTERRUPTED) from None
    judgement = _judge(cell_states, grid_list, settings) if settings is not None else None
    if as_json:
        print_json(_as_json(cell_states, out) | ({"judged": judgement} if judgement else {}))
    else:
        _print_results(cell_states, out, judgement)
    if any(state.status == "failed" for state in cell_states):
        raise typer.Exit(SOME_FAILED)


def _load(names: Sequence[str], changes: Sequence[str], *, offline: bool, smoke: bool, root: Path) -> list["Grid"]:
    """Return the grids of files and of the paper's names."""
    from limbeck.grids import Grid

    papers = [name for name in names if Path(name).suffix not in (".yaml", ".yml")]
    if not papers and (offline or smoke):
        raise LimbeckError("--offline and --smoke are about the paper's grids: give one, like table1")
    grids: list[Grid] = []
    for name in dict.fromkeys(names):
        if name not in papers:
            grids.append(Grid.load(Path(name), changes))
        elif name == papers[0]:  # all of the paper's together: they may contain one another
            grids += [grid.changed(changes) for grid in _paper_grids(papers, offline, smoke, root)]
    return grids


def _paper_grids(names: Sequence[str], offline: bool, smoke: bool, root: Path) -> list["Grid"]:
    from limbeck.paper import NAMES, PAPER, paper_grids

    for name in names:
        if name not in (*NAMES, PAPER):
            raise unknown("grid (of the paper; others are files, .yaml)", name, [*NAMES, PAPER])
    grids, omissions = paper_grids(names, offline=offline, smoke=smoke, root=root)
    for sentence in omissions:
        typer.echo(f"limbeck: {sentence}", err=True)
    return grids


def _judge_settings(path: Path) -> "JudgeSettings":
    """Read the judge's settings, before hours of training."""
    from limbeck.metrics.judge import JudgeSettings

    return JudgeSettings.load(path)


def _judge(
    cell_states: Sequence["CellState"], grids: Sequence["Grid"], settings: "JudgeSettings"
) -> dict[str, Any] | None:
    """Have the finished runs that have rationales judged; None: there are none."""
    from limbeck.grids import cells
    from limbeck.paper import judged_grids
    from limbeck.runs.judging import judge_runs

    names = {cell.name for grid in judged_grids(grids) for cell in cells(grid) if cell.recipe.evaluation.rationales}
    runs = [state.path for state in cell_states if state.status == "finished" and state.cell.name in names]
    if not runs:
        return None
    with ProgressBar() as watch:
        return judge_runs(runs, settings, watch=watch)


def _as_json(cell_states: Sequence["CellState"], out: Path) -> dict[str, Any]:
    return {
        "out": str(out),
        "counts": dict(Counter(state.status for state in cell_states)),
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
            for state in cell_states
        ],
    }


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Sequence["CellState"]], None]]:
    """Show states on standard error: bars on a terminal, else a line for each cell that ends."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
            bars = _Bars(progress)
            yield bars.update
    else:
        yield _LogLines().update


class _Bars:
    """A bar for all cells, and one for each that is running."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._all = progress.add_task("")
        self._running: dict[str, TaskID] = {}

    def update(self, cell_states: Sequence["CellState"]) -> None:
        from limbeck.grids import GridFolder

        settled = sum(state.status in ("finished", "failed") for state in cell_states)
        self._progress.update(self._all, description=_summary(cell_states), total=len(cell_states), completed=settled)
        running = {state.path.name: state for state in cell_states if state.status == "running"}
        for name in self._running.keys() - running.keys():
            self._progress.remove_task(self._running.pop(name))
        for name, state in running.items():
            if name not in self._running:
                steps = state.cell.recipe.resolved()["training"].get("max_steps", 0)
                self._running[name] = self._progress.add_task(escape(name), total=steps if steps > 0 else None)
            step = GridFolder(state.path.parent).step(name)
            self._progress.update(self._running[name], completed=step or 0)
        self._progress.refresh()


class _LogLines:
    """A line for each cell that has ended since the last call; at the first call none has."""

    def __init__(self) -> None:
        self._ended: set[str] | None = None

    def update(self, cell_states: Sequence["CellState"]) -> None:
        settled = {state.cell.name: state for state in cell_states if state.status in ("finished", "failed")}
        for name in settled.keys() - (settled.keys() if self._ended is None else self._ended):
            outcome = "finished" if settled[name].status == "finished" else f"failed: {settled[name].error}"
            log.info("%s: %s (%d of %d have ended)", settled[name].path, outcome, len(settled), len(cell_states))
        self._ended = set(settled)


def _summary(cell_states: Sequence["CellState"]) -> str:
    counts = Counter(str(state.status) for state in cell_states)
    labels = {"failed": "failed", "running": "running", "elsewhere": "in another process", "waiting": "waiting"}
    phrases = [f"{counts[status]} {label}" for status, label in labels.items() if counts[status]]
    return ", ".join([f"{counts['finished']} of {len(cell_states)} finished", *phrases])


def _print_cells(cell_states: Sequence["CellState"]) -> None:
    axes = list(dict.fromkeys(axis for state in cell_states for axis in state.cell.values))
    table = Table()
    for column in ("state", *axes, "seed", "folder"):
        table.add_column(escape(column), overflow="fold")
    for state in cell_states:
        values = [escape(state.cell.values.get(axis, "")) for axis in axes]
        table.add_row(state.status, *values, str(state.cell.recipe.seed), escape(state.path.name))
    Console().print(table)
    print(_summary(cell_states))


def _print_results(cell_states: Sequence["CellState"], out: Path, judgement: dict[str, Any] | None) -> None:
    print(f"{_summary(cell_states)}. The runs are in {out}/")
    failed = [state for state in cell_states if state.status == "failed"]
    for state in failed:
        print(f"failed: {state.path}: {state.error}")
    if failed:
        print(f"Tracebacks are in {out}/failed/, everything else that was printed in {out}/logs/. --retry tries again")
    if judgement is not None:
        print(f"judged: {len(judgement['correlation'])} runs; judgements are in their evaluation/judge-test.jsonl")
    if len(failed) < len(cell_states):
        print(f"Next: limbeck report {shlex.quote(str(out))} -o report")
