"""Grids: one recipe, the fields that vary, and the seeds; every combination is a cell, which is a run."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, field_validator

from limbeck.errors import LimbeckError
from limbeck.files import read_text
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import run_name
from limbeck.settings import Settings, change, put, yaml_value

MAX_CELLS = 10_000

Variants = dict[str, dict[str, Any]]  # by name, fields and their values
Axis = list[Any] | Variants


class Grid(Settings):
    """Many recipes. The recipe's own seed is ignored: `seeds` lists the seeds."""

    name: str = Field(pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,99}$", description="By default the file's name.")
    recipe: dict[str, Any] = Field(description="A recipe, or the path of a recipe file, relative to the grid's folder.")
    axes: dict[str, Axis] = Field(
        default_factory=dict,
        description="A dotted field of the recipe and its values; or any name, and variants by name, each a mapping "
        "of fields to values.",
    )
    seeds: list[int] = Field(default=[1], description="A list, or a number N for the seeds 1 to N.")

    _where: str = PrivateAttr(default="")

    @property
    def where(self) -> str:
        """The grid's file, or its name, for errors."""
        return self._where or f"grid {self.name}"

    @field_validator("axes", mode="before")
    @classmethod
    def _check_axes(cls, axes: Any) -> Any:
        if not isinstance(axes, dict):
            raise ValueError("a mapping of fields to lists of values was expected")
        checked = {str(name): _check_axis(str(name), axis) for name, axis in axes.items()}
        _check_order(checked)
        return checked

    @field_validator("seeds", mode="before")
    @classmethod
    def _check_seeds(cls, seeds: Any) -> Any:
        if type(seeds) is int and 1 <= seeds <= MAX_CELLS:
            return list(range(1, seeds + 1))
        if not isinstance(seeds, list) or not seeds or any(type(seed) is not int or seed < 0 for seed in seeds):
            raise ValueError(f"a list of whole numbers like [1, 2, 3] was expected, or a number from 1 to {MAX_CELLS}")
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands more than once")
        return seeds

    @classmethod
    def load(cls, path: Path, changes: Sequence[str] = ()) -> Self:
        """Return the grid in the YAML file `path`, its recipe file read, with `changes` applied by `changed`.

        Raises:
            LimbeckError: names the file and the field.
        """
        values = _read_mapping(path, "recipe")
        if isinstance(recipe := values.get("recipe"), str):
            values["recipe"] = _read_mapping(path.parent / recipe, "data")
        grid = cls.parse({"name": path.stem, **values}, str(path))
        grid._where = str(path)
        return grid.changed(changes)

    def changed(self, changes: Sequence[str]) -> Self:
        """Return the grid with changes `key=value` of its own fields (`seeds=3`) or its recipe's (`student.name=x`).

        Raises:
            LimbeckError: names the change; also where an axis would overwrite it.
        """
        values = self.model_dump()
        for text in changes:
            key = text.partition("=")[0].removeprefix("recipe.")
            own_field = key.partition(".")[0] in type(self).model_fields
            if not own_field and (axis := self._axis_that_sets(key)):
                raise LimbeckError(f"-s {text}: {axis!r} of {self.where} sets it; change that in the file")
            change(values if own_field else values["recipe"], text.removeprefix("recipe."))
        grid = self.parse(values, " ".join([self.where, *(f"-s {text.partition('=')[0]}" for text in changes)]))
        grid._where = self._where
        return grid

    def _axis_that_sets(self, key: str) -> str | None:
        if key == "seed":
            return "seeds"
        return next(
            (name for name, axis in self.axes.items() if any(_covers(f, key) for f in _fields(name, axis))), None
        )


@dataclass(frozen=True)
class GridCell:
    """One recipe of a grid, and its value on every axis as text."""

    values: Mapping[str, str]
    recipe: Recipe

    @cached_property
    def name(self) -> str:
        """The name of its run's folder."""
        return run_name(self.recipe)


def cells(grid: Grid) -> list[GridCell]:
    """Return every combination of values and seeds, seed by seed; equal recipes once.

    Raises:
        LimbeckError: a combination is not a recipe (names the grid, the cell and the field), or there are too many.
    """
    count = math.prod([len(grid.seeds), *(len(axis) for axis in grid.axes.values())])
    if count > MAX_CELLS:
        raise LimbeckError(f"{grid.where}: {count} cells; a grid has at most {MAX_CELLS}")
    axes = [list(_points(name, axis)) for name, axis in grid.axes.items()]
    by_name: dict[str, GridCell] = {}
    for seed, points in itertools.product(grid.seeds, itertools.product(*axes)):
        values = dict(zip(grid.axes, (label for label, _ in points), strict=True))
        label = ", ".join(f"{axis}={value}" for axis, value in values.items())
        where = f"{grid.where}: cell {label}" if label else f"{grid.where}: recipe"
        recipe = deepcopy(grid.recipe)
        for _, fields in points:
            for field, value in fields.items():
                put(recipe, field, deepcopy(value), where)
        cell = GridCell(values, Recipe.parse({**recipe, "seed": seed}, where))
        by_name.setdefault(cell.name, cell)
    return list(by_name.values())


def _points(name: str, axis: Axis) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the label of each value of an axis, and the fields that it sets."""
    if isinstance(axis, dict):
        yield from axis.items()
        return
    for value in axis:
        label = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        yield label, {name: value}


def _read_mapping(path: Path, key: str) -> dict[str, Any]:
    values = yaml_value(read_text(path), str(path))
    if not isinstance(values, dict):
        raise LimbeckError(f"{path}: a mapping was expected, with at least the key {key!r}")
    return values


def _check_axis(name: str, axis: Any) -> Axis:
    if not isinstance(axis, list | dict) or not axis:
        raise ValueError(f"{name}: a list of values was expected, or variants by name")
    if isinstance(axis, list):
        return axis
    for variant, fields in axis.items():
        if not isinstance(fields, dict) or not fields:
            raise ValueError(f"{name}.{variant}: a mapping of fields to values was expected, like {{objective: dss}}")
    return {str(variant): {str(key): value for key, value in fields.items()} for variant, fields in axis.items()}


def _check_order(axes: dict[str, Axis]) -> None:
    """Refuse an axis that would overwrite what an earlier one has set."""
    earlier: list[tuple[str, str]] = []
    for name, axis in axes.items():
        fields = set(_fields(name, axis))
        if "seed" in fields:
            raise ValueError(f"{name}: the grid's own field `seeds` lists the seeds")
        for previous, key in earlier:
            if any(_covers(field, key) for field in fields):
                raise ValueError(f"{name}: sets {key} again, which {previous} has set")
        earlier += [(name, field) for field in fields]


def _fields(name: str, axis: Axis) -> Iterator[str]:
    """Yield the fields of the recipe that an axis sets."""
    if isinstance(axis, list):
        yield name
    else:
        yield from itertools.chain.from_iterable(axis.values())


def _covers(field: str, key: str) -> bool:
    return field == key or key.startswith(f"{field}.")
