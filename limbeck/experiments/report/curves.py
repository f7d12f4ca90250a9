"""Curves: how the terms of the loss and the accuracy went while training, and what more training data brought."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from limbeck.errors import LimbeckError
from limbeck.evaluation.intervals import accuracy_interval
from limbeck.experiments.figures import Point, fractions, learning
from limbeck.experiments.report.accuracy import points
from limbeck.experiments.report.sides import Group, Side
from limbeck.experiments.run import Run
from limbeck.experiments.tables import Cell, Figure, Row, Table
from limbeck.files import read_jsonl

_DRAWN = 150  # points of a line
_TABLED = 11  # of them in the table
_ACCURACY = "eval_accuracy"
_KINDS = {
    "term": ("{}, a term of the loss", "nats"),
    "share": ("{}, its share of the gradient", "share"),
}  # title and y

Line = list[tuple[float, float]]


@dataclass
class Curves:
    """Figures, and sentences on what there is none of."""

    figures: list[Figure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def learning_curves(found: Sequence[Group]) -> Curves:
    """Of every group a figure a term, its gradient share beside it, and one of the validation accuracy."""
    made = Curves()
    for group in found:
        lines: dict[str, dict[str, Line]] = {}
        for side in group.sides:
            try:
                logged = [_logged(run) for run in side.arm.runs]
            except LimbeckError as error:
                made.missing.append(f"{side.arm.name} on {side.arm.task} has no curves: {error}")
                continue
            for key in logged[0]:
                if all(key in one for one in logged) and (line := _averaged([one[key] for one in logged])):
                    lines.setdefault(key, {})[group.short(side)] = line
        terms = list(dict.fromkeys(key.partition("_")[2] for key in lines if key != _ACCURACY))
        order = [f"{kind}_{term}" for term in terms for kind in _KINDS] + [_ACCURACY]
        made.figures += [_learning(group, key, lines[key]) for key in order if key in lines]
    return made


def fraction_curves(found: Sequence[Side]) -> Curves:
    """Of every task whose arms differ in `data.fraction` a figure: accuracy by fraction, an objective a line."""
    made = Curves()
    of_task: dict[str, dict[str, list[Side]]] = {}
    for side in found:
        values = side.arm.recipe.resolved()
        data = {**values["data"], "fraction": None}
        key = json.dumps({**values, "seed": None, "evaluation": None, "data": data}, sort_keys=True)
        of_task.setdefault(side.arm.task, {}).setdefault(key, []).append(side)
    for task, series in of_task.items():
        several = {_series(group): group for group in series.values() if len(group) > 1}
        if several:
            made.figures.append(_fractions(task, several))
    return made


def _logged(run: Run) -> dict[str, dict[int, float]]:
    """By what was logged (`term_label`, `share_label`, `eval_accuracy`) its values by step."""
    found: dict[str, dict[int, float]] = {}
    for _, row in read_jsonl(run.log):
        step = row.get("step")
        for key, value in row.items():
            known = isinstance(step, int) and isinstance(value, int | float) and bool(np.isfinite(value))
            if known and (key.startswith(("term_", "share_")) or key == _ACCURACY):
                found.setdefault(key, {})[int(str(step))] = float(value)
    return found


def _averaged(seeds: Sequence[Mapping[int, float]]) -> Line:
    """The mean over seeds at the steps that all have, thinned."""
    steps = [step for step in seeds[0] if all(step in other for other in seeds)]
    return _thinned([(step, sum(one[step] for one in seeds) / len(seeds)) for step in sorted(steps)], _DRAWN)


def _thinned(line: Line, most: int) -> Line:
    places = np.unique(np.linspace(0, len(line) - 1, min(len(line), most)).round().astype(int))
    return [line[place] for place in places]


def _learning(group: Group, key: str, lines: Mapping[str, Line]) -> Figure:
    kind, _, term = key.partition("_")
    words, y = ("validation accuracy", "accuracy (%)") if key == _ACCURACY else _KINDS[kind]
    scale = 100 if key == _ACCURACY else 1
    title = f"{group.name}: {words.format(term)}"
    names = [group.short(side) for side in group.sides]
    drawn = {name: [(step, scale * value) for step, value in lines.get(name, [])] for name in names}
    table = _steps(title, {name: line for name, line in drawn.items() if line}, key == _ACCURACY)
    return Figure(f"learning-{group.name}-{key}", title, learning(drawn, y), table)


def _steps(title: str, lines: Mapping[str, Line], percent: bool) -> Table:
    """Some of the steps as rows, a column a line."""
    steps = [
        step
        for step, _ in _thinned(
            [(step, 0) for step in sorted({s for line in lines.values() for s, _ in line})], _TABLED
        )
    ]
    known = {name: dict(line) for name, line in lines.items()}
    rows = [
        Row(f"step {step:,.0f}", tuple(_cell(values.get(step), "not logged at this step") for values in known.values()))
        for step in steps
    ]
    return Table("steps", title, tuple(lines), tuple(rows), "%" if percent else "", 2 if percent else 4)


def _cell(value: float | None, reason: str) -> Cell:
    return Cell(value) if value is not None else Cell(None, reason)


def _series(group: Sequence[Side]) -> str:
    """The name of an arm without its fraction."""
    return ", ".join(part for part in group[0].arm.name.split(", ") if not part.startswith("data.fraction="))


def _fractions(task: str, series: Mapping[str, Sequence[Side]]) -> Figure:
    cells = {name: {side.arm.recipe.data.fraction: _mean(side) for side in group} for name, group in series.items()}
    used = sorted({fraction for row in cells.values() for fraction in row})
    title = f"{task}: accuracy by fraction of the training data"
    drawn = {
        name: [Point(fraction, cell.value, *(cell.interval or (None, None))) for fraction, cell in row.items()]
        for name, row in cells.items()
    }
    not_run = Cell(None, "not run")
    rows = [Row(f"{fraction:g}", tuple(row.get(fraction, not_run) for row in cells.values())) for fraction in used]
    table = Table("fractions", title, tuple(cells), tuple(rows), unit="%")
    return Figure(f"fractions-{task}", title, fractions(drawn, "accuracy (%)"), table)


def _mean(side: Side) -> Cell:
    seeds, n = side.right.shape
    if not n:
        return Cell(None, "no example that all of its runs answered")
    interval: Any = points(accuracy_interval(side.right))
    return Cell(100 * float(side.right.mean()), interval=interval, n=n, seeds=seeds)
