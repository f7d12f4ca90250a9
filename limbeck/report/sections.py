"""The sections of a report: plain functions from run groups to tables, figures, and sentences on what is missing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar

import numpy as np
from scipy.stats import t as student

from limbeck.data import task_of
from limbeck.errors import LimbeckError
from limbeck.metrics.accuracy import by_label
from limbeck.metrics.calibration import ece
from limbeck.metrics.selective import selective
from limbeck.notes import MEASURED, NOTES, Note
from limbeck.report.cases import Case
from limbeck.report.contrasts import Comparable, Contrast, GradedGroup
from limbeck.report.curves import NO_DRAWS, confidence_curves, fraction_curves, learning_curves
from limbeck.report.tables import Cell, Figure, Row, Table, accuracy_cell, with_difference
from limbeck.runs.groups import RunGroup, correct
from limbeck.runs.run import Run, count_lines
from limbeck.stats.intervals import Interval
from limbeck.tasks import normalise, same_text

Pages = Mapping[Path, Any]  # by a run's folder, what `limbeck evaluate` wrote of its test split

MAX_LABELS = 8  # a column each
MAX_DRAWN = 12  # comparable sets; with more, nobody would look through their curves


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report. `missing` are sentences on what is not there, and why."""

    id: str
    title: str
    text: str
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    missing: tuple[str, ...] = ()


OfTask = TypeVar("OfTask", RunGroup, GradedGroup, Comparable)


def tasks_of(groups: Sequence[OfTask]) -> Iterator[tuple[str, list[OfTask]]]:
    """Yield each task with its run groups."""
    for task in dict.fromkeys(group.task for group in groups):
        yield task, [group for group in groups if group.task == task]


def accuracy_section(groups: Sequence[RunGroup], contrasts: Sequence[Contrast]) -> Section:
    """Return accuracies by task with tests, by label, on other tasks, and counts of what was cut or left out."""
    tables: list[Table] = []
    missing: list[str] = []
    for task, of_task in tasks_of(groups):
        members = [contrast.member for contrast in contrasts if contrast.member.task == task]
        members.sort(key=lambda member: of_task.index(member.group))
        warnings = count_warnings({group.name: group.runs for group in of_task})
        optional = _label_table(task, members), _count_table(task, of_task)
        tables += [_accuracy_table(task, contrasts, warnings), *(table for table in optional if table is not None)]
        for dataset in dict.fromkeys(dataset for group in of_task for dataset in _out_of_domain(group)):
            measured = [group for group in of_task if dataset in _out_of_domain(group)]
            try:
                cells = [accuracy_cell(correct(group.runs, f"{dataset}-test")) for group in measured]
            except LimbeckError as error:
                missing.append(f"The accuracy on {dataset} of students of {task} is not here: {error}")
                continue
            rows = tuple(Row(group.name, (cell,)) for group, cell in zip(measured, cells, strict=True))
            title = f"{dataset}: accuracy of students of {task}"
            notes = (_interval_note({len(group.runs) for group in measured}),)
            tables.append(Table(f"accuracy-{task}-on-{dataset}", title, ("accuracy",), rows, "%", notes=notes))
    text = "The share of answers that are right by the task's rule, mean over seeds."
    return Section("accuracy", "Accuracy", text, tuple(tables), missing=tuple(missing))


def _accuracy_table(task: str, contrasts: Sequence[Contrast], warnings: Sequence[str]) -> Table:
    of_task = [contrast for contrast in contrasts if contrast.member.task == task]
    rows = []
    for contrast in of_task:
        cell = accuracy_cell(contrast.member.correct)
        if contrast.comparison is not None:
            cell = with_difference(cell, contrast.comparison, contrast.adjusted)
        elif cell.value is not None:
            apart = "on other examples than its baseline: not compared"
            cell = replace(cell, reason="baseline" if contrast.is_baseline else apart)
        rows.append(Row(contrast.member.name, (cell,)))
    notes = [_interval_note({len(contrast.member.group.runs) for contrast in of_task})]
    if names := sorted({contrast.comparison.test for contrast in of_task if contrast.comparison}):
        count = sum(contrast.comparison is not None for contrast in contrasts)
        notes.append(
            f"Differences are in points, to the row marked baseline; tests: {' or '.join(names)}; Holm's method over "
            f"the {count} tests of this report."
        )
    if len({contrast.comparable.name for contrast in of_task}) > 1:
        notes.append("The baseline of a run group is the one that differs from it in nothing but the objective.")
    baselines = {contrast.comparable.baseline.name for contrast in of_task}
    return Table(
        name=f"accuracy-{task}",
        title=f"{task}: accuracy on the test split",
        columns=("accuracy",),
        rows=tuple(rows),
        unit="%",
        baseline=baselines.pop() if len(baselines) == 1 else None,
        notes=(*notes, *warnings),
    )


def _interval_note(seeds: set[int]) -> str:
    kinds = ["Wilson's for a single seed, which leaves out how seeds differ"] if 1 in seeds else []
    kinds += ["Student's t over seeds and examples for several seeds"] if seeds - {1} else []
    return f"95 % intervals: {'; '.join(kinds)}."


def _out_of_domain(group: RunGroup) -> list[str]:
    """Return the other tasks on which every run of the group was measured."""
    results = [run.results.get("out_of_domain") for run in group.runs]
    return sorted(set.intersection(*(set(tasks) if isinstance(tasks, dict) else set() for tasks in results)))


def count_warnings(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """Return a sentence for each count that puts accuracies in doubt, with the names of the run groups that have it."""
    names: dict[str, dict[str, None]] = {}  # by the sentence
    for name, seeds in runs.items():
        for run in seeds:
            for where, line in count_lines(run.results):
                if line.warning:
                    split = "" if where == "notes" else f"{where}: "
                    names.setdefault(f"{split}{line.sentence}", {})[name] = None
    return [f"Warning: {sentence}; {'; '.join(groups)}." for sentence, groups in names.items()]


def _count_table(task: str, groups: Sequence[RunGroup]) -> Table | None:
    """Return all counts that are not 0, the highest of a group's seeds; None where all are 0."""
    highest: list[dict[tuple[str, str], int]] = []  # by where it was counted, `notes` or a split, and its name
    for group in groups:
        counts: dict[tuple[str, str], int] = {}
        for where, line in (entry for run in group.runs for entry in count_lines(run.results)):
            counts[where, line.key] = max(counts.get((where, line.key), 0), line.count)
        highest.append(counts)
    keys = list(dict.fromkeys(key for counts in highest for key in counts))
    if not keys:
        return None
    notes = {key: (NOTES if key[0] == "notes" else MEASURED).get(key[1]) for key in keys}
    labels = {key: note or Note(key[1], key[1].replace("_", " ")) for key, note in notes.items()}
    titles = {key: note.title if key[0] == "notes" else f"{key[0]}: {note.title}" for key, note in labels.items()}
    rows = [
        Row(group.name, tuple(_count_cell(group, counts, key) for key in keys))
        for group, counts in zip(groups, highest, strict=True)
    ]
    return Table(
        name=f"counts-{task}",
        title=f"{task}: what was cut, left out, not read or asked twice",
        columns=tuple(titles.values()),
        rows=tuple(rows),
        digits=0,
        notes=tuple(f"{titles[key]}: {labels[key].sentence}." for key in keys),
    )


def _count_cell(group: RunGroup, counts: Mapping[tuple[str, str], int], key: tuple[str, str]) -> Cell:
    """Return a group's count; no number where its runs, older ones say, did not count that."""
    where, name = key
    for run in group.runs:
        other_tasks = run.results.get("out_of_domain") or {}
        if name in (run.results.get(where) or other_tasks.get(where.removesuffix("-test")) or {}):
            return Cell(counts.get(key, 0))
    return Cell(None, "not counted")


def _label_table(task: str, members: Sequence[GradedGroup]) -> Table | None:
    """Return accuracy by label and macro F1, means over seeds; None where labels are free text."""
    by_group = {member: seeds for member in members if member.cases and (seeds := _by_label(member))}
    if not by_group:
        return None
    first = next(iter(by_group))
    examples = {row["label"]: row["n"] for row in by_group[first][0]["labels"] if row["n"]}
    names = list(examples)[:MAX_LABELS]
    majority = names[0]
    constant = [(case.label, majority, same_text(case.label, majority)) for case in first.cases]
    rows = [Row(member.name, _label_cells(seeds, names)) for member, seeds in by_group.items()]
    if (always := by_label(constant, names)) is not None:
        rows.append(Row(f"always {majority}", _label_cells([always], names)))
    rarer = f" {len(examples) - MAX_LABELS} rarer labels have no column." if len(examples) > MAX_LABELS else ""
    note = (
        f"Examples by label: {', '.join(f'{name} {examples[name]}' for name in names)}. Macro F1: the mean over "
        f"labels, each as heavy as the others. The last row always answers the most frequent label.{rarer}"
    )
    title = f"{task}: accuracy by label on the test split"
    return Table(f"labels-{task}", title, ("accuracy", "macro F1", *names), tuple(rows), "%", notes=(note,))


def _by_label(member: GradedGroup) -> list[dict[str, Any]]:
    """Return `by_label` of each seed's answers; nothing where labels are free text."""
    choices = task_of(member.group.recipe.data).choices
    answers: dict[int, list[tuple[str, str, bool]]] = {}
    for case in member.cases:
        for answer in case.answers:
            if answer.group == member.name:
                graded = case.label, answer.prediction, answer.correct
                answers.setdefault(answer.seed, []).append(graded)
    return [scores for seed in sorted(answers) if (scores := by_label(answers[seed], choices)) is not None]


def _label_cells(seeds: Sequence[dict[str, Any]], names: Sequence[str]) -> tuple[Cell, ...]:
    n = sum(row["n"] for row in seeds[0]["labels"])
    accuracies = [sum(row["n"] * (row["accuracy"] or 0.0) for row in scores["labels"]) / n for scores in seeds]
    cells = [
        Cell(100 * fmean(accuracies), n=n, seeds=len(seeds)),
        Cell(100 * fmean(scores["macro_f1"] for scores in seeds), seeds=len(seeds)),
    ]
    for name in map(normalise, names):
        rows = [row for scores in seeds for row in scores["labels"] if normalise(row["label"]) == name]
        shares = [row["accuracy"] for row in rows if row["n"]]
        count = max((row["n"] for row in rows), default=0)
        cells.append(Cell(100 * fmean(shares), n=count) if shares else Cell(None, "no example", n=count))
    return tuple(cells)


def learning_section(sets: Sequence[Comparable], members: Sequence[GradedGroup]) -> Section:
    """Return learning curves, and accuracy by the share of the training data."""
    plotted, undrawn = _largest(sets)
    more_data, missing_fractions = fraction_curves(members)
    learning, missing_logs = learning_curves(plotted)
    text = (
        "Means over seeds. A term's gradient share is its part of the gradient's norm at the hidden states: how much "
        "of the training it really is, which its value alone does not tell."
    )
    missing = (*undrawn, *missing_fractions, *missing_logs)
    return Section("learning", "Learning", text, figures=(*more_data, *learning), missing=missing)


def confidence_section(sets: Sequence[Comparable], members: Sequence[GradedGroup], pages: Pages) -> Section:
    """Return calibration, reliability, risk and coverage, and the cascade with the teacher."""
    plotted, undrawn = _largest(sets)
    figures, missing = confidence_curves(plotted)
    tables = tuple(_calibration_table(task, of_task, pages) for task, of_task in tasks_of(members))
    text = "How far an answer's confidence can be trusted, and what answering only when sure brings. Curves pool seeds."
    return Section("confidence", "Confidence", text, tables, tuple(figures), (*undrawn, *missing))


def _largest(sets: Sequence[Comparable]) -> tuple[list[Comparable], list[str]]:
    """Return the sets whose curves are drawn, and a sentence on the others if there are any."""
    if len(sets) <= MAX_DRAWN:
        return list(sets), []
    largest = [max(of_task, key=lambda comparable: len(comparable.members)) for _, of_task in tasks_of(sets)]
    names = "; ".join(comparable.name for comparable in largest)
    return largest, [
        f"Of {len(sets)} sets of run groups the curves of the largest of each task are drawn: {names}. A report on the "
        "runs of another has its curves."
    ]


Measure = Callable[[np.ndarray, np.ndarray], float | None]  # of confidences and correctness
CALIBRATION: dict[str, tuple[str, Measure]] = {  # with the place of its interval on an evaluation's page
    "mean confidence": ("calibration.average_confidence_interval", lambda confidence, _: float(confidence.mean())),
    "calibration error": ("calibration.ece_interval", ece),
    "Brier score": ("calibration.brier_interval", lambda conf, right: float(((conf - right) ** 2).mean())),
    "area under risk and coverage": (
        "selective.aurc_interval",
        lambda confidence, right: selective(confidence, right, draws=NO_DRAWS).aurc,
    ),
}


def _calibration_table(task: str, members: Sequence[GradedGroup], pages: Pages) -> Table:
    rows = [
        Row(member.name, tuple(_calibration_cell(member, pages, *measure) for measure in CALIBRATION.values()))
        for member in members
    ]
    counts = {m.name: int((~m.has_confidence).sum()) for m in members if m.confidence is not None}
    left_out = [
        f"{name}: {count} answers without a confidence are left out." for name, count in counts.items() if count
    ]
    note = (
        "Calibration error: ten bins of equal width. It is above zero by chance, the more so the fewer examples. "
        "Area: less is better; an order by chance has 1 - accuracy. 95 % intervals: Student's t over seeds, on these "
        "examples; for a single seed those of `limbeck evaluate`, where it was run."
    )
    title = f"{task}: confidence on the test split"
    return Table(f"calibration-{task}", title, tuple(CALIBRATION), tuple(rows), digits=3, notes=(note, *left_out))


def _calibration_cell(member: GradedGroup, pages: Pages, key: str, measure: Measure) -> Cell:
    if member.confidence is None:
        return Cell(None, "its answers have no confidences" if member.cases else "no examples")
    by_seed = zip(member.confidence, member.correct, member.has_confidence, strict=True)
    measured = [measure(confidence[mask], correct[mask]) for confidence, correct, mask in by_seed if mask.any()]
    values = np.array([value for value in measured if value is not None])
    seeds, mean, n = len(values), float(values.mean()), int(member.has_confidence.sum(axis=1).max())
    if seeds == 1:
        return Cell(mean, interval=_interval_at(pages.get(member.group.runs[0].path), key), n=n, seeds=1)
    half = float(student.ppf(0.975, seeds - 1)) * float(values.std(ddof=1)) / sqrt(seeds)
    return Cell(mean, interval=(max(mean - half, 0.0), min(mean + half, 1.0)), n=n, seeds=seeds)


QUALITY = {  # by column, the place of a number on an evaluation's page
    "BLEU": "quality.bleu.score",
    "ROUGE-L": "quality.rougeL",
    "similarity": "quality.similarity.mean",
    "words": "quality.words",
    "repetition": "quality.repetition",
    "dependence (nats)": "dependence.nats",
}


def rationale_section(
    groups: Sequence[RunGroup], members: Sequence[GradedGroup], cases: Sequence[Case], pages: Pages
) -> Section:
    """Return the quality of the students' rationales: their text beside the teacher's, and a judge's scores."""
    tables, missing = [], []
    for task, of_task in tasks_of(groups):
        judge_table = _judge_table(task, [member for member in members if member.task == task])
        for table, verb in (
            (_quality_table(task, of_task, pages), "evaluate RUN --rationale"),
            (judge_table, "judge RUN..."),
        ):
            if any(cell.value is not None for cell in table.cells):
                tables.append(table)
            else:
                missing.append(f"{table.title}: not there; `limbeck {verb}` measures it.")
    if not any(case.rationale for case in cases):
        missing.append("The teacher's rationales are not shown: their data has none, or is no longer where it was.")
    text = "The reasons that the students give."
    return Section("rationales", "Rationales", text, tuple(tables), missing=tuple(missing))


def _quality_table(task: str, groups: Sequence[RunGroup], pages: Pages) -> Table:
    note = (
        "From `limbeck evaluate RUN --rationale`. Nearness to one teacher's text is no measure of good reasoning: a "
        "rationale as good in other words is far from it. Dependence: a lower bound of what the label's and the "
        "rationale's hidden states tell of each other; compare it between runs on the same examples only."
    )
    rows = [Row(group.name, tuple(_quality_cell(group, pages, key) for key in QUALITY.values())) for group in groups]
    title = f"{task}: the rationales' text beside the teacher's"
    return Table(f"rationales-{task}", title, tuple(QUALITY), tuple(rows), digits=3, notes=(note,))


def _quality_cell(group: RunGroup, pages: Pages, key: str) -> Cell:
    if group.recipe.objective.build().rationale_view is None:
        return Cell(None, "learns no rationales")
    evaluated = [pages[run.path] for run in group.runs if run.path in pages]
    if not evaluated:
        return Cell(None, "not evaluated")
    values = [float(value) for page in evaluated if _is_number(value := _at(page, key))]
    reason = _at(evaluated[0], f"reasons.{key.partition('.')[0]}")
    reason = reason if isinstance(reason, str) else "not measured"
    return Cell(fmean(values), seeds=len(values)) if values else Cell(None, reason)


def _judge_table(task: str, members: Sequence[GradedGroup]) -> Table:
    rows = []
    for member in members:
        answers = [(case.id, answer) for case in member.cases for answer in case.answers if answer.group == member.name]
        scores = [(id, answer.seed, answer.score) for id, answer in answers if answer.score is not None]
        ids, seeds = {id for id, *_ in scores}, {seed for _, seed, _ in scores}
        cell = _mean_score([score for *_, score in scores], n=len(ids), seeds=len(seeds))
        rows.append(Row(member.name, (cell if scores else Cell(None, "not judged"),)))
    cases = {id(case): case for member in members for case in member.cases}.values()
    if teacher := [case.score for case in cases if case.score is not None]:
        rows.append(Row("teacher", (_mean_score(teacher, n=len(teacher)),)))
    title = f"{task}: a judge's scores of the rationales, from 1 to 5"
    note = "Mean ± standard deviation over the rationales that were judged, of all seeds."
    return Table(f"judge-{task}", title, ("score",), tuple(rows), notes=(note,))


def _mean_score(scores: Sequence[float], n: int, seeds: int | None = None) -> Cell:
    spread = stdev(scores) if len(scores) > 1 else None
    return Cell(fmean(scores) if scores else None, spread=spread, n=n, seeds=seeds)


def _at(value: Any, dotted_key: str) -> Any:
    for key in dotted_key.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _interval_at(page: Any, key: str) -> Interval | None:
    ends = _at(page, key)
    pair = isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends))
    return (float(ends[0]), float(ends[1])) if pair else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
