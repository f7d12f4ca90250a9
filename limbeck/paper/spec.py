"""The paper's tables and figures (`paper.yaml`), ways to run them (`variants.yaml`), and their grids."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from limbeck.errors import LimbeckError, unknown
from limbeck.grids import Grid
from limbeck.metrics.judgements import TASK_NAMES
from limbeck.objectives.methods import METHODS
from limbeck.settings import Settings, yaml_value
from limbeck.tasks import Split

Role = Literal["base", "small"]
NAMES = (*(f"table{number}" for number in range(1, 9)), *(f"figure{number}" for number in range(2, 6)))
PAPER = "paper"  # all `NAMES`
SELF_CONSISTENCY = " ++"  # suffix of rows in which the judge was asked several times
REQUIRED: tuple[Split, ...] = ("train", "test")  # validation can be split off


class PaperRow(Settings):
    """A row of a table: its objective, and the paper's number in each column."""

    objective: str | None = None  # None: the teacher's own rationales
    paper: tuple[float | tuple[float, float], ...] = ()

    def printed(self, column: int) -> tuple[float | None, float | None]:
        """Return the paper's number, and its second number or standard deviation if any."""
        number = self.paper[column] if column < len(self.paper) else None
        return number if isinstance(number, tuple) else (number, None)


class PaperTable(Settings):
    """A table or figure of the paper."""

    title: str
    student: Role
    measure: Literal["accuracy", "calibration", "judge", "correlation", "fractions", "cases"]
    tasks: list[str]
    out_of_domain: tuple[str, ...] = ()  # columns after those of `tasks`
    labels: Literal["gold", "teacher"] = "gold"
    fractions: tuple[float, ...] = (1.0,)
    rows: dict[str, PaperRow]
    baseline: str = "DSS"
    notes: tuple[str, ...] = ()


class Variant(Settings):
    """A way to run the paper's grids."""

    seeds: int
    students: dict[Role, dict[str, Any]]
    recipe: dict[str, Any]
    splits: dict[str, dict[Split, Split]] = Field(default_factory=dict)
    extra: dict[str, dict[str, Any]] = Field(default_factory=dict)


@cache
def paper() -> dict[str, PaperTable]:
    return {name: PaperTable.parse(values, f"paper.yaml: {name}") for name, values in _read("paper.yaml").items()}


@cache
def variant(offline: bool = False, smoke: bool = False) -> Variant:
    """Return how the grids are run: in full, `offline`, in a few steps (`smoke`), or both."""
    name = "-".join(word for word, flag in (("offline", offline), ("smoke", smoke)) if flag) or "full"
    return Variant.parse(_read("variants.yaml")[name], f"variants.yaml: {name}")


def task_title(task: str) -> str:
    return TASK_NAMES.get(task, task)


def paper_grids(
    names: Sequence[str], *, offline: bool = False, smoke: bool = False, root: Path = Path("datasets")
) -> tuple[list[Grid], list[str]]:
    """Return the grids of tables and figures, and sentences on what is left out for want of data.

    A method on a task has one recipe in all of them. `names` are of `NAMES`, or `paper` for all; the released data is
    below `root`. Raises LimbeckError for an unknown name, or without data for any.
    """
    tables = dict.fromkeys(name for word in names for name in (NAMES if word == PAPER else (word,)))
    if wrong := [name for name in tables if name not in NAMES]:
        raise unknown("table or figure of the paper", wrong[0], NAMES)
    settings, grids = variant(offline, smoke), []
    tasks_of = {name: [*paper()[name].tasks, *settings.extra] for name in tables}
    reasons = {task: _missing_data(task, settings, root) for tasks in tasks_of.values() for task in tasks}
    data = {task: _data(task, settings, root) for task, reason in reasons.items() if reason is None}
    omissions = [reason for reason in reasons.values() if reason is not None]
    for name, tasks in tasks_of.items():
        if fields := {task_title(task): data[task] for task in tasks if task in data}:
            grids.append(_grid(name, settings, fields))
        else:
            omissions.append(f"{name} is left out: none of its tasks has data")
    if not grids:
        raise LimbeckError(f"{omissions[0]}; --offline needs none")
    return grids, omissions


def _grid(name: str, settings: Variant, tasks: Mapping[str, dict[str, Any]]) -> Grid:
    table = paper()[name]
    methods = {
        title: {"objective": row.objective, "evaluation.rationales": METHODS[row.objective].rationale_view is not None}
        for title, row in table.rows.items()
        if row.objective is not None and not title.endswith(SELF_CONSISTENCY)
    }
    fractions = {"data.train_fraction": [*table.fractions]} if len(table.fractions) > 1 else {}
    axes = {"task": dict(tasks), "method": methods, **fractions}
    data = {**settings.recipe.get("data", {}), "labels": table.labels}
    recipe = {**settings.recipe, "student": settings.students[table.student], "data": data}
    return Grid.parse({"name": name, "recipe": recipe, "axes": axes, "seeds": settings.seeds}, name)


def judged_grids(grids: Sequence[Grid]) -> list[Grid]:
    """Return the grids whose tables need a judge, or else all."""
    names = [name for name, table in paper().items() if table.measure in ("judge", "correlation")]
    return [grid for grid in grids if grid.name in names] or list(grids)


def _data(task: str, settings: Variant, root: Path) -> dict[str, Any]:
    """Return a task's fields of a recipe, equal in all tables, or cells would be trained twice."""
    if task in settings.extra:
        return {"data.task": task, "data.source": dict(settings.extra[task])}
    splits = {"splits": dict(settings.splits[task])} if task in settings.splits else {}
    domains = paper()["table6"].out_of_domain  # measured on each other's tests
    foreign = [name for name in domains if task in domains and name != task and not _missing_data(name, settings, root)]
    source = {"kind": "archive", "root": str(root), **splits}
    return {"data.task": task, "data.source": source, **({"evaluation.out_of_domain": foreign} if foreign else {})}


def _missing_data(task: str, settings: Variant, root: Path) -> str | None:
    """Return a sentence on a task's first missing file, if any."""
    if task in settings.extra:
        return None
    roles = settings.splits.get(task, {})
    for path in (root / task / f"{task}_{roles.get(role, role)}.json" for role in REQUIRED):
        if not path.is_file():
            return f"{task_title(task)} is left out: no {path}; `limbeck data fetch`, or --root"
    return None


def _read(name: str) -> Any:
    return yaml_value((files("limbeck.paper") / name).read_text(encoding="utf-8"), name)
