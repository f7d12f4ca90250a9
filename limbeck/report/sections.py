"""The sections of a report, made from run groups."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from limbeck import figures
from limbeck.errors import DataError, LimbeckError
from limbeck.figures import Point
from limbeck.files import read_jsonl
from limbeck.metrics.selective import cascade, selective, thinned
from limbeck.report import answers
from limbeck.report.answers import Contrast, GradedGroup, accuracy_cell, common_name
from limbeck.report.tables import Cell, Figure, Rows, Section, Table
from limbeck.runs.compare import grouped
from limbeck.runs.run import Run, count_lines, flat
from limbeck.stats.intervals import Flags

Tasks = Mapping[str, Sequence[GradedGroup]]  # the run groups by task

MAX_LOGGED = 1e100  # of a logged number
MAX_POINTS, MAX_ROWS = 150, 11  # of a figure's line and of its table
LOGGED = {  # by a log key's prefix: the figure's title, its y axis, and "y" for per cent
    "term_": ("{}, a term of the loss", "loss (nats)", ""),
    "infonce_": ("InfoNCE between label and rationale, its {}", "mutual information (nats)", ""),
    "share_": ("{}, its share of the gradient", "share of the gradient", "y"),
    "eval_accuracy": ("validation accuracy", "accuracy", "y"),
}
COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
PASSED = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
QUALITY = {  # by column, the field of an evaluation
    "BLEU": "quality.bleu.score",
    "ROUGE-L": "quality.rougeL",
    "similarity": "quality.similarity.mean",
    "words": "quality.words",
    "repetition": "quality.repetition",
    "usable information (nats)": "usable.teacher.nats",
    "its own (nats)": "usable.student.nats",
    "dependence (nats)": "dependence.nats",
}
QUALITY_NOTE = (
    "From `limbeck evaluate RUN --rationale`. Nearness to one teacher's text is no measure of good reasoning. "
    "Usable information: what the teacher's rationales, or its own, tell the student about the label beyond the "
    "question. Dependence: an InfoNCE bound, comparable on the same examples only."
)
JUDGE_NOTE = "Mean ± standard deviation over examples with a score in every judged seed; 95 % interval, Student's t."


def accuracy_section(contrasts: Sequence[Contrast]) -> Section:
    tests = sum(contrast.comparison is not None for contrast in contrasts)
    tasks = grouped(contrasts, lambda contrast: contrast.member.task)
    tables = [_accuracy_table(task, members, tests) for task, members in tasks.items()]
    text = "The share of answers that are right by the task's rule, mean over seeds."
    return Section("accuracy", "Accuracy", text, tables)


def _accuracy_table(task: str, contrasts: Sequence[Contrast], tests: int) -> Table:
    rows: Rows = {}
    groups = [contrast.member for contrast in contrasts]
    datasets = sorted({name for group in groups for run in group.runs for name in run.results.get("out_of_domain", {})})
    for contrast in contrasts:
        member = contrast.member
        row = rows[member.name] = {"accuracy": answers.contrast_cell(contrast)}
        for dataset in datasets:
            row[f"on {dataset}"] = Cell(None, "not measured")
            if all(dataset in run.results.get("out_of_domain", {}) for run in member.runs):
                (elsewhere,) = answers.grade([member], f"{dataset}-test", with_data=False)
                row[f"on {dataset}"] = accuracy_cell(elsewhere.correct)
    notes = [answers.INTERVALS]
    if names := sorted({contrast.comparison.test for contrast in contrasts if contrast.comparison}):
        holm = f"Holm's method over the {tests} tests of this report"
        notes.append(f"Differences are in points, to the row marked baseline; tests: {' or '.join(names)}; {holm}.")
    if labels := groups[0].runs[0].results.get("test", {}).get("by_label"):
        notes.append("Answering always {label} would be right in {accuracy:.1%}.".format(**labels["majority"]))
    notes += count_notes({group.name: group.runs for group in groups})
    return Table(f"accuracy-{task}", f"{task}: accuracy on the test split", rows, "%", notes=tuple(notes))


def count_notes(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """Return a sentence for each count of what was cut or left out, with its run groups."""
    names: dict[tuple[bool, str], list[str]] = {}  # by the sentence, warnings first
    for name, seeds in runs.items():
        lines = sorted((entry for run in seeds for entry in count_lines(run.results)), key=lambda entry: entry[1].count)
        for (where, _), line in {(where, line.key): line for where, line in lines}.items():  # the seeds' highest
            text = line.sentence if where == "notes" else f"{where}: {line.sentence}"
            names.setdefault((not line.warning, f"Warning: {text}" if line.warning else text), []).append(name)
    return [f"{sentence}; {'; '.join(groups)}." for (_, sentence), groups in sorted(names.items())]


def learning_section(sets: Sequence[Sequence[GradedGroup]], tasks: Tasks) -> Section:
    """Return accuracy by training data, and by set the curves of training."""
    plotted, missing = _fraction_curves(tasks), []
    for members in sets:
        logs = {}  # by run group and by what was logged
        for member in members:
            logs[member.name], damaged = _mean_log(member.runs)
            missing += damaged
        set_name = _set_name(members)
        for start, (title, y_label, percent) in LOGGED.items():
            for key in sorted({key for curves in logs.values() for key in curves if key.startswith(start)}):
                # also empty ones, so that a name has one colour in all figures
                lines = {name: curves.get(key, []) for name, curves in logs.items()}
                ticks = thinned(sorted({point.x for line in lines.values() for point in line}), MAX_ROWS)
                rows = _nearest(lines, {f"step {step:,.0f}": step for step in ticks})
                title_of_set = f"{set_name}: {title.format(key.removeprefix(start))}"
                table = Table(f"learning-{set_name}-{key}", title_of_set, rows, digits=4)
                plotted.append(Figure(figures.line_chart(lines, "optimizer step", y_label, percent=percent), table))
    text = "Means over seeds. A term's gradient share is its part of the gradient's norm at the hidden states."
    return Section("learning", "Learning", text, figures=plotted, missing=missing)


def _mean_log(runs: Sequence[Run]) -> tuple[dict[str, list[Point]], list[str]]:
    """Return the runs' mean curves, and a sentence for each run whose log is damaged."""
    by_run: list[dict[tuple[str, int], float]] = []
    damaged = []
    for run in runs:
        try:
            by_run.append(_log(run.log) if run.log.exists() else {})
        except LimbeckError as error:
            damaged.append(f"{run.path}: its curves of training are left out: {error}.")
    curves: dict[str, list[Point]] = {}
    for key, step in sorted(set.intersection(*map(set, by_run))) if by_run else ():
        curves.setdefault(key, []).append(Point(step, fmean(values[key, step] for values in by_run)))
    return {key: thinned(points, MAX_POINTS) for key, points in curves.items()}, damaged


def _log(path: Path) -> dict[tuple[str, int], float]:
    """Return the logged values by key and step. Raises DataError with the line."""
    values = {}
    for line, row in read_jsonl(path):
        for key in row if "step" in row else ():
            if key.startswith((*LOGGED,)):
                numbers = [number for number in (row["step"], row[key]) if type(number) in (int, float)]
                if len(numbers) < 2 or not max(map(abs, numbers)) <= MAX_LOGGED:
                    raise DataError("step and value have to be numbers", path=path, line=line, field=key)
                values[key, int(row["step"])] = float(row[key])
    return values


def _set_name(members: Sequence[GradedGroup]) -> str:
    return ", ".join(filter(None, [members[0].task, common_name(members)]))


def _nearest(lines: Mapping[str, Sequence[Point]], rows: Mapping[str, float]) -> Rows:
    """Return a table's rows, x by name in `rows`: the nearest point of each line."""
    return {
        row: {name: Cell(min(line, key=lambda p: abs(p.x - x)).y) for name, line in lines.items() if line}
        for row, x in rows.items()
    }


def _fraction_curves(tasks: Tasks) -> list[Figure]:
    """Draw accuracy over `data.train_fraction` by task, a line for groups that differ in nothing else."""
    plotted = []
    for task, members in tasks.items():
        ordered = sorted(members, key=lambda member: member.recipe.data.train_fraction)
        series = grouped(ordered, lambda member: answers.setting(member, "data.train_fraction"))
        lines: dict[str, dict[float, Cell]] = {}
        for line in (line for line in series.values() if len(line) > 1):
            name = line[0].name if (shared := common_name(line)) in lines else shared
            lines[name] = {member.recipe.data.train_fraction: accuracy_cell(member.correct) for member in line}
        if lines:
            title = f"{task}: accuracy by fraction of the training data"
            plotted.append(fraction_figure(f"fractions-{task}", title, lines))
    return plotted


def fraction_figure(
    name: str, title: str, lines: Mapping[str, Mapping[float, Cell]], notes: tuple[str, ...] = ()
) -> Figure:
    """Draw accuracies in per cent by method and by fraction of the training data."""
    fractions, not_run = sorted(set().union(*lines.values())), Cell(None, "not run")
    rows = {f"{x:g}": {method: line.get(x, not_run) for method, line in lines.items()} for x in fractions}
    points = {
        method: [Point(x, cell.value, *(cell.interval or ())) for x, cell in line.items()]
        for method, line in lines.items()
    }
    svg = figures.line_chart(points, "share of the training data", "accuracy (%)", percent="x")
    return Figure(svg, Table(name, title, rows, unit="%", notes=notes))


def confidence_section(sets: Sequence[Sequence[GradedGroup]], tasks: Tasks) -> Section:
    """Return calibration by task, and by set risk and coverage and the cascade with the teacher."""
    tables, plotted, missing = [], [], []
    for task, members in tasks.items():
        rows = {
            member.name: {name: answers.calibration_cell(member, name) for name in answers.CALIBRATION}
            for member in members
        }
        area = "Area: less is better; an order by chance has 1 - accuracy."
        notes = (answers.CALIBRATION_NOTE, area, *_without_confidence(members))
        tables.append(Table(f"calibration-{task}", f"{task}: confidence on the test split", rows, "", 3, notes))
    for members in sets:
        name = _set_name(members)
        if any(member.has_confidence.any() for member in members):
            plotted.append(_risk_coverage(name, members))
        if any(_usable(member).any() for member in members):
            plotted.append(_cascade(name, members))
        else:
            missing.append(f"No cascade on {name}: the teacher's answers or all confidences are not known.")
    text = "How far an answer's confidence can be trusted, and what answering only when sure brings. Curves pool seeds."
    return Section("confidence", "Confidence", text, tables, plotted, missing)


def _without_confidence(members: Sequence[GradedGroup]) -> list[str]:
    counts = {member.name: int((~member.has_confidence).sum()) for member in members if member.has_confidence.any()}
    return [f"{name}: {count} answers without a confidence are left out." for name, count in counts.items() if count]


def _risk_coverage(name: str, members: Sequence[GradedGroup]) -> Figure:
    lines: dict[str, list[Point]] = {member.name: [] for member in members}
    rows: Rows = {f"{share:.0%} answered": {} for share in COVERAGES}
    for member in (member for member in members if member.has_confidence.any()):
        mask = member.has_confidence
        measured = selective(member.confidence[mask], member.correct[mask], draws=answers.NO_DRAWS)
        lines[member.name] = [Point(point.coverage, point.risk) for point in measured.curve]
        for point in (point for point in measured.at_coverage if point.coverage in COVERAGES):
            rows[f"{point.coverage:.0%} answered"][member.name] = Cell(1 - point.accuracy)
    notes = tuple(_without_confidence(members))
    table = Table(f"risk-coverage-{name}", f"{name}: risk and coverage", rows, digits=3, notes=notes)
    return Figure(figures.risk_coverage(lines), table)


def _cascade(name: str, members: Sequence[GradedGroup]) -> Figure:
    lines: dict[str, list[Point]] = {member.name: [] for member in members}
    teachers, left_out = set(), 0
    for member in (member for member in members if _usable(member).any()):
        usable = _usable(member)
        teachers.add(float(np.nanmean(member.teacher)))
        left_out = max(left_out, int((~usable).sum()))
        right_SN = np.broadcast_to(member.teacher == 1, usable.shape)
        points = cascade(member.confidence[usable], member.correct[usable], right_SN[usable])
        lines[member.name] = [Point(point.cost, point.accuracy) for point in points]
    notes = ["The point nearest to each share. Thresholds chosen on these very answers promise more than they keep."]
    if left_out:
        notes.append(f"Up to {left_out} answers of a run group are left out: no confidence, or no teacher's answer.")
    rows = _nearest(lines, {f"{share:.0%} passed on": share for share in PASSED})
    title = f"{name}: the student where it is sure, else the teacher"
    table = Table(f"cascade-{name}", title, rows, digits=3, notes=tuple(notes))
    return Figure(figures.cascade(lines, teachers.pop() if len(teachers) == 1 else None), table)


def _usable(member: GradedGroup) -> Flags:
    """Return whether answers have a confidence and a teacher's answer, [S, N]."""
    return member.has_confidence & ~np.isnan(member.teacher)


def rationale_section(tasks: Tasks) -> Section:
    tables, missing = [], []
    for task, members in tasks.items():
        missing += [line for member in members for evaluation in member.evaluations for line in evaluation.damaged]
        quality, judge = _quality_table(task, members), _judge_table(task, members)
        for table, verb in ((quality, "evaluate RUN --rationale"), (judge, "judge RUN...")):
            if any(cell.value is not None or cell.reason == answers.NONE_SHARED for cell in table.cells):
                tables.append(table)
            else:
                missing.append(f"{table.title}: not there; `limbeck {verb}` measures it.")
        if not any(example.rationale for member in members for example in member.examples.values()):
            missing.append(f"{task}: the data has no rationales of the teacher, or is no longer where it was.")
    return Section("rationales", "Rationales", "The reasons that the students give.", tables, missing=missing)


def _quality_table(task: str, members: Sequence[GradedGroup]) -> Table:
    rows: Rows = {}
    for member in members:
        evaluations = [flat(evaluation.page) for evaluation in member.evaluations if evaluation.page is not None]
        rows[member.name] = {}
        for name, key in QUALITY.items():
            values = [float(page[key]) for page in evaluations if isinstance(page.get(key), int | float)]
            reason = (evaluations or [{}])[0].get(f"reasons.{key.partition('.')[0]}") or "not measured"
            rows[member.name][name] = Cell(fmean(values), seeds=len(values)) if values else Cell(None, reason)
    title = f"{task}: the rationales' text beside the teacher's"
    return Table(f"rationales-{task}", title, rows, digits=3, notes=(QUALITY_NOTE,))


def _judge_table(task: str, members: Sequence[GradedGroup]) -> Table:
    by_group = {member.name: [answers.scores(entries) for entries in member.judgements] for member in members}
    examples = [example for member in members for example in member.examples.values()]
    by_group["teacher"] = [answers.gold_scores(members, examples)]
    rows = {name: {"score": answers.score_cell(by_run)} for name, by_run in by_group.items()}
    title = f"{task}: a judge's scores of the rationales, from 1 to 5"
    return Table(f"judge-{task}", title, rows, notes=(JUDGE_NOTE,))
