"""Contrasts: which run groups are comparable, each against its baseline, with tests corrected for their number."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck.report.cases import Case
from limbeck.runs.groups import RunGroup
from limbeck.runs.run import flat
from limbeck.stats.significance import Comparison, compare, holm

NO_EFFECT = frozenset(
    ("rationales", "batch_size", "encoder", "out_of_domain")
)  # of `evaluation`: they change no answer


@dataclass(frozen=True, eq=False)
class GradedGroup:
    """A run group with the N cases that all of its S runs answered."""

    group: RunGroup
    cases: tuple[Case, ...]
    correct: np.ndarray  # [S, N]
    confidence: np.ndarray | None  # [S, N], NaN where an answer has none; None: no answer has one

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def task(self) -> str:
        return self.group.task

    @property
    def has_confidence(self) -> np.ndarray:
        """Which answers have a confidence, [S, N]; everything about confidences is measured on these alone."""
        return np.zeros(self.correct.shape, bool) if self.confidence is None else ~np.isnan(self.confidence)

    def same_cases(self, other: "GradedGroup") -> bool:
        return {id(case) for case in self.cases} == {id(case) for case in other.cases}


@dataclass(frozen=True, eq=False)
class Comparable:
    """Run groups of one task that differ in nothing but the objective; or if there are no such, all of the task."""

    task: str
    settings: tuple[str, ...]  # fields that tell this set from the others of the task
    members: tuple[GradedGroup, ...]

    @property
    def name(self) -> str:
        return ", ".join([self.task, *self.settings])

    def short_name(self, member: GradedGroup) -> str:
        """Return a run group's name without what all of the set have in common."""
        return ", ".join(word for word in member.group.parts if word not in self.settings)

    @property
    def baseline(self) -> GradedGroup:
        """`dss` where it is in the set, else the first."""
        dss = (member for member in self.members if member.group.recipe.objective.name == "dss")
        return next(dss, self.members[0])


@dataclass(frozen=True, eq=False)
class Contrast:
    """A run group against its baseline. No `comparison`: it is the baseline, or was measured on other examples."""

    comparable: Comparable
    member: GradedGroup
    comparison: Comparison | None = None
    adjusted: float | None = None  # p-value by Holm's method over all tests of the report

    @property
    def is_baseline(self) -> bool:
        return self.member is self.comparable.baseline

    @property
    def name(self) -> str:
        return self.comparable.short_name(self.member)


def grade(groups: Sequence[RunGroup], cases: Sequence[Case]) -> list[GradedGroup]:
    """Return the answers of each run group as arrays; N = 0 where no case was answered by all of its runs."""
    return [_grade(group, [case for case in cases if case.task == group.task]) for group in groups]


def _grade(group: RunGroup, cases: Sequence[Case]) -> GradedGroup:
    seeds = [run.recipe.seed for run in group.runs]
    complete = []
    for case in cases:
        by_seed = {answer.seed: answer for answer in case.answers if answer.group == group.name}
        if all(seed in by_seed for seed in seeds):
            complete.append((case, [by_seed[seed] for seed in seeds]))
    shape = len(complete), len(seeds)
    answers = [answer for _, row in complete for answer in row]
    correct = np.array([answer.correct for answer in answers], dtype=bool).reshape(shape).T
    confidence = np.array([answer.confidence for answer in answers], dtype=np.float64).reshape(shape).T  # None: NaN
    return GradedGroup(
        group, tuple(case for case, _ in complete), correct, None if np.isnan(confidence).all() else confidence
    )


def comparable_sets(members: Sequence[GradedGroup]) -> list[Comparable]:
    """Return the run groups of each task, those together whose recipes differ in nothing but the objective."""
    sets = []
    for task in dict.fromkeys(member.task for member in members):
        of_task = [member for member in members if member.task == task]
        by_setting: dict[str, list[GradedGroup]] = {}
        for member in of_task:
            values = {**setting(member.group), "objective": None}
            by_setting.setdefault(json.dumps(values, sort_keys=True), []).append(member)
        several = len(by_setting) > 1 and any(len(same) > 1 for same in by_setting.values())
        sets += sorted(_name_sets(task, list(by_setting.values()) if several else [of_task]), key=_numeric_order)
    return sets


def contrasts(sets: Sequence[Comparable]) -> list[Contrast]:
    """Return every run group against the baseline of its set."""
    pairs = [(comparable, member) for comparable in sets for member in comparable.members]
    comparisons = [_compare(member, comparable.baseline) for comparable, member in pairs]
    adjusted = holm([comparison.p_value if comparison else None for comparison in comparisons])
    return [Contrast(*pair, test, p) for pair, test, p in zip(pairs, comparisons, adjusted, strict=True)]


def setting(group: RunGroup) -> dict[str, Any]:
    """Return a group's resolved recipe without the seed and what of `evaluation` changes no answer."""
    values = group.recipe.resolved()
    evaluation = {key: value for key, value in values["evaluation"].items() if key not in NO_EFFECT}
    return {**values, "seed": None, "evaluation": evaluation}


def differing_fields(settings: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return for each of these mappings the fields, like `a.b=1`, in which they are not all alike."""
    rows = [flat(values) for values in settings]
    keys = [key for key in sorted(set().union(*rows)) if len({repr(row.get(key)) for row in rows}) > 1]
    return [tuple(f"{key}={row[key]}" for key in keys if key in row) for row in rows]


def common_parts(members: Sequence[GradedGroup]) -> tuple[str, ...]:
    """Return what the names of all these run groups have in common."""
    return tuple(word for word in members[0].group.parts if all(word in member.group.parts for member in members))


def _compare(member: GradedGroup, baseline: GradedGroup) -> Comparison | None:
    if member is baseline or not member.cases or not member.same_cases(baseline):
        return None
    positions = {id(case): index for index, case in enumerate(member.cases)}
    return compare(member.correct[:, [positions[id(case)] for case in baseline.cases]], baseline.correct)


def _name_sets(task: str, sets: Sequence[Sequence[GradedGroup]]) -> list[Comparable]:
    """Name sets by the fields that tell them apart; those of `evaluation` need not be in the groups' own names."""
    if len(sets) == 1:
        return [Comparable(task, (), tuple(sets[0]))]
    evaluations = differing_fields([{"evaluation": setting(members[0].group)["evaluation"]} for members in sets])
    names = []
    for members, fields in zip(sets, evaluations, strict=True):
        objective = members[0].group.parts[0]
        words = [word for word in common_parts(members) if word != objective]
        names.append(Comparable(task, tuple(dict.fromkeys((*words, *fields))), tuple(members)))
    return names


def _numeric_order(comparable: Comparable) -> list[tuple[float, str]]:
    """Return a key by which numbers in names are sorted by their size."""
    words = enumerate(re.split(r"(\d+(?:\.\d+)?)", comparable.name))
    return [(float(word), "") if index % 2 else (0.0, word) for index, word in words]
