"""The command line, the files that it reads and those that it writes, and names changed since the reference files."""

import contextlib
import csv
import io
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from limbeck.cli import main

OBJECTIVES = ("finetune", "single-task", "answer-first", "dss", "mi", "mi-official", "mi-mean", "kl")

# Keys of outputs and names of a report's tables renamed since the reference files were written: {old: new}.
RENAMED: dict[str, str] = {}
# Keys of outputs dropped on purpose since then, by their old names.
DROPPED = frozenset(
    {"bootstrap_interval", "bootstrap_p_value", "mcnemar_exact", "odds_ratio", "components"}
    | {"counts-custom", "labels-custom", "reliability-custom-dss", "reliability-custom-mi"}
    | {"ece_range_if_calibrated", "adaptive_ece_range_if_calibrated"}
    | {"wanted", "given_up", "other_replies", "passed", "length_ratio"}
    | {
        f"{name}{key}"
        for name in ("mce", "classwise_ece")
        for key in ("", "_interval", "_expected_if_calibrated", "_range_if_calibrated", "_p_value")
    }
)


def limbeck(*words: str) -> Any:
    """Run the command line and return what it prints, read as JSON where it is JSON."""
    output, errors = io.StringIO(), io.StringIO()
    argv = mock.patch.object(sys, "argv", ["limbeck", *words])
    with argv, contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            main()
        except SystemExit as end:
            assert not end.code, errors.getvalue()
    text = output.getvalue()
    return json.loads(text) if text.startswith("{") else text


def recipe(
    model: Path | dict[str, Path],
    objective: str,
    *,
    steps: int,
    learning_rate: float,
    batch_size: int = 4,
    logging_steps: int = 1,
    seed: int = 3,
) -> dict[str, Any]:
    """Return a recipe on train.jsonl, valid.jsonl and test.jsonl; a pair of encoders is a dict of its two sides."""
    names = {"name": model} if isinstance(model, Path) else model
    source = {"kind": "files", **{f"{split}_file": f"{split}.jsonl" for split in ("train", "valid", "test")}}
    return {
        "data": {"task": "custom", "source": source, "max_overlap": 1.0},
        "student": {**{name: str(path) for name, path in names.items()}, "max_target_length": 20},
        "objective": objective,
        "training": {
            "max_steps": steps,
            "per_device_train_batch_size": batch_size,
            "learning_rate": learning_rate,
            "optim": "sgd",  # Adam magnifies rounding errors, which differ between processors
            "logging_steps": logging_steps,
            "eval_strategy": "no",
            "save_strategy": "no",
            "use_cpu": True,
        },
        "seed": seed,
    }


def grid(recipe: dict[str, Any]) -> dict[str, Any]:
    return {"recipe": {**recipe, "seed": 0}, "axes": {"objective": ["dss", "mi"]}, "seeds": [1, 2]}


def annotation_job(url: str) -> dict[str, Any]:
    """Return a job that asks the model at `url` three times for each row of questions.jsonl."""
    return {
        "rows": "questions.jsonl",
        "teacher": {"name": "m", "base_url": url},
        "prices": {"input": 10, "output": 100},
        "sampling": {"samples": 3},
        "limits": {"concurrency": 1},
    }


def judge(url: str) -> dict[str, Any]:
    """Return the settings of a judge at `url`."""
    return {"teacher": {"name": "judge", "base_url": url}, "n": 6, "runs": 2, "limits": {"concurrency": 1}}


def steps(run: Path) -> dict[str, list[float | None]]:
    """Return the loss, each term's mean and each term's share of the gradient, by step, from a run's log."""
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    entries = [entry for entry in entries if "loss" in entry]
    names = dict.fromkeys(name for entry in entries for name in entry if name.startswith(("loss", "term_", "share_")))
    return {name: [entry.get(name) for entry in entries] for name in sorted(names)}


def report_tables(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Return the tables of a report by name, as the numbers that there are in each row, and its comparisons."""
    tables = {"comparisons": json.loads((folder / "report.json").read_text())["comparisons"]}
    for path in sorted((folder / "tables").glob("*.csv")):
        rows = csv.DictReader(path.read_text().splitlines())
        tables[path.stem] = [{key: float(text) for key, text in row.items() if _is_number(text)} for row in rows]
    return tables


def _is_number(text: str) -> bool:
    with contextlib.suppress(ValueError):
        float(text)
        return True
    return False


def read_lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def write_yaml(path: str, values: dict[str, Any]) -> None:
    Path(path).write_text(yaml.safe_dump(values))
