"""Every name of the package that these tests use: its command line, its verbs, and the keys of its files.

Only this file has to follow a renaming; the reference files stay as they are.
"""

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

TRAIN = ("train", "recipe.yaml", "--json")
EVALUATE = ("evaluate", "--json", "--rationale")
PREDICT = ("predict", "--input", "test.jsonl", "--output", "answers.jsonl", "--rationale")
COMPARE = ("compare", "--json")
CALIBRATE = ("calibrate", "--json")
DATA_SHOW = ("data", "show", "recipe.yaml", "--json")
LIST_OBJECTIVES = ("objectives", "--json")
GRID = ("grid", "grid.yaml", "--dry-run", "--json")
REPORT = ("report", "runs", "--output", "report", "--json")
JUDGE = ("judge", "--config", "judge.yaml", "--json")
ANNOTATE = ("annotate", "run", "annotate.yaml", "--json")
SHOW_ANNOTATION = ("annotate", "show", "annotate.yaml", "--json")
EXPORT_ANNOTATION = ("annotate", "export", "annotate.yaml", "--output", "exported.jsonl")


def limbeck(*words: str) -> Any:
    """Run the command line and return what it prints, read as JSON where it is JSON."""
    output, errors = io.StringIO(), io.StringIO()
    code: Any = 0
    argv = mock.patch.object(sys, "argv", ["limbeck", *words])
    with argv, contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            main()
        except SystemExit as end:
            code = end.code
    assert not code, errors.getvalue()
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
    """Return a grid of two objectives and two seeds."""
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


def evaluation_page(run: Path) -> Any:
    """Return everything that was measured of a run's test split."""
    return json.loads((run / "evaluation" / "test.json").read_text())


def report_tables(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Return the tables of a report by name: a dict of the numbers that there are, for each cell."""
    tables = {}
    for path in sorted((folder / "tables").glob("*.csv")):
        with path.open(newline="") as stream:
            tables[path.stem] = [_numbers(row) for row in csv.DictReader(stream)]
    return tables


def _numbers(row: dict[str, str]) -> dict[str, float]:
    numbers = {}
    for key, text in row.items():
        with contextlib.suppress(ValueError):
            numbers[key] = float(text)
    return numbers


def report_comparisons(folder: Path) -> Any:
    """Return the comparisons of a report's run groups."""
    return json.loads((folder / "report.json").read_text())["comparisons"]


def read_lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def write_yaml(path: str, values: dict[str, Any]) -> None:
    Path(path).write_text(yaml.safe_dump(values))
