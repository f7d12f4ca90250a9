"""Curves: how the terms of the loss and the accuracy went while training, and what more training data brought."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from limbeck.errors import LimbeckError
from limbeck.figures import Point, fractions, learning
from limbeck.files import read_jsonl
from limbeck.report.accuracies import accuracy_cell
from limbeck.report.sides import Group, Side, setting, telling
from limbeck.report.tables import Cell, Figure, Row, Table
from limbeck.runs.run import Run

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
    """Of every task with arms that differ in `data.train_fraction` a figure: accuracy by fraction, a line for all such
    arms that have the rest of their `setting` in common."""
    made = Curves()
    of_task: dict[str, dict[str, dict[float, list[Side]]]] = {}
    for side in found:
        series = of_task.setdefault(side.arm.task, {}).setdefault(json.dumps(_less_fraction(side), sort_keys=True), {})
        series.setdefault(side.arm.recipe.data.train_fraction, []).append(side)
    for task, every in of_task.items():
        several = [series for series in every.values() if len(series) > 1]
        if several:
            drawn = [{fraction: group[0] for fraction, group in series.items()} for series in several]
            made.figures.append(_fractions(task, _named(drawn)))
        made.missing += [
            f"{other.arm.name} is not in {task}'s curve over the fraction of the training data: {first.arm.name} is in "
            "its place."
            for series in several
            for first, *others in series.values()
            for other in others
        ]
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


def _less_fraction(side: Side) -> dict[str, Any]:
    values = setting(side.arm)
    return {**values, "data": {**values["data"], "train_fraction": None}}


def _named(found: Sequence[Mapping[float, Side]]) -> dict[str, Mapping[float, Side]]:
    """Series by what the names of their arms have in common; where that is the same, by how they differ, too."""
    alike: dict[tuple[str, ...], list[Mapping[float, Side]]] = {}
    for series in found:
        first, *others = (side.arm.parts for side in series.values())
        alike.setdefault(tuple(part for part in first if all(part in other for other in others)), []).append(series)
    named: dict[str, Mapping[float, Side]] = {}
    for parts, group in alike.items():
        more = telling([_less_fraction(next(iter(series.values()))) for series in group])
        named |= {", ".join((*parts, *own)): series for own, series in zip(more, group, strict=True)}
    return named


def _fractions(task: str, series: Mapping[str, Mapping[float, Side]]) -> Figure:
    cells = {
        name: {fraction: accuracy_cell(side.right) for fraction, side in sides.items()}
        for name, sides in series.items()
    }
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
