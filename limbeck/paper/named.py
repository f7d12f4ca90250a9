"""The paper's tables and figures as grids."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args

from limbeck.errors import LimbeckError
from limbeck.grids import Grid
from limbeck.metrics.judge_items import TASK_NAMES
from limbeck.objectives.methods import objective
from limbeck.paper.spec import NAMES, PaperTable, Variant, paper, paper_table, variant
from limbeck.tasks import Split

PAPER = "paper"  # all of them
_NEEDED: tuple[Split, ...] = ("train", "test")  # validation is carved where there is none


def named_grid(
    name: str, offline: bool = False, smoke: bool = False, root: Path = Path("datasets")
) -> tuple[Grid, list[str]]:
    """The grid of a table or figure of the paper, and what of it is left out for want of data, a sentence each.

    All of them are made of the same cells: a method on a task has one recipe, whichever table asks for it.

    Args:
        name: one of `NAMES`.
        offline: with what needs no download: students from scratch, the local part of the data, the task `arithmetic`.
        smoke: in a few steps.
        root: the released archive's folder.

    Raises:
        LimbeckError: no such table, or no data for any of its tasks.
    """
    table, way = paper_table(name), variant(offline, smoke)
    lacking = {task: said for task in _archived() if (said := _lacking(task, way, root)) is not None}
    tasks = [task for task in table.tasks if task not in lacking] + list(way.extra)
    if not tasks:
        raise LimbeckError(f"{name}: {lacking[table.tasks[0]]}; or run what needs no data with --offline")
    axes: dict[str, Any] = {
        "task": {TASK_NAMES.get(task, task): _data(task, way, root, lacking) for task in tasks},
        "method": {row: _method(name) for name, row in table.objectives.items()},
    }
    if len(table.fractions) > 1:
        axes["data.train_fraction"] = table.fractions
    recipe = {**way.recipe, "student": way.students[table.student]}
    recipe["data"] = {**way.recipe.get("data", {}), "labels": table.labels}
    grid = Grid.parse({"name": name, "recipe": recipe, "axes": axes, "seeds": way.seeds}, name)
    return grid, [lacking[task] for task in _wanted(table) if task in lacking]


def named_grids(
    names: Sequence[str], offline: bool = False, smoke: bool = False, root: Path = Path("datasets")
) -> tuple[list[Grid], list[str]]:
    """The grids of several tables and figures, `paper` for all of them; those without any data are left out.

    Raises:
        LimbeckError: no such table, or no data for any of them.
    """
    wanted = dict.fromkeys(name for given in names for name in (NAMES if given == PAPER else (given,)))
    grids: list[Grid] = []
    left_out: list[str] = []
    for name in wanted:
        paper_table(name)
        try:
            grid, without = named_grid(name, offline, smoke, root)
        except LimbeckError as error:
            left_out.append(str(error))
        else:
            grids.append(grid)
            left_out += without
    if not grids:
        raise LimbeckError(left_out[0])
    return grids, list(dict.fromkeys(left_out))


def judged_grids(grids: Sequence[Grid]) -> list[Grid]:
    """The grids whose runs a judge is asked about: tables 7 and 8, and where neither is among these, all of them."""
    wanted = [name for name, table in paper().items() if table.measure in ("judge", "correlation")]
    return [grid for grid in grids if grid.name in wanted] or list(grids)


def _method(name: str) -> dict[str, Any]:
    return {"objective": name, "evaluation.rationales": objective(name).rationale_view is not None}


def _data(task: str, way: Variant, root: Path, lacking: Collection[str]) -> dict[str, Any]:
    """What a task changes in a recipe, in every table alike."""
    if task in way.extra:
        return {"data.task": task, "data.source": dict(way.extra[task])}
    source: dict[str, Any] = {"kind": "archive", "root": str(root)}
    if task in way.splits:
        source["splits"] = dict(way.splits[task])
    domain = paper()["table6"].out_of_domain
    others = [other for other in domain if other != task and other not in lacking] if task in domain else []
    return {"data.task": task, "data.source": source} | ({"evaluation.out_of_domain": others} if others else {})


def _archived() -> list[str]:
    return list(dict.fromkeys(task for table in paper().values() for task in table.tasks))


def _wanted(table: PaperTable) -> list[str]:
    """The tasks of a table, and those whose test split its students are measured on besides."""
    domain = paper()["table6"].out_of_domain
    return list(dict.fromkeys([*table.tasks, *(domain if set(domain) & set(table.tasks) else [])]))


def _lacking(task: str, way: Variant, root: Path) -> str | None:
    """Which of a task's files is not there, in a sentence; None: all are."""
    roles = way.splits.get(task) or {split: split for split in get_args(Split)}
    for split in (roles[role] for role in _NEEDED):
        path = root / task / f"{task}_{split}.json"
        if not path.is_file():
            what = path.name if path.parent.is_dir() else task
            return f"{TASK_NAMES[task]} is left out: no {what} at {path.parent}; `limbeck data fetch`, or --root"
    return None
