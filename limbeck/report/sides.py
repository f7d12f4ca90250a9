"""What is compared: an arm's answers by seed and example, and which arm of its task it is held against."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck.report.cases import Case, Said
from limbeck.runs.groups import Arm
from limbeck.runs.run import flat

_IDLE = frozenset(("rationales", "batch_size", "encoder", "out_of_domain"))  # of `evaluation`: they change no answer


@dataclass(frozen=True, eq=False)
class Side:
    """An arm and the cases that all of its runs answered. Legend: S seeds, N cases."""

    arm: Arm
    cases: tuple[Case, ...]
    right: np.ndarray  # [S, N]
    sure: np.ndarray | None  # the confidences [S, N], NaN where an answer has none; None: where none has

    @property
    def known(self) -> np.ndarray:
        """Which answers have a confidence, [S, N]: all that is said of confidences is measured on these alone."""
        return np.zeros(self.right.shape, dtype=bool) if self.sure is None else ~np.isnan(self.sure)

    @property
    def taught(self) -> np.ndarray:
        """To which cases it is known what the teacher answered, [N]."""
        return np.array([case.teacher_label is not None for case in self.cases], dtype=bool)

    def shares(self, other: "Side") -> bool:
        """Whether both were measured on the very same examples."""
        return {id(case) for case in self.cases} == {id(case) for case in other.cases}


@dataclass(frozen=True, eq=False)
class Group:
    """Arms of one task to be compared: they differ in their objective, or there are no such and in anything."""

    task: str
    setting: tuple[str, ...]  # the fields that tell the group from the others of the task
    sides: tuple[Side, ...]

    @property
    def name(self) -> str:
        return ", ".join([self.task, *self.setting])

    def short(self, side: Side) -> str:
        """An arm's name without what all of the group have in common."""
        return ", ".join(part for part in side.arm.parts if part not in self.setting)

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
    confidence = np.array([one.confidence for _, row in whole for one in row], dtype=np.float64).reshape(shape).T
    sure = None if np.isnan(confidence).all() else confidence  # None is NaN there
    return Side(arm, tuple(case for case, _ in whole), right, sure)


def groups(found: Sequence[Side]) -> list[Group]:
    """The sides of each task, those together whose `setting` differs in nothing but the objective."""
    made = []
    for task in dict.fromkeys(side.arm.task for side in found):
        of_task = [side for side in found if side.arm.task == task]
        settings: dict[str, list[Side]] = {}
        for side in of_task:
            settings.setdefault(_less_objective(side.arm), []).append(side)
        if all(len(group) == 1 for group in settings.values()):
            settings = {"": of_task}
        made += sorted(_named(task, list(settings.values())), key=lambda group: _natural(group.name))
    return made


def setting(arm: Arm) -> dict[str, Any]:
    """An arm's recipe, resolved, less its seed and what of its evaluation changes no answer."""
    values = arm.recipe.resolved()
    asked = {key: value for key, value in values["evaluation"].items() if key not in _IDLE}
    return {**values, "seed": None, "evaluation": asked}


def telling(values: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Of each of these mappings the fields, `a.b=1`, in which they are not all alike."""
    every = [flat(one) for one in values]
    keys = [key for key in sorted(set().union(*every)) if len({repr(one.get(key)) for one in every}) > 1]
    return [tuple(f"{key}={one[key]}" for key in keys if key in one) for one in every]


def _natural(words: str) -> list[tuple[float, str]]:
    """In which numbers are sorted by their size."""
    return [(float(part), "") if number else (0.0, part) for part, number in _parts(words)]


def _parts(words: str) -> list[tuple[str, bool]]:
    return [(part, index % 2 == 1) for index, part in enumerate(re.split(r"(\d+(?:\.\d+)?)", words))]


def _less_objective(arm: Arm) -> str:
    return json.dumps({**setting(arm), "objective": None}, sort_keys=True)


def _named(task: str, found: Sequence[Sequence[Side]]) -> list[Group]:
    """Groups of a task by what tells them apart; of how they were asked the arms' own names need not speak."""
    if len(found) == 1:
        return [Group(task, (), tuple(found[0]))]
    asked = telling([{"evaluation": setting(group[0].arm)["evaluation"]} for group in found])
    return [
        Group(task, tuple(dict.fromkeys((*_common(group), *more))), tuple(group))
        for group, more in zip(found, asked, strict=True)
    ]


def _common(group: Sequence[Side]) -> tuple[str, ...]:
    """What the names of the group's arms have in common beside the objective."""
    return tuple(part for part in group[0].arm.parts[1:] if all(part in side.arm.parts for side in group))
