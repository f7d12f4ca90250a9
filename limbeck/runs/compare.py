"""Runs in folders, grouped over seeds, and compared by their predictions."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, combinations, pairwise, permutations
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from limbeck.errors import DataError, RecipeError
from limbeck.metrics.calibration import OF_CHOICES, Temperature, calibrate, fit_temperature
from limbeck.metrics.graded import as_arrays, by_label, with_choices
from limbeck.metrics.predictions import predictions_by_id, read_predictions, same_answer
from limbeck.metrics.selective import selective
from limbeck.runs.recipe import Recipe
from limbeck.runs.run import Run, flat, open_run
from limbeck.schema import Prediction
from limbeck.stats.significance import compare, holm
from limbeck.tasks import Split

Predictions = Mapping[str, Prediction]  # by the example's id
Value = TypeVar("Value")
_OF_SIDES = ("seeds", "accuracy_a", "accuracy_b", "left_out")  # left out of the pages of several runs
_OBJECTIVE_FIELDS = ("objective.", "evaluation.")


@dataclass(frozen=True)
class RunGroup:
    """The finished runs of one recipe, by seed."""

    traits: tuple[str, ...]  # the objective, then fields that set it apart in its task: "training.max_steps=9"
    recipe: Recipe  # of the first seed
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        return ", ".join(self.traits)

    @property
    def task(self) -> str:
        return self.recipe.data.task


def grouped(values: Iterable[Value], key: Callable[[Value], str]) -> dict[str, list[Value]]:
    """Return the values by their key, in order."""
    groups: dict[str, list[Value]] = {}
    for value in values:
        groups.setdefault(key(value), []).append(value)
    return groups


def group_runs(runs: Sequence[Run]) -> list[RunGroup]:
    """Group the finished runs that differ in nothing but their seed, in order. Raises RecipeError for a seed twice."""
    finished = [run for run in runs if run.finished]
    by_recipe = grouped(finished, lambda run: json.dumps({**run.recipe.resolved(), "seed": None}, sort_keys=True))
    groups = [sorted(group, key=lambda run: run.recipe.seed) for group in by_recipe.values()]
    for first, second in chain.from_iterable(map(pairwise, groups)):
        if first.recipe.seed == second.recipe.seed:
            raise RecipeError(f"{first.path} and {second.path}: the same recipe and seed; leave one out")
    traits = _traits([group[0].recipe for group in groups])
    return [RunGroup(names, group[0].recipe, tuple(group)) for names, group in zip(traits, groups, strict=True)]


def _traits(recipes: Sequence[Recipe]) -> list[tuple[str, ...]]:
    """Return each recipe's objective, and as many fields as tell the recipes of its task apart.

    Fields of objective and evaluation come last, to tell recipes of one objective apart.
    """
    rows = [{**flat(recipe.resolved()), "seed": None} for recipe in recipes]
    for row in rows:
        if "student.lora.r" in row:  # a name for all its fields, the first to tell recipes apart
            row["LoRA"] = "yes"
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
    return len({repr([row.get(field) for field in fields]) for row in rows})


def calibrate_file(path: Path, validation: Path | None = None, *, seed: int = 0) -> dict[str, Any]:
    """Measure calibration and selective prediction of the answers in a file, as `read_predictions` reads it.

    The temperature is fitted on the file `validation`, or on the answers themselves; `seed` is of the bootstrap.
    Returns `calibrate`'s metrics of answers with a confidence; the counts `without_confidence` (left out),
    `unanswered` (of confidence 0) and `n_choices` (with metrics over choices); `by_label`; `selective`.
    """
    predictions = read_predictions(path, needs=("confidence",))
    measured = [prediction for prediction in predictions if prediction.confidence is not None]
    complete = with_choices(measured)
    over_choices = len(complete) == len(measured)
    temperature = _fit(validation, over_choices) if validation else None
    answers = as_arrays(measured, choices=over_choices)
    metrics = calibrate(answers, seed=seed, temperature=temperature)
    if complete and not over_choices:
        choice_metrics = calibrate(as_arrays(complete, choices=True), seed=seed)
        metrics |= {key: value for key, value in choice_metrics.items() if key.startswith(OF_CHOICES)}
    return {
        **metrics,
        "n_choices": len(complete),
        "without_confidence": len(predictions) - len(measured),
        "unanswered": sum(prediction.blank for prediction in predictions),
        "by_label": by_label(predictions),
        "selective": asdict(selective(answers.confidence, answers.correct, seed=seed)),
    }


def _fit(path: Path, over_choices: bool) -> Temperature:
    answers = [row for row in read_predictions(path, needs=("confidence",)) if row.confidence is not None]
    if over_choices and not (answers := with_choices(answers)):
        return Temperature(reason="no validation answer has its choices' probabilities")
    return fit_temperature(as_arrays(answers, choices=over_choices))


def compare_runs(
    a: Sequence[Path], b: Sequence[Path], *, split: Split = "test", shared: bool = False
) -> dict[str, Any]:
    """Compare the accuracies of runs on the same examples, A's less B's, as `Comparison` does.

    Each side is the runs of one or several seeds: their folders, or files of predictions. With `shared` only examples
    that all have count. Raises DataError for others without it, for other labels, and for a run named twice.
    """
    sides = []
    for side in (a, b):
        files = [_predictions(path, split) for path in side]
        if len({file.resolve() for file in files}) < len(files):  # one run is not two seeds
            raise DataError(f"{', '.join(map(str, side))}: a run is named twice")
        sides.append([predictions_by_id(file) for file in files])
    return _compare(*sides, shared=shared)


def _predictions(path: Path, split: Split) -> Path:
    """Return the file of predictions in a run's folder, or `path` if it is a file."""
    if (path / "results.json").exists():
        return open_run(path).measured_predictions(split)
    return path / "predictions" / f"{split}.jsonl" if path.is_dir() else path


def _compare(a: Sequence[Predictions], b: Sequence[Predictions], *, shared: bool = False) -> dict[str, Any]:
    runs = [*a, *b]
    ids = [id for id in runs[0] if all(id in run for run in runs)]
    left_out = len(set().union(*runs)) - len(ids)
    if left_out and not shared:
        raise DataError(f"{left_out} examples are not in all runs; `--shared` compares the other {len(ids)}")
    for id in ids:
        labels = {str(run[id].label) for run in runs if run[id].label}
        if not all(same_answer(label, min(labels)) for label in labels):
            raise DataError(f"example {id!r:.60} has several labels: {labels!r:.100}")
    correct = [np.array([[run[id].correct for id in ids] for run in side], dtype=bool) for side in (a, b)]
    return {**asdict(compare(*correct)), "left_out": left_out}


def differences(files: Mapping[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """Compare each run with every other; `files` are their predictions, by the runs' names.

    Returns for each run an entry for each other: its name as `run`, with the `Comparison` and its p-value `adjusted` by
    Holm's method over all pairs, or the `reason` why there is none.
    """
    runs = {name: predictions_by_id(path) for name, path in files.items()}
    comparisons = {}
    for a, b in permutations(runs, 2):
        try:
            comparison = _compare([runs[a]], [runs[b]])
            comparisons[a, b] = {key: value for key, value in comparison.items() if key not in _OF_SIDES}
        except DataError as error:
            comparisons[a, b] = {"reason": str(error)}
    tested = [pair for pair in combinations(runs, 2) if "reason" not in comparisons[pair]]
    for (a, b), adjusted in zip(tested, holm([comparisons[pair]["p_value"] for pair in tested]), strict=True):
        comparisons[a, b]["adjusted"] = comparisons[b, a]["adjusted"] = adjusted
    return {a: [{"run": b, **comparisons[a, b]} for b in runs if b != a] for a in runs}
