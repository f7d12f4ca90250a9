"""Runs found in folders, and run groups: the runs of one recipe over seeds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from limbeck.errors import FileError, RecipeError
from limbeck.metrics.predictions import predictions_by_id
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import Run, flat, open_run

_OBJECTIVE_FIELDS = ("objective.", "evaluation.")


@dataclass(frozen=True)
class RunGroup:
    """The finished runs of one recipe, by seed; `traits` tell it from the other groups of its task."""

    traits: tuple[str, ...]  # the objective, then fields of the recipe: "training.max_steps=9"
    recipe: Recipe  # of the first seed
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        return ", ".join(self.traits)

    @property
    def task(self) -> str:
        return self.recipe.data.task


def find_runs(paths: Sequence[Path]) -> list[Run]:
    """Return the runs in these folders, finished or not; each is a run's folder or holds runs at any depth."""
    runs: dict[Path, Run] = {}
    for path in paths:
        folders = [recipe.parent for recipe in sorted(path.rglob("recipe.yaml"))]
        if not folders:
            raise FileError("no run here; give a run's folder (it has a recipe.yaml) or one that holds runs", path=path)
        runs |= {folder.resolve(): open_run(folder) for folder in folders}
    return list(runs.values())


def group_runs(runs: Sequence[Run]) -> list[RunGroup]:
    """Group the finished ones of `runs` that differ in nothing but their seed, in the order of `runs`."""
    by_recipe: dict[str, list[Run]] = {}
    for run in runs:
        if run.finished:
            recipe = json.dumps({**run.recipe.resolved(), "seed": None}, sort_keys=True)
            by_recipe.setdefault(recipe, []).append(run)
    groups = [sorted(group, key=lambda run: run.recipe.seed) for group in by_recipe.values()]
    for first, second in chain.from_iterable(map(pairwise, groups)):
        if first.recipe.seed == second.recipe.seed:
            raise RecipeError(f"{first.path} and {second.path}: the same recipe and seed twice; leave one out")
    traits = _traits([group[0].recipe for group in groups])
    return [RunGroup(names, group[0].recipe, tuple(group)) for names, group in zip(traits, groups, strict=True)]


def correct(runs: Sequence[Run], name: str = "test") -> np.ndarray:
    """Return which answers are right, `[S, N]`: a row per run, a column per example that all of them answered.

    `name` is that of the predictions' file: a split, or another task and its split.
    """
    answers = [predictions_by_id(run.predictions(name)) for run in runs]
    ids = [id for id in answers[0] if all(id in answered for answered in answers)]
    right = [[answered[id].correct for id in ids] for answered in answers]
    return np.array(right, dtype=bool).reshape(len(runs), len(ids))


def _traits(recipes: Sequence[Recipe]) -> list[tuple[str, ...]]:
    """Return each recipe's objective, and as many fields as tell the recipes of its task apart.

    Fields of objective and evaluation come last, and are compared among recipes of the same objective alone.
    """
    rows = [{**flat(recipe.resolved()), "seed": None} for recipe in recipes]
    kinds = [(recipe.data.task, recipe.objective.name) for recipe in recipes]
    candidates = sorted(set().union(*rows), key=lambda field: (field.startswith(_OBJECTIVE_FIELDS), field))
    fields: dict[tuple[str, str], list[str]] = {}
    for kind in dict.fromkeys(kinds):
        names = fields.setdefault(kind, [])
        for field in candidates:
            width = 2 if field.startswith(_OBJECTIVE_FIELDS) else 1
            peers = [row for peer, row in zip(kinds, rows, strict=True) if peer[:width] == kind[:width]]
            if _count(peers, [*names, field]) > _count(peers, names):
                names.append(field)
    return [
        (kind[1], *(f"{field}={row[field]}" for field in fields[kind] if field in row))
        for kind, row in zip(kinds, rows, strict=True)
    ]


def _count(rows: Sequence[dict[str, object]], fields: Sequence[str]) -> int:
    """Return the number of rows that these fields tell apart."""
    return len({repr([row.get(field) for field in fields]) for row in rows})
