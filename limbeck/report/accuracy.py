"""Accuracy by task and arm, each against its baseline, with tests corrected for how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from limbeck.report.accuracies import accuracy_cell, against
from limbeck.report.sides import Group, Side
from limbeck.report.tables import Cell, Row, Table
from limbeck.runs.groups import Arm
from limbeck.stats.significance import Comparison, compare, holm


@dataclass(frozen=True, eq=False)
class Held:
    """A side held against its group's baseline. No `comparison`: it is the baseline, or measured on other examples."""

    group: Group
    side: Side
    comparison: Comparison | None = None
    adjusted: float | None = None  # its p-value, by Holm's method over all tests of the report


def held(found: Sequence[Group]) -> list[Held]:
    """Every side of every group against the group's baseline."""
    pairs = [(group, side, _compared(side, group.baseline)) for group in found for side in group.sides]
    adjusted = holm([comparison.p_value if comparison else None for *_, comparison in pairs])
    return [Held(*pair, p) for pair, p in zip(pairs, adjusted, strict=True)]


def table(task: str, found: Sequence[Held]) -> Table:
    """One task's arms, a row each."""
    of_task = [one for one in found if one.side.arm.task == task]
    tests = sum(one.comparison is not None for one in found)
    baselines = {one.group.baseline.arm.name for one in of_task}
    return Table(
        name=f"accuracy-{task}",
        title=f"{task}: accuracy on the test split",
        columns=("accuracy",),
        rows=tuple(Row(one.side.arm.name, (_cell(one),)) for one in of_task),
        unit="%",
        baseline=baselines.pop() if len(baselines) == 1 else None,
        notes=tuple(_notes(of_task, tests)),
    )


def elsewhere(task: str, other: str, arms: Sequence[Arm], right: Sequence[np.ndarray]) -> Table:
    """What students of `task` score on the test split of `other`, `right` [S, N] by arm; not tested."""
    rows = [Row(arm.name, (accuracy_cell(matrix),)) for arm, matrix in zip(arms, right, strict=True)]
    return Table(
        name=f"accuracy-{task}-on-{other}",
        title=f"{other}: accuracy of students of {task}",
        columns=("accuracy",),
        rows=tuple(rows),
        unit="%",
        notes=(_interval_note({len(arm.runs) for arm in arms}),),
    )


def _compared(side: Side, baseline: Side) -> Comparison | None:
    if side is baseline or not side.cases or not side.shares(baseline):
        return None
    order = {id(case): index for index, case in enumerate(side.cases)}
    same = [order[id(case)] for case in baseline.cases]
    return compare(side.right[:, same], baseline.right)


def _cell(one: Held) -> Cell:
    cell = accuracy_cell(one.side.right)
    if cell.value is None:
        return cell
    if one.comparison is None:
        reason = "baseline" if one.side is one.group.baseline else "on other examples than its baseline: not compared"
        return replace(cell, reason=reason)
    return against(cell, one.comparison, one.adjusted)


def _notes(found: Sequence[Held], tests: int) -> list[str]:
    notes = [_interval_note({len(one.side.arm.runs) for one in found})]
    names = sorted({one.comparison.test for one in found if one.comparison})
    if names:
        notes.append(
            f"Differences are in points, to the row marked baseline; tests: {' or '.join(names)}; Holm's method over "
            f"the {tests} tests of this report."
        )
    if len({one.group.name for one in found}) > 1:
        notes.append("An arm's baseline is the one that differs from it in nothing but the objective.")
    return notes


def _interval_note(seeds: set[int]) -> str:
    kinds = [
        *(["Wilson's for a single seed, which leaves out how seeds differ"] if 1 in seeds else []),
        *(["Student's t over seeds and examples for several seeds"] if seeds - {1} else []),
    ]
    return f"95 % intervals: {'; '.join(kinds)}."
