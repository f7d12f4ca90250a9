"""Runs found in folders and grouped into arms."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from limbeck.errors import LimbeckError
from limbeck.runs.groups import arms, correct, find_runs
from tests.runs.recipes import TINY

NOBODY = 65534


def made(folder, right=None, **changes):
    """A run's folder as far as reports read it, finished where `right` says which of its answers are."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(TINY | changes))
    if right is not None:
        (folder / "results.json").write_text("{}")
        (folder / "predictions").mkdir()
        rows = [{"id": id, "label": "1", "prediction": "1" if yes else "2"} for id, yes in right.items()]
        (folder / "predictions" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_seeds_of_a_recipe_are_an_arm_and_arms_are_named_by_what_differs(tmp_path):
    for seed in (3, 1):
        made(tmp_path / "deep" / f"dss{seed}", {"a": seed == 1, "b": True}, seed=seed)
    training = TINY["training"] | {"max_steps": 9}
    made(tmp_path / "longer", {"a": True}, training=training, objective="mi")
    made(tmp_path / "mi", {"a": True}, objective="mi")
    made(tmp_path / "unfinished", objective="kl")
    found = find_runs([tmp_path, tmp_path / "mi"])
    assert len(found) == 5
    grouped = arms(found)
    names = {arm.name: [run.recipe.seed for run in arm.runs] for arm in grouped}
    assert names == {
        "dss, training.max_steps=4": [1, 3],
        "mi, training.max_steps=9": [7],
        "mi, training.max_steps=4": [7],
    }
    (dss,) = (arm for arm in grouped if arm.parts[0] == "dss")
    assert dss.task == "arithmetic"
    assert np.array_equal(correct(dss.runs), [[True, True], [False, True]])


def test_a_name_has_no_field_that_tells_nothing_more_and_is_alike_over_objectives(tmp_path):
    small = {**TINY["student"], "scratch": {**TINY["student"]["scratch"], "d_model": 8, "d_ff": 8}}
    mi = {"name": "mi", "alignment_weight": 0.2}
    for name, changes in {
        "a": {"objective": "dss"},
        "b": {"objective": "dss", "student": small},
        "c": {"objective": "mi"},
        "d": {"objective": mi},
        "e": {"objective": "dss", "student": small, "data": {**TINY["data"], "train_fraction": 0.5}},
    }.items():
        made(tmp_path / name, {"x": True}, **changes)
    assert [arm.name for arm in arms(find_runs([tmp_path]))] == [
        "dss, data.train_fraction=1.0, student.scratch.d_ff=16",
        "dss, data.train_fraction=1.0, student.scratch.d_ff=8",
        "mi, data.train_fraction=1.0, student.scratch.d_ff=16, objective.alignment_weight=0.1",
        "mi, data.train_fraction=1.0, student.scratch.d_ff=16, objective.alignment_weight=0.2",
        "dss, data.train_fraction=0.5, student.scratch.d_ff=8",
    ]


def test_a_name_has_the_fields_in_which_its_own_task_differs(tmp_path):
    other = {"task": "custom", "source": {"kind": "files", "train_file": "rows.jsonl"}}
    half, longer = {**other, "train_fraction": 0.5}, TINY["training"] | {"max_steps": 9}
    for name, changes in {
        "a": {"data": other},
        "b": {"training": longer},
        "c": {"data": half},
        "d": {},
        "e": {"data": other, "objective": "mi"},
        "f": {"objective": {"name": "mi", "alignment_weight": 0.2}},
        "g": {"data": other, "objective": {"name": "mi", "alignment_weight": 0.2}},
    }.items():
        made(tmp_path / name, {"x": True}, **changes)
    assert [arm.name for arm in arms(find_runs([tmp_path]))] == [
        "dss, data.train_fraction=1.0",
        "dss, training.max_steps=9",
        "dss, data.train_fraction=0.5",
        "dss, training.max_steps=4",
        "mi, data.train_fraction=1.0, objective.alignment_weight=0.1",
        "mi, training.max_steps=4",
        "mi, data.train_fraction=1.0, objective.alignment_weight=0.2",
    ]


def test_examples_that_one_run_lacks_are_left_out_of_all(tmp_path):
    made(tmp_path / "one", {"a": True, "b": False, "c": True}, seed=1)
    made(tmp_path / "two", {"c": False, "b": True}, seed=2)
    (arm,) = arms(find_runs([tmp_path]))
    assert np.array_equal(correct(arm.runs), [[False, True], [True, False]])


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # nobody may come from above
    tmp_path.chmod(0o755)
    made(Path("runs/one"), {"a": True})
    made(Path("runs/closed"), {"a": True}).chmod(0)
    root = os.geteuid() == 0  # who may read everything
    try:
        if root:
            os.seteuid(NOBODY)
        with pytest.raises(LimbeckError, match=r"^runs/closed: cannot be read \(Permission denied\)"):
            find_runs([Path("runs")])
    finally:
        if root:
            os.seteuid(0)
        Path("runs/closed").chmod(0o755)


def test_what_is_no_run_and_what_stands_twice_is_said(tmp_path):
    with pytest.raises(LimbeckError, match="no such folder"):
        find_runs([tmp_path / "nowhere"])
    with pytest.raises(LimbeckError, match="no run in it"):
        find_runs([tmp_path])
    made(tmp_path / "one", {"a": True})
    made(tmp_path / "two", {"a": True})
    with pytest.raises(LimbeckError, match="the same recipe and seed twice"):
        arms(find_runs([tmp_path]))
