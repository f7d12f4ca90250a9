"""What judgements come to: means, deviations, agreement; and the paper's table of them."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.files import read_jsonl
from limbeck.metrics.judge_items import TASK_NAMES
from limbeck.metrics.scores import HIGHEST, LOWEST
from limbeck.schema import Judgement
from limbeck.stats.correlation import correlate, exact_agreement, krippendorff_alpha

PAPER_ROWS = ("Gold", "DSS", "Ours")  # Table 7 of Chen et al. 2024
PAPER_COLUMNS = tuple(TASK_NAMES)
SINGLE, SEVERAL = "single", "self_consistency"

Summary = dict[str, dict[str, dict[str, dict[str, Any]]]]


def summarise(judgements: Sequence[Judgement]) -> Summary:
    """The scores of each run on each task: `summary[run][task]["single" or "self_consistency"]`, JSON-ready.

    Each has
        `mean`, `sd`: over the examples, of each one's mean over its runs; `sd` the sample's (n - 1);
        `n`: the examples with a score; `examples`: all of them; `runs`: how often each was asked about;
        `missing`: replies that did not come; `unread`: replies without a clear score, left out of the means;
        `alpha`: Krippendorff's (interval) between the runs; `agreement`: the share of the examples, of those with two
        scores or more, to which every run gave the same score;
        `judge`, `temperature`.
    What is undefined (`sd` of one example, `alpha` where all scores are equal or of a single run) is None.

    Self-consistency's `sd` is one of means of several runs, so by its making rather smaller than the single one's.
    """
    groups: dict[tuple[str, str, str], list[Judgement]] = {}
    for one in judgements:
        way = SINGLE if len(one.replies) == 1 else SEVERAL
        groups.setdefault((one.run, one.task, way), []).append(one)
    summary: Summary = {}
    for (run, task, way), group in groups.items():
        summary.setdefault(run, {}).setdefault(task, {})[way] = _cell(group)
    return summary


def score_correlation(judgements: Sequence[Judgement], correct: Mapping[str, bool]) -> dict[str, Any]:
    """`correlate` of one run's single scores with whether the answer was right, by example: the paper's Table 8."""
    single = [(one.score, correct[one.id]) for one in judgements if len(one.replies) == 1]
    scored = [(score, right) for score, right in single if score is not None]
    return asdict(correlate([score for score, _ in scored], [right for _, right in scored]))


def read_judgements(path: Path) -> list[Judgement]:
    """The judgements in a file that `limbeck judge` wrote.

    Raises:
        LimbeckError: no such file, or a row that is no judgement; names the line.
    """
    found = []
    for line, row in read_jsonl(path):
        try:
            one = Judgement(**{**row, "replies": tuple(row["replies"]), "scores": tuple(row["scores"])})
        except (KeyError, TypeError):
            one = None
        if one is None or not _whole(one):
            raise LimbeckError(f"{path}:{line}: no judgement; have it written anew by `limbeck judge`")
        found.append(one)
    return found


def _whole(one: Judgement) -> bool:
    """Whether the fields are what they are to be, which a file does not warrant."""
    texts = (one.id, one.task, one.run, one.label, one.rationale, one.judge)
    return (
        all(isinstance(each, str) for each in texts)
        and all(reply is None or isinstance(reply, str) for reply in one.replies)
        and all(score is None or (_number(score) and LOWEST <= score <= HIGHEST) for score in one.scores)
        and 0 < len(one.replies) == len(one.scores)
        and _number(one.temperature)
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(group: Sequence[Judgement]) -> dict[str, Any]:
    means = [score for one in group if (score := one.score) is not None]
    ratings = [one.scores for one in group]
    replies = [reply for one in group for reply in one.replies]
    missing = replies.count(None)
    return {
        "mean": statistics.fmean(means) if means else None,
        "sd": statistics.stdev(means) if len(means) > 1 else None,
        "n": len(means),
        "examples": len(group),
        "runs": max(len(one.replies) for one in group),
        "missing": missing,
        "unread": sum(score is None for row in ratings for score in row) - missing,
        "alpha": krippendorff_alpha(ratings),
        "agreement": exact_agreement(ratings),
        "judge": group[0].judge,
        "temperature": group[0].temperature,
    }


def table(
    summary: Summary, rows: Sequence[str] = PAPER_ROWS, columns: Sequence[str] = PAPER_COLUMNS
) -> list[list[str]]:
    """The paper's Table 7: for each run a row, and a row `++` with self-consistency; a column a task.

    The first row is the heading. Cells are `mean±sd (n)`, or `not run`. Runs and tasks that the paper has not follow on
    its own: name `rows` and `columns` to leave any out.
    """
    rows = [*rows, *(run for run in summary if run not in rows)] if rows is PAPER_ROWS else rows
    tasks = dict.fromkeys(task for of_run in summary.values() for task in of_run)
    columns = [*columns, *(task for task in tasks if task not in columns)] if columns is PAPER_COLUMNS else columns
    found = [["Model", *(TASK_NAMES.get(task, task) for task in columns)]]
    for run in rows:
        for head, way in ((run, SINGLE), ("++", SEVERAL)):
            found.append([head, *(_shown(summary.get(run, {}).get(task, {}).get(way)) for task in columns)])
    return found


def _shown(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "not run"
    if cell["mean"] is None:
        return "no score"
    deviation = "" if cell["sd"] is None else f"±{cell['sd']:.2f}"
    return f"{cell['mean']:.2f}{deviation} ({cell['n']})"
