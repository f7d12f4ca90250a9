"""How far confidences can be trusted: calibration, reliability, risk and coverage, the cascade with the teacher."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import t as student

from limbeck.data import task_of
from limbeck.evaluation.reliability import ece, reliability
from limbeck.evaluation.selective import Selective, cascade, selective
from limbeck.experiments import figures
from limbeck.experiments.report.curves import Curves
from limbeck.experiments.report.evaluated import Pages, interval_of
from limbeck.experiments.report.sides import Group, Side
from limbeck.experiments.tables import Cell, Figure, Row, Table

_DRAWS = 2  # the bootstrap's intervals are not shown
_SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_PASSED = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
_NONE = "its answers have no confidences"

Measure = Callable[[np.ndarray, np.ndarray], float | None]
# each with where `limbeck evaluate` keeps its interval
_MEASURES: dict[str, tuple[str, Measure]] = {
    "mean confidence": ("calibration.average_confidence_interval", lambda sure, _: float(sure.mean())),
    "calibration error": ("calibration.ece_interval", ece),
    "Brier score": ("calibration.brier_interval", lambda sure, right: float(((sure - right) ** 2).mean())),
    "area under risk and coverage": (
        "selective.aurc_interval",
        lambda sure, right: selective(sure, right, draws=_DRAWS).aurc,
    ),
}


def calibration(task: str, found: Sequence[Side], read: Pages) -> Table:
    """One task's arms: the mean over seeds of what each run's confidences are worth."""
    rows = [Row(side.arm.name, tuple(_cell(side, read, *one) for one in _MEASURES.values())) for side in found]
    return Table(
        name=f"calibration-{task}",
        title=f"{task}: confidence on the test split",
        columns=tuple(_MEASURES),
        rows=tuple(rows),
        digits=3,
        notes=(
            "Calibration error: ten bins of equal width. It is above zero by chance, the more so the fewer examples. "
            "Area: less is better; an order by chance has 1 - accuracy. 95 % intervals: Student's t over seeds, on "
            "these examples; for a single seed what `limbeck evaluate` found, where it was run.",
        ),
    )


def curves(found: Sequence[Group]) -> Curves:
    """Reliability of every arm, seeds pooled; risk and coverage, and the cascade, of every group."""
    made = Curves()
    for group in found:
        known = [side for side in group.sides if side.sure is not None]
        unknown = [side.arm.name for side in group.sides if side.sure is None]
        if unknown:
            made.missing.append(f"No curves of confidence for {', '.join(unknown)} on {group.name}: {_NONE}.")
        if not known:
            continue
        made.figures.append(_risk_coverage(group, known))
        taught = [side for side in known if side.taught]
        if taught:
            made.figures.append(_cascade(group, taught))
        else:
            made.missing.append(f"No cascade on {group.name}: the teacher's answers are not known, or not all.")
    for group in found:
        made.figures += [_reliability(group, side) for side in group.sides if side.sure is not None]
    return made


def _cell(side: Side, read: Pages, place: str, measure: Measure) -> Cell:
    if side.sure is None:
        return Cell(None, _NONE if side.cases else "no examples")
    values = [measure(sure, right) for sure, right in zip(side.sure, side.right, strict=True)]
    known = np.array([value for value in values if value is not None])
    seeds, n = side.right.shape
    if seeds == 1:
        interval = interval_of(read.get(side.arm.runs[0].path), place)
    else:
        half = float(student.ppf(0.975, seeds - 1)) * float(known.std(ddof=1)) / sqrt(seeds)
        interval = (float(known.mean()) - half, float(known.mean()) + half)
    return Cell(float(known.mean()), interval=interval, n=n, seeds=seeds)


def _pooled(side: Side) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and correctness of all answers of all seeds, [S N] each."""
    sure: Any = side.sure
    return sure.ravel(), side.right.ravel()


def _reliability(group: Group, side: Side) -> Figure:
    bins = [asdict(one) for one in reliability(*_pooled(side))]
    title = f"{side.arm.task}: reliability of {side.arm.name}"
    rows = [
        Row(
            f"{one['low']:.1f} to {one['high']:.1f}",
            (
                _known(one["n"]),
                _known(one["confidence"]),
                Cell(one["accuracy"], interval=one["interval"]) if one["n"] else _known(None),
            ),
        )
        for one in bins
    ]
    table = Table("bins", title, ("answers", "mean confidence", "accuracy"), tuple(rows), digits=3)
    svg = figures.reliability(bins)
    return Figure(f"reliability-{group.task}-{side.arm.name}", title, svg, table)


def _risk_coverage(group: Group, known: Sequence[Side]) -> Figure:
    found: dict[str, Selective] = {group.short(side): selective(*_pooled(side), draws=_DRAWS) for side in known}
    curves = {group.short(side): [] for side in group.sides} | {
        name: one.to_dict()["curve"] for name, one in found.items()
    }
    title = f"{group.name}: risk and coverage"
    rows = [Row(f"{share:.0%} answered", tuple(_risk(one, share) for one in found.values())) for share in _SHARES]
    table = Table("risk-coverage", title, tuple(found), tuple(rows), digits=3)
    svg = figures.risk_coverage(curves)
    return Figure(f"risk-coverage-{group.name}", title, svg, table)


def _risk(one: Selective, share: float) -> Cell:
    risks = [1 - point.accuracy for point in one.at_coverage if point.coverage == share]
    return Cell(risks[0]) if risks else Cell(None, "no answers")


def _cascade(group: Group, taught: Sequence[Side]) -> Figure:
    """Costs: none of the student's, 1 of the teacher's, so that the cost is the share passed on."""
    found: dict[str, list[dict[str, Any]]] = {}
    equal = task_of(taught[0].arm.recipe.data).equal
    shares = []
    for side in taught:
        teacher = np.array([equal(str(case.teacher_label), case.label) for case in side.cases], dtype=bool)
        shares.append(float(teacher.mean()))
        points = cascade(*_pooled(side), np.tile(teacher, len(side.right)), 0.0, 1.0)
        found[group.short(side)] = [asdict(one) for one in points]
    title = f"{group.name}: the student where it is sure, else the teacher"
    rows = [
        Row(f"{share:.0%} passed on", tuple(_nearest(points, share) for points in found.values())) for share in _PASSED
    ]
    notes = ("The point nearest to each share. Thresholds chosen on these very answers promise more than they keep.",)
    table = Table("cascade", title, tuple(found), tuple(rows), digits=3, notes=notes)
    teacher_alone = shares[0] if len(set(shares)) == 1 else None
    return Figure(
        f"cascade-{group.name}",
        title,
        figures.cascade({group.short(side): found.get(group.short(side), []) for side in group.sides}, teacher_alone),
        table,
    )


def _nearest(points: Sequence[Mapping[str, Any]], share: float) -> Cell:
    return Cell(min(points, key=lambda one: abs(one["passed"] - share))["accuracy"])


def _known(value: float | None) -> Cell:
    return Cell(value) if value is not None else Cell(None, "no answers")
