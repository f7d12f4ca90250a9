"""Contrasts: which run groups are comparable, each against its baseline, with tests corrected for their number."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from limbeck.report.answers import GradedGroup
from limbeck.runs.run import flat
from limbeck.stats.significance import Comparison, compare, holm

# they change no answer
NO_EFFECT = tuple(f"evaluation.{key}" for key in ("rationales", "batch_size", "encoder", "out_of_domain"))


@dataclass(frozen=True, eq=False)
class Comparable:
    """Run groups of one task that differ in nothing but the objective; or if there are no such, all of the task."""

    task: str
    members: tuple[GradedGroup, ...]

    @property
    def name(self) -> str:
        """The task, and what the names of all members have in common."""
        return ", ".join([self.task, *common_traits(self.members)])

    @property
    def baseline(self) -> GradedGroup:
        """`dss` where it is in the set, else the first."""
        dss = (member for member in self.members if member.group.recipe.objective.name == "dss")
        return next(dss, self.members[0])


@dataclass(frozen=True, eq=False)
class Contrast:
    """A run group against its baseline. No `comparison`: it is the baseline, or was measured on other examples."""

    member: GradedGroup
    baseline: GradedGroup
    comparison: Comparison | None = None
    adjusted: float | None = None  # p-value by Holm's method over all tests of the report

    @property
    def task(self) -> str:
        return self.member.task


def setting(member: GradedGroup, *ignored: str) -> str:
    """Return a group's recipe as a text, alike in groups that differ in the `ignored` fields alone."""
    fields = flat(member.group.recipe.resolved())
    return repr(sorted((key, repr(value)) for key, value in fields.items() if not key.startswith(("seed", *ignored))))


def comparable_sets(members: Sequence[GradedGroup]) -> list[Comparable]:
    """Return the run groups of each task, those together whose recipes differ in nothing but the objective."""
    sets = []
    for task, of_task in groupby(members, attrgetter("task")):
        by_setting: dict[str, list[GradedGroup]] = {}
        for member in of_task:
            by_setting.setdefault(setting(member, "objective", *NO_EFFECT), []).append(member)
        groups = list(by_setting.values())
        if all(len(group) == 1 for group in groups):
            groups = [[member for group in groups for member in group]]
        sets += [Comparable(task, tuple(group)) for group in groups]
    return sets


def contrasts(sets: Sequence[Comparable]) -> list[Contrast]:
    """Return every run group against the baseline of its set."""
    pairs = [(member, comparable.baseline) for comparable in sets for member in comparable.members]
    comparisons = [_compare(*pair) for pair in pairs]
    adjusted = holm([comparison.p_value if comparison else None for comparison in comparisons])
    return [Contrast(*pair, test, p) for pair, test, p in zip(pairs, comparisons, adjusted, strict=True)]


def common_traits(members: Sequence[GradedGroup]) -> list[str]:
    """Return what the names of all these run groups have in common."""
    return [word for word in members[0].group.traits if all(word in member.group.traits for member in members)]


def _compare(member: GradedGroup, baseline: GradedGroup) -> Comparison | None:
    if member is baseline or not member.examples or member.positions.keys() != baseline.positions.keys():
        return None
    return compare(member.correct[:, [member.positions[key] for key in baseline.positions]], baseline.correct)
