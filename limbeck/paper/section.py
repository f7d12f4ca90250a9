"""The paper's section of a report: its tables and figures made of finished runs, its own numbers beside ours.

A measure is a function: every cell of its table has a value, or the reason why there is none.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import stdtr

from limbeck.grids import Grid
from limbeck.metrics.predictions import predictions_by_id
from limbeck.paper.spec import PaperRow, task_title
from limbeck.paper.table_runs import TableRuns, papers_grids
from limbeck.report import answers
from limbeck.report.answers import Scores, accuracy_cell, grade, score_cell, scores
from limbeck.report.cases import Case, shared_cases
from limbeck.report.sections import count_notes, fraction_figure
from limbeck.report.tables import CaseStudy, Cell, Figure, Section, Table
from limbeck.runs.groups import correct, group_runs
from limbeck.runs.run import Run
from limbeck.stats.intervals import Z
from limbeck.stats.significance import compare, holm
from limbeck.tasks import normalise

NOT_JUDGED = "no judge was asked; give --judge"
SELF_CONSISTENCY = " ++"  # ends the names of rows in which the judge was asked several times
OWN_NUMBERS = {"calibration error": "ECE", "mean confidence": "Conf."}  # of Table 6, in the paper's order
CASES_PER_KIND = 2
SEED = 0

Rows = dict[str, dict[str, Cell]]


def paper_section(runs: Sequence[Run], grids: Sequence[Grid], errors: Mapping[str, str]) -> Section | None:
    """Return tables 1 to 8 and figures 2 to 5 of those of the grids that are the paper's; None without any.

    Every cell has a value, or the reason why there is none.

    Args:
        runs: any runs, finished or not; a grid's are known by their recipes' keys.
        grids: grids as they were run (`OUT/grids/NAME.yaml`); others than the paper's are passed over.
        errors: the first line of the error of each run that failed, by its name.

    Raises:
        LimbeckError: predictions or judgements that cannot be read; two grids of one name that differ.
    """
    by_grid = [TableRuns(grid, runs, errors) for grid in papers_grids(grids)]
    items = [item for table in by_grid for item in MEASURES[table.spec.measure](table)]
    studies = [case_study(table, task) for table in by_grid if table.spec.measure == "cases" for task in table.tasks]
    if not by_grid:
        return None
    text = "Tables and figures of Chen et al. 2024, made of these runs, with the paper's own numbers beside ours."
    tables = [item for item in items if isinstance(item, Table)]
    figures = [item for item in items if isinstance(item, Figure)]
    return Section("paper", "The paper", text, tables, figures, studies=studies)


def case_study(runs: TableRuns, task: str) -> CaseStudy:
    """Return examples on which DSS and the paper's method differ, picked by a rule instead of by taste."""
    names = list(runs.spec.rows)
    rule = (
        f"Of the first seed that both have, {CASES_PER_KIND} examples by chance (seed {SEED}) of each way in which "
        f"{' and '.join(names)} differ: in who is right, or where both are alike in that, in their rationales."
    )
    title = f"{runs.title}: {task_title(task)}"
    by_seed = [{run.recipe.seed: run for run in runs.runs(row.objective, task)} for row in runs.spec.rows.values()]
    shared = sorted(by_seed[0].keys() & by_seed[1].keys())
    if not shared:
        missing = [row.objective for row, seeds in zip(runs.spec.rows.values(), by_seed, strict=True) if not seeds]
        return CaseStudy(title, runs.reason(missing[0], task) if missing else "not run")
    members = grade(group_runs([seeds[shared[0]] for seeds in by_seed]))
    cases = shared_cases(members)
    by_kind: dict[str, list[Case]] = {f"only {names[1]} right": [], f"only {names[0]} right": []}
    by_kind |= {"both right": [], "both wrong": []}
    for case in cases:
        first, second = case["answers"]
        if first["right"] != second["right"]:
            by_kind[f"only {names[0 if first['right'] else 1]} right"].append(case)
        elif len({normalise(answer.get("rationale", "")) for answer in case["answers"]}) > 1:
            by_kind["both right" if first["right"] else "both wrong"].append(case)
    kinds = {f"{name}: {len(all_cases):,} of {len(cases):,}": _pick(all_cases) for name, all_cases in by_kind.items()}
    return CaseStudy(title, rule, kinds)


def _pick(cases: Sequence[Case]) -> list[Case]:
    """Pick by the hash of id and seed, so that no pick depends on which other cases there are."""
    return sorted(cases, key=lambda case: hashlib.sha256(f"{SEED} {case['id']}".encode()).digest())[:CASES_PER_KIND]


def accuracy_table(runs: TableRuns) -> list[Table]:
    """Return accuracy in per cent, a row a method and a column a task, each method against the baseline."""
    baseline_row = runs.spec.rows[runs.spec.baseline]

    def accuracy(_: str, row: PaperRow, task: str) -> Cell:
        finished, baseline = runs.runs(row.objective, task), runs.runs(baseline_row.objective, task)
        if not finished or not baseline or row == baseline_row:
            return _accuracy(runs, row, task)
        right = correct([*finished, *baseline])  # on the examples that all of them answered
        return accuracy_cell(correct(finished), compare(right[: len(finished)], right[len(finished) :]))

    by_cell = {
        f"{name}, {task_title(task)}": runs.runs(row.objective, task)
        for name, row in runs.spec.rows.items()
        for task in runs.tasks
    }
    return [_table(runs, _rows(runs, accuracy), [answers.INTERVALS, *count_notes(by_cell)], unit="%")]


def fraction_figures(runs: TableRuns) -> list[Figure]:
    """Return a figure a task: accuracy by the share of the training data."""
    plotted = []
    for task in runs.tasks:
        lines = {
            name: {fraction: _accuracy(runs, row, task, fraction) for fraction in runs.spec.fractions}
            for name, row in runs.spec.rows.items()
        }
        title = f"{runs.title}: {task_title(task)}"
        plotted.append(fraction_figure(f"{runs.name}-{task}", title, lines, (*runs.notes(), answers.INTERVALS)))
    return plotted


def calibration_table(runs: TableRuns) -> list[Table]:
    """Return ECE and mean confidence in per cent, a pair of columns a domain; lower ECE is better."""
    spec, rows = runs.spec, Rows()
    domains = [(task_title(task), task, "test") for task in runs.tasks]
    domains[len(spec.tasks) : len(spec.tasks)] = [  # the paper's first
        (f"{task_title(task)} (Out)", task, f"{dataset}-test")
        for task, dataset in zip(spec.out_of_domain, reversed(spec.out_of_domain), strict=True)
    ]
    left_out: list[str] = []
    for name, row in spec.rows.items():
        rows[name] = {}
        for column, (title, task, split) in enumerate(domains):
            finished = runs.runs(row.objective, task)
            reason = "not measured out of domain" if finished else runs.reason(row.objective, task)
            graded = [run for run in finished if run.predictions(split).is_file()]
            members = grade(group_runs(graded), split, with_data=False)
            left_out += answers.without_confidence(members)
            for (measure, head), paper in zip(OWN_NUMBERS.items(), row.printed(column), strict=True):
                cell = answers.calibration_cell(members[0], measure, scale=100) if members else Cell(None, reason)
                rows[name][f"{title} {head}"] = replace(cell, paper=paper)
    return [_table(runs, rows, [answers.CALIBRATION_NOTE, *left_out], unit="%")]


def quality_table(runs: TableRuns) -> list[Table]:
    """Return means of the judge's scores with their deviations over examples."""

    def quality(name: str, row: PaperRow, task: str) -> Cell:
        by_run = _scores(runs, row, task, once=not name.endswith(SELF_CONSISTENCY))
        return score_cell([by_id for _, by_id in by_run]) if by_run else Cell(None, _not_judged(runs, row, task))

    return [_table(runs, _rows(runs, quality), _judges(runs))]


def correlation_table(runs: TableRuns) -> list[Table]:
    """Return Pearson's r of single scores with answers being right; p-values of r, adjusted over the table."""

    def correlation(_: str, row: PaperRow, task: str) -> Cell:
        by_run = _scores(runs, row, task, once=True)
        return _correlation(by_run) if by_run else Cell(None, _not_judged(runs, row, task))

    return [_table(runs, _rows(runs, correlation), _judges(runs))]


MEASURES: dict[str, Callable[[TableRuns], Sequence[Table | Figure]]] = {
    "accuracy": accuracy_table,
    "calibration": calibration_table,
    "judge": quality_table,
    "correlation": correlation_table,
    "fractions": fraction_figures,
    "cases": lambda _: [],  # see `case_study`
}


def _rows(runs: TableRuns, measure: Callable[[str, PaperRow, str], Cell]) -> Rows:
    """Return a cell for each row and task, with the paper's number."""
    rows = Rows()
    for name, row in runs.spec.rows.items():
        rows[name] = {}
        for column, task in enumerate(runs.tasks):
            paper, spread = row.printed(column)
            rows[name][task_title(task)] = replace(measure(name, row, task), paper=paper, paper_spread=spread)
    return rows


def _table(runs: TableRuns, rows: Rows, notes: Sequence[str], unit: str = "") -> Table:
    """Return the table with the p-values of all its tests adjusted by Holm's method."""
    adjusted = iter(holm([cell.p_value for row in rows.values() for cell in row.values()]))
    tested = {
        name: {column: replace(cell, adjusted=next(adjusted)) for column, cell in row.items()}
        for name, row in rows.items()
    }
    tests = f"Differences are to {runs.spec.baseline}, on the same examples." if runs.spec.measure == "accuracy" else ""
    holms = "p by Holm's method: over all tests of the table."
    return Table(runs.name, runs.title, tested, unit, notes=(*runs.notes(), *notes, *filter(None, (tests, holms))))


def _accuracy(runs: TableRuns, row: PaperRow, task: str, fraction: float = 1.0) -> Cell:
    finished = runs.runs(row.objective, task, fraction)
    return accuracy_cell(correct(finished)) if finished else Cell(None, runs.reason(row.objective, task, fraction))


def _scores(runs: TableRuns, row: PaperRow, task: str, *, once: bool) -> list[tuple[Run, Scores]]:
    """Return the scores of each run's rationales, or of the teacher's with any run, where there are any."""
    candidates = _candidates(runs, row, task)
    if row.objective is not None:
        by_run = [(run, scores(runs.judgements[run.path], once=once)) for run in candidates]
    else:
        entries = [entry for run in candidates for entry in runs.judgements[run.path]]
        by_run = [(run, scores(entries, gold=True, once=once)) for run in candidates[:1]]
    return [(run, by_id) for run, by_id in by_run if by_id]


def _candidates(runs: TableRuns, row: PaperRow, task: str) -> list[Run]:
    """Return the finished runs of a row, or for the teacher's row those of all rows."""
    rows = [row] if row.objective is not None else runs.spec.rows.values()
    return [run for objective in dict.fromkeys(row.objective for row in rows) for run in runs.runs(objective, task)]


def _not_judged(runs: TableRuns, row: PaperRow, task: str) -> str:
    objectives = [row.objective, *(row.objective for row in runs.spec.rows.values())]
    reason = runs.reason(next(filter(None, objectives)), task)
    return NOT_JUDGED if _candidates(runs, row, task) else reason


def _judges(runs: TableRuns) -> list[str]:
    """Return who judged, in a sentence, if anybody did."""
    names = sorted({entry.judge for entries in runs.judgements.values() for entry in entries})
    return [f"The judge: {', '.join(names)}."] if names else []


def _correlation(runs: Sequence[tuple[Run, Scores]]) -> Cell:
    """Return the mean over seeds of Pearson's r over the answers that have a score.

    Its p-value and interval are those of one seed with that r: the seeds' examples are the same ones, and a mean over
    seeds is not less certain than one of them.
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
    p_value = float(2 * stdtr(n - 2, -abs(r) * math.sqrt((n - 2) / (1 - r * r))))
    half = Z / math.sqrt(n - 3)
    return replace(cell, interval=(math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)), p_value=p_value)
