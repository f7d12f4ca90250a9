"""`limbeck grid`: the cells of a grid trained, several at a time."""

import logging
import shlex
import signal
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from limbeck.cli import terminal
from limbeck.cli.terminal import argument, asking, option, print_json, print_table, print_text
from limbeck.errors import RecipeError

if TYPE_CHECKING:
    from limbeck.grids import CellState, Grid
    from limbeck.metrics.judge import JudgeSettings

log = logging.getLogger(__name__)

_GRIDS = "A grid's YAML file; or the paper's table1 to table8, figure2 to figure5, or `paper` for all."
_ENGINE = "local: processes here; ray: the cluster at RAY_ADDRESS, or one started here (limbeck\\[ray])."
_PAPER = "The paper's grids"


def grid(
    grids: Annotated[list[str], argument(_GRIDS, metavar="GRID")],
    *,
    out: Annotated[Path, option("Folder of the runs.")] = Path("runs"),
    changes: terminal.Changes = None,
    workers: Annotated[int | None, option("Cells at a time; by default one a GPU, or per two cores.", min=1)] = None,
    engine: Annotated[Literal["local", "ray"], option(_ENGINE)] = "local",
    retry: Annotated[bool, option("Train failed cells again.", "--retry")] = False,
    dry_run: Annotated[bool, option("Train nothing; list the cells and their states.", "--dry-run")] = False,
    judge: Annotated[Path | None, option("Config of a judge, as of `judge`.")] = None,
    offline: Annotated[bool, option("No downloads.", "--offline", rich_help_panel=_PAPER)] = False,
    smoke: Annotated[bool, option("A few steps a run.", "--smoke", rich_help_panel=_PAPER)] = False,
    root: Annotated[Path, option("Folder of the released data.", rich_help_panel=_PAPER)] = Path("datasets"),
    as_json: terminal.Json = False,
) -> None:
    """Train every unfinished cell of grids; any number of processes may share a folder.

    -s changes every cell's recipe (-s training.max_steps=9), or the grid (-s seeds=3).

    Exit code 0: all are finished; 1: some failed; 2: a mistake; 130: interrupted.
    """
    from limbeck.grids import run_grid, states
    from limbeck.metrics.judge import JudgeSettings

    grid_list = _load(grids, changes or (), offline=offline, smoke=smoke, root=root)
    settings = JudgeSettings.load(judge) if judge else None  # before hours of training
    if dry_run:
        cell_states = states(grid_list, out)
        print_json(_as_json(cell_states, out)) if as_json else _print_cells(cell_states)
        return
    log_once = cache(log.info)  # it is watched several times a second
    try:
        cell_states = run_grid(
            grid_list, out, workers=workers, engine=engine, retry=retry, watch=lambda states: log_once(_summary(states))
        )
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all has stopped
        raise typer.Exit(terminal.INTERRUPTED) from None
    judged = _judge(cell_states, grid_list, settings) if settings else {}
    print_json(_as_json(cell_states, out) | judged) if as_json else _print_results(cell_states, out)
    if any(state.status == "failed" for state in cell_states):
        raise typer.Exit(terminal.INCOMPLETE)


def _load(names: Sequence[str], changes: Sequence[str], *, offline: bool, smoke: bool, root: Path) -> list["Grid"]:
    from limbeck.grids import Grid
    from limbeck.paper import paper_grids

    files = [name for name in dict.fromkeys(names) if name.endswith((".yaml", ".yml"))]
    grids = [Grid.load(Path(name), changes) for name in files]
    if papers := [name for name in names if name not in files]:
        paper, omissions = paper_grids(papers, offline=offline, smoke=smoke, root=root)
        for sentence in omissions:
            log.info("%s", sentence)
        grids += [grid.changed(changes) for grid in paper]
    elif offline or smoke:
        raise RecipeError("--offline and --smoke need a grid of the paper, like table1")
    return grids


def _judge(states: Sequence["CellState"], grids: Sequence["Grid"], settings: "JudgeSettings") -> dict[str, Any]:
    from limbeck.grids import cells
    from limbeck.paper import judged_grids
    from limbeck.runs.judging import judge_runs

    names = {cell.name for grid in judged_grids(grids) for cell in cells(grid) if cell.recipe.evaluation.rationales}
    runs = [state.path for state in states if state.status == "finished" and state.cell.name in names]
    if not runs:
        return {}
    with asking() as watch:
        return {"judged": judge_runs(runs, settings, watch=watch)}


def _as_json(cell_states: Sequence["CellState"], out: Path) -> dict[str, Any]:
    rows = []
    for state in cell_states:
        recipe = state.cell.recipe
        names = {"task": recipe.data.task, "objective": recipe.objective.name, "seed": recipe.seed}
        result = {"run": str(state.path), "status": state.status, "error": state.error}
        rows.append({**result, **names, "values": state.cell.values})
    return {"out": str(out), "counts": Counter(state.status for state in cell_states), "cells": rows}


def _summary(cell_states: Sequence["CellState"]) -> str:
    counts = Counter(str(state.status) for state in cell_states)
    labels = {"failed": "failed", "running": "running", "elsewhere": "in another process", "waiting": "waiting"}
    phrases = [f"{counts[status]} {label}" for status, label in labels.items() if counts[status]]
    return ", ".join([f"{counts['finished']} of {len(cell_states)} finished", *phrases])


def _print_cells(cell_states: Sequence["CellState"]) -> None:
    axes = list(dict.fromkeys(axis for state in cell_states for axis in state.cell.values))
    rows = []
    for state in cell_states:
        values = (state.cell.values.get(axis, "") for axis in axes)
        rows.append((state.status, *values, str(state.cell.recipe.seed), state.path.name))
    print_table(("state", *axes, "seed", "folder"), rows)
    print_text(_summary(cell_states))


def _print_results(cell_states: Sequence["CellState"], out: Path) -> None:
    print_text(f"{_summary(cell_states)}. The runs are in {out}/")
    failed = [state for state in cell_states if state.status == "failed"]
    for state in failed:
        print_text(f"failed: {state.path}: {state.error}")
    if failed:
        print_text(f"Tracebacks are in {out}/failed/, logs in {out}/logs/. --retry trains them again")
    if len(failed) < len(cell_states):
        print_text(f"Next: limbeck report {shlex.quote(str(out))} -o report")
