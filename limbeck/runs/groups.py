"""Runs found in folders, and grouped into arms: an arm is a recipe less its seed, with one run a seed."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import LimbeckError
from limbeck.metrics.answered import by_id
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import Run, flat, open_run


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
        LimbeckError: a path is no folder, or there is no run in it; a folder or a run's recipe cannot be read.
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
    try:
        if (folder / "recipe.yaml").is_file():
            yield folder
            return
        inner = [one for one in sorted(folder.iterdir()) if one.is_dir() and not one.is_symlink()]
    except OSError as error:
        raise LimbeckError(f"{folder}: cannot be read ({error.strerror or error})") from None
    for one in inner:
        yield from _folders(one)


def _less_seed(recipe: Recipe) -> str:
    return json.dumps({**recipe.resolved(), "seed": None}, sort_keys=True)


def _named(recipes: Sequence[Recipe]) -> list[tuple[str, ...]]:
    """The objective, and of the fields in which the arms of a task differ as many as tell them apart.

    Those of an objective and of what is asked of it are compared with arms of the same objective alone.
    """
    values = [{key: value for key, value in flat(one.resolved()).items() if key != "seed"} for one in recipes]
    kinds = [(one.data.task, one.objective.name) for one in recipes]
    fields = {}
    for task in dict.fromkeys(task for task, _ in kinds):
        of_task = [(name, its) for (its_task, name), its in zip(kinds, values, strict=True) if its_task == task]
        shared = _telling([its for _, its in of_task], (), lambda key: not key.startswith(_ITS_OWN))
        for objective in dict.fromkeys(name for name, _ in of_task):
            alike = [its for name, its in of_task if name == objective]
            fields[task, objective] = _telling(alike, shared, lambda key: key.startswith(_ITS_OWN))
    return [
        (kind[1], *(f"{key}={own[key]}" for key in fields[kind] if key in own))
        for kind, own in zip(kinds, values, strict=True)
    ]


_ITS_OWN = ("objective.", "evaluation.")


def _telling(arms: Sequence[Mapping[str, Any]], fields: Sequence[str], wanted: Callable[[str], bool]) -> list[str]:
    """`fields`, and one after the other those of the wanted that tell more of these arms apart."""
    kept = list(fields)
    told = [repr([one.get(key) for key in kept]) for one in arms]
    for key in sorted(filter(wanted, set().union(*arms))):
        more = [f"{before} {one.get(key)!r}" for before, one in zip(told, arms, strict=True)]
        if len(set(more)) > len(set(told)):
            kept, told = [*kept, key], more
    return kept
