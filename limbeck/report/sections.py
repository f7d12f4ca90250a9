"""The sections with tables alone: accuracy with its tests and counts, and the quality of rationales."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from statistics import fmean
from typing import TypeVar

from limbeck.report.answers import GradedGroup, accuracy_cell, interval_note, score_cell, scores
from limbeck.report.contrasts import Contrast
from limbeck.report.tables import Cell, Section, Table
from limbeck.runs.groups import correct
from limbeck.runs.run import Run, count_lines, flat

OfTask = TypeVar("OfTask", GradedGroup, Contrast)

QUALITY = {  # by column, the place of a number in an evaluation
    "BLEU": "quality.bleu.score",
    "ROUGE-L": "quality.rougeL",
    "similarity": "quality.similarity.mean",
    "words": "quality.words",
    "repetition": "quality.repetition",
    "dependence (nats)": "dependence.nats",
}


def accuracy_section(contrasts: Sequence[Contrast]) -> Section:
    """Return accuracies by task with tests and with counts of what was cut or left out, and accuracies elsewhere."""
    tables = []
    tests = sum(contrast.comparison is not None for contrast in contrasts)
    for task, of_task in _by_task(contrasts):
        tables.append(_accuracy_table(task, of_task, tests))
        rows: dict[str, dict[str, dict[str, Cell]]] = {}  # by the dataset of another task
        for group in (contrast.member.group for contrast in of_task):
            for dataset in set.intersection(*(set(run.results.get("out_of_domain") or {}) for run in group.runs)):
                cell = accuracy_cell(correct(group.runs, f"{dataset}-test"))
                rows.setdefault(dataset, {})[group.name] = {"accuracy": cell}
        for dataset in sorted(rows):
            title = f"{dataset}: accuracy of students of {task}"
            tables.append(Table(f"accuracy-{task}-on-{dataset}", title, rows[dataset], "%"))
    text = "The share of answers that are right by the task's rule, mean over seeds."
    return Section("accuracy", "Accuracy", text, tables)


def _accuracy_table(task: str, contrasts: Sequence[Contrast], tests: int) -> Table:
    rows = {}
    for contrast in contrasts:
        cell = accuracy_cell(contrast.member.correct, contrast.comparison, contrast.adjusted)
        if contrast.comparison is None and cell.value is not None:
            apart = "on other examples than its baseline: not compared"
            cell = replace(cell, reason="baseline" if contrast.member is contrast.baseline else apart)
        rows[contrast.member.name] = {"accuracy": cell}
    groups = [contrast.member.group for contrast in contrasts]
    notes = [interval_note({len(group.runs) for group in groups})]
    if names := sorted({contrast.comparison.test for contrast in contrasts if contrast.comparison}):
        notes.append(
            f"Differences are in points, to the row marked baseline; tests: {' or '.join(names)}; Holm's method over "
            f"the {tests} tests of this report."
        )
    if len({contrast.baseline for contrast in contrasts}) > 1:
        notes.append("The baseline of a run group is the one that differs from it in nothing but the objective.")
    results, majority = flat(groups[0].runs[0].results), "test.by_label.majority"
    if (label := results.get(f"{majority}.label")) is not None:
        notes.append(f"Answering always {label} would be right in {results[f'{majority}.accuracy']:.1%}.")
    notes += count_notes({group.name: group.runs for group in groups})
    return Table(f"accuracy-{task}", f"{task}: accuracy on the test split", rows, "%", notes=tuple(notes))


def count_notes(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """Return a sentence for each count of what was cut, left out or not read, with the run groups that have it."""
    names: dict[str, list[str]] = {}  # by the sentence
    for name, seeds in runs.items():
        lines = sorted((entry for run in seeds for entry in count_lines(run.results)), key=lambda entry: entry[1].count)
        for (where, _), line in {(where, line.key): line for where, line in lines}.items():  # the seeds' highest
            text = line.sentence if where == "notes" else f"{where}: {line.sentence}"
            names.setdefault(f"Warning: {text}" if line.warning else text, []).append(name)
    return [f"{sentence}; {'; '.join(groups)}." for sentence, groups in sorted(names.items(), reverse=True)]


def rationale_section(members: Sequence[GradedGroup]) -> Section:
    """Return the quality of the students' rationales: their text beside the teacher's, and a judge's scores."""
    tables, missing = [], []
    for task, of_task in _by_task(members):
        quality, judge = _quality_table(task, of_task), _judge_table(task, of_task)
        for table, verb in ((quality, "evaluate RUN --rationale"), (judge, "judge RUN...")):
            if any(cell.value is not None for cell in table.cells):
                tables.append(table)
            else:
                missing.append(f"{table.title}: not there; `limbeck {verb}` measures it.")
    if not any(example.rationale for member in members for example in member.examples):
        missing.append("The teacher's rationales are not shown: their data has none, or is no longer where it was.")
    text = "The reasons that the students give."
    return Section("rationales", "Rationales", text, tables, missing=missing)


def _quality_table(task: str, members: Sequence[GradedGroup]) -> Table:
    rows: dict[str, dict[str, Cell]] = {}
    for member in members:
        evaluations = [flat(page) for run in member.group.runs if (page := run.page()) is not None]
        rows[member.name] = {}
        for name, key in QUALITY.items():
            values = [page[key] for page in evaluations if page.get(key) is not None]
            reasons = [page.get(f"reasons.{key.partition('.')[0]}") or "not measured" for page in evaluations]
            reason = reasons[0] if reasons else "not evaluated"
            rows[member.name][name] = Cell(fmean(values), seeds=len(values)) if values else Cell(None, reason)
    note = (
        "From `limbeck evaluate RUN --rationale`. Nearness to one teacher's text is no measure of good reasoning: a "
        "rationale as good in other words is far from it. Dependence: a lower bound of what the label's and the "
        "rationale's hidden states tell of each other; compare it between runs on the same examples only."
    )
    title = f"{task}: the rationales' text beside the teacher's"
    return Table(f"rationales-{task}", title, rows, digits=3, notes=(note,))


def _judge_table(task: str, members: Sequence[GradedGroup]) -> Table:
    judged = {member.name: [scores(judgements) for judgements in member.judgements] for member in members}
    judgements = [entry for member in members for entries in member.judgements for entry in entries]
    judged["teacher"] = [scores(judgements, gold=True)]
    rows = {name: {"score": score_cell([by_id for by_id in by_run if by_id])} for name, by_run in judged.items()}
    title = f"{task}: a judge's scores of the rationales, from 1 to 5"
    note = "Mean ± standard deviation over the rationales that were judged, of all seeds."
    return Table(f"judge-{task}", title, rows, notes=(note,))


def _by_task(items: Iterable[OfTask]) -> Iterator[tuple[str, list[OfTask]]]:
    """Yield each task with its items."""
    return ((task, list(of_task)) for task, of_task in groupby(items, attrgetter("task")))
