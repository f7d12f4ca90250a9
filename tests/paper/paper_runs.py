"""Runs of the paper's grids made by hand: folders as far as its tables read them."""

from pathlib import Path
from typing import Any

from limbeck.grids import Grid, GridCell, cells
from limbeck.paper import paper_grids
from limbeck.runs.run import Run, open_run
from tests.helpers.archives import write_run

TASKS = {"esnli": "valid test", "anli1": "valid test", "cqa": "train test", "svamp": "train test"}


def data_at(root: Path, tasks: dict[str, str] = TASKS) -> Path:
    """An archive as far as a grid looks at it: empty files."""
    for task, splits in tasks.items():
        for split in splits.split():
            (root / task).mkdir(parents=True, exist_ok=True)
            (root / task / f"{task}_{split}.json").touch()
    return root


def smoke(name: str, root: Path) -> Grid:
    return paper_grids([name], offline=True, smoke=True, root=root)[0][0]


def cell_of(grid: Grid, objective: str, task: str, seed: int = 1, *, fraction: float = 1.0) -> GridCell:
    (match,) = (
        cell
        for cell in cells(grid)
        if (cell.recipe.objective.name, cell.recipe.data.task, cell.recipe.seed, cell.recipe.data.train_fraction)
        == (objective, task, seed, fraction)
    )
    return match


def finished(folder: Path, cell: GridCell, rows: list[dict[str, Any]], name: str = "test") -> Run:
    """A finished run of this cell with these predictions; may be called again with others of another name."""
    return open_run(write_run(folder, cell.recipe.resolved(), rows, name))


def answers(right: str, **columns: list[Any]) -> list[dict[str, Any]]:
    """Rows `a`, `b`, ...: right where `right` has a 1; `columns` are fields with a value for each row."""
    return [
        {"id": chr(97 + n), "input": f"{n}?", "label": "1", "prediction": "1" if yes == "1" else "2", "rationale": ""}
        | {field: values[n] for field, values in columns.items()}
        for n, yes in enumerate(right)
    ]
