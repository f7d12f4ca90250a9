"""Figures of a report: learning curves, more training data, reliability, risk and coverage, the cascade."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from limbeck import figures
from limbeck.data import task_of
from limbeck.errors import LimbeckError
from limbeck.figures import Point
from limbeck.files import read_jsonl
from limbeck.metrics.calibration import equal_width, reliability
from limbeck.metrics.selective import Selective, cascade, selective
from limbeck.report.contrasts import Comparable, GradedGroup, common_parts, setting
from limbeck.report.tables import Cell, Figure, Row, Table, accuracy_cell
from limbeck.runs.run import Run
from limbeck.stats.intervals import wilson

Curves = tuple[list[Figure], list[str]]  # figures, and sentences on what there is none of
Line = list[tuple[float, float]]

MAX_POINTS = 150  # of a line in a figure
MAX_STEPS = 11  # of them in its table
ACCURACY = "eval_accuracy"
LOGGED = {"term": ("{}, a term of the loss", "nats"), "share": ("{}, its share of the gradient", "share")}
COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
PASSED = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
NO_DRAWS = 2  # the bootstrap's intervals are not shown


def learning_curves(sets: Sequence[Comparable]) -> Curves:
    """Draw for each set every term of the loss, its gradient share beside it, and the validation accuracy."""
    plotted, missing = [], []
    for comparable in sets:
        lines: dict[str, dict[str, Line]] = {}
        for member in comparable.members:
            try:
                by_run = [_logged(run) for run in member.group.runs]
            except LimbeckError as error:
                missing.append(f"{member.name} on {member.task} has no curves: {error}")
                continue
            for key in by_run[0]:
                if all(key in logged for logged in by_run) and (line := _mean([logged[key] for logged in by_run])):
                    lines.setdefault(key, {})[comparable.short_name(member)] = line
        terms = dict.fromkeys(key.partition("_")[2] for key in lines if key != ACCURACY)
        order = [f"{kind}_{term}" for term in terms for kind in LOGGED] + [ACCURACY]
        plotted += [_learning(comparable, key, lines[key]) for key in order if key in lines]
    return plotted, missing


def _logged(run: Run) -> dict[str, dict[int, float]]:
    """Return the values by step of all that was logged (`term_label`, `share_label`, `eval_accuracy`)."""
    logged: dict[str, dict[int, float]] = {}
    for _, row in read_jsonl(run.log):
        step = row.get("step")
        for key, value in row.items():
            if not isinstance(step, int) or not isinstance(value, int | float) or not np.isfinite(value):
                continue
            if key.startswith(("term_", "share_")) or key == ACCURACY:
                logged.setdefault(key, {})[step] = float(value)
    return logged


def _mean(seeds: Sequence[Mapping[int, float]]) -> Line:
    """Return the mean over seeds at the steps that all have, thinned."""
    steps = sorted(step for step in seeds[0] if all(step in values for values in seeds))
    return _thin([(step, sum(values[step] for values in seeds) / len(seeds)) for step in steps], MAX_POINTS)


def _thin(line: Sequence[Any], count: int) -> list[Any]:
    return [line[i] for i in np.unique(np.linspace(0, len(line) - 1, min(len(line), count)).round().astype(int))]


def _learning(comparable: Comparable, key: str, lines: Mapping[str, Line]) -> Figure:
    kind, _, term = key.partition("_")
    is_accuracy = key == ACCURACY
    words, y_label = ("validation accuracy", "accuracy (%)") if is_accuracy else LOGGED[kind]
    title = f"{comparable.name}: {words.format(term)}"
    scale = 100 if is_accuracy else 1
    names = [comparable.short_name(member) for member in comparable.members]  # a name has one colour in all figures
    plotted = {name: [(step, scale * value) for step, value in lines.get(name, [])] for name in names}
    by_step = {name: dict(line) for name, line in plotted.items() if line}
    steps = _thin(sorted({step for values in by_step.values() for step in values}), MAX_STEPS)
    rows = [
        Row(
            f"step {step:,.0f}",
            tuple(_cell(values.get(step), "not logged at this step") for values in by_step.values()),
        )
        for step in steps
    ]
    unit, digits = ("%", 2) if is_accuracy else ("", 4)
    table = Table("steps", title, tuple(by_step), tuple(rows), unit, digits)
    return Figure(f"learning-{comparable.name}-{key}", title, figures.learning(plotted, y_label), table)


def fraction_curves(members: Sequence[GradedGroup]) -> Curves:
    """Draw accuracy over `data.train_fraction` for each task whose run groups differ in it.

    A line has all run groups with the rest of their setting in common.
    """
    plotted: list[Figure] = []
    missing: list[str] = []
    for task in dict.fromkeys(member.task for member in members):
        by_setting: dict[str, dict[float, list[GradedGroup]]] = {}
        for member in (member for member in members if member.task == task):
            series = by_setting.setdefault(json.dumps(_without_fraction(member), sort_keys=True), {})
            series.setdefault(member.group.recipe.data.train_fraction, []).append(member)
        several = [series for series in by_setting.values() if len(series) > 1]
        if several:
            firsts = [{fraction: members[0] for fraction, members in series.items()} for series in several]
            names = [_series_name(series) for series in firsts]
            unique = [  # where the fraction alone tells their run groups apart, by the first one's whole name
                name if names.count(name) == 1 else next(iter(series.values())).name
                for name, series in zip(names, firsts, strict=True)
            ]
            plotted.append(_fractions(task, dict(zip(unique, firsts, strict=True))))
        missing += [
            f"{extra.name} is not in {task}'s curve over the fraction of the training data; {first.name} is instead."
            for series in several
            for first, *extras in series.values()
            for extra in extras
        ]
    return plotted, missing


def _without_fraction(member: GradedGroup) -> dict[str, Any]:
    values = setting(member.group)
    return {**values, "data": {**values["data"], "train_fraction": None}}


def _series_name(members: Mapping[float, GradedGroup]) -> str:
    """Return what the names of these run groups have in common."""
    return ", ".join(common_parts(list(members.values())))


def _fractions(task: str, series: Mapping[str, Mapping[float, GradedGroup]]) -> Figure:
    cells = {name: {f: accuracy_cell(member.correct) for f, member in line.items()} for name, line in series.items()}
    fractions = sorted({fraction for line in cells.values() for fraction in line})
    not_run = Cell(None, "not run")
    rows = [Row(f"{f:g}", tuple(line.get(f, not_run) for line in cells.values())) for f in fractions]
    title = f"{task}: accuracy by fraction of the training data"
    table = Table("fractions", title, tuple(cells), tuple(rows), unit="%")
    points = {name: [point_of(fraction, cell) for fraction, cell in line.items()] for name, line in cells.items()}
    return Figure(f"fractions-{task}", title, figures.fractions(points, "accuracy (%)"), table)


def point_of(x: float, cell: Cell) -> Point:
    """Return a table's cell as a point of a figure."""
    return Point(x, cell.value, *(cell.interval or (None, None)))


def confidence_curves(sets: Sequence[Comparable]) -> Curves:
    """Draw risk over coverage and the cascade of each set, and the reliability of each run group; seeds pooled."""
    plotted, missing = [], []
    for comparable in sets:
        with_confidence = [member for member in comparable.members if member.confidence is not None]
        without = [member.name for member in comparable.members if member.confidence is None]
        if without:
            names = ", ".join(without)
            missing.append(
                f"No curves of confidence for {names} on {comparable.name}: its answers have no confidences."
            )
        if not with_confidence:
            continue
        plotted.append(_risk_coverage(comparable, with_confidence))
        with_teacher = [member for member in with_confidence if (member.has_confidence & _has_teacher(member)).any()]
        if with_teacher:
            plotted.append(_cascade(comparable, with_teacher))
        else:
            missing.append(f"No cascade on {comparable.name}: the teacher's answers are not known.")
    members = [member for comparable in sets for member in comparable.members if member.confidence is not None]
    return [*plotted, *map(_reliability, members)], missing


def _pooled(member: GradedGroup) -> tuple[np.ndarray, np.ndarray]:
    """Return confidence and correctness of all answers of all seeds that have a confidence."""
    assert member.confidence is not None
    return member.confidence[member.has_confidence], member.correct[member.has_confidence]


def _reliability(member: GradedGroup) -> Figure:
    """Draw the ten bins; several seeds' answers to one example are one example for the intervals."""
    assert member.confidence is not None
    bins, bin_of = [], np.where(member.has_confidence, equal_width(member.confidence), -1)
    for index, pooled in enumerate(reliability(*_pooled(member))):
        examples = int((bin_of == index).any(axis=0).sum())
        bins.append({**asdict(pooled), "interval": wilson((pooled.accuracy or 0.0) * examples, examples)})
    rows = []
    for row in bins:
        accuracy = Cell(row["accuracy"], interval=row["interval"]) if row["n"] else Cell(None, "no answers")
        cells = _cell(row["n"], "no answers"), _cell(row["confidence"], "no answers"), accuracy
        rows.append(Row(f"{row['low']:.1f} to {row['high']:.1f}", cells))
    title = f"{member.task}: reliability of {member.name}"
    notes = ("Intervals: 95 %, Wilson's over the examples in the bin, each counted once whatever the number of seeds.",)
    table = Table("bins", title, ("answers", "mean confidence", "accuracy"), tuple(rows), digits=3, notes=notes)
    return Figure(f"reliability-{member.task}-{member.name}", title, figures.reliability(bins), table)


def _risk_coverage(comparable: Comparable, members: Sequence[GradedGroup]) -> Figure:
    selected: dict[str, Selective] = {
        comparable.short_name(member): selective(*_pooled(member), draws=NO_DRAWS) for member in members
    }
    names = [comparable.short_name(member) for member in comparable.members]
    curves = {name: [asdict(p) for p in selected[name].curve] if name in selected else [] for name in names}
    rows = []
    for share in COVERAGES:
        risks = [
            next((1 - point.accuracy for point in entry.at_coverage if point.coverage == share), None)
            for entry in selected.values()
        ]
        rows.append(Row(f"{share:.0%} answered", tuple(_cell(risk, "no answers") for risk in risks)))
    title = f"{comparable.name}: risk and coverage"
    table = Table("risk-coverage", title, tuple(selected), tuple(rows), digits=3)
    return Figure(f"risk-coverage-{comparable.name}", title, figures.risk_coverage(curves), table)


def _has_teacher(member: GradedGroup) -> np.ndarray:
    """Return which cases the teacher's answer is known of, [N]."""
    return np.array([case.teacher_label is not None for case in member.cases], dtype=bool)


def _cascade(comparable: Comparable, members: Sequence[GradedGroup]) -> Figure:
    """Draw accuracy by the share passed on: the student costs nothing, the teacher 1."""
    equal = task_of(members[0].group.recipe.data).equal
    curves: dict[str, list[dict[str, Any]]] = {comparable.short_name(member): [] for member in comparable.members}
    shares, left_out = set(), 0
    for member in members:
        assert member.confidence is not None
        teacher = np.array(
            [any(equal(str(c.teacher_label), label) for label in (c.label, *c.accepted)) for c in member.cases],
            dtype=bool,
        )
        shares.add(float(teacher[_has_teacher(member)].mean()))
        usable = member.has_confidence & _has_teacher(member)
        left_out = max(left_out, int((~usable).sum()))
        teacher_SN = np.broadcast_to(teacher, usable.shape)
        points = cascade(member.confidence[usable], member.correct[usable], teacher_SN[usable])
        curves[comparable.short_name(member)] = [asdict(point) for point in points]
    plotted = {name: points for name, points in curves.items() if points}
    rows = []
    for share in PASSED:
        nearest = [min(points, key=lambda point: abs(point["passed"] - share)) for points in plotted.values()]
        rows.append(Row(f"{share:.0%} passed on", tuple(Cell(point["accuracy"]) for point in nearest)))
    notes = ["The point nearest to each share. Thresholds chosen on these very answers promise more than they keep."]
    if left_out:
        notes.append(f"Up to {left_out} answers of a run group are left out: no confidence, or no teacher's answer.")
    title = f"{comparable.name}: the student where it is sure, else the teacher"
    table = Table("cascade", title, tuple(plotted), tuple(rows), digits=3, notes=tuple(notes))
    svg = figures.cascade(curves, shares.pop() if len(shares) == 1 else None)
    return Figure(f"cascade-{comparable.name}", title, svg, table)


def _cell(value: float | None, reason: str) -> Cell:
    return Cell(value) if value is not None else Cell(None, reason)
