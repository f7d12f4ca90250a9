"""How far confidences can be trusted: calibration, reliability, risk and coverage, the cascade with the teacher."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import t as student

from limbeck import figures
from limbeck.data import task_of
from limbeck.metrics.reliability import Bin, ece, equal_width, reliability
from limbeck.metrics.selective import Selective, cascade, selective
from limbeck.report.curves import Curves
from limbeck.report.evaluated import Pages, interval_of
from limbeck.report.sides import Group, Side
from limbeck.report.tables import Cell, Figure, Row, Table
from limbeck.stats.intervals import Interval, wilson

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
            *_left_out(found),
        ),
    )


def _left_out(found: Sequence[Side]) -> list[str]:
    """Return sentences on arms of whose answers some have no confidence."""
    counts = [(side.arm.name, int((~side.known).sum()), side.known.size) for side in found if side.sure is not None]
    return [f"{name}: {count} of {n} answers without a confidence are left out." for name, count, n in counts if count]


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
        taught = [side for side in known if (side.known & side.taught).any()]
        if taught:
            made.figures.append(_cascade(group, taught))
        else:
            made.missing.append(f"No cascade on {group.name}: the teacher's answers are not known.")
    for group in found:
        made.figures += [_reliability(group, side) for side in group.sides if side.sure is not None]
    return made


def _cell(side: Side, read: Pages, place: str, measure: Measure) -> Cell:
    if side.sure is None:
        return Cell(None, _NONE if side.cases else "no examples")
    rows = zip(side.sure, side.right, side.known, strict=True)
    values = [measure(sure[known], right[known]) for sure, right, known in rows if known.any()]
    known = np.array([value for value in values if value is not None])
    seeds, n = len(known), int(side.known.sum(axis=1).max())
    if seeds == 1:
        interval = interval_of(read.get(side.arm.runs[0].path), place)
    else:
        half = float(student.ppf(0.975, seeds - 1)) * float(known.std(ddof=1)) / sqrt(seeds)
        interval = max(float(known.mean()) - half, 0.0), min(float(known.mean()) + half, 1.0)
    return Cell(float(known.mean()), interval=interval, n=n, seeds=seeds)


def _pooled(side: Side) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and correctness of all answers of all seeds whose confidence is known, at most [S N] each."""
    sure: Any = side.sure
    return sure[side.known], side.right[side.known]


def _binned(side: Side) -> tuple[tuple[Bin, ...], list[Interval | None]]:
    """The bins of all answers, and intervals of their accuracies: Wilson's, of so many answers as there are examples.

    Several seeds' answers to one example are not several examples.
    """
    sure: Any = side.sure
    bins, where = reliability(*_pooled(side)), np.where(side.known, equal_width(sure), -1)
    examples = [int((where == index).any(axis=0).sum()) for index in range(len(bins))]
    return bins, [wilson((one.accuracy or 0.0) * n, n) for one, n in zip(bins, examples, strict=True)]


def _reliability(group: Group, side: Side) -> Figure:
    bins = [{**asdict(one), "interval": ends} for one, ends in zip(*_binned(side), strict=True)]
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
    notes = ("Intervals: 95 %, Wilson's over the examples in the bin, each counted once whatever the number of seeds.",)
    table = Table("bins", title, ("answers", "mean confidence", "accuracy"), tuple(rows), digits=3, notes=notes)
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
    left_out = 0
    for side in taught:
        sure: Any = side.sure
        teacher = np.array(
            [
                any(equal(str(case.teacher_label), answer) for answer in (case.label, *case.answers))
                for case in side.cases
            ],
            dtype=bool,
        )
        shares.append(float(teacher[side.taught].mean()))
        both = side.known & side.taught
        left_out = max(left_out, int((~both).sum()))
        points = cascade(sure[both], side.right[both], np.tile(teacher, (len(both), 1))[both], 0.0, 1.0)
        found[group.short(side)] = [asdict(one) for one in points]
    title = f"{group.name}: the student where it is sure, else the teacher"
    rows = [
        Row(f"{share:.0%} passed on", tuple(_nearest(points, share) for points in found.values())) for share in _PASSED
    ]
    notes = ["The point nearest to each share. Thresholds chosen on these very answers promise more than they keep."]
    if left_out:
        notes.append(f"Up to {left_out} answers an arm are left out: without a confidence, or the teacher's answer.")
    table = Table("cascade", title, tuple(found), tuple(rows), digits=3, notes=tuple(notes))
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
