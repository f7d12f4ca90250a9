"""The paper's grids: recipes that are the paper's, cells that are shared, and its numbers as printed."""

import itertools
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from limbeck.errors import LimbeckError
from limbeck.grids import cells
from limbeck.metrics.judgements import TASK_NAMES
from limbeck.paper import NAMES, judged_grids, paper_grids
from limbeck.paper.spec import paper
from limbeck.runs.recipe import load_recipe
from tests.paper.paper_runs import TASKS, data_at

TEXT = sorted(Path(__file__).parents[3].glob("shared/seeds/002_*.txt"))
WHOLE = dict.fromkeys(TASKS, "train test")
DOMAINS = {"esnli": "anli1", "anli1": "esnli"}


@pytest.mark.parametrize(("offline", "smoke"), itertools.product((False, True), repeat=2))
def test_every_grid_is_of_recipes_and_equal_cells_are_one(tmp_path, offline, smoke):
    root = data_at(tmp_path, TASKS if offline else WHOLE)
    keys = defaultdict(set)
    grids, omissions = paper_grids(["paper"], offline=offline, smoke=smoke, root=root)
    assert ([grid.name for grid in grids], omissions) == (list(NAMES), [])
    for recipe in (cell.recipe for grid in grids for cell in cells(grid)):
        student, data = recipe.student.model_dump_json(), recipe.data
        identity = recipe.objective.name, data.task, student, data.labels, data.train_fraction, recipe.seed
        keys[identity].add(recipe.key)
    assert all(len(recipe_keys) == 1 for recipe_keys in keys.values())
    assert len(set.union(*keys.values())) == len(keys)
    tasks, seeds = 5 if offline else 4, 2 if smoke else 3 if offline else 5
    # base: six methods; small: four; teacher's labels: two on NLI; fractions: three more of two methods, twice
    assert len(keys) == seeds * (6 * tasks + 4 * tasks + 2 * (tasks - 2) + 2 * 2 * 3 * tasks)


@pytest.mark.parametrize("task", TASKS)
def test_the_whole_grids_have_the_recipes_that_we_ship(tmp_path, task):
    root = data_at(tmp_path, WHOLE)
    changes = [f"data.source.root={root}", "seed=3"]
    changes += [f"evaluation.out_of_domain=[{DOMAINS[task]}]"] if task in DOMAINS else []
    reasons = "evaluation.rationales=true"
    for name, settings in {
        "table1": ["objective=mi", reasons],
        "table2": ["objective=finetune", "student.name=google/t5-v1_1-small"],
        "table5": ["objective=kl", reasons],
        "figure2": ["objective=dss", reasons, "data.train_fraction=0.25"],
    }.items():
        recipe = load_recipe(f"recipes/{task}.yaml", [*changes, *settings])
        assert recipe.key in {cell.recipe.key for cell in cells(paper_grids([name], root=root)[0][0])}
    labels = {cell.recipe.data.labels for cell in cells(paper_grids(["table3"], root=root)[0][0])}
    assert labels == {"teacher"}


def test_a_task_without_data_is_left_out_and_said(tmp_path):
    root = data_at(tmp_path, {"svamp": "train test", "esnli": "test"})
    (grid,), omissions = paper_grids(["table1"], offline=True, root=root)
    assert list(grid.axes["task"]) == ["SVAMP", "arithmetic"]
    assert len(omissions) == 3
    assert f"no {root}/esnli/esnli_valid.json; `limbeck data fetch`, or --root" in omissions[0]
    for grid in paper_grids(["paper"], offline=True, root=tmp_path / "no")[0]:
        assert {cell.recipe.data.task for cell in cells(grid)} == {"arithmetic"}
    grids, omissions = paper_grids(["paper"], root=root)
    assert [grid.name for grid in grids] == [name for name in NAMES if name not in ("table3", "figure5")]
    assert sum(line.startswith("table3 ") for line in omissions) == 1
    with pytest.raises(LimbeckError, match=r"data fetch.*--offline"):
        paper_grids(["figure5", "table3"], root=root)
    with pytest.raises(LimbeckError, match="did you mean 'table1'"):
        paper_grids(["tabel1"])


def test_a_judge_is_asked_about_the_tables_that_need_one(tmp_path):
    grids = {grid.name: grid for grid in paper_grids(["paper"], offline=True, root=tmp_path)[0]}
    assert judged_grids(list(grids.values())) == [grids["table7"], grids["table8"]]
    assert judged_grids([grids["table1"], grids["figure4"]]) == [grids["table1"], grids["figure4"]]


def test_out_of_domain_needs_both_and_is_in_every_table_alike(tmp_path):
    single, complete = data_at(tmp_path / "one", {"esnli": "valid test"}), data_at(tmp_path / "both")
    for root in (single, complete):
        for grid in paper_grids(["table1", "table6", "figure3"], offline=True, root=root)[0]:
            for cell in cells(grid):
                domain = DOMAINS.get(cell.recipe.data.task) if root == complete else None
                assert cell.recipe.evaluation.out_of_domain == ([domain] if domain else [])


@pytest.mark.skipif(not TEXT, reason="needs the text of the paper")
def test_the_papers_numbers_are_those_of_its_text():
    tables, columns, numbers = {}, [], []
    for line in TEXT[0].read_text(encoding="utf-8").splitlines():
        label, *row = re.sub("<.*?>", "", line).split("\t")
        if "e-SNLI" in row:
            columns, numbers = [title for title in row if title], []
        elif row and label:  # those without a label are p-values
            numbers += re.findall(r"\d+\.\d+", " ".join(row))
        elif caption := re.match(r"Table (\d): ", line):
            tables[f"table{caption[1]}"] = columns, list(map(float, numbers))
    assert sorted(tables) == [f"table{number}" for number in range(1, 9)]
    for name, (titles, printed) in tables.items():
        table = paper()[name]
        rows = dict(table.rows)
        if name in ("table4", "table5"):  # they have no row DSS
            assert rows.pop("DSS") == paper()["table1"].rows["DSS"]
        assert printed == [x for row in rows.values() for entry in row.paper for x in np.atleast_1d(entry)]
        out_of_domain = [f"{TASK_NAMES[task]} (Out)" for task in table.out_of_domain]
        assert titles == [*(TASK_NAMES[task] for task in table.tasks), *out_of_domain]
