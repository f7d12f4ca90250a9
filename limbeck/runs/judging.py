"""The judge on runs: their rationales and the teacher's, scored by a large model."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from limbeck.errors import DataError, RecipeError
from limbeck.files import read_json, read_jsonl, write_jsonl
from limbeck.llm.runner import Watch, unwatched
from limbeck.metrics import judgements as scores
from limbeck.metrics.judge import Item, JudgeSettings, judge
from limbeck.runs.domain import Domain, domain_of
from limbeck.runs.page import read_as_page, write_page
from limbeck.runs.run import Run, open_run
from limbeck.schema import Judgement
from limbeck.tasks import Split

GOLD = "Gold"  # the teacher's rationales
_PAPER = {"dss": "DSS", "mi": "Ours"}  # names in the paper's Table 7


def judge_runs(
    paths: Sequence[Path],
    settings: JudgeSettings,
    *,
    split: Split = "test",
    dataset: str | None = None,
    root: Path | None = None,
    watch: Watch = unwatched,
) -> dict[str, Any]:
    """Have the rationales of finished runs judged, and the teacher's of the same examples; add it to their pages.

    Runs that learnt no rationales are left out, unless none did. Each folder gets `evaluation/judge-NAME.jsonl`; NAME,
    `dataset` and `root` are those of `evaluate`. Returns the `summary`, and by run the `correlation` of scores and
    answers.
    """
    runs = [open_run(path) for path in paths]
    runs = [run for run in runs if run.writes_rationales] or runs
    jobs = [(name, run, domain_of(run, split, dataset, root)) for name, run in zip(_names(runs), runs, strict=True)]
    items: dict[tuple[str, str, str], Item] = {}
    for name, run, domain in jobs:
        for item in _items(name, run, domain):
            first = items.setdefault((item.run, item.task, item.example.id), item)
            if first.example != item.example:  # the teacher's, of another run
                raise DataError(f"example {item.example.id!r:.60} differs from {runs[0].path}'s", path=run.path)
    judgements = judge(list(items.values()), settings, watch)
    correlation = {}
    for name, run, domain in jobs:
        rows = [asdict(j) for j in judgements if j.run in (name, GOLD) and j.task == domain.task.name]
        write_jsonl(_file(run, domain.name), rows)
        section = judge_scores(run, domain.name)
        correlation[name] = section["correlation"]
        if (path := run.path / "evaluation" / f"{domain.name}.json").is_file():
            page = read_json(path)
            with read_as_page(path):
                page["reasons"].pop("judge", None)
                write_page(path.parent, domain.name, {**page, "judge": section})
    return {"summary": scores.summarise(judgements), "correlation": correlation}


def judge_scores(run: Run, name: str) -> dict[str, Any]:
    """Return the `name` that a run was judged under, the `summary` and the `correlation`."""
    judgements = read_judgements(run, name)
    students = [judgement for judgement in judgements if judgement.run != GOLD]
    if not students:
        raise DataError("not judged: limbeck evaluate RUN --judge FILE does that")
    correct = {str(row["id"]): row.get("correct") is True for _, row in read_jsonl(run.predictions(name))}
    rated = {j.id: j.score for j in students if j.single and j.score is not None}
    return {
        "name": students[0].run,
        "summary": scores.summarise(sorted(judgements, key=lambda judgement: judgement.run != GOLD)),
        "correlation": scores.correlate([*rated.values()], [correct[id] for id in rated]),
    }


def read_judgements(run: Run, name: str = "test") -> list[Judgement]:
    """Return the judgements of the rationales that a run has now, and of the teacher's."""
    path = _file(run, name)
    if not path.is_file():
        return []
    rows = [row for _, row in read_jsonl(run.predictions(name))]  # as they were judged: "None" may be an answer
    present = {(str(row.get("id")), row.get("rationale"), row.get("prediction")) for row in rows}
    return [j for j in scores.read_judgements(path) if j.run == GOLD or (j.id, j.rationale, j.label) in present]


def _file(run: Run, name: str) -> Path:
    return run.path / "evaluation" / f"judge-{name}.jsonl"


def _names(runs: Sequence[Run]) -> list[str]:
    names = [_PAPER.get(run.recipe.objective.name, str(run.path)) for run in runs]
    names = [str(run.path) if names.count(name) > 1 else name for name, run in zip(names, runs, strict=True)]
    if len({*names, GOLD}) <= len(names):
        raise RecipeError(f"the same run is named twice: {names!r:.200}")
    return names


def _items(name: str, run: Run, domain: Domain) -> list[Item]:
    examples = {example.id: example for example in domain.examples}
    path, task = run.measured_predictions(domain.name), domain.task.name
    items = []
    for line, row in read_jsonl(path):
        example = examples.get(str(row.get("id")))
        if example is None or not isinstance(row.get("rationale"), str) or not isinstance(row.get("prediction"), str):
            command = f"limbeck evaluate {run.path} --split {domain.split} --rationale"
            raise DataError(f"no rationale of an example; `{command}` writes it", path=path, line=line)
        items.append(Item(name, task, example, row["prediction"], row["rationale"]))
        if example.rationale is not None:
            items.append(Item(GOLD, task, example, example.label, example.rationale))
    return items
