"""The paper's tables and figures made of finished runs, with its own numbers beside ours."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain, product

import numpy as np

from limbeck.data import ArchiveSource
from limbeck.errors import LimbeckError
from limbeck.grids import Grid, cells
from limbeck.paper.spec import NAMES, SELF_CONSISTENCY, PaperRow, paper, task_title, variant
from limbeck.report import answers
from limbeck.report.answers import GradedGroup, Scores, accuracy_cell, contrast_cell, contrast_of, grade
from limbeck.report.cases import Case, shared_cases
from limbeck.report.sections import count_notes, fraction_figure
from limbeck.report.tables import CaseStudy, Cell, Figure, Rows, Section, Table
from limbeck.runs.compare import group_runs
from limbeck.runs.run import Run
from limbeck.stats.intervals import Estimate, Z
from limbeck.stats.significance import holm
from limbeck.tasks import normalise
from limbeck.training.settings import TrainingSettings

NOT_JUDGED = "no judge was asked; give --judge"
OWN_NUMBERS = {"calibration error": "ECE", "mean confidence": "Conf."}  # of Table 6, in the paper's order
CASES_PER_KIND = 2
SEED = 0


class TableRuns:
    """One of the paper's grids, and its runs, by their recipes' keys."""

    def __init__(self, grid: Grid, runs: Sequence[Run], errors: Mapping[str, str]) -> None:
        self.name, self.spec, self.cells = grid.name, paper()[grid.name], cells(grid)
        self.title = f"{self.name[:-1].title()} {self.name[-1]}: {self.spec.title}"
        # the paper's tasks in its order, run or not; then any others
        self.tasks = list(dict.fromkeys([*self.spec.tasks, *(cell.recipe.data.task for cell in self.cells)]))
        self._errors, self._seeds = errors, len(grid.seeds)
        self.graded = cache(self._graded)  # rows share runs
        self._by_key = {run.recipe.key: run for run in sorted(runs, key=lambda run: run.finished)}

    def runs(self, objective: str | None, task: str, fraction: float = 1.0) -> tuple[list[Run], str]:
        """Return the finished runs by seed, for None of all objectives; and why there are none."""
        planned = [
            cell
            for cell in self.cells
            if (cell.recipe.data.task, cell.recipe.data.train_fraction) == (task, fraction)
            and objective in (None, cell.recipe.objective.name)
        ]
        if not planned:
            return [], "no data, or not in this grid"
        runs = [self._by_key[cell.recipe.key] for cell in planned if cell.recipe.key in self._by_key]
        failed = [f"failed: {self._errors[cell.name]:.200}" for cell in planned if cell.name in self._errors]
        finished = sorted((run for run in runs if run.finished), key=lambda run: run.recipe.seed)
        return finished, failed[0] if failed else "not finished" if runs else "not run"

    def _graded(
        self, objective: str | None, task: str, *, fraction: float = 1.0, split: str = "test"
    ) -> tuple[list[GradedGroup], str]:
        """Return the answers of `runs` by objective; and why there are none."""
        finished, reason = self.runs(objective, task, fraction)
        measured = [run for run in finished if run.predictions(split).is_file()]
        reason = "not measured out of domain" if finished else reason
        members = grade(group_runs(measured), split, with_data=False)
        if objective is not None and len(members) > 1:
            return [], "several recipes: the grid has an axis that the paper's has not"
        return members, reason

    def counts(self, tasks: Sequence[str]) -> list[str]:
        """Return sentences on what was cut or left out in these tasks' runs."""
        runs = {
            f"{name}, {task_title(task)}": list(
                chain(*(self.runs(row.objective, task, share)[0] for share in self.spec.fractions))
            )
            for (name, row), task in product(self.spec.rows.items(), tasks)
        }
        return count_notes(runs)

    def notes(self) -> list[str]:
        """Return sentences on how the runs differ from the paper's, and the table's own."""
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
        if incomplete := sum(0 < len(self.runs(*group)[0]) < self._seeds for group in groups):
            places = f"{incomplete} of {len(groups)} places"
            notes.append(f"In {places} fewer than the grid's {self._seeds} seeds have finished.")
        return [*notes, *self.spec.notes]


def _setup(student: str, training: TrainingSettings) -> str:
    values = training.model_dump()
    steps = values["max_steps"]
    length = f"{steps:,} steps" if steps > 0 else f"{values['num_train_epochs']:g} epochs"
    batch = values["per_device_train_batch_size"] * values["gradient_accumulation_steps"]
    return f"{student}, {length} of {batch} examples, learning rate {values['learning_rate']:g}"


def paper_section(runs: Sequence[Run], grids: Sequence[Grid], errors: Mapping[str, str]) -> Section | None:
    """Return the tables and figures of those `grids` that are the paper's; None without any.

    `errors` are by the failed run's name. Raises LimbeckError where two grids of one name differ, or for a broken file.
    """
    by_name: dict[str, Grid] = {}
    for grid in grids:
        if grid.name in NAMES and {"task", "method"} <= grid.axes.keys():
            first = by_name.setdefault(grid.name, grid)
            if first.model_dump() != grid.model_dump():
                raise LimbeckError(f"{first.where} and {grid.where}: two different {grid.name}; give one")
    if not by_name:
        return None
    all_runs = [TableRuns(by_name[name], runs, errors) for name in NAMES if name in by_name]
    tables = [TABLES[table.spec.measure](table) for table in all_runs if table.spec.measure in TABLES]
    by_task = [(table.spec.measure, table, task) for table in all_runs for task in table.tasks]
    figures = [fractions(table, task) for measure, table, task in by_task if measure == "fractions"]
    studies = [case_study(table, task) for measure, table, task in by_task if measure == "cases"]
    text = "Tables and figures of Chen et al. 2024, made of these runs, with the paper's own numbers beside ours."
    return Section("paper", "The paper", text, tables, figures, studies=studies)


def case_study(runs: TableRuns, task: str) -> CaseStudy:
    """Return examples on which DSS and the paper's method differ."""
    names, title = list(runs.spec.rows), f"{runs.title}: {task_title(task)}"
    by_row = [runs.runs(row.objective, task) for row in runs.spec.rows.values()]
    if reasons := [reason for finished, reason in by_row if not finished]:
        return CaseStudy(title, reasons[0])
    pairs = product(by_row[0][0], by_row[1][0])
    pair = next((pair for pair in pairs if pair[0].recipe.seed == pair[1].recipe.seed), None)
    if pair is None:
        return CaseStudy(title, "no seed of which both are finished")
    rule = (
        f"Of the first seed that both have, {CASES_PER_KIND} examples by chance (seed {SEED}) of each way in which "
        f"{' and '.join(names)} differ: in who is right, or else in their rationales."
    )
    cases = shared_cases(grade(group_runs(pair)))
    # by a hash, so that no pick depends on the other cases
    cases.sort(key=lambda case: hashlib.sha256(f"{SEED} {case['id']}".encode()).digest())
    kinds = {(False, True): f"only {names[1]} right", (True, False): f"only {names[0]} right"}
    kinds |= {(True, True): "both right", (False, False): "both wrong"}
    by_kind: dict[str, list[Case]] = {kind: [] for kind in kinds.values()}
    for case in cases:
        first, second = case["answers"]
        alike = normalise(first.get("rationale", "")) == normalise(second.get("rationale", ""))
        if first["right"] != second["right"] or not alike:
            by_kind[kinds[first["right"], second["right"]]].append(case)
    picked = {f"{kind}: {len(rows):,} of {len(cases):,}": rows[:CASES_PER_KIND] for kind, rows in by_kind.items()}
    return CaseStudy(title, rule, picked)


def fractions(runs: TableRuns, task: str) -> Figure:
    """Return accuracy by the share of the training data."""
    lines = {
        name: {fraction: _accuracy(runs, row, task, fraction) for fraction in runs.spec.fractions}
        for name, row in runs.spec.rows.items()
    }
    notes = (*runs.notes(), answers.INTERVALS, *runs.counts([task]))
    return fraction_figure(f"{runs.name}-{task}", f"{runs.title}: {task_title(task)}", lines, notes)


def _accuracy(runs: TableRuns, row: PaperRow, task: str, fraction: float = 1.0) -> Cell:
    members, reason = runs.graded(row.objective, task, fraction=fraction)
    return accuracy_cell(members[0].correct) if members else Cell(None, reason)


def accuracy_table(runs: TableRuns) -> Table:
    """Return accuracy in per cent by method and task, against the baseline."""
    baseline = runs.spec.rows[runs.spec.baseline]

    def accuracy(_name: str, row: PaperRow, task: str) -> Cell:
        pair = runs.graded(row.objective, task)[0] + runs.graded(baseline.objective, task)[0]
        if row == baseline or len(pair) != 2:
            return _accuracy(runs, row, task)
        return contrast_cell(contrast_of(*pair))

    differences = f"Differences are to {runs.spec.baseline}, on the same examples."
    notes = [answers.INTERVALS, differences, *runs.counts(runs.tasks)]
    return _table(runs, _rows(runs, accuracy), notes, unit="%")


def calibration_table(runs: TableRuns) -> Table:
    """Return ECE and mean confidence in per cent, a pair of columns a domain."""
    spec = runs.spec
    inside = [(task_title(task), task, "test") for task in runs.tasks]
    outside = [
        (f"{task_title(task)} (Out)", task, f"{dataset}-test")
        for task, dataset in zip(spec.out_of_domain, reversed(spec.out_of_domain), strict=True)
    ]
    domains = [*inside[: len(spec.tasks)], *outside, *inside[len(spec.tasks) :]]  # the paper's first
    rows: Rows = {name: {} for name in spec.rows}
    for (name, row), (column, (title, task, split)) in product(spec.rows.items(), enumerate(domains)):
        members, reason = runs.graded(row.objective, task, split=split)
        for (measure, head), paper_number in zip(OWN_NUMBERS.items(), row.printed(column), strict=True):
            cell = answers.calibration_cell(members[0], measure, scale=100) if members else Cell(None, reason)
            rows[name][f"{title} {head}"] = replace(cell, paper=paper_number)
    return _table(runs, rows, [answers.CALIBRATION_NOTE, *runs.counts(runs.tasks)], unit="%")


def judge_table(runs: TableRuns, measure: Callable[[GradedGroup, Sequence[Scores]], Cell]) -> Table:
    """Return a measure of the judge's scores, of the students' rationales and the teacher's."""
    judges: set[str] = set()

    def cell(name: str, row: PaperRow, task: str) -> Cell:
        members, reason = runs.graded(row.objective, task)
        entries_by_run = list(chain(*(member.judgements for member in members)))
        once = not name.endswith(SELF_CONSISTENCY)
        judges.update(entry.judge for entry in chain(*entries_by_run))
        by_run = [answers.scores(entries, once=once) for entries in entries_by_run]
        if row.objective is None:  # the teacher's may stand with any run
            by_run = [answers.scores(list(chain(*entries_by_run)), gold=True, once=once)]
        return measure(members[0], by_run) if any(by_run) else Cell(None, NOT_JUDGED if members else reason)

    rows = _rows(runs, cell)
    return _table(runs, rows, [f"The judge: {', '.join(sorted(judges))}."] if judges else [])


def _correlation(member: GradedGroup, by_run: Sequence[Scores]) -> Cell:
    """Return Pearson's r of scores and right answers, the mean over seeds.

    The p-value and interval are those of one seed with that r, since all seeds have the same examples.
    """
    defined = []
    for predictions, by_id in zip(member.predictions, by_run, strict=True):
        pairs = np.array([(by_id[row.id], bool(row.correct)) for row in predictions.values() if row.id in by_id])
        if len(pairs) > 1 and np.ptp(pairs, axis=0).all():
            defined.append((len(pairs), float(np.corrcoef(pairs.T)[0, 1])))
    if not defined:
        return Cell(None, "undefined: all answers are alike, or all scores", seeds=len(by_run))
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
    "judge": lambda runs: judge_table(runs, lambda _, by_run: answers.score_cell(by_run)),
    "correlation": lambda runs: judge_table(runs, _correlation),
}


def _rows(runs: TableRuns, measure: Callable[[str, PaperRow, str], Cell]) -> Rows:
    rows: Rows = {name: {} for name in runs.spec.rows}
    for (name, row), (column, task) in product(runs.spec.rows.items(), enumerate(runs.tasks)):
        paper_number, spread = row.printed(column)
        rows[name][task_title(task)] = replace(measure(name, row, task), paper=paper_number, paper_spread=spread)
    return rows


def _table(runs: TableRuns, rows: Rows, notes: Sequence[str], unit: str = "") -> Table:
    p_values = [cell.p_value for row in rows.values() for cell in row.values()]
    adjusted = iter(holm(p_values))
    for row in rows.values():
        row |= {column: replace(cell, adjusted=next(adjusted)) for column, cell in row.items()}
    tests = ["p by Holm's method: over all tests of the table."] if any(p is not None for p in p_values) else []
    return Table(runs.name, runs.title, rows, unit, notes=(*runs.notes(), *tests, *notes))
