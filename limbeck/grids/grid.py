"""A grid: one recipe, the fields that vary and their values, and the seeds; read from YAML."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, field_validator

from limbeck.errors import LimbeckError
from limbeck.files import read_text
from limbeck.settings import Settings, change, yaml_value

MOST = 10_000  # cells, and seeds

Variants = dict[str, dict[str, Any]]


class Grid(Settings):
    """Many recipes. A recipe's own seed has no meaning in it: `seeds` says which."""

    name: str = Field(pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,99}$", description="the file's, unless given")
    recipe: dict[str, Any] = Field(description="a recipe file, its path from the grid's own folder, or a recipe itself")
    axes: dict[str, list[Any] | Variants] = Field(
        default_factory=dict,
        description="a field of the recipe, dotted, and its values; or any name, and variants by name, each a mapping "
        "of fields to values",
    )
    seeds: list[int] = Field(default=[1], description="a list, or a number: from 1 to it")

    _where: str = PrivateAttr(default="")

    @property
    def where(self) -> str:
        """What errors call it: its file, or its name."""
        return self._where or f"grid {self.name}"

    @field_validator("axes", mode="before")
    @classmethod
    def _axes_vary(cls, axes: Any) -> Any:
        if not isinstance(axes, dict):
            raise ValueError("a mapping of fields to lists of values was expected")
        checked = {str(axis): _axis(str(axis), values) for axis, values in axes.items()}
        _check_order(checked)
        return checked

    @field_validator("seeds", mode="before")
    @classmethod
    def _distinct(cls, seeds: Any) -> Any:
        if isinstance(seeds, int) and not isinstance(seeds, bool):
            if not 1 <= seeds <= MOST:
                raise ValueError(f"a number from 1 to {MOST} was expected, or a list")
            return list(range(1, seeds + 1))
        if not isinstance(seeds, list) or any(type(seed) is not int or seed < 0 for seed in seeds) or not seeds:
            raise ValueError("whole numbers from 0 were expected, like [1, 2, 3], or how many")
        if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
            raise ValueError(f"{', '.join(map(str, twice))} more than once")
        return seeds

    @classmethod
    def load(cls, path: Path, changes: Sequence[str] = ()) -> Self:
        """The grid in the YAML file `path`, its recipe read, with `changes` as `changed` takes them.

        Raises:
            LimbeckError: names the file, the field, and what is wrong with it.
        """
        values = _mapping(path, "recipe")
        if isinstance(recipe := values.get("recipe"), str):
            values["recipe"] = _mapping(path.parent / recipe, "data")
        grid = cls.parse({"name": path.stem, **values}, str(path))
        grid._where = str(path)
        return grid.changed(changes)

    def changed(self, changes: Sequence[str]) -> Self:
        """The grid with changes `key=value` of its own fields (`seeds=3`) or of its recipe's (`training.max_steps=9`).

        Raises:
            LimbeckError: names the change; also where an axis would undo it.
        """
        values = self.model_dump()
        for text in changes:
            key = text.partition("=")[0].removeprefix("recipe.")
            own = key.partition(".")[0] in type(self).model_fields
            if not own and (axis := self._undoing(key)):
                raise LimbeckError(f"-s {text}: {axis!r} of {self.where} sets it; change that, in the file")
            change(values if own else values["recipe"], text if own else text.removeprefix("recipe."))
        grid = self.parse(values, " ".join([self.where, *(f"-s {text.partition('=')[0]}" for text in changes)]))
        grid._where = self._where
        return grid

    def _undoing(self, key: str) -> str | None:
        if key == "seed":
            return "seeds"
        return next(
            (axis for axis, values in self.axes.items() if any(_undoes(it, key) for it in _set(axis, values))), None
        )


def _mapping(path: Path, key: str) -> dict[str, Any]:
    values = yaml_value(read_text(path), str(path))
    if not isinstance(values, dict):
        raise LimbeckError(f"{path}: a mapping was expected, with at least the key {key!r}")
    return values


def _axis(axis: str, values: Any) -> list[Any] | Variants:
    """The values of an axis. Raises ValueError."""
    if not isinstance(values, list | dict):
        raise ValueError(f"{axis}: a list of values was expected, or variants by name")
    if not values:
        raise ValueError(f"{axis}: no values")
    if isinstance(values, list):
        return values
    for name, variant in values.items():
        if not isinstance(variant, dict) or not variant:
            raise ValueError(f"{axis}.{name}: a mapping of fields to values was expected, like {{objective: dss}}")
    return {str(name): {str(key): value for key, value in variant.items()} for name, variant in values.items()}


def _check_order(axes: dict[str, list[Any] | Variants]) -> None:
    """Refuse axes of which one would undo what an earlier one has set. Raises ValueError."""
    earlier: list[tuple[str, str]] = []
    for axis, values in axes.items():
        fields = set(_set(axis, values))
        if "seed" in fields:
            raise ValueError(f"{axis}: the grid's own field `seeds` says which seeds")
        for other, key in earlier:
            if any(_undoes(field, key) for field in fields):
                raise ValueError(f"{axis}: sets {key} again, which {other} has set")
        earlier += [(axis, field) for field in fields]


def _set(axis: str, values: list[Any] | Variants) -> Iterator[str]:
    """The fields of the recipe that an axis sets."""
    if isinstance(values, list):
        yield axis
    else:
        for variant in values.values():
            yield from variant


def _undoes(later: str, earlier: str) -> bool:
    """Whether setting the field `later` loses what was set at `earlier`."""
    return later == earlier or earlier.startswith(f"{later}.")
