"""Runs found in folders and grouped over seeds."""

import numpy as np
import pytest
import yaml

from limbeck.errors import FileError, RecipeError
from limbeck.runs.groups import correct, find_runs, group_runs
from tests.helpers.archives import write_rows
from tests.runs.recipes import TINY


def write_run(folder, right=None, **changes):
    """Write as much of a run's folder as reports read, finished where `right` has which of its answers are right."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(TINY | changes))
    if right is not None:
        (folder / "results.json").write_text("{}")
        rows = [{"id": id, "label": "1", "prediction": "1" if yes else "2"} for id, yes in right.items()]
        write_rows(folder / "predictions" / "test.jsonl", rows)
    return folder


def test_seeds_of_a_recipe_are_a_group_named_by_what_differs(tmp_path):
    for seed in (3, 1):
        write_run(tmp_path / "deep" / f"dss{seed}", {"a": seed == 1, "b": True, str(seed): True}, seed=seed)
    training = TINY["training"] | {"max_steps": 9}
    write_run(tmp_path / "longer", {"a": True}, training=training, objective="mi")
    write_run(tmp_path / "mi", {"a": True}, objective="mi")
    write_run(tmp_path / "unfinished", objective="kl")
    runs = find_runs([tmp_path, tmp_path / "mi"])
    assert len(runs) == 5
    groups = group_runs(runs)
    assert {group.name: [run.recipe.seed for run in group.runs] for group in groups} == {
        "dss, training.max_steps=4": [1, 3],
        "mi, training.max_steps=9": [7],
        "mi, training.max_steps=4": [7],
    }
    (dss,) = (group for group in groups if group.traits[0] == "dss")
    assert dss.task == "arithmetic"
    assert np.array_equal(correct(dss.runs), [[True, True], [False, True]])


def test_a_name_has_the_fields_in_which_its_own_task_differs(tmp_path):
    custom = {"task": "custom", "source": {"kind": "files", "train_file": "rows.jsonl"}}
    mi = {"name": "mi", "alignment_weight": 0.2}
    write_run(tmp_path / "a", {"x": True}, data=custom)
    write_run(tmp_path / "b", {"x": True}, training=TINY["training"] | {"max_steps": 9})
    write_run(tmp_path / "c", {"x": True}, data={**custom, "train_fraction": 0.5})
    write_run(tmp_path / "d", {"x": True})
    write_run(tmp_path / "e", {"x": True}, objective=mi)
    write_run(tmp_path / "f", {"x": True}, data=custom, objective=mi)
    assert [group.name for group in group_runs(find_runs([tmp_path]))] == [
        "dss, data.train_fraction=1.0",
        "dss, training.max_steps=9",
        "dss, data.train_fraction=0.5",
        "dss, training.max_steps=4",
        "mi, training.max_steps=4",
        "mi, data.train_fraction=1.0",
    ]


def test_missing_and_repeated_runs_are_refused(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(FileError):
            find_runs([path])
    for name in ("first", "second"):
        write_run(tmp_path / name, {"a": True})
    with pytest.raises(RecipeError):
        group_runs(find_runs([tmp_path]))
