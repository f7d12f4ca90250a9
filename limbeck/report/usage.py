"""The section on students in use: what they answered and passed on, accuracy, price, time, and rounds of training."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np

from limbeck import figures
from limbeck.errors import LimbeckError
from limbeck.figures import Point
from limbeck.report.answers import GradedGroup, accuracy_cell
from limbeck.report.tables import Cell, Figure, Rows, Section, Table
from limbeck.runs.records import ServerTotals
from limbeck.runs.run import Run
from limbeck.stats.intervals import Flags

_ACCURACY, _PASSED = "accuracy (%)", "passed on (%)"
_PRICE, _SECONDS = "price per 1,000 questions", "seconds per 1,000 questions"
_NOTES = (
    "Accuracy on the test split, where the teacher's answers are those in the data, whoever gave them; all else as "
    "counted by `limbeck serve`. Servers with another engine, teacher or threshold than the last are left out.",
    "The price is the teacher's by the job's prices; that of the student's machine is not in it.",
    "Seconds: what the student computed, and what the questions passed on waited for the teacher, each added up as if "
    "one question came after another.",
)


@dataclass(frozen=True)
class _Usage:
    """A served run by its group and number there, and the sums over its servers that were like the last."""

    group: GradedGroup
    number: int
    title: str
    totals: ServerTotals

    @property
    def share(self) -> Cell:
        count, failed = self.totals.questions, f"{self.totals.failed:,} failed" if self.totals.failed else None
        return Cell(100 * self.totals.passed_on / count, failed, n=count)

    def price(self, count: int) -> Cell:
        """Return the price of 1,000 of the questions or replies counted."""
        cost = self.totals.teacher.cost if self.totals.teacher else 0.0
        if cost is None or not count:
            return Cell(None, "no price known" if count else "no reply")
        return Cell(1000 * cost / count)

    def accuracy_of_both(self) -> Cell:
        """Return the accuracy on the test split of the student, and the teacher below the threshold in use."""
        group, run, teacher = self.group, self.group.runs[self.number], self.totals.teacher
        valid, test = (run.results[split] for split in ("valid", "test"))
        engines = {self.totals.engine, *(result.get("engine") or self.totals.engine for result in (valid, test))}
        alike = all(valid.get(name) == test.get(name) for name in ("answers", "votes", "temperature"))
        if not alike or ("ctranslate2-int8" in engines and len(engines) > 1):
            return Cell(None, "the test split was answered in another way")
        least = inf if teacher is None or teacher.least_confidence is None else teacher.least_confidence
        passed = np.nan_to_num(group.confidence[self.number]) < least
        return _accuracy(np.where(passed, group.teacher == 1, group.correct[self.number]), group)


def _accuracy(right: Flags, group: GradedGroup) -> Cell:
    """Return the accuracy of [N] answers over the test questions to which the teacher's answer is known."""
    known = ~np.isnan(group.teacher)
    return accuracy_cell(right[None, known]) if known.any() else Cell(None, "no teacher's answers known")


def usage_section(groups: Sequence[GradedGroup]) -> Section | None:
    """Return accuracy, price and time of students that were served, alone and with a teacher, and by round.

    None where no student was served.
    """
    members = {run.path.resolve(): (group, number) for group in groups for number, run in enumerate(group.runs)}
    names, common = [path.name for path in members], os.path.commonpath(members)
    usages, missing = dict[Path, _Usage](), list[str]()
    for path, (group, number) in members.items():
        title = path.name if names.count(path.name) == 1 else str(path.relative_to(common))
        try:
            if totals := _totals(group.runs[number]):
                usages[path] = _Usage(group, number, title, totals)
        except LimbeckError as error:
            missing.append(f"{title}: its use is left out: {error}.")
    if not usages and not missing:
        return None
    rows = {name: row for usage in usages.values() for name, row in _cost_rows(usage).items()}
    tables = [Table("usage", "students in use", rows, notes=_NOTES)] if rows else []
    chains = [chain for chain in _chains(members) if usages.keys() & set(chain)]
    rounds = [_rounds_figure(chain, usages, members) for chain in chains]
    text = "Students that were served: their answers, and the questions that went on to a teacher."
    return Section("usage", "In use", text, tables, rounds, missing)


def _totals(run: Run) -> ServerTotals | None:
    """Return the sums over a run's servers with the engine, teacher and threshold of the last one with a teacher.

    None if no question was answered. Raises LimbeckError for a damaged serving.jsonl.
    """
    if not (served := [totals for totals in run.served() if totals.questions]):
        return None
    last = next((totals for totals in reversed(served) if totals.teacher), served[-1])
    alike = [totals for totals in served if _terms(totals) == _terms(last)]
    sums = {
        name: sum(getattr(totals, name) for totals in alike)
        for name in ("questions", "passed_on", "failed", "seconds", "waited")
    }
    if last.teacher:
        teachers = [totals.teacher for totals in alike if totals.teacher]
        costs = [teacher.cost for teacher in teachers if teacher.cost is not None]
        update = {"replies": sum(teacher.replies for teacher in teachers)}
        sums["teacher"] = last.teacher.model_copy(
            update=update | {"cost": sum(costs) if len(costs) == len(teachers) else None}
        )
    return last.model_copy(update=sums)


def _terms(totals: ServerTotals) -> tuple[str, str | None, float | None]:
    teacher = totals.teacher
    return totals.engine, teacher.name if teacher else None, teacher.least_confidence if teacher else None


def _cost_rows(usage: _Usage) -> Rows:
    group, totals, teacher = usage.group, usage.totals, usage.totals.teacher
    accuracy, seconds = accuracy_cell(group.correct[usage.number][None]), 1000 * totals.seconds / totals.questions
    student = {_ACCURACY: accuracy, _PASSED: Cell(0.0), _PRICE: Cell(0.0), _SECONDS: Cell(seconds)}
    rows: Rows = {f"{usage.title}: student": student}
    if teacher is None:
        return rows
    waited = 1000 * totals.waited / totals.passed_on if totals.passed_on else None
    rows[f"{usage.title}: {teacher.name}"] = {
        _ACCURACY: _accuracy(group.teacher == 1, group),
        _PASSED: Cell(100.0),
        _PRICE: usage.price(teacher.replies),
        _SECONDS: Cell(waited, "none passed on" if waited is None else None),
    }
    rows[f"{usage.title}: both"] = {
        _ACCURACY: usage.accuracy_of_both(),
        _PASSED: usage.share,
        _PRICE: usage.price(totals.questions),
        _SECONDS: Cell(seconds + 1000 * totals.waited / totals.questions),
    }
    return rows


def _chains(members: Mapping[Path, tuple[GradedGroup, int]]) -> list[list[Path]]:
    """Return the runs that were trained one from the other, first to last, by each last one."""
    parents = {path: parent for path in members if (parent := _parent(path, members))}
    chains = []
    for path in parents.keys() - set(parents.values()):
        chain = [path]
        while (parent := parents.get(chain[0])) and parent not in chain:
            chain.insert(0, parent)
        chains.append(chain)
    return sorted(chains)


def _parent(path: Path, members: Mapping[Path, tuple[GradedGroup, int]]) -> Path | None:
    """Return the run of the same test questions that this one was trained from, also where both were moved."""
    group, number = members[path]
    try:
        origin = group.runs[number].provenance["from"]
        parent = Path(origin["run"])
        for place in (parent.resolve(), path.parent / parent.name):
            older, index = members.get(place, (group, number))
            run = older.runs[index]
            if place != path and place in members and run.steps == origin["steps"]:
                return place if older.examples.keys() == group.examples.keys() else None
    except (LimbeckError, LookupError, TypeError, ValueError, OSError, RuntimeError):  # whatever the file says
        pass
    return None


def _rounds_figure(
    chain: Sequence[Path], usages: Mapping[Path, _Usage], members: Mapping[Path, tuple[GradedGroup, int]]
) -> Figure:
    rows: Rows = {}
    lines: dict[str, list[Point]] = {"accuracy (test split)": [], "passed on (in use)": []}
    for x, path in enumerate(chain, start=1):
        group, number = members[path]
        usage, examples = usages.get(path), group.runs[number].results.get("training", {}).get("examples", "?")
        not_served = Cell(None, "not served")
        accuracy, share = accuracy_cell(group.correct[number][None]), usage.share if usage else not_served
        price = usage.price(usage.totals.questions) if usage else not_served
        rows[f"{x}: {path.name}, {examples} training rows"] = {_ACCURACY: accuracy, _PASSED: share, _PRICE: price}
        for line, cell in zip(lines.values(), (accuracy, share), strict=True):
            if cell.value is not None:
                line.append(Point(x, cell.value, *(cell.interval or ())))
    name = f"rounds-{chain[-1].name}"
    table = Table(name, f"rounds up to {chain[-1].name}", rows, notes=("Each was trained from the one before it.",))
    return Figure(figures.line_chart(lines, "round", "questions (%)"), table)
