"""Tables 7 and 8: what a judge thinks of the rationales, and whether good ones go with right answers."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from limbeck.evaluation.answered import by_id
from limbeck.evaluation.bootstrap import centred_p_value
from limbeck.evaluation.correlation import correlate
from limbeck.evaluation.graded import Floats
from limbeck.evaluation.resampling import DRAWS, Interval, percentiles, resample
from limbeck.evaluation.seeds import Estimate, estimate
from limbeck.experiments.judgements import read_judgements, single
from limbeck.experiments.judging import GOLD
from limbeck.experiments.paper.accuracy import BASELINE, adjusted
from limbeck.experiments.paper.found import Found, title_of
from limbeck.experiments.paper.notes import HOLM, setup
from limbeck.experiments.run import Run
from limbeck.experiments.tables import Cell, Row, Table
from limbeck.schema import Judgement

SEVERAL = " ++"  # the rows of self-consistency
_UNASKED = "no judge was asked; give --judge"
_RANGE = (1.0, 5.0)
_Scores = dict[str, float]  # by example


def judge_table(found: Found) -> Table:
    """Means of the judge's scores with their deviations over examples; against DSS where asked once."""
    judged = {(objective, task): _judged(found, objective, task) for objective, task in _places(found)}
    rows = [
        Row(name, tuple(_scores_cell(found, name, task, judged) for task in found.tasks)) for name in found.table.rows
    ]
    notes = [
        *setup(found),
        *_judges(judged.values()),
        "In a ++ row the judge was asked several times over and an example has its mean (self-consistency).",
        "Deviations are over the examples of all seeds; intervals are 95 %, Student's t over seeds and examples.",
        f"Differences are to {BASELINE} on the same examples, asked once; {HOLM}",
    ]
    columns = tuple(title_of(task) for task in found.tasks)
    return Table(found.name, found.table.title, columns, adjusted(rows), baseline=BASELINE, notes=tuple(notes))


def correlation_table(found: Found) -> Table:
    """Pearson's r of the single scores with answers being right; p-values of r, adjusted over the table."""
    judged = {(objective, task): _judged(found, objective, task) for objective, task in _places(found)}
    rows = [
        Row(name, tuple(_correlation_cell(found, name, task, judged) for task in found.tasks))
        for name in found.table.rows
    ]
    notes = [
        *setup(found),
        *_judges(judged.values()),
        "One seed: p of Student's t, interval by Fisher's z. Several: r over the answers of all seeds, p and interval by "
        "the bootstrap over examples. " + HOLM,
        _paper_p(found),
    ]
    columns = tuple(title_of(task) for task in found.tasks)
    return Table(found.name, found.table.title, columns, adjusted(rows), notes=tuple(notes))


def _places(found: Found) -> list[tuple[str, str]]:
    return [(objective, task) for objective in found.table.objectives for task in found.tasks]


def _judged(found: Found, objective: str, task: str) -> list[tuple[Run, list[Judgement]]]:
    """The runs that a judge has seen."""
    read = [(run, read_judgements(run)) for run in found.runs(objective, task)]
    return [(run, judgements) for run, judgements in read if judgements]


_Judged = Mapping[tuple[str, str], Sequence[tuple[Run, Sequence[Judgement]]]]


def _scores_cell(found: Found, name: str, task: str, judged: _Judged) -> Cell:
    row = found.table.rows[name]
    once = not name.endswith(SEVERAL)
    if row.objective is None:
        every = [judgements for place, runs in judged.items() if place[1] == task for _, judgements in runs]
        sides = _scores((one for judgements in every for one in judgements if one.run == GOLD), once)
        scores, objectives = _matrix([sides] if sides else []), list(found.table.objectives)
    else:
        scores, objectives = _matrix(_own(judged[row.objective, task], once)), [row.objective]
    cell = _mean(scores) if scores.size else Cell(None, _why(found, objectives, task))
    if row.paper is not None and task in found.table.tasks:
        paper = row.paper[found.table.tasks.index(task)]
        cell = replace(cell, paper=paper[0], paper_spread=paper[1]) if isinstance(paper, tuple) else cell
    if once and row.objective not in (None, "dss"):
        sides = [_own(judged[objective, task], once) for objective in (str(row.objective), "dss")]
        cell = _against(cell, *sides)
    return cell


def _why(found: Found, objectives: Sequence[str], task: str) -> str:
    """Why there is no score."""
    if any(found.runs(objective, task) for objective in objectives):
        return _UNASKED
    return found.reason(objectives[0], task)


def _own(runs: Sequence[tuple[Run, Sequence[Judgement]]], once: bool) -> list[_Scores]:
    """By run, the scores of its own rationales."""
    found = [_scores((one for one in judgements if one.run != GOLD), once) for _, judgements in runs]
    return [scores for scores in found if scores]


def _scores(judgements: Iterable[Judgement], once: bool) -> _Scores:
    return {one.id: one.score for one in judgements if single(one) is once and one.score is not None}


def _matrix(runs: Sequence[_Scores]) -> Floats:
    """`[S, N]`, a row a run and a column an example that has a score in all of them."""
    ids = [id for id in runs[0] if all(id in scores for scores in runs)] if runs else []
    return np.array([[scores[id] for id in ids] for scores in runs], dtype=np.float64).reshape(len(runs), len(ids))


def _mean(scores: Floats) -> Cell:
    seeds, n = scores.shape
    spread = statistics.stdev(scores.ravel().tolist()) if scores.size > 1 else None
    interval = _within(_estimated([scores]), _RANGE)
    return Cell(float(scores.mean()), interval=interval, spread=spread, n=n, seeds=seeds)


def _against(cell: Cell, runs: Sequence[_Scores], others: Sequence[_Scores]) -> Cell:
    """The cell with its difference to the baseline, on the examples that all have."""
    both = _matrix([*runs, *others])
    if not runs or not others or not both.size:
        return cell
    one, other = both[: len(runs)], both[len(runs) :]
    found = _estimated([one, other])
    return replace(
        cell,
        difference=float(one.mean() - other.mean()),
        difference_interval=_within(found, (-4.0, 4.0)),
        p_value=found.p_value if found else None,
    )


def _estimated(sides: Sequence[Floats]) -> Estimate | None:
    """None where nothing varies, or there is a single example."""
    if sides[0].shape[1] < 2:
        return None
    if all(len(side) == 1 for side in sides):
        sides = [sides[0] - sides[1]] if len(sides) == 2 else sides  # one seed each: pairs, over examples
    if all(np.ptp(side) == 0 for side in sides):
        return None
    found = estimate(sides)
    return found if found.error > 0 else None


def _within(found: Estimate | None, ends: Interval) -> Interval | None:
    if found is None:
        return None
    low, high = found.interval
    return max(low, ends[0]), min(high, ends[1])


def _correlation_cell(found: Found, name: str, task: str, judged: _Judged) -> Cell:
    row = found.table.rows[name]
    objective = str(row.objective)
    cell = _correlation(judged[objective, task]) or Cell(None, _why(found, [objective], task))
    if row.paper is not None and task in found.table.tasks:
        paper = row.paper[found.table.tasks.index(task)]
        cell = replace(cell, paper=paper) if not isinstance(paper, tuple) else cell
    return cell


def _correlation(runs: Sequence[tuple[Run, Sequence[Judgement]]]) -> Cell | None:
    """Pearson's r over the answers that have a score; None without any."""
    pairs: list[tuple[str, float, bool]] = []
    for run, judgements in runs:
        answers = by_id(run.predictions("test"))
        own = _scores((one for one in judgements if one.run != GOLD), once=True)
        pairs += [(id, score, answers[id].correct) for id, score in own.items() if id in answers]
    if not pairs:
        return None
    ids, scores, right = zip(*pairs, strict=True)
    found, seeds, n = correlate(scores, right), len(runs), len(set(ids))
    if found.pearson is None:
        return Cell(None, f"undefined: {found.reason}", n=n, seeds=seeds)
    r = found.pearson
    if seeds == 1:
        return Cell(r.value, interval=r.interval, n=n, seeds=1, p_value=r.p_value)
    drawn = _resampled(ids, np.array(scores), np.array(right, dtype=np.float64))
    if not len(drawn):
        return Cell(r.value, n=n, seeds=seeds)
    return Cell(r.value, interval=percentiles(drawn), n=n, seeds=seeds, p_value=centred_p_value(drawn, r.value))


def _resampled(ids: Sequence[str], scores: Floats, right: Floats) -> Floats:
    """Pearson's r [draws] of answers whose examples were drawn anew, all seeds' answers to one together.

    Draws in which either does not vary have no r and are left out.
    """
    _, example = np.unique(ids, return_inverse=True)
    terms = np.stack([np.ones_like(scores), scores, right, scores**2, right**2, scores * right])
    sums = np.stack([np.bincount(example, weights=term) for term in terms])  # [6, N]
    drawn = np.concatenate([sums @ block for block in resample(sums.shape[1], DRAWS, seed=0)], axis=1)
    n, q, y, qq, yy, qy = drawn
    spread = np.sqrt(np.maximum(n * qq - q**2, 0) * np.maximum(n * yy - y**2, 0))
    defined = spread > 1e-9
    return np.asarray((n * qy - q * y)[defined] / spread[defined])


def _judges(judged: Iterable[Sequence[tuple[Run, Sequence[Judgement]]]]) -> list[str]:
    names = sorted({one.judge for runs in judged for _, judgements in runs for one in judgements})
    return [f"The judge: {', '.join(names)}; the paper's was GPT-4."] if names else []


def _paper_p(found: Found) -> str:
    """The paper gives no more of p than on which side of 0.05 it is."""
    below = [
        f"{name} on {title_of(task)}"
        for name, row in found.table.rows.items()
        for task, side in zip(found.table.tasks, row.p or [], strict=False)
        if side == "<"
    ]
    return f"In the paper p < 0.05 of {', '.join(below)}, and p > 0.05 of the others."
