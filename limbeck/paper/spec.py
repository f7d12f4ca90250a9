"""The paper's tables and figures, and the ways to run them, as data: `paper.yaml` and `variants.yaml`, checked."""

from functools import cache
from importlib.resources import files
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from limbeck.errors import unknown
from limbeck.settings import Settings, yaml_value
from limbeck.tasks import Split

Role = Literal["base", "small"]
NAMES = (*(f"table{number}" for number in range(1, 9)), *(f"figure{number}" for number in range(2, 6)))


class PaperRow(Settings):
    """A row of a table: which objective, and what the paper has in each column."""

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
    def _whole(self) -> Self:
        columns = len(self.tasks) + len(self.out_of_domain)
        for name, row in self.rows.items():
            if any(values is not None and len(values) != columns for values in (row.paper, row.p)):
                raise ValueError(f"row {name!r}: {columns} numbers were expected")
        return self

    def number(self, row: str, task: str) -> float | None:
        """What the paper has in this place; None: nothing, or a pair."""
        number = self._printed(row, task)
        return number if isinstance(number, float) else None

    def pair_of(self, row: str, task: str) -> tuple[float, float] | tuple[None, None]:
        """Likewise, where the paper has two numbers in a place."""
        pair = self._printed(row, task)
        return pair if isinstance(pair, tuple) else (None, None)

    def _printed(self, row: str, task: str) -> float | tuple[float, float] | None:
        printed = self.rows[row].paper
        return printed[self.tasks.index(task)] if printed is not None and task in self.tasks else None

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
    """The tables and figures by name."""
    return {name: PaperTable.parse(values, f"paper.yaml: {name}") for name, values in _read("paper.yaml").items()}


def paper_table(name: str) -> PaperTable:
    """The table or figure of that name. Raises LimbeckError: there is none; offers the nearest."""
    if name not in NAMES:
        raise unknown("table or figure of the paper", name, NAMES)
    return paper()[name]


@cache
def variant(offline: bool, smoke: bool) -> Variant:
    """How the grids are run: whole, without a download, in a few steps, or both of the latter."""
    name = "-".join(word for word, wanted in (("offline", offline), ("smoke", smoke)) if wanted) or "full"
    return Variant.parse(_read("variants.yaml")[name], f"variants.yaml: {name}")


def _read(name: str) -> Any:
    return yaml_value((files("limbeck.paper") / name).read_text(encoding="utf-8"), name)
