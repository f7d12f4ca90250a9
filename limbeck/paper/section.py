"""The paper's section of a report: its tables and figures made of finished runs, its own numbers beside ours."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from limbeck.data import ArchiveSource
from limbeck.errors import LimbeckError
from limbeck.grids import Grid, cells
from limbeck.metrics.predictions import predictions_by_id
from limbeck.paper.spec import NAMES, SELF_CONSISTENCY, PaperRow, paper, task_title, variant
from limbeck.report import answers
from limbeck.report.answers import Scores, accuracy_cell, grade, score_cell, scores
from limbeck.report.cases import Case, shared_cases
from limbeck.report.sections import count_notes, fraction_figure
from limbeck.report.tables import CaseStudy, Cell, Figure, Section, Table
from limbeck.runs.compare import correct, group_runs
from limbeck.runs.judging import read_judgements
from limbeck.runs.run import Run
from limbeck.schema import Judgement
from limbeck.stats.intervals import Estimate, Z
from limbeck.stats.significance import compare, holm
from limbeck.tasks import normalise
from limbeck.training.settings import TrainingSettings

NOT_JUDGED = "no judge was asked; give --judge"
OWN_NUMBERS = {"calibration error": "ECE", "mean confidence": "Conf."}  # of Table 6, in the paper's order
CASES_PER_KIND = 2
SEED = 0

Rows = dict[str, dict[str, Cell]]


class TableRuns:
    """A grid that is one of the paper's, and its runs, known by their recipes' keys."""

    def __init__(self, grid: Grid, runs: Sequence[Run], errors: Mapping[str, str]) -> None:
        self.name, self.spec, self.cells = grid.name, paper()[grid.name], cells(grid)
        self.title = f"{self.name[:-1].title()} {self.name[-1]}: {self.spec.title}"
        # the table's tasks in the paper's order, run or not; then those that the paper does not have
        self.tasks = list(dict.fromkeys([*self.spec.tasks, *(cell.recipe.data.task for cell in self.cells)]))
        self._errors, self._seeds = errors, len(grid.seeds)
        self._by_key = {run.recipe.key: run for run in sorted(runs, key=lambda run: run.finished)}

    def runs(self, objective: str | None, task: str, fraction: float = 1.0) -> tuple[list[Run], str]:
        """Return the finished runs by seed, of all objectives where it is None; and why there are none."""
        of_task = [cell for cell in self.cells if cell.recipe.data.task == task]
        planned = [
            cell
            for cell in of_task
            if cell.recipe.data.train_fraction == fraction and objective in (None, cell.recipe.objective.name)
        ]
        runs = [self._by_key[cell.recipe.key] for cell in planned if cell.recipe.key in self._by_key]
        failed = [f"failed: {self._errors[cell.name]:.200}" for cell in planned if cell.name in self._errors]
        reason = failed[0] if failed else "not finished" if runs else "not run"
        if not planned:
            reason = "not in the grid that was run" if of_task else "no data, so not in the grid"
        return sorted((run for run in runs if run.finished), key=lambda run: run.recipe.seed), reason

    @cached_property
    def judgements(self) -> dict[Path, list[Judgement]]:
        """The judge's scores by the finished run's folder."""
        return {run.path: read_judgements(run) for task in self.tasks for run in self.runs(None, task)[0]}

    def notes(self) -> list[str]:
        """Return sentences on whether student, steps and data are the paper's, and the table's own."""
        reduced = set()
        for data in (cell.recipe.data for cell in self.cells):
            if data.limit is not None:
                reduced.add(f"At most {data.limit} rows of every split were used: this shows only that it works.")
            if isinstance(data.source, ArchiveSource) and data.source.splits is not None:
                split = data.source.splits.get("train", "train")
                reduced.add(f"{task_title(data.task)}: trained on the archive's split {split!r}.")
        recipe, full = self.cells[0].recipe, variant()
        papers_training = TrainingSettings.parse(full.recipe["training"], "variants.yaml")
        papers = _setup(full.students[self.spec.student]["name"], papers_training)
        ours = _setup(recipe.student.name or "a student of our own", recipe.training)
        differs = f". The paper's: {papers}, the whole data; so its numbers are no measure of ours."
        notes = [f"Ours: {ours}{differs if ours != papers or reduced else ', as in the paper.'}", *sorted(reduced)]
        if extra_tasks := [task_title(task) for task in self.tasks if task not in self.spec.tasks]:
            notes.append(f"The paper has no {' and no '.join(extra_tasks)}.")
        groups = {(c.recipe.objective.name, c.recipe.data.task, c.recipe.data.train_fraction) for c in self.cells}
        incomplete = sum(0 < len(self.runs(*group)[0]) < self._seeds for group in groups)
        if incomplete:
            notes.append(
                f"In {incomplete} of {len(groups)} places fewer than the grid's {self._seeds} seeds have finished."
            )
        return [*notes, *self.spec.notes]


def _setup(student: str, training: TrainingSettings) -> str:
    values = training.model_dump()
    steps, epochs = values["max_steps"], values["num_train_epochs"]
    length = f"{steps:,} steps" if steps > 0 else f"{epochs:g} epochs"
    batch = values["per_device_train_batch_size"] * values["gradient_accumulation_steps"]
    return f"{student}, {length} of {batch} examples, learning rate {values['learning_rate']:g}"


def paper_section(runs: Sequence[Run], grids: Sequence[Grid], errors: Mapping[str, str]) -> Section | None:
    """Return tables 1 to 8 and figures 2 to 5 of those `grids` that are the paper's; None without any.

    `errors` of failed runs are by the run's name. Raises LimbeckError where two grids of one name differ, or a file
    cannot be read.
    """
    by_name: dict[str, Grid] = {}
    for grid in grids:
        if grid.name in NAMES and {"task", "method"} <= grid.axes.keys():
            first = by_name.setdefault(grid.name, grid)
            if first.model_dump() != grid.model_dump():
                raise LimbeckError(f"{first.where} and {grid.where}: two different {grid.name}; take one at a time")
    if not by_name:
        return None
    tables, figures, studies = list[Table](), list[Figure](), list[CaseStudy]()
    for table in (TableRuns(by_name[name], runs, errors) for name in NAMES if name in by_name):
        if table.spec.measure == "fractions":
            figures += [fractions(table, task) for task in table.tasks]
        elif table.spec.measure == "cases":
            studies += [case_study(table, task) for task in table.tasks]
        else:
            tables.append(TABLES[table.spec.measure](table))
    text = "Tables and figures of Chen et al. 2024, made of these runs, with the paper's own numbers beside ours."
    return Section("paper", "The paper", text, tables, figures, studies=studies)


def case_study(runs: TableRuns, task: str) -> CaseStudy:
    """Return examples on which DSS and the paper's method differ, picked by a rule."""
    names, title = list(runs.spec.rows), f"{runs.title}: {task_title(task)}"
    by_row = [runs.runs(row.objective, task) for row in runs.spec.rows.values()]
    if reasons := [reason for finished, reason in by_row if not finished]:
        return CaseStudy(title, reasons[0])
    pairs = [
        (first, second)
        for first, second in product(by_row[0][0], by_row[1][0])
        if first.recipe.seed == second.recipe.seed
    ]
    if not pairs:
        return CaseStudy(title, "no seed of which both are finished")
    rule = (
        f"Of the first seed that both have, {CASES_PER_KIND} examples by chance (seed {SEED}) of each way in which "
        f"{' and '.join(names)} differ: in who is right, or where both are alike in that, in their rationales."
    )
    cases = shared_cases(grade(group_runs(pairs[0])))
    kinds = {(False, True): f"only {names[1]} right", (True, False): f"only {names[0]} right"}
    kinds |= {(True, True): "both right", (False, False): "both wrong"}
    by_kind: dict[str, list[Case]] = {kind: [] for kind in kinds.values()}
    for case in cases:
        first, second = case["answers"]
        alike = normalise(first.get("rationale", "")) == normalise(second.get("rationale", ""))
        if first["right"] != second["right"] or not alike:
            by_kind[kinds[first["right"], second["right"]]].append(case)
    picked = {}
    for kind, of_kind in by_kind.items():
        # by the hash of id and seed, so that no pick depends on which other cases there are
        of_kind.sort(key=lambda case: hashlib.sha256(f"{SEED} {case['id']}".encode()).digest())
        picked[f"{kind}: {len(of_kind):,} of {len(cases):,}"] = of_kind[:CASES_PER_KIND]
    return CaseStudy(title, rule, picked)


def fractions(runs: TableRuns, task: str) -> Figure:
    """Return accuracy by the share of the training data."""
    lines: dict[str, dict[float, Cell]] = {}
    run_groups = {}
    for name, row in runs.spec.rows.items():
        lines[name] = {fraction: _accuracy(runs, row, task, fraction) for fraction in runs.spec.fractions}
        run_groups[name] = [run for share in runs.spec.fractions for run in runs.runs(row.objective, task, share)[0]]
    notes = (*runs.notes(), answers.INTERVALS, *count_notes(run_groups))
    return fraction_figure(f"{runs.name}-{task}", f"{runs.title}: {task_title(task)}", lines, notes)


def _accuracy(runs: TableRuns, row: PaperRow, task: str, fraction: float = 1.0) -> Cell:
    finished, reason = runs.runs(row.objective, task, fraction)
    return accuracy_cell(correct(finished)) if finished else Cell(None, reason)


def accuracy_table(runs: TableRuns) -> Table:
    """Return accuracy in per cent by method and task, each method against the baseline."""
    baseline_row, run_groups = runs.spec.rows[runs.spec.baseline], {}

    def accuracy(name: str, row: PaperRow, task: str) -> Cell:
        finished, baseline = (runs.runs(of.objective, task)[0] for of in (row, baseline_row))
        run_groups[f"{name}, {task_title(task)}"] = finished
        if not finished or not baseline or row == baseline_row:
            return _accuracy(runs, row, task)
        right = correct([*finished, *baseline])  # on the examples that all of them answered
        return accuracy_cell(correct(finished), compare(right[: len(finished)], right[len(finished) :]))

    rows = _rows(runs, accuracy)
    differences = f"Differences are to {runs.spec.baseline}, on the same examples."
    return _table(runs, rows, [answers.INTERVALS, differences, *count_notes(run_groups)], unit="%")


def calibration_table(runs: TableRuns) -> Table:
    """Return ECE and mean confidence in per cent, a pair of columns a domain; lower ECE is better."""
    spec, rows, run_groups = runs.spec, Rows(), {}
    inside = [(task_title(task), task, "test") for task in runs.tasks]
    outside = [
        (f"{task_title(task)} (Out)", task, f"{dataset}-test")
        for task, dataset in zip(spec.out_of_domain, reversed(spec.out_of_domain), strict=True)
    ]
    domains = [*inside[: len(spec.tasks)], *outside, *inside[len(spec.tasks) :]]  # the paper's first
    for name, row in spec.rows.items():
        rows[name] = {}
        for column, (title, task, split) in enumerate(domains):
            finished, reason = runs.runs(row.objective, task)
            run_groups[f"{name}, {task_title(task)}"] = finished
            graded = [run for run in finished if run.predictions(split).is_file()]
            reason = "not measured out of domain" if finished else reason
            members = grade(group_runs(graded), split, with_data=False)
            for (measure, head), paper_number in zip(OWN_NUMBERS.items(), row.printed(column), strict=True):
                cell = answers.calibration_cell(members[0], measure, scale=100) if members else Cell(None, reason)
                rows[name][f"{title} {head}"] = replace(cell, paper=paper_number)
    return _table(runs, rows, [answers.CALIBRATION_NOTE, *count_notes(run_groups)], unit="%")


def judge_table(runs: TableRuns, measure: Callable[[Sequence[tuple[Run, Scores]]], Cell]) -> Table:
    """Return a measure of the judge's scores of the rationales, the students' and the teacher's."""

    def cell(name: str, row: PaperRow, task: str) -> Cell:
        (finished, reason), once = runs.runs(row.objective, task), not name.endswith(SELF_CONSISTENCY)
        by_run = [(run, scores(runs.judgements[run.path], once=once)) for run in finished]
        if row.objective is None:  # the teacher's, which may stand with any of the runs
            entries = [entry for run in finished for entry in runs.judgements[run.path]]
            by_run = [(run, scores(entries, gold=True, once=once)) for run in finished[:1]]
        if scored_runs := [(run, by_id) for run, by_id in by_run if by_id]:
            return measure(scored_runs)
        return Cell(None, NOT_JUDGED if finished else reason)

    judges = sorted({entry.judge for entries in runs.judgements.values() for entry in entries})
    return _table(runs, _rows(runs, cell), [f"The judge: {', '.join(judges)}."] if judges else [])


def _correlation(runs: Sequence[tuple[Run, Scores]]) -> Cell:
    """Return the mean over seeds of Pearson's r of the scores with the answers being right.

    Its p-value and interval are those of one seed with that r, since all seeds have the same examples.
    """
    defined = []
    for run, by_id in runs:
        rows = predictions_by_id(run.predictions("test"))
        pairs = np.array([(score, bool(rows[id].correct)) for id, score in by_id.items() if id in rows])
        if len(pairs) > 1 and np.ptp(pairs, axis=0).all():
            defined.append((len(pairs), float(np.corrcoef(pairs.T)[0, 1])))
    if not defined:
        return Cell(None, "undefined: all answers are alike, or all scores", seeds=len(runs))
    n, r = min(n for n, _ in defined), float(np.mean([r for _, r in defined]))
    cell = Cell(r, n=n, seeds=len(defined))
    if n <= 3 or abs(r) >= 1:
        return cell
    p_value = Estimate(r, math.sqrt((1 - r * r) / (n - 2)), n - 2).p_value
    low, high = (math.tanh(math.atanh(r) + side * Z / math.sqrt(n - 3)) for side in (-1, 1))
    return replace(cell, interval=(low, high), p_value=p_value)


TABLES: dict[str, Callable[[TableRuns], Table]] = {  # by the measure
    "accuracy": accuracy_table,
    "calibration": calibration_table,
    "judge": lambda runs: judge_table(runs, lambda by_run: score_cell([by_id for _, by_id in by_run])),
    "correlation": lambda runs: judge_table(runs, _correlation),
}


def _rows(runs: TableRuns, measure: Callable[[str, PaperRow, str], Cell]) -> Rows:
    """Return a cell for each row and task, with the paper's number."""
    rows = Rows()
    for name, row in runs.spec.rows.items():
        rows[name] = {}
        for column, task in enumerate(runs.tasks):
            paper_number, spread = row.printed(column)
            rows[name][task_title(task)] = replace(measure(name, row, task), paper=paper_number, paper_spread=spread)
    return rows


def _table(runs: TableRuns, rows: Rows, notes: Sequence[str], unit: str = "") -> Table:
    """Return the table with the p-values of all its tests adjusted by Holm's method."""
    p_values = [cell.p_value for row in rows.values() for cell in row.values()]
    adjusted = iter(holm(p_values))
    tested = {
        name: {column: replace(cell, adjusted=next(adjusted)) for column, cell in row.items()}
        for name, row in rows.items()
    }
    tests = ["p by Holm's method: over all tests of the table."] if any(p is not None for p in p_values) else []
    return Table(runs.name, runs.title, tested, unit, notes=(*runs.notes(), *tests, *notes))
