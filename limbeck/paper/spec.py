"""The paper's tables and figures as data (`paper.yaml`), the ways to run them (`variants.yaml`), and them as grids."""

from collections.abc import Collection, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from limbeck.errors import LimbeckError, unknown
from limbeck.grids import Grid
from limbeck.metrics.judgements import TASK_NAMES
from limbeck.objectives.methods import objective
from limbeck.settings import Settings, yaml_value
from limbeck.tasks import Split

Role = Literal["base", "small"]
NAMES = (*(f"table{number}" for number in range(1, 9)), *(f"figure{number}" for number in range(2, 6)))
PAPER = "paper"  # all of them
REQUIRED: tuple[Split, ...] = ("train", "test")  # validation is split off where there is none


class PaperRow(Settings):
    """A row of a table: its objective, and the paper's number in each column."""

    objective: str | None = None  # None: the teacher's own rationales
    paper: list[float | tuple[float, float]] | None = None
    p: list[Literal["<", ">"]] | None = None  # than 0.05
    added: bool = False  # the paper does not have it in this table


class PaperTable(Settings):
    """A table or figure of the paper."""

    title: str
    student: Role
    measure: Literal["accuracy", "calibration", "judge", "correlation", "fractions", "cases"]
    tasks: list[str]
    out_of_domain: list[str] = Field(default_factory=list)  # columns after those of `tasks`
    labels: Literal["gold", "teacher"] = "gold"
    fractions: list[float] = Field(default_factory=lambda: [1.0])
    rows: dict[str, PaperRow]
    pair: tuple[str, str] | None = None  # rows that the table is there to compare, besides those with DSS

    @model_validator(mode="after")
    def _check_rows(self) -> Self:
        columns = len(self.tasks) + len(self.out_of_domain)
        for name, row in self.rows.items():
            if any(values is not None and len(values) != columns for values in (row.paper, row.p)):
                raise ValueError(f"row {name!r}: {columns} numbers were expected")
        return self

    def printed(self, row: str, task: str) -> tuple[float | None, float | None]:
        """Return the paper's number and, where it has one, its standard deviation."""
        numbers = self.rows[row].paper
        number = numbers[self.tasks.index(task)] if numbers is not None and task in self.tasks else None
        return number if isinstance(number, tuple) else (number, None)

    @property
    def objectives(self) -> dict[str, str]:
        """The first row's name for each objective that is trained."""
        names: dict[str, str] = {}
        for name, row in self.rows.items():
            if row.objective is not None:
                names.setdefault(row.objective, name)
        return names


class Variant(Settings):
    """A way to run the paper's grids."""

    seeds: int
    students: dict[Role, dict[str, Any]]
    recipe: dict[str, Any]
    splits: dict[str, dict[Split, Split]] = Field(default_factory=dict)
    extra: dict[str, dict[str, Any]] = Field(default_factory=dict)


@cache
def paper() -> dict[str, PaperTable]:
    """Return the tables and figures by name."""
    return {name: PaperTable.parse(values, f"paper.yaml: {name}") for name, values in _read("paper.yaml").items()}


@cache
def variant(offline: bool = False, smoke: bool = False) -> Variant:
    """Return how the grids are run: in full, without a download, in a few steps, or both of the latter."""
    name = "-".join(word for word, flag in (("offline", offline), ("smoke", smoke)) if flag) or "full"
    return Variant.parse(_read("variants.yaml")[name], f"variants.yaml: {name}")


def task_title(task: str) -> str:
    """Return the paper's name of a task, or its own."""
    return TASK_NAMES.get(task, task)


def paper_grid(
    name: str, *, offline: bool = False, smoke: bool = False, root: Path = Path("datasets")
) -> tuple[Grid, list[str]]:
    """Return the grid of a table or figure of the paper, and a sentence on each task left out for want of data.

    All grids are made of the same cells: a method on a task has one recipe, whichever table asks for it.

    Args:
        name: one of `NAMES`.
        offline: without any download: students from scratch, the local part of the data, the task `arithmetic`.
        smoke: in a few steps.
        root: folder of the released data.

    Raises:
        LimbeckError: there is no such table, or no data for any of its tasks.
    """
    if name not in NAMES:
        raise unknown("table or figure of the paper", name, NAMES)
    table, settings = paper()[name], variant(offline, smoke)
    all_tasks = dict.fromkeys(task for paper_table in paper().values() for task in paper_table.tasks)
    without_data = {task: reason for task in all_tasks if (reason := _missing_data(task, settings, root)) is not None}
    tasks = [task for task in table.tasks if task not in without_data] + list(settings.extra)
    if not tasks:
        raise LimbeckError(f"{name}: {without_data[table.tasks[0]]}; or run what needs no data with --offline")
    axes: dict[str, Any] = {
        "task": {task_title(task): _data(task, settings, root, without_data) for task in tasks},
        "method": {row: _method(name) for name, row in table.objectives.items()},
    }
    if len(table.fractions) > 1:
        axes["data.train_fraction"] = table.fractions
    data = {**settings.recipe.get("data", {}), "labels": table.labels}
    recipe = {**settings.recipe, "student": settings.students[table.student], "data": data}
    grid = Grid.parse({"name": name, "recipe": recipe, "axes": axes, "seeds": settings.seeds}, name)
    also_measured = _domain() if set(_domain()) & set(table.tasks) else []
    measured_tasks = dict.fromkeys([*table.tasks, *also_measured])
    return grid, [without_data[task] for task in measured_tasks if task in without_data]


def paper_grids(
    names: Sequence[str], *, offline: bool = False, smoke: bool = False, root: Path = Path("datasets")
) -> tuple[list[Grid], list[str]]:
    """Return the grids of several tables and figures (`paper` for all), less those without any data.

    Raises:
        LimbeckError: there is no such table, or no data for any of them.
    """
    grids: list[Grid] = []
    omissions: list[str] = []
    for name in dict.fromkeys(name for word in names for name in (NAMES if word == PAPER else (word,))):
        try:
            grid, without = paper_grid(name, offline=offline, smoke=smoke, root=root)
        except LimbeckError as error:
            if name not in NAMES:
                raise
            omissions.append(str(error))
        else:
            grids.append(grid)
            omissions += without
    if not grids:
        raise LimbeckError(omissions[0])
    return grids, list(dict.fromkeys(omissions))


def judged_grids(grids: Sequence[Grid]) -> list[Grid]:
    """Return the grids whose runs a judge is asked about: tables 7 and 8; where neither is among these, all of them."""
    names = [name for name, table in paper().items() if table.measure in ("judge", "correlation")]
    return [grid for grid in grids if grid.name in names] or list(grids)


def _domain() -> list[str]:
    """Return the tasks whose students are measured on each other's test questions, in every table alike."""
    return paper()["table6"].out_of_domain


def _method(name: str) -> dict[str, Any]:
    return {"objective": name, "evaluation.rationales": objective(name).rationale_view is not None}


def _data(task: str, settings: Variant, root: Path, without_data: Collection[str]) -> dict[str, Any]:
    """Return the fields of a recipe that a task sets, in every table alike: else cells would be trained twice."""
    if task in settings.extra:
        return {"data.task": task, "data.source": dict(settings.extra[task])}
    source: dict[str, Any] = {"kind": "archive", "root": str(root)}
    if task in settings.splits:
        source["splits"] = dict(settings.splits[task])
    domains = [
        dataset for dataset in _domain() if dataset != task and dataset not in without_data and task in _domain()
    ]
    return {"data.task": task, "data.source": source} | ({"evaluation.out_of_domain": domains} if domains else {})


def _missing_data(task: str, settings: Variant, root: Path) -> str | None:
    """Return a sentence on the first of a task's files that is not there; None: all are."""
    roles = settings.splits.get(task) or {split: split for split in get_args(Split)}
    for split in (roles[role] for role in REQUIRED):
        path = root / task / f"{task}_{split}.json"
        if not path.is_file():
            missing = path.name if path.parent.is_dir() else task
            return f"{task_title(task)} is left out: no {missing} at {path.parent}; `limbeck data fetch`, or --root"
    return None


def _read(name: str) -> Any:
    return yaml_value((files("limbeck.paper") / name).read_text(encoding="utf-8"), name)
