"""Small archives in the released layout, files of rows and folders of runs, for the tests of what reads them."""

import json
from pathlib import Path
from typing import Any

import yaml

from limbeck.data import DataSettings
from limbeck.files import sha256
from limbeck.runs import Run


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_shards(folder: Path, split: str, outputs: list[str], size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(outputs), size)):
        (folder / f"{split}_CoT_{number}.json").write_text(json.dumps(outputs[start : start + size]))


def write_run(
    folder: Path, recipe: dict[str, Any], rows: list[dict[str, Any]], name: str = "test", **files: Any
) -> Path:
    """Write a finished run's folder as far as reports read it; `files` are `results`, and others of JSON by name."""
    measured = {"accuracy": 0.5, "interval": [0.0, 1.0], "n": len(rows)}
    results = {"valid": measured, "test": measured, "training": {"examples": 4, "steps": 4}}
    origin = {"limbeck": "0.1.0", "machine": {}, "data": {}, "started": "2026-01-01T00:00:00+00:00"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    files = {**files, "results": results | files.get("results", {}), "provenance": origin | files.get("provenance", {})}
    for file, values in files.items():
        (folder / f"{file}.json").write_text(json.dumps(values))
    write_rows(folder / "predictions" / f"{name}.jsonl", rows)
    return folder


def replace_predictions(run: Run, name: str, rows: list[dict[str, Any]]) -> None:
    """Write other predictions into a finished run, as if they had been measured."""
    write_rows(run.predictions(name), rows)
    hashes = run.results["predictions"] | {name: sha256(run.predictions(name))}
    run.write_results(run.results | {"predictions": hashes})


def archive_settings(root: Path, task: str = "svamp", **fields: Any) -> DataSettings:
    source = {"kind": "archive", "root": str(root)}
    return DataSettings.parse({"task": task, "source": source, **fields}, "test")


def file_settings(source: Path | dict[str, Any], task: str = "custom", **fields: Any) -> DataSettings:
    """Return the settings of files: the training file, or the fields of a source."""
    source = {"kind": "files", **(source if isinstance(source, dict) else {"train_file": source})}
    return DataSettings.parse({"task": task, "source": source, **fields}, "test")
