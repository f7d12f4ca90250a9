"""The sections with curves: learning, more training data, confidence with risk and coverage and the cascade."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

from limbeck import figures
from limbeck.data import task_of
from limbeck.errors import LimbeckError
from limbeck.figures import Point
from limbeck.files import read_jsonl
from limbeck.metrics.selective import cascade, selective
from limbeck.report.answers import (
    CALIBRATION,
    CALIBRATION_NOTE,
    NO_DRAWS,
    GradedGroup,
    accuracy_cell,
    calibration_cell,
    without_confidence,
)
from limbeck.report.contrasts import Comparable, common_parts, setting
from limbeck.report.tables import Cell, Figure, Section, Table
from limbeck.runs.run import Run
from limbeck.stats.intervals import Flags

Value = TypeVar("Value")

MAX_POINTS = 150  # of a line in a figure
MAX_ROWS = 11  # of its table
ACCURACY = "eval_accuracy"
LOGGED = {"term": ("{}, a term of the loss", "nats"), "share": ("{}, its share of the gradient", "share")}
COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
PASSED = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)


def curve_figure(
    name: str,
    title: str,
    lines: Mapping[str, Sequence[Point]],
    rows: Mapping[str, float],
    *,
    labels: tuple[str, str],
    notes: Sequence[str] = (),
    exact: Mapping[str, Sequence[Point]] | None = None,
    **style: Any,
) -> Figure:
    """Return lines as a figure whose table has the point of each line that is nearest to each of `rows`, names of x.

    `exact` are points for the table where they are not those of the lines.
    """
    known = {line: points for line, points in (exact or lines).items() if points}
    cells = {
        row: {line: Cell(min(points, key=lambda p: abs(p.x - x)).y) for line, points in known.items()}
        for row, x in rows.items()
    }
    table = Table(name, title, cells, digits=4, notes=("The points nearest to these.", *notes))
    return Figure(figures.line_chart(lines, *labels, **style), table)


def learning_section(sets: Sequence[Comparable], members: Sequence[GradedGroup]) -> Section:
    """Return every term of the loss, its gradient share and the validation accuracy of each set; and more data."""
    plotted, missing = _fraction_curves(members), []
    for comparable in sets:
        lines: dict[str, dict[str, list[Point]]] = {}  # by what was logged and by run group
        for member in comparable.members:
            try:
                by_run = [_logged(run) for run in member.group.runs]
            except LimbeckError as error:
                missing.append(f"{member.name} on {member.task} has no curves: {error}")
                continue
            for key in by_run[0]:
                series = [logged.get(key, {}) for logged in by_run]
                steps = sorted(step for step in series[0] if all(step in values for values in series))
                line = [Point(step, sum(values[step] for values in series) / len(series)) for step in steps]
                lines.setdefault(key, {})[member.name] = _thin(line, MAX_POINTS)
        terms = dict.fromkeys(key.partition("_")[2] for key in lines if key != ACCURACY)
        for key in filter(lines.get, [*(f"{kind}_{term}" for term in terms for kind in LOGGED), ACCURACY]):
            kind, _, term = key.partition("_")
            words, y_label = LOGGED.get(kind, ("validation {}", "accuracy"))
            # a name has one colour in all figures
            of_key = {member.name: lines[key].get(member.name, []) for member in comparable.members}
            ticks = _thin(sorted({point.x for line in of_key.values() for point in line}), MAX_ROWS)
            name, title = f"learning-{comparable.name}-{key}", f"{comparable.name}: {words.format(term)}"
            rows = {f"step {step:,.0f}": step for step in ticks}
            plotted.append(curve_figure(name, title, of_key, rows, labels=("step", y_label)))
    text = (
        "Means over seeds. A term's gradient share is its part of the gradient's norm at the hidden states: how much "
        "of the training it really is, which its value alone does not tell."
    )
    return Section("learning", "Learning", text, figures=plotted, missing=missing)


def _logged(run: Run) -> dict[str, dict[int, float]]:
    """Return the values by step of all that was logged (`term_label`, `share_label`, `eval_accuracy`)."""
    logged: dict[str, dict[int, float]] = {}
    for _, row in read_jsonl(run.log):
        for key, value in row.items():
            finite = isinstance(value, int | float) and np.isfinite(value)
            if finite and "step" in row and (key.startswith(("term_", "share_")) or key == ACCURACY):
                logged.setdefault(key, {})[int(row["step"])] = float(value)
    return logged


def _thin(values: list[Value], count: int) -> list[Value]:
    positions = np.linspace(0, len(values) - 1, min(len(values), count)).round().astype(int)
    return [values[position] for position in np.unique(positions)]


def _fraction_curves(members: Sequence[GradedGroup]) -> list[Figure]:
    """Draw accuracy over `data.train_fraction` for each task whose run groups differ in it.

    A line has all run groups with the rest of their recipe in common.
    """
    plotted = []
    for task, of_task in groupby(members, attrgetter("task")):
        series: dict[str, list[GradedGroup]] = {}
        for member in sorted(of_task, key=lambda member: member.group.recipe.data.train_fraction):
            series.setdefault(setting(member, "data.train_fraction"), []).append(member)
        lines: dict[str, dict[float, Cell]] = {}
        for line in (line for line in series.values() if len(line) > 1):
            name = ", ".join(common_parts(line))
            cells = {member.group.recipe.data.train_fraction: accuracy_cell(member.correct) for member in line}
            lines[line[0].name if name in lines else name] = cells
        if lines:
            title = f"{task}: accuracy by fraction of the training data"
            plotted.append(fraction_figure(f"fractions-{task}", title, lines))
    return plotted


def fraction_figure(
    name: str, title: str, cells: Mapping[str, Mapping[float, Cell]], notes: tuple[str, ...] = ()
) -> Figure:
    """Draw accuracies by method and by fraction of the training data."""
    fractions = sorted({fraction for line in cells.values() for fraction in line})
    not_run = Cell(None, "not run")
    rows = {f"{x:g}": {method: line.get(x, not_run) for method, line in cells.items()} for x in fractions}
    points = {
        method: [Point(x, cell.value, *(cell.interval or ())) for x, cell in line.items()]
        for method, line in cells.items()
    }
    svg = figures.line_chart(points, "training data", "accuracy (%)", percent="x")
    return Figure(svg, Table(name, title, rows, unit="%", notes=notes))


def confidence_section(sets: Sequence[Comparable], members: Sequence[GradedGroup]) -> Section:
    """Return calibration by task, and of each set risk over coverage and the cascade with the teacher."""
    tables, plotted, missing = [], [], []
    for task, group in groupby(members, attrgetter("task")):
        of_task = list(group)
        rows = {member.name: {name: calibration_cell(member, name) for name in CALIBRATION} for member in of_task}
        area = "Area: less is better; an order by chance has 1 - accuracy."
        notes = (CALIBRATION_NOTE, area, *without_confidence(of_task))
        tables.append(Table(f"calibration-{task}", f"{task}: confidence on the test split", rows, "", 3, notes))
    for comparable in sets:
        sure = [member for member in comparable.members if member.has_confidence.any()]
        taught = [member for member in sure if (member.has_confidence & _has_teacher(member)).any()]
        plotted += [_risk_coverage(comparable, sure)] if sure else []
        plotted += [_cascade(comparable, taught)] if taught else []
        reasons = (("risk", "no confidences", sure), ("the cascade", "no confidences or no teacher", taught))
        for curve, reason, drawn in reasons:
            if names := ", ".join(member.name for member in comparable.members if member not in drawn):
                missing.append(f"No curve of {curve} on {comparable.name} for {names}: {reason}.")
    text = "How far an answer's confidence can be trusted, and what answering only when sure brings. Curves pool seeds."
    return Section("confidence", "Confidence", text, tables, plotted, missing)


def _risk_coverage(comparable: Comparable, members: Sequence[GradedGroup]) -> Figure:
    lines: dict[str, list[Point]] = {member.name: [] for member in comparable.members}
    exact: dict[str, list[Point]] = {}
    for member in members:
        mask = member.has_confidence
        selected = selective(member.confidence[mask], member.correct[mask], draws=NO_DRAWS)
        lines[member.name] = [Point(point.coverage, point.risk) for point in selected.curve]
        exact[member.name] = [Point(point.coverage, 1 - point.accuracy) for point in selected.at_coverage]
    name, title = f"risk-coverage-{comparable.name}", f"{comparable.name}: risk and coverage"
    rows = {f"{share:.0%} answered": share for share in COVERAGES}
    labels = ("share answered", "share wrong")
    return curve_figure(name, title, lines, rows, labels=labels, exact=exact, percent="xy")


def _cascade(comparable: Comparable, members: Sequence[GradedGroup]) -> Figure:
    """Draw accuracy by the share passed on: the student costs nothing, the teacher 1."""
    equal = task_of(members[0].group.recipe.data).equal
    lines: dict[str, list[Point]] = {member.name: [] for member in comparable.members}
    teachers, left_out = [], 0
    for member in members:
        right = np.array(
            [any(equal(str(e.teacher_label), label) for label in (e.label, *e.answers)) for e in member.examples]
        )
        teachers.append(float(right[_has_teacher(member)].mean()))
        usable = member.has_confidence & _has_teacher(member)
        left_out = max(left_out, int((~usable).sum()))
        right_SN = np.broadcast_to(right, usable.shape)
        points = cascade(member.confidence[usable], member.correct[usable], right_SN[usable])
        lines[member.name] = [Point(point.passed, point.accuracy) for point in points]
    notes = ["Thresholds chosen on these very answers promise more than they keep."]
    if left_out:
        notes.append(f"Up to {left_out} answers of a run group are left out: no confidence, or no teacher's answer.")
    return curve_figure(
        f"cascade-{comparable.name}",
        f"{comparable.name}: the student where it is sure, else the teacher",
        lines,
        {f"{share:.0%} passed on": share for share in PASSED},
        labels=("share passed on to the teacher", "accuracy"),
        notes=notes,
        percent="xy",
        reference=("teacher alone", teachers[0]) if len(set(teachers)) == 1 else None,
    )


def _has_teacher(member: GradedGroup) -> Flags:
    """Return which examples the teacher's answer is known of, [N]."""
    return np.array([example.teacher_label is not None for example in member.examples], dtype=bool)
