"""Grids: one recipe, the fields that vary, and the seeds."""

import json
import math
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator

from limbeck.errors import RecipeError
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import run_name
from limbeck.settings import Settings, change, put, read_mapping

MAX_CELLS = 10_000
MAX_RECIPE_CHARACTERS = 30_000_000  # of all cells' recipes: some seconds to read

Fields = dict[str, Any]  # dotted fields of a recipe and their values
Seed = Annotated[int, Field(strict=True, ge=0)]


def _check_axis(axis: Any) -> Any:
    """Return an axis, its variants' names as text: YAML reads some as numbers."""
    has_variants = isinstance(axis, dict) and all(isinstance(fields, dict) for fields in axis.values())
    if not axis or not (isinstance(axis, list) or has_variants):
        raise ValueError("a list of values was expected, or variants by name, each a mapping of fields")
    return {str(name): fields for name, fields in axis.items()} if has_variants else axis


Axis = Annotated[list[Any] | dict[str, Fields], BeforeValidator(_check_axis)]


class Resources(Settings):
    """The hardware that each cell is trained on."""

    gpus: int = Field(1, ge=1, le=64, description="GPUs of one machine, a process on each")


class Grid(Settings):
    """A recipe, whose own seed is ignored, and what varies."""

    name: str = Field(pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,99}$")  # by default the file's name
    recipe: Fields  # in a file also a recipe's path, relative to the grid's
    axes: dict[str, Axis] = Field(default_factory=dict)  # values by dotted field, or variants by any name
    seeds: list[Seed] = Field(default=[1], min_length=1, max_length=MAX_CELLS)  # N: 1 to N
    resources: Resources = Field(default_factory=Resources)
    _where: str = PrivateAttr(default="")

    @property
    def where(self) -> str:
        """The grid's file or name, for errors."""
        return self._where or f"grid {self.name}"

    @field_validator("seeds", mode="before")
    @classmethod
    def _count_seeds(cls, seeds: Any) -> Any:
        return list(range(1, min(seeds, MAX_CELLS + 1) + 1)) if type(seeds) is int else seeds

    @classmethod
    def parse(cls, values: Any, where: str) -> Self:
        grid = super().parse(values, where)
        grid._where = where
        return grid

    @classmethod
    def load(cls, path: Path, changes: Sequence[str] = ()) -> Self:
        """Return the grid in a YAML file with `changes`. Raises LimbeckError."""
        values = read_mapping(path)
        if isinstance(recipe := values.get("recipe"), str):
            values["recipe"] = read_mapping(path.parent / recipe)
        return cls.parse({"name": path.stem, **values}, str(path)).changed(changes)

    def changed(self, changes: Sequence[str]) -> Self:
        """Return the grid with changes of its fields (`seeds=3`) or its recipe's (`student.name=x`).

        Raises LimbeckError that names the field, also where an axis would overwrite it.
        """
        values = self.model_dump()
        texts = [text.removeprefix("recipe.") for text in changes]
        for text in texts:
            is_own = re.split("[.=]", text)[0] in type(self).model_fields
            change(values if is_own else values["recipe"], text)
        grid = self.parse(values, self.where)
        grid.check_overlap([text.partition("=")[0] for text in texts])
        return grid

    def check_overlap(self, keys: Sequence[str] = ()) -> None:
        """Raise RecipeError where an axis or `seeds` would overwrite an earlier axis or one of `keys`."""
        earlier = list(keys)
        axes = [(name, list(chain(*(fields for _, fields in _points(name, axis))))) for name, axis in self.axes.items()]
        for name, fields in [*axes, ("seeds", ["seed"])]:
            for key, field in product(earlier, fields):
                if f"{key}.".startswith(f"{field}."):
                    raise RecipeError(f"would overwrite {key}", path=self.where, field=name)
            earlier += fields


@dataclass(frozen=True)
class GridCell:
    """One recipe of a grid, and its value on every axis."""

    values: dict[str, str]
    recipe: Recipe
    gpus: int = 1

    @cached_property
    def name(self) -> str:
        return run_name(self.recipe)


def cells(grid: Grid) -> list[GridCell]:
    """Return every combination of values and seeds, seed by seed, equal recipes once.

    Raises LimbeckError for a broken recipe, too many, or axes that overwrite one another.
    """
    grid.check_overlap()
    count = math.prod([len(grid.seeds), *(len(axis) for axis in grid.axes.values())])
    if count > MAX_CELLS:
        raise RecipeError(f"{grid.where}: {count} cells; a grid has at most {MAX_CELLS}")
    if count * len(repr(grid.recipe)) > MAX_RECIPE_CHARACTERS:
        raise RecipeError(f"{grid.where}: {count} cells of so long a recipe; make it shorter, or several grids of it")
    axes = [_points(name, axis) for name, axis in grid.axes.items()]
    by_name: dict[str, GridCell] = {}
    for seed, points in product(grid.seeds, product(*axes)):
        values = dict(zip(grid.axes, (label for label, _ in points), strict=True))
        label = ", ".join(f"{axis}={value}" for axis, value in values.items())
        where = f"{grid.where}: cell {label}" if label else f"{grid.where}: recipe"
        recipe = deepcopy(grid.recipe)
        for field, value in chain(*(fields.items() for _, fields in points)):
            put(recipe, field, deepcopy(value), where)
        cell = GridCell(values, Recipe.parse({**recipe, "seed": seed}, where), grid.resources.gpus)
        by_name.setdefault(cell.name, cell)
    return list(by_name.values())


def _points(name: str, axis: list[Any] | dict[str, Fields]) -> list[tuple[str, Fields]]:
    """Return each value's label, and the fields that it sets."""
    if isinstance(axis, dict):
        return list(axis.items())
    return [
        (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), {name: value})
        for value in axis
    ]
