"""The cells of a grid: every combination of its axes' values and its seeds, each a recipe."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.grids.grid import MOST, Grid
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import run_name
from limbeck.settings import put


@dataclass(frozen=True)
class Cell:
    """One recipe of a grid, and where it lies: the shown value of every axis."""

    values: Mapping[str, str]
    recipe: Recipe

    @cached_property
    def name(self) -> str:
        """What its run's folder is called."""
        return run_name(self.recipe)


def cells(grid: Grid) -> list[Cell]:
    """Every combination of values and seeds, all with the first seed before those with the next; equal recipes once.

    Raises:
        LimbeckError: a combination is no recipe (names the grid, the cell and the field), or there are too many.
    """
    count = math.prod([len(grid.seeds), *(len(values) for values in grid.axes.values())])
    if count > MOST:
        raise LimbeckError(f"{grid.where}: {count} cells, and a grid has at most {MOST}")
    axes = [list(_points(axis, values)) for axis, values in grid.axes.items()]
    found: dict[str, Cell] = {}
    for seed in grid.seeds:
        for points in itertools.product(*axes):
            cell = _cell(grid, points, seed)
            found.setdefault(cell.name, cell)
    return list(found.values())


@dataclass(frozen=True)
class _Point:
    """A value of an axis: its name, and the fields it sets."""

    axis: str
    shown: str
    fields: Mapping[str, Any]


def _points(axis: str, values: Any) -> Iterator[_Point]:
    if isinstance(values, dict):
        yield from (_Point(axis, name, variant) for name, variant in values.items())
    else:
        for value in values:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            yield _Point(axis, shown, {axis: value})


def _cell(grid: Grid, points: tuple[_Point, ...], seed: int) -> Cell:
    shown = {point.axis: point.shown for point in points}
    place = ", ".join(f"{axis}={value}" for axis, value in shown.items())
    where = f"{grid.where}: cell {place}" if place else f"{grid.where}: recipe"
    recipe = deepcopy(grid.recipe)
    for point in points:
        for field, value in point.fields.items():
            put(recipe, field, deepcopy(value), where)
    return Cell(shown, Recipe.parse({**recipe, "seed": seed}, where))
