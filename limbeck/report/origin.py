"""Where the numbers come from: versions, data, machines, and the recipes with what differs between them."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from limbeck.errors import LimbeckError
from limbeck.files import read_json
from limbeck.runs.groups import Arm
from limbeck.runs.run import Run, flat


def origin(arms: Sequence[Arm]) -> dict[str, Any]:
    """By what is said (`revision`, `torch`, `machine` ...) the values there are, each with how many runs have it.

    Also `data`, rows and hashes by task and split; `recipes`, by task and arm; `differences` between the recipes of a
    task; `unknown`, the runs whose provenance is not there.
    """
    facts: dict[str, dict[str, int]] = {}
    data: dict[tuple[str, str, str, str], int] = {}
    unknown = []
    for arm in arms:
        for run in arm.runs:
            found = _provenance(run)
            if found is None:
                unknown.append(str(run.path))
                continue
            for name, said in _facts(found).items():
                values = facts.setdefault(name, {})
                values[said] = values.get(said, 0) + 1
            for split, one in _mapping(found.get("data")).items():
                rows, digest = _mapping(one).get("rows"), _mapping(one).get("sha256")
                key = (arm.task, str(split), str(rows), str(digest))
                data[key] = data.get(key, 0) + 1
    return {
        "facts": {name: [{"value": said, "runs": count} for said, count in v.items()] for name, v in facts.items()},
        "data": [
            {"task": task, "split": split, "rows": rows, "sha256": digest, "runs": count}
            for (task, split, rows, digest), count in data.items()
        ],
        "differences": _by_task(arms),
        "recipes": [
            {
                "task": arm.task,
                "arm": arm.name,
                "seeds": [run.recipe.seed for run in arm.runs],
                "runs": [str(run.path) for run in arm.runs],
                "yaml": yaml.safe_dump(arm.recipe.resolved(), sort_keys=False, allow_unicode=True),
            }
            for arm in arms
        ],
        "unknown": unknown,
    }


def _by_task(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """`tasks`, the names of their `arms` and the `fields` in which they differ; tasks that are alike in it together."""
    found: list[dict[str, Any]] = []
    for task in dict.fromkeys(arm.task for arm in arms):
        of_task = [arm for arm in arms if arm.task == task]
        one = {"arms": [arm.name for arm in of_task], "fields": differences(of_task)}
        like = [other for other in found if {**other, "tasks": None} == {**one, "tasks": None}]
        if like:
            like[0]["tasks"].append(task)
        elif one["fields"]:
            found.append({"tasks": [task], **one})
    return found


def differences(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """The fields in which arms differ: `field`, and `values` in the order of the arms, empty where one has no such."""
    every = [flat(arm.recipe.resolved()) for arm in arms]
    keys = dict.fromkeys(key for one in every for key in one if key != "seed")
    rows = [{"field": key, "values": [_value(one, key) for one in every]} for key in keys]
    return [row for row in rows if len(set(row["values"])) > 1]


def _facts(found: Mapping[str, Any]) -> dict[str, str]:
    machine = _mapping(found.get("machine"))
    hardware = f"{machine.get('platform')}, {machine.get('cores')} cores, {machine.get('device')}"
    said = {"limbeck": found.get("limbeck"), "revision": found.get("revision") or "not a checkout"}
    return {name: str(value) for name, value in {**said, **_mapping(found.get("versions"))}.items()} | {
        "machine": hardware if machine else "not recorded"
    }


def _provenance(run: Run) -> dict[str, Any] | None:
    try:
        found = read_json(run.path / "provenance.json")
    except LimbeckError:
        return None
    return found if isinstance(found, dict) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _value(values: Mapping[str, Any], key: str) -> str:
    return str(values[key]) if key in values else ""
