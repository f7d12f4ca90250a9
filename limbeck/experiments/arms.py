"""Runs found in folders, and grouped into arms: an arm is a recipe less its seed, with one run a seed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import LimbeckError
from limbeck.evaluation.answered import by_id
from limbeck.experiments.recipe import Recipe
from limbeck.experiments.run import Run, open_run


@dataclass(frozen=True)
class Arm:
    """Finished runs of one recipe, by seed; its objective and other fields, `parts`, tell it from its task's others."""

    parts: tuple[str, ...]
    recipe: Recipe  # of the first seed
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        return ", ".join(self.parts)

    @property
    def task(self) -> str:
        return self.recipe.data.task


def find_runs(paths: Sequence[Path]) -> list[Run]:
    """The runs in these folders, finished or not: each is a run's own folder, or one that has runs somewhere below it.

    Raises:
        LimbeckError: a path is no folder, or there is no run in it; a run's recipe cannot be read.
    """
    found: dict[Path, Run] = {}
    for path in paths:
        if not path.is_dir():
            raise LimbeckError(f"{path}: no such folder; give a run's folder or one that holds runs")
        below = [open_run(folder) for folder in _folders(path)]
        if not below:
            raise LimbeckError(f"{path}: no run in it (a run's folder has a recipe.yaml)")
        found |= {run.path.resolve(): run for run in below}
    return list(found.values())


def arms(runs: Sequence[Run]) -> list[Arm]:
    """The finished ones of `runs`, an arm for all that differ in nothing but their seed, in the order of `runs`.

    Raises:
        LimbeckError: two runs of one recipe, seed and all.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if run.finished:
            groups.setdefault(_less_seed(run.recipe), []).append(run)
    for group in groups.values():
        group.sort(key=lambda run: run.recipe.seed)
        for one, other in pairwise(group):
            if one.recipe.seed == other.recipe.seed:
                raise LimbeckError(f"{one.path} and {other.path}: the same recipe and seed twice; leave one out")
    named = _named([group[0].recipe for group in groups.values()])
    return [Arm(parts, group[0].recipe, tuple(group)) for parts, group in zip(named, groups.values(), strict=True)]


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return found


def correct(runs: Sequence[Run], name: str = "test") -> np.ndarray:
    """Which answers are right, `[S, N]`: a row a run, a column an example that all of them answered.

    `name` is that of the predictions' file: a split, or a task and a split.

    Raises:
        LimbeckError: predictions that are not there, or have no ids.
    """
    read = [by_id(run.predictions(name)) for run in runs]
    ids = [id for id in read[0] if all(id in answers for answers in read)]
    return np.array([[answers[id].correct for id in ids] for answers in read], dtype=bool).reshape(len(runs), len(ids))


def _folders(folder: Path) -> Iterator[Path]:
    if (folder / "recipe.yaml").is_file():
        yield folder
        return
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and not inner.is_symlink():
            yield from _folders(inner)


def _less_seed(recipe: Recipe) -> str:
    return json.dumps({**recipe.resolved(), "seed": None}, sort_keys=True)


def _named(recipes: Sequence[Recipe]) -> list[tuple[str, ...]]:
    """The objective, and where that is not enough within a task, the other fields in which its arms differ."""
    names = []
    for recipe in recipes:
        alike = [one for one in recipes if _kind(one) == _kind(recipe)]
        fields = [flat(one.resolved()) for one in alike]
        different = sorted(key for key in set().union(*fields) if len({repr(one.get(key)) for one in fields}) > 1)
        own = flat(recipe.resolved())
        said = [f"{key}={own[key]}" for key in different if key in own and key != "seed"]
        names.append((recipe.objective.name, *said))
    return names


def _kind(recipe: Recipe) -> tuple[str, str]:
    return recipe.data.task, recipe.objective.name
