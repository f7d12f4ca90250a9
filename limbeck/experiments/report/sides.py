"""What is compared: an arm's answers by seed and example, and which arm of its task it is held against."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from limbeck.experiments.arms import Arm
from limbeck.experiments.cases import Case, Said


@dataclass(frozen=True, eq=False)
class Side:
    """An arm and the cases that all of its runs answered. Legend: S seeds, N cases."""

    arm: Arm
    cases: tuple[Case, ...]
    right: np.ndarray  # [S, N]
    sure: np.ndarray | None  # the confidences [S, N], where every answer has one

    @property
    def taught(self) -> bool:
        """Whether it is known what the teacher answered to every case."""
        return bool(self.cases) and all(case.teacher_label is not None for case in self.cases)

    def shares(self, other: "Side") -> bool:
        """Whether both were measured on the very same examples."""
        return {id(case) for case in self.cases} == {id(case) for case in other.cases}


@dataclass(frozen=True, eq=False)
class Group:
    """Arms of one task to be compared: they differ in their objective, or there are no such and in anything."""

    task: str
    setting: str  # what tells the group from the others of the task; empty if there is nothing to tell
    sides: tuple[Side, ...]

    @property
    def name(self) -> str:
        return f"{self.task}, {self.setting}" if self.setting else self.task

    def short(self, side: Side) -> str:
        """An arm's name without what all of the group have in common."""
        common = self.setting.split(", ")
        return ", ".join(part for part in side.arm.name.split(", ") if part not in common)

    @property
    def baseline(self) -> Side:
        """`dss` where it is among them, else the first."""
        named = (side for side in self.sides if side.arm.recipe.objective.name == "dss")
        return next(named, self.sides[0])


def sides(arms: Sequence[Arm], cases: Sequence[Case]) -> list[Side]:
    """A side an arm, in their order. Arms without a case that all their runs answered have N = 0."""
    of_task: dict[str, list[tuple[Case, Mapping[tuple[str, int], Said]]]] = {}
    for case in cases:
        of_task.setdefault(case.task, []).append((case, {(one.arm, one.seed): one for one in case.said}))
    return [_side(arm, of_task.get(arm.task, [])) for arm in arms]


def _side(arm: Arm, cases: Sequence[tuple[Case, Mapping[tuple[str, int], Said]]]) -> Side:
    keys = [(arm.name, run.recipe.seed) for run in arm.runs]
    whole = [(case, [said[key] for key in keys]) for case, said in cases if all(key in said for key in keys)]
    shape = (len(whole), len(keys))
    right = np.array([[one.correct for one in row] for _, row in whole], dtype=bool).reshape(shape).T
    confidence = [one.confidence for _, row in whole for one in row]
    known = bool(confidence) and all(one is not None and 0 <= one <= 1 for one in confidence)
    sure = np.array(confidence, dtype=np.float64).reshape(shape).T if known else None
    return Side(arm, tuple(case for case, _ in whole), right, sure)


def groups(found: Sequence[Side]) -> list[Group]:
    """The sides of each task, those together that differ in nothing but their objective and how they are asked."""
    made = []
    for task in dict.fromkeys(side.arm.task for side in found):
        of_task = [side for side in found if side.arm.task == task]
        settings: dict[str, list[Side]] = {}
        for side in of_task:
            settings.setdefault(_setting(side.arm), []).append(side)
        if all(len(group) == 1 for group in settings.values()):
            settings = {"": of_task}
        several = len(settings) > 1
        of_settings = [Group(task, _name(group) if several else "", tuple(group)) for group in settings.values()]
        made += sorted(of_settings, key=lambda group: _natural(group.setting))
    return made


def _natural(words: str) -> list[tuple[float, str]]:
    """In which numbers are sorted by their size."""
    return [(float(part), "") if number else (0.0, part) for part, number in _parts(words)]


def _parts(words: str) -> list[tuple[str, bool]]:
    return [(part, index % 2 == 1) for index, part in enumerate(re.split(r"(\d+(?:\.\d+)?)", words))]


def _setting(arm: Arm) -> str:
    apart = {"seed": None, "objective": None, "evaluation": None}
    return json.dumps({**arm.recipe.resolved(), **apart}, sort_keys=True)


def _name(group: Sequence[Side]) -> str:
    """What the names of the group's arms have in common beside the objective."""
    said = [dict.fromkeys(side.arm.name.split(", ")[1:]) for side in group]
    return ", ".join(part for part in said[0] if all(part in other for other in said))
