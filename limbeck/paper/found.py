"""Which finished runs there are for the places of a table, and where there are none, why."""

from collections.abc import Sequence

from limbeck.errors import LimbeckError
from limbeck.grids import Cell, Grid, cells
from limbeck.grids.folders import was_replaced
from limbeck.metrics.judge_items import TASK_NAMES
from limbeck.paper.spec import NAMES, PaperTable, paper_table
from limbeck.report.studies import Failed
from limbeck.runs.run import Run


class Found:
    """The runs of a named grid, found by their recipes' keys."""

    def __init__(self, grid: Grid, runs: Sequence[Run], failed: Failed) -> None:
        self.name = grid.name
        self.table: PaperTable = paper_table(grid.name)
        self.cells = cells(grid)
        self.seeds = len(grid.seeds)
        self._failed = failed
        by_key = {run.recipe.key: run for run in sorted(runs, key=lambda run: run.finished)}
        self._runs: dict[str, list[Run]] = {}
        self._cells: dict[str, list[Cell]] = {}
        for cell in self.cells:
            recipe = cell.recipe
            place = _place(recipe.objective.name, recipe.data.task, recipe.data.train_fraction)
            self._cells.setdefault(place, []).append(cell)
            if (run := by_key.get(recipe.key)) is not None:
                self._runs.setdefault(place, []).append(run)

    @property
    def tasks(self) -> list[str]:
        """The table's tasks in the paper's order, run or not; then those that the paper has not."""
        ran = dict.fromkeys(cell.recipe.data.task for cell in self.cells)
        return list(dict.fromkeys([*self.table.tasks, *ran]))

    def runs(self, objective: str, task: str, fraction: float = 1.0) -> list[Run]:
        """The finished ones, by seed."""
        found = [run for run in self._runs.get(_place(objective, task, fraction), []) if run.finished]
        return sorted(found, key=lambda run: run.recipe.seed)

    def reason(self, objective: str, task: str, fraction: float = 1.0) -> str:
        """Why there is no finished run."""
        place = _place(objective, task, fraction)
        if place not in self._cells:
            without = all(cell.recipe.data.task != task for cell in self.cells)
            return "no data, so not in the grid that was run" if without else "not in the grid that was run"
        for cell in self._cells[place]:
            if (error := self._failed(cell.name)) is not None:
                return f"failed: {error:.200}"
        return "not finished" if place in self._runs else "not run"

    def incomplete(self) -> str | None:
        """In how many places fewer seeds have finished than the grid has, in a sentence; None: in none."""
        counts = [sum(run.finished for run in self._runs.get(place, [])) for place in self._cells]
        few = sum(0 < count < self.seeds for count in counts)
        return (
            f"In {few} of {len(counts)} places fewer than the grid's {self.seeds} seeds have finished." if few else None
        )


def named(grids: Sequence[Grid]) -> list[Grid]:
    """Those that are the paper's tables and figures, in its order, each once.

    A grid of the same name with other axes is none of them, nor is one that was run again otherwise in its folder.

    Raises:
        LimbeckError: two of one name that differ.
    """
    ours: dict[str, Grid] = {}
    for grid in grids:
        if grid.name in NAMES and {"task", "method"} <= grid.axes.keys() and not was_replaced(grid):
            first = ours.setdefault(grid.name, grid)
            if first.model_dump() != grid.model_dump():
                raise LimbeckError(
                    f"{first.where} and {grid.where}: both are called {grid.name} and they differ, as would their "
                    "tables of that name; take one of them at a time"
                )
    return [ours[name] for name in NAMES if name in ours]


def title_of(task: str) -> str:
    """What the paper calls a task, or its own name."""
    return TASK_NAMES.get(task, task)


def _place(objective: str, task: str, fraction: float) -> str:
    return f"{objective} {task} {fraction:g}"
