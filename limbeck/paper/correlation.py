"""Table 8: whether better rationales go with right answers."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import t as student

from limbeck.metrics.answered import by_id
from limbeck.paper.accuracy import adjusted
from limbeck.paper.found import Found, title_of
from limbeck.paper.judged import Judged, Scores
from limbeck.paper.notes import HOLM, setup
from limbeck.report.tables import Cell, Row, Table
from limbeck.runs.run import Run
from limbeck.stats.correlation import correlate
from limbeck.stats.intervals import Z


def correlation_table(found: Found) -> Table:
    """Pearson's r of the single scores with answers being right; p-values of r, adjusted over the table."""
    judged = Judged(found)
    rows = [Row(name, tuple(_cell(found, name, task, judged) for task in found.tasks)) for name in found.table.rows]
    notes = [
        *setup(found),
        *judged.note(),
        "r is a mean over seeds, those left out of which all answers or all scores are alike; p of Student's t and "
        f"interval by Fisher's z, over examples as for one seed. {HOLM}",
        _paper_p(found),
    ]
    columns = tuple(title_of(task) for task in found.tasks)
    return Table(found.name, found.table.title, columns, adjusted(rows), notes=tuple(notes))


def _cell(found: Found, name: str, task: str, judged: Judged) -> Cell:
    objective = str(found.table.rows[name].objective)
    cell = _correlation(judged.runs(objective, task, once=True)) or Cell(None, judged.why(objective, task))
    return replace(cell, paper=found.table.number(name, task))


def _correlation(runs: Sequence[tuple[Run, Scores]]) -> Cell | None:
    """The mean over seeds of Pearson's r over the answers that have a score; None without any.

    Its p-value and interval are those of one seed with that r: the seeds' examples are the same ones, and a mean over
    seeds is not less certain than one of them.
    """
    found = []
    for run, scores in runs:
        answers = by_id(run.predictions("test"))
        pairs = [(score, answers[id].correct) for id, score in scores.items() if id in answers]
        if pairs:
            found.append(correlate([score for score, _ in pairs], [right for _, right in pairs], draws=1))
    if not found:
        return None
    defined = [(one.n, one.pearson.value) for one in found if one.pearson is not None]
    if not defined:
        return Cell(None, f"undefined: {found[0].reason}", n=found[0].n, seeds=len(found))
    n, r = min(n for n, _ in defined), float(np.mean([r for _, r in defined]))
    if n <= 3 or abs(r) >= 1:
        return Cell(r, n=n, seeds=len(defined))
    p_value = float(2 * student.sf(abs(r) * math.sqrt((n - 2) / (1 - r * r)), n - 2))
    half = Z / math.sqrt(n - 3)
    interval = math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
    return Cell(r, interval=interval, n=n, seeds=len(defined), p_value=p_value)


def _paper_p(found: Found) -> str:
    """The paper gives no more of p than on which side of 0.05 it is."""
    below = [
        f"{name} on {title_of(task)}"
        for name, row in found.table.rows.items()
        for task, side in zip(found.table.tasks, row.p or [], strict=False)
        if side == "<"
    ]
    return f"In the paper p < 0.05 of {', '.join(below)}, and p > 0.05 of the others."
