"""The judge on runs: their rationales, and the teacher's beside them, scored by a large model."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from limbeck.errors import DataError, RecipeError
from limbeck.files import read_jsonl, write_jsonl
from limbeck.llm.runner import Tally
from limbeck.metrics.judge import Item, JudgeSettings, judge
from limbeck.metrics.judgements import score_correlation, summarise, table
from limbeck.runs.domain import Domain, domain_of
from limbeck.runs.judgements import GOLD, judgement_files
from limbeck.runs.run import Run, open_run
from limbeck.tasks import Split

PAPER = {"dss": "DSS", "mi": "Ours"}  # their names in the paper's Table 7


def judge_runs(
    paths: Sequence[Path],
    settings: JudgeSettings,
    *,
    split: Split = "test",
    dataset: str | None = None,
    root: Path | None = None,
    watch: Callable[[Tally, float | None], None] = lambda _tally, _cost: None,
) -> dict[str, Any]:
    """Have the rationales of finished runs judged, and the teacher's to the same examples.

    Each run's judgements are written to `evaluation/judge-SPLIT.jsonl` in its folder, and those of the teacher's
    rationales to `judge-gold-SPLIT.jsonl`. `dataset` and `root` are those of `evaluate`, whose files are NAME-SPLIT.

    Returns:
        `summary` as of `summarise`; `table`, the paper's Table 7; and by run the `correlation` of right answers with
        their rationales' scores (the paper's Table 8).

    Raises:
        LimbeckError: no finished run there, its data is gone, it has no rationales for the split, two runs have
            different examples under one id, or as `judge`.
    """
    runs = [open_run(path) for path in paths]
    names = _names(runs)
    items: dict[tuple[str, str, str], Item] = {}
    correct: dict[str, dict[str, bool]] = {name: {} for name in names}
    domains = [domain_of(run, split, dataset, root) for run in runs]
    for name, run, domain in zip(names, runs, domains, strict=True):
        for item, right in _items(name, run, domain):
            first = items.setdefault((item.run, item.task, item.example.id), item)
            if first.example != item.example:  # the teacher's, of an earlier run
                raise DataError(
                    f"its example {item.example.id!r:.60} differs from that of {runs[0].path}; judge runs of "
                    "different data separately",
                    path=run.path,
                )
            if item.run == name:
                correct[name][item.example.id] = right
    judgements = judge(list(items.values()), settings, watch)
    for name, run, domain in zip(names, runs, domains, strict=True):
        for file, owner in zip(judgement_files(run, domain.name), (name, GOLD), strict=True):
            write_jsonl(
                file,
                (
                    asdict(judgement)
                    for judgement in judgements
                    if (judgement.run, judgement.task) == (owner, domain.task.name)
                ),
            )
    summary = summarise(judgements)
    return {
        "summary": summary,
        "table": table(summary),
        "correlation": {
            name: score_correlation([judgement for judgement in judgements if judgement.run == name], correct[name])
            for name in names
        },
    }


def _names(runs: Sequence[Run]) -> list[str]:
    """Return the paper's names of the runs, or their folders' names where those are clearer."""
    names = [PAPER.get(run.recipe.objective.name, run.path.name) for run in runs]
    counts = Counter(names)
    names = [str(run.path) if counts[name] > 1 else name for name, run in zip(names, runs, strict=True)]
    if len(set(names)) < len(names) or GOLD in names:
        raise RecipeError(f"runs to be judged need names of their own, not {names!r:.200}")
    return names


def _items(name: str, run: Run, domain: Domain) -> list[tuple[Item, bool]]:
    """Return a run's rationales and the teacher's, each with whether its answer is right."""
    examples = {example.id: example for example in domain.examples}
    path, task = run.predictions(domain.name), domain.task.name
    items = []
    for line, row in read_jsonl(path):
        example = examples.get(str(row.get("id")))
        if example is None or not isinstance(row.get("rationale"), str) or not isinstance(row.get("prediction"), str):
            raise DataError(
                "no rationale of an example of this run; write them with "
                f"`limbeck evaluate {run.path} --split {domain.split} --rationale`",
                path=path,
                line=line,
            )
        items.append((Item(name, task, example, row["prediction"], row["rationale"]), row.get("correct") is True))
        if example.rationale is not None:
            items.append((Item(GOLD, task, example, example.label, example.rationale), True))
    return items
