"""What students in use answered, what they passed on to a teacher, and what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import figures
from limbeck.errors import DataError, LimbeckError
from limbeck.figures import Point
from limbeck.report.answers import GradedGroup, accuracy_cell
from limbeck.report.tables import Cell, Figure, Section, Table
from limbeck.runs.run import Run
from limbeck.stats.intervals import Flags

_ACCURACY, _PASSED = "accuracy (%)", "passed on (%)"
_PRICE, _SECONDS = "price per 1,000 questions", "seconds per 1,000 questions"
_NOTES = (
    "Accuracy on the test split; all else as counted by `limbeck serve`. The price is the teacher's, as the job "
    "says, without the machine that the student runs on.",
    "Seconds: the student's in batches, as they came; the teacher's as if asked for one answer after another.",
)


@dataclass(frozen=True)
class _Usage:
    """The sums over a run's servers, and the least confidence and the teacher of the last."""

    run: Run
    questions: int
    passed_on: int
    seconds: float  # of the student
    replies: int
    reply_seconds: float
    cost: float | None  # of the replies, where a price is known
    least_confidence: float | None  # None: there is no teacher

    @property
    def share(self) -> float:
        return self.passed_on / self.questions

    def price(self, count: int) -> Cell:
        """Return the price of 1,000 of the questions or replies counted."""
        if self.cost is None or not count:
            return Cell(None, "no price known" if self.cost is None else "no reply")
        return Cell(1000 * self.cost / count)


def _usage(run: Run) -> _Usage | None:
    """Return a run's usage, if it answered anything. Raises DataError for a damaged serving.jsonl."""
    try:
        if not (rows := [row for row in run.served() if row["questions"]]):
            return None
        teachers = [row["teacher"] for row in rows if "teacher" in row]
        costs = [teacher["cost"] for teacher in teachers if teacher["replies"]]
        least = teachers[-1]["least_confidence"] if teachers else nan
        return _Usage(
            run,
            sum(int(row["questions"]) for row in rows),
            sum(int(row["passed_on"]) for row in rows),
            sum(float(row["seconds"]) for row in rows),
            sum(int(teacher["replies"]) for teacher in teachers),
            sum(teacher["replies"] * (teacher["seconds"] or 0.0) for teacher in teachers),
            None if None in costs else float(sum(costs)),
            None if least is nan else inf if least is None else float(least),
        )
    except (LookupError, TypeError, ValueError):
        raise DataError("not what `limbeck serve` writes", path=run.path / "serving.jsonl") from None


def usage_section(groups: Sequence[GradedGroup]) -> Section | None:
    """Return cost and accuracy of students that were served, alone and with a teacher, and by round of training."""
    usages, members = dict[Path, _Usage](), dict[Path, tuple[GradedGroup, int]]()
    missing = []
    for group in groups:
        for number, run in enumerate(group.runs):
            members[run.path.resolve()] = group, number
            try:
                if usage := _usage(run):
                    usages[run.path.resolve()] = usage
            except DataError as error:
                missing.append(f"{run.path}: its use is left out: {error}.")
    if not usages and not missing:
        return None
    rows = dict[str, dict[str, Cell]]()
    for path, usage in usages.items():
        rows |= _cost_rows(usage, *members[path])
    tables = [Table("usage", "students in use", rows, notes=_NOTES)] if rows else []
    rounds = [_rounds_figure(chain, usages, members) for chain in _chains(members) if usages.keys() & set(chain)]
    text = "What students answered once they were served, and what they passed on to a teacher."
    return Section("usage", "In use", text, tables, rounds, missing)


def _cost_rows(usage: _Usage, group: GradedGroup, number: int) -> dict[str, dict[str, Cell]]:
    name, correct_N = usage.run.path.name, group.correct[number]
    alone = Cell(1000 * usage.seconds / usage.questions)
    student = {_ACCURACY: accuracy_cell(correct_N[None]), _PASSED: Cell(0.0), _PRICE: Cell(0.0), _SECONDS: alone}
    if usage.least_confidence is None:
        return {f"{name}: student": student}
    confidence_N, known_N = group.confidence[number], ~np.isnan(group.teacher)
    passed_N = np.nan_to_num(confidence_N) < usage.least_confidence
    teacher_right = _teacher_cell(group.teacher == 1, known_N)
    cascade_right = _teacher_cell(np.where(passed_N, group.teacher == 1, correct_N), known_N)
    reply = usage.reply_seconds / usage.replies if usage.replies else None
    return {
        f"{name}: student": student,
        f"{name}: teacher": {
            _ACCURACY: teacher_right,
            _PASSED: Cell(100.0),
            _PRICE: usage.price(usage.replies),
            _SECONDS: Cell(None, "no reply") if reply is None else Cell(1000 * reply),
        },
        f"{name}: both": {
            _ACCURACY: cascade_right,
            _PASSED: Cell(100 * usage.share, n=usage.questions),
            _PRICE: usage.price(usage.questions),
            _SECONDS: Cell(1000 * (usage.seconds + usage.passed_on * (reply or 0.0)) / usage.questions),
        },
    }


def _teacher_cell(right_N: Flags, known_N: Flags) -> Cell:
    """Return the accuracy over the test questions to which the teacher's answer is known."""
    return accuracy_cell(right_N[None, known_N]) if known_N.any() else Cell(None, "the teacher's answers are not known")


def _chains(members: Mapping[Path, Any]) -> list[list[Path]]:
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
    """Return the run that this one was trained from, also where both were moved together."""
    group, number = members[path]
    try:
        parent = Path(group.runs[number].provenance["from"]["run"])
    except (LimbeckError, LookupError, TypeError):
        return None
    return next((at for at in (parent.resolve(), path.parent / parent.name) if at in members and at != path), None)


def _rounds_figure(
    chain: Sequence[Path], usages: Mapping[Path, _Usage], members: Mapping[Path, tuple[GradedGroup, int]]
) -> Figure:
    rows, lines = {}, dict[str, list[Point]](accuracy=[], **{"passed on": []})
    for x, path in enumerate(chain, start=1):
        group, number = members[path]
        run, usage = group.runs[number], usages.get(path)
        not_served = Cell(None, "not served")
        examples = run.results.get("training", {}).get("examples", "?")
        rows[f"{x}: {path.name}, {examples} training rows"] = {
            _ACCURACY: (cell := accuracy_cell(group.correct[number][None])),
            _PASSED: Cell(100 * usage.share, n=usage.questions) if usage else not_served,
            _PRICE: usage.price(usage.questions) if usage else not_served,
        }
        lines["accuracy"].append(Point(x, cell.value, *(cell.interval or ())))
        if usage:
            lines["passed on"].append(Point(x, 100 * usage.share))
    name = f"rounds-{chain[-1].name}"
    table = Table(name, f"rounds up to {chain[-1].name}", rows, notes=("Each was trained from the one before it.",))
    return Figure(figures.line_chart(lines, "round", "share of questions (%)"), table)
