"""Folders of finished runs made by hand, for reports: nothing is trained."""

import json
import random
from pathlib import Path
from typing import Any

from limbeck.data import DataSettings, load
from limbeck.paper import paper_section
from limbeck.report import write_report
from tests.helpers.archives import write_rows, write_run
from tests.runs.recipes import TINY, rows_of

ARITHMETIC: dict[str, Any] = {
    "task": "arithmetic",
    "source": {"kind": "generated", "train_rows": 4, "valid_rows": 2, "test_rows": 60},
}
PROVENANCE = {"limbeck": "0.1.0", "data": {"test": {"rows": 60, "sha256": "a" * 64}}}
REASON = "There were so many of them, and some were taken away. "


def questions(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The data of a task of one's own: `rows` as train, valid and test, in files of `folder`."""
    path = write_rows(folder / "rows.jsonl", rows)
    names = dict.fromkeys(("train_file", "valid_file", "test_file"), str(path))
    return {"task": "custom", "source": {"kind": "files", **names}}


def finished(
    folder: Path,
    objective: str,
    seed: int,
    data: dict[str, Any] | None = None,
    *,
    right: float = 0.7,
    steps: int = 400,
    answers: dict[str, str] | None = None,
    rationale: str | None = REASON,
    evaluation: dict[str, Any] | None = None,
) -> Path:
    """Write a finished run's folder: a share `right` of its answers to the test split is right; `answers` are by id."""
    recipe = {**TINY, "data": data or ARITHMETIC, "objective": objective, "seed": seed, "evaluation": evaluation or {}}
    recipe["training"] = {**TINY["training"], "max_steps": steps}
    rng = random.Random(f"{objective}{seed}")
    rows = []
    for example in load(DataSettings.parse(data or ARITHMETIC, "test")).test:
        correct = rng.random() < right
        answer = (answers or {}).get(example.id) or (example.label if correct else "( 1.0 + 1.0 )")
        row = {"id": example.id, "input": example.input, "label": example.label, "prediction": answer}
        row |= {"correct": correct, "exact": correct, "confidence": round(rng.random(), 5)}
        rows.append(row if objective == "finetune" or rationale is None else {**row, "rationale": rationale})
    write_rows(folder / "log.jsonl", log(objective, steps, rng))
    share = sum(row["correct"] for row in rows) / len(rows)
    measured = {"accuracy": share, "interval": [0.0, 1.0], "exact": share, "n": len(rows)}
    results = {"training": {"examples": 4, "steps": steps}, "test": measured}
    return write_run(folder, recipe, rows, results=results, provenance=PROVENANCE)


def judge(
    run: Path,
    scores: dict[str, Any],
    *,
    gold: bool = False,
    model: str = "large",
    rationales: dict[str, str | None] | None = None,
) -> None:
    """Add judgements of a run's rationales, or of the teacher's, by the example's id: a score, or some of one model."""
    path, rows = run / "evaluation" / "judge-test.jsonl", []
    answers = {row["id"]: row for row in rows_of(run / "predictions" / "test.jsonl")}
    for id, score in scores.items():
        values = score if isinstance(score, tuple) else (score,)
        rationale = (rationales or {}).get(id, answers[id]["rationale"])
        text = {"label": answers[id]["prediction"], "rationale": rationale, "task": "t"}
        request = {"id": id, "run": "Gold" if gold else "x", "judge": model, "temperature": 0}
        rows.append({**request, **text, "replies": list(map(str, values)), "scores": list(values)})
    write_rows(path, [*(rows_of(path) if path.exists() else []), *rows])


def log(objective: str, steps: int, rng: random.Random) -> list[dict[str, Any]]:
    terms = {"finetune": ["label"], "dss": ["label", "rationale"]}.get(objective, ["label", "rationale", "alignment"])
    rows: list[dict[str, Any]] = []
    for step in range(10, steps + 1, 10):
        values = {f"term_{name}": 3 / step**0.5 + rng.random() / 10 for name in terms}
        rows.append({**values, **{f"share_{name}": 1 / len(terms) for name in terms}, "loss": 1.0, "step": step})
    return [*rows, {"eval_accuracy": 0.5, "step": steps // 2}, {"eval_accuracy": 0.7, "step": steps}]


def report_of(*paths: Path, out: Path | None = None) -> dict[str, Any]:
    """Return report.json of these folders' runs; the report is written to `out`, or into the first."""
    folder = write_report(paths, out or paths[0] / "report", paper_section).parent
    return json.loads((folder / "report.json").read_text())


def tables_of(report: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of a report by name, those of figures too."""
    figures = [figure["table"] for section in report["sections"] for figure in section["figures"]]
    tables = [table for section in report["sections"] for table in section["tables"]]
    return {table["name"]: table for table in [*tables, *figures]}
