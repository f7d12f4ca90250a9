"""Provenance in a report: versions, machines, data hashes, and the recipes with the fields in which they differ."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from limbeck.errors import LimbeckError
from limbeck.files import read_json
from limbeck.runs.groups import RunGroup
from limbeck.runs.run import Run, flat


def origin(groups: Sequence[RunGroup]) -> dict[str, Any]:
    """Return `facts`: by name (`revision`, `torch`, `machine`) the values, each with the number of runs that have it.

    Also `data`, rows and hashes by task and split; `recipes` by task and run group; `differences` between the recipes
    of a task; `unknown`, the runs whose provenance cannot be read.
    """
    facts: dict[str, Counter[str]] = {}
    data: Counter[tuple[str, str, str, str]] = Counter()
    unknown = []
    for group in groups:
        for run in group.runs:
            provenance = _provenance(run)
            if provenance is None:
                unknown.append(str(run.path))
                continue
            for name, value in _facts(provenance).items():
                facts.setdefault(name, Counter())[value] += 1
            for split, entry in _mapping(provenance.get("data")).items():
                rows, digest = _mapping(entry).get("rows"), _mapping(entry).get("sha256")
                data[group.task, str(split), str(rows), str(digest)] += 1
    return {
        "facts": {
            name: [{"value": value, "runs": count} for value, count in counts.items()] for name, counts in facts.items()
        },
        "data": [
            {"task": task, "split": split, "rows": rows, "sha256": digest, "runs": count}
            for (task, split, rows, digest), count in data.items()
        ],
        "differences": _differences(groups),
        "recipes": [
            {
                "task": group.task,
                "group": group.name,
                "seeds": [run.recipe.seed for run in group.runs],
                "runs": [str(run.path) for run in group.runs],
                "yaml": yaml.safe_dump(group.recipe.resolved(), sort_keys=False, allow_unicode=True),
            }
            for group in groups
        ],
        "unknown": unknown,
    }


def _differences(groups: Sequence[RunGroup]) -> list[dict[str, Any]]:
    """Return for each task the names of its `groups` and the `fields` that differ."""
    differences = []
    for task in dict.fromkeys(group.task for group in groups):
        of_task = [group for group in groups if group.task == task]
        if fields := _differing(of_task):
            differences.append({"task": task, "groups": [group.name for group in of_task], "fields": fields})
    return differences


def _differing(groups: Sequence[RunGroup]) -> list[dict[str, Any]]:
    recipes = [flat(group.recipe.resolved()) for group in groups]
    keys = dict.fromkeys(key for recipe in recipes for key in recipe if key != "seed")
    rows = [{"field": key, "values": [str(recipe.get(key, "")) for recipe in recipes]} for key in keys]
    return [row for row in rows if len(set(row["values"])) > 1]


def _facts(provenance: Mapping[str, Any]) -> dict[str, str]:
    machine = _mapping(provenance.get("machine"))
    hardware = f"{machine.get('platform')}, {machine.get('cores')} cores, {machine.get('device')}"
    facts = {"limbeck": provenance.get("limbeck"), "revision": provenance.get("revision") or "not a checkout"}
    facts |= _mapping(provenance.get("versions"))
    return {name: str(value) for name, value in facts.items()} | {"machine": hardware if machine else "not recorded"}


def _provenance(run: Run) -> dict[str, Any] | None:
    try:
        provenance = read_json(run.path / "provenance.json")
    except LimbeckError:
        return None
    return provenance if isinstance(provenance, dict) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
