"""The judge on runs: their rationales, and the teacher's beside them, scored by a large model."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError
from limbeck.metrics.judge import JudgeSettings, judge
from limbeck.metrics.judge_items import Item
from limbeck.metrics.judged import score_correlation, summarise, table
from limbeck.runs.domain import Domain, domain_of
from limbeck.runs.run import Run, open_run
from limbeck.files import read_jsonl, write_jsonl
from limbeck.tasks import Split
from limbeck.llm.runner import Tally

GOLD = "Gold"  # the teacher's rationales
PAPER = {"dss": "DSS", "mi": "Ours"}  # what the paper's Table 7 calls them


def judge_runs(
    paths: Sequence[Path],
    settings: JudgeSettings,
    split: Split = "test",
    watch: Callable[[Tally, float | None], None] = lambda _tally, _cost: None,
    on: str | None = None,
    root: Path | None = None,
) -> dict[str, Any]:
    """Have the rationales of finished runs judged, and the teacher's to the same examples.

    Each run's judgements are written to `evaluation/judge-SPLIT.jsonl` in its folder, and those of the teacher's
    rationales beside them, to `judge-gold-SPLIT.jsonl`. `on` and `root` are as `evaluate` has them: then it is
    NAME-SPLIT.

    Returns:
        `summary` as `summarise` has it; `table`, the paper's Table 7 of it; and by run the `correlation` of an answer
        being right with its rationale's score (the paper's Table 8).

    Raises:
        LimbeckError: no finished run there, its data has gone, it has no rationales for the split, two runs have
            other examples under the same id, or as `judge`.
    """
    runs = [open_run(path) for path in paths]
    names = _names(runs)
    items: dict[tuple[str, str, str], Item] = {}
    correct: dict[str, dict[str, bool]] = {name: {} for name in names}
    domains = [domain_of(run, split, on, root) for run in runs]
    for name, run, domain in zip(names, runs, domains, strict=True):
        for item, right in _items(name, run, domain):
            first = items.setdefault((item.run, item.task, item.example.id), item)
            if first.example != item.example:  # the teacher's, of an earlier run
                raise LimbeckError(
                    f"{run.path}: its example {item.example.id!r:.60} is another one than in {runs[0].path}; "
                    "judge runs of other data apart"
                )
            if item.run == name:
                correct[name][item.example.id] = right
    judgements = judge(list(items.values()), settings, watch)
    for name, run, domain in zip(names, runs, domains, strict=True):
        for file, whose in (("judge", name), ("judge-gold", GOLD)):
            rows = [asdict(one) for one in judgements if one.run == whose and one.task == domain.task.name]
            write_jsonl(run.path / "evaluation" / f"{file}-{domain.name}.jsonl", rows)
    summary = summarise(judgements)
    return {
        "summary": summary,
        "table": table(summary),
        "correlation": {
            name: score_correlation([one for one in judgements if one.run == name], correct[name]) for name in names
        },
    }


def _names(runs: Sequence[Run]) -> list[str]:
    """What the paper calls them, or their folders' names where that tells them apart better."""
    names = [PAPER.get(run.recipe.objective.name, run.path.name) for run in runs]
    twice = {name for name, count in Counter(names).items() if count > 1}
    names = [str(run.path) if name in twice else name for name, run in zip(names, runs, strict=True)]
    if len(set(names)) < len(names) or GOLD in names:
        raise LimbeckError(f"runs to be judged need names of their own, not {names!r:.200}")
    return names


def _items(name: str, run: Run, domain: Domain) -> list[tuple[Item, bool]]:
    """A run's rationales and the teacher's, and whether the run's answer is right."""
    examples = {example.id: example for example in domain.examples}
    path, task = run.predictions(domain.name), domain.task.name
    found = []
    for line, row in read_jsonl(path):
        example = examples.get(str(row.get("id")))
        if example is None or not isinstance(row.get("rationale"), str) or not isinstance(row.get("prediction"), str):
            raise LimbeckError(
                f"{path}:{line}: no rationale of an example of this run; write them with "
                f"`limbeck evaluate {run.path} --split {domain.split} --rationale`"
            )
        found.append((Item(name, task, example, row["prediction"], row["rationale"]), row.get("correct") is True))
        if example.rationale is not None:
            found.append((Item(GOLD, task, example, example.label, example.rationale), True))
    return found
