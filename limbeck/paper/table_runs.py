"""The runs of a paper's table: which there are for each of its cells, why others are missing, and their setup."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from limbeck.data import ArchiveSource
from limbeck.errors import LimbeckError
from limbeck.grids import Grid, GridCell, cells
from limbeck.models import StudentSettings
from limbeck.paper.spec import NAMES, PaperTable, paper, task_title, variant
from limbeck.runs.judging import read_judgements
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import Run
from limbeck.schema import Judgement
from limbeck.training.settings import TrainingSettings


class TableRuns:
    """The runs of a grid that is one of the paper's, found by their recipes' keys."""

    def __init__(self, grid: Grid, runs: Sequence[Run], errors: Mapping[str, str]) -> None:
        self.name = grid.name
        self.spec: PaperTable = paper()[grid.name]
        number = self.name.replace("table", "Table ").replace("figure", "Figure ")
        self.title = f"{number}: {self.spec.title}"
        self._seeds = len(grid.seeds)
        self._errors = errors
        self._by_key = {run.recipe.key: run for run in sorted(runs, key=lambda run: run.finished)}
        self._cells: dict[tuple[str | None, str, float], list[GridCell]] = {}
        for cell in cells(grid):
            data = cell.recipe.data
            self._cells.setdefault((cell.recipe.objective.name, data.task, data.train_fraction), []).append(cell)

    @property
    def tasks(self) -> list[str]:
        """The table's tasks in the paper's order, run or not; then those that the paper does not have."""
        return list(dict.fromkeys([*self.spec.tasks, *(task for _, task, _ in self._cells)]))

    def runs(self, objective: str | None, task: str, fraction: float = 1.0) -> list[Run]:
        """Return the finished runs, by seed."""
        keys = [cell.recipe.key for cell in self._cells.get((objective, task, fraction), [])]
        runs = [self._by_key[key] for key in keys if key in self._by_key]
        return sorted((run for run in runs if run.finished), key=lambda run: run.recipe.seed)

    @cached_property
    def judgements(self) -> dict[Path, list[Judgement]]:
        """The judge's scores by the finished run's folder."""
        runs = [run for objective, task, _ in self._cells for run in self.runs(objective, task)]
        return {run.path: read_judgements(run) for run in runs}

    def reason(self, objective: str | None, task: str, fraction: float = 1.0) -> str:
        """Return why there is no finished run."""
        if task not in (task for _, task, _ in self._cells):
            return "no data, so not in the grid that was run"
        planned = self._cells.get((objective, task, fraction))
        if not planned:
            return "not in the grid that was run"
        failed = [self._errors[cell.name] for cell in planned if cell.name in self._errors]
        runs = [cell for cell in planned if cell.recipe.key in self._by_key]
        return f"failed: {failed[0]:.200}" if failed else "not finished" if runs else "not run"

    def notes(self) -> list[str]:
        """Return sentences on whether the paper's numbers may be held against ours: student, steps and data."""
        recipes = [cell.recipe for cells_of_seeds in self._cells.values() for cell in cells_of_seeds]
        student = StudentSettings.parse(variant().students[self.spec.student], "variants.yaml")
        paper_setup = _setup(student, TrainingSettings.parse(variant().recipe["training"], "variants.yaml"))
        setup, reduced = _setup(recipes[0].student, recipes[0].training), _reductions(recipes)
        notes = [f"Ours: {setup}, as in the paper."]
        if setup != paper_setup or reduced:
            contrast = f"The paper's: {paper_setup}, the whole data; so its numbers are no measure of ours."
            notes = [f"Ours: {setup}. {contrast}"]
        if extra_tasks := [task_title(task) for task in self.tasks if task not in self.spec.tasks]:
            notes.append(f"The paper has no {' and no '.join(extra_tasks)}.")
        counts = [len(self.runs(*key)) for key in self._cells]
        incomplete = sum(0 < count < self._seeds for count in counts)
        seeds = f"In {incomplete} of {len(counts)} places fewer than the grid's {self._seeds} seeds have finished."
        return [*notes, *reduced, *([seeds] if incomplete else []), *self.spec.notes]


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
                raise LimbeckError(f"{first.where} and {grid.where}: two different {grid.name}; take one at a time")
    return [by_name[name] for name in NAMES if name in by_name]


def _setup(student: StudentSettings, training: TrainingSettings) -> str:
    """Return the student and its training in a few words."""
    name = student.name or f"a student of {student.encoder} and {student.decoder}"
    if (scratch := student.scratch) is not None:
        name = f"a T5 from scratch of width {scratch.d_model} and depth {scratch.num_layers}"
    values = training.model_dump()
    steps, epochs = values["max_steps"], values["num_train_epochs"]
    length = f"{steps:,} steps" if steps > 0 else f"{epochs:g} epochs"
    batch = values["per_device_train_batch_size"] * values["gradient_accumulation_steps"]
    return f"{name}, {length} of {batch} examples, learning rate {values['learning_rate']:g}"


def _reductions(recipes: Sequence[Recipe]) -> list[str]:
    """Return sentences on data that is not the paper's whole data."""
    limits = {recipe.data.limit for recipe in recipes if recipe.data.limit is not None}
    splits = {
        f"{task_title(recipe.data.task)}: trained on the archive's split {source.splits.get('train', 'train')!r}."
        for recipe in recipes
        if isinstance(source := recipe.data.source, ArchiveSource) and source.splits is not None
    }
    limited = [
        f"Of every split at most {n} rows were used: this shows that it works, and nothing else." for n in limits
    ]
    return [*limited, *sorted(splits)]
