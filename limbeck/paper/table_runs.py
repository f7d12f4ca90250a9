"""The runs of a paper's table: which there are for each of its cells, why others are missing, and how they compare."""

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.data import ArchiveSource
from limbeck.errors import LimbeckError
from limbeck.grids import Grid, GridCell, cells
from limbeck.models import StudentSettings
from limbeck.paper.spec import NAMES, paper, task_title, variant
from limbeck.report.overview import ErrorOf
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import Run
from limbeck.training.settings import TrainingSettings

INTERVALS = (
    "Intervals are 95 %: with several seeds Student's t over seeds and examples, "
    "with one Wilson's, over examples for this one student."
)
HOLM = "Holm: p adjusted by Holm's method over all tests of the table."

Place = tuple[str, str, float]  # objective, task, fraction of the training data


class TableRuns:
    """The runs of a grid that is one of the paper's, found by their recipes' keys."""

    def __init__(self, grid: Grid, runs: Sequence[Run], error_of: ErrorOf) -> None:
        self.name = grid.name
        self.spec = paper()[grid.name]
        self.recipes = [cell.recipe for cell in cells(grid)]
        self._seeds = len(grid.seeds)
        self._error_of = error_of
        by_key = {run.recipe.key: run for run in sorted(runs, key=lambda run: run.finished)}
        self._cells: dict[Place, list[GridCell]] = {}
        self._runs: dict[Place, list[Run]] = {}
        for cell in cells(grid):
            recipe = cell.recipe
            key = recipe.objective.name, recipe.data.task, recipe.data.train_fraction
            self._cells.setdefault(key, []).append(cell)
            if (run := by_key.get(recipe.key)) is not None:
                self._runs.setdefault(key, []).append(run)

    @property
    def tasks(self) -> list[str]:
        """The table's tasks in the paper's order, run or not; then those that the paper does not have."""
        return list(dict.fromkeys([*self.spec.tasks, *(recipe.data.task for recipe in self.recipes)]))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(map(task_title, self.tasks))

    def runs(self, objective: str | None, task: str, fraction: float = 1.0) -> list[Run]:
        """Return the finished runs, by seed."""
        runs = [run for run in self._runs.get((str(objective), task, fraction), []) if run.finished]
        return sorted(runs, key=lambda run: run.recipe.seed)

    def reason(self, objective: str | None, task: str, fraction: float = 1.0) -> str:
        """Return why there is no finished run."""
        key = str(objective), task, fraction
        if key not in self._cells:
            no_data = all(recipe.data.task != task for recipe in self.recipes)
            return "no data, so not in the grid that was run" if no_data else "not in the grid that was run"
        for cell in self._cells[key]:
            if (error := self._error_of(cell.name)) is not None:
                return f"failed: {error:.200}"
        return "not finished" if key in self._runs else "not run"

    def notes(self) -> list[str]:
        """Return sentences on whether the paper's numbers may be held against ours: student, steps and data."""
        full, first = variant(), self.recipes[0]
        their_student = StudentSettings.parse(full.students[self.spec.student], "variants.yaml")
        paper_training = TrainingSettings.parse(full.recipe["training"], "variants.yaml").model_dump()
        training = first.training.model_dump()
        same = first.student == their_student and all(
            training[name] == paper_training[name] for name in full.recipe["training"]
        )
        setup = _setup(first.student, training)
        if same and not any(map(_is_reduced, self.recipes)):
            notes = [f"Ours: {setup}, as in the paper."]
        else:
            paper_setup = f"{_setup(their_student, paper_training)}, the whole data"
            notes = [f"Ours: {setup}. The paper's: {paper_setup}; so its numbers are no measure of ours."]
        if extra_tasks := [task_title(task) for task in self.tasks if task not in self.spec.tasks]:
            notes.append(f"The paper has no {' and no '.join(extra_tasks)}.")
        notes += _data_notes(self.recipes)
        counts = [sum(run.finished for run in self._runs.get(key, [])) for key in self._cells]
        if incomplete := sum(0 < count < self._seeds for count in counts):
            seeds = f"fewer than the grid's {self._seeds} seeds"
            notes.append(f"In {incomplete} of {len(counts)} places {seeds} have finished.")
        for name, row in self.spec.rows.items():
            if row.added:
                source = (
                    " its numbers for it are those of its Table 1." if row.paper else " there are no numbers of it."
                )
                notes.append(f"The paper has no row {name} here;{source}")
        return notes


def papers_grids(grids: Sequence[Grid]) -> list[Grid]:
    """Return those that are the paper's tables and figures, in its order, each once.

    A grid of the same name with other axes is not one of them.

    Raises:
        LimbeckError: two of one name that differ.
    """
    by_name: dict[str, Grid] = {}
    for grid in grids:
        if grid.name in NAMES and {"task", "method"} <= grid.axes.keys():
            first = by_name.setdefault(grid.name, grid)
            if first.model_dump() != grid.model_dump():
                raise LimbeckError(
                    f"{first.where} and {grid.where}: both are called {grid.name} and they differ, as would their "
                    "tables of that name; take one of them at a time"
                )
    return [by_name[name] for name in NAMES if name in by_name]


def _setup(student: StudentSettings, training: Mapping[str, Any]) -> str:
    name = student.name or f"a student of {student.encoder} and {student.decoder}"
    if (scratch := student.scratch) is not None:
        name = f"a T5 from scratch of width {scratch.d_model} and depth {scratch.num_layers}"
    steps, epochs = training["max_steps"], training["num_train_epochs"]
    length = f"{steps:,} steps" if steps > 0 else f"{epochs:g} epochs"
    batch = training["per_device_train_batch_size"] * training["gradient_accumulation_steps"]
    return f"{name}, {length} of {batch} examples, learning rate {training['learning_rate']:g}"


def _is_reduced(recipe: Recipe) -> bool:
    data = recipe.data
    return data.limit is not None or (isinstance(data.source, ArchiveSource) and data.source.splits is not None)


def _data_notes(recipes: Sequence[Recipe]) -> list[str]:
    notes = []
    if limits := sorted({recipe.data.limit for recipe in recipes if recipe.data.limit is not None}):
        notes.append(f"Of every split at most {limits[0]} rows were used: this shows that it works, and nothing else.")
    train_splits: dict[str, str] = {}
    for recipe in recipes:
        source = recipe.data.source
        if isinstance(source, ArchiveSource) and source.splits is not None:
            train_splits[task_title(recipe.data.task)] = source.splits.get("train", "train")
    for split in dict.fromkeys(train_splits.values()):
        tasks = " and ".join(task for task, used in train_splits.items() if used == split)
        notes.append(f"{tasks}: trained on the archive's split {split!r}.")
    return notes
