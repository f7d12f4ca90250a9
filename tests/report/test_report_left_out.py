"""A report counts what it cannot speak of, wherever below the folders given it lies."""

import yaml

from limbeck.grids import Folders, Grid, cells
from tests.report.reports import finished, report_of
from tests.runs.recipes import TINY


def grid_of(**changes):
    axes = {"objective": ["dss", "mi"]}
    return Grid.parse({"name": "g", "recipe": {**TINY, "seed": 1}, "axes": axes, "seeds": 2, **changes}, "g")


def ran(out, cell):
    """The cell as a finished run in the folder of its grid."""
    finished(out / cell.name, cell.recipe.objective.name, cell.recipe.seed, TINY["data"], steps=4)
    (out / cell.name / "recipe.yaml").write_text(yaml.safe_dump(cell.recipe.resolved()))


def test_what_failed_of_a_grid_that_is_no_longer_there_is_counted(tmp_path):
    out, (first, second, *_) = Folders(tmp_path), cells(grid_of())
    ran(tmp_path, first)
    out.fail(second.name, "out of memory")
    found = report_of(tmp_path)
    assert "1 failed run of no grid here left out." in " ".join(found["overview"])
    assert found["left_out"] == [f"{second.name} failed: out of memory"]
    out.write_grid(grid_of(seeds=[1]))
    assert "Of the grid's 2 cells, 1 has failed: nothing" in " ".join(report_of(tmp_path)["overview"])
    out.fail("of-another-grid", "no disk")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "recipe.yaml").write_text(yaml.safe_dump({**TINY, "seed": 99}))
    said = " ".join(report_of(tmp_path)["overview"])
    assert "Of the grid's 2 cells, 1 has failed: nothing" in said
    assert "1 failed run and 1 unfinished run of no grid here left out." in said


def test_what_failed_once_and_finished_since_is_not_counted(tmp_path):
    first, *_ = cells(grid_of())
    ran(tmp_path, first)
    Folders(tmp_path).fail(first.name, "out of memory")
    assert report_of(tmp_path)["left_out"] == []


def test_grids_and_failures_are_found_beside_runs_at_any_depth(tmp_path):
    for name, seeds in (("one", [1, 2]), ("two", [3, 4])):
        out, grid = Folders(tmp_path / "all" / name), grid_of(name=name, seeds=seeds)
        first, second, *_ = cells(grid)
        ran(out.out, first)
        out.write_grid(grid)
        out.fail(second.name, f"no {name}")
    found = report_of(tmp_path, tmp_path / "all" / "one")
    assert "Of the grids' 8 cells, 2 have failed and 4 have not been run" in " ".join(found["overview"])
    assert [one.partition(": ")[2] for one in found["left_out"][:2]] == ["no one", "no two"]


def test_of_a_run_that_was_given_alone_its_grid_is_not_told(tmp_path):
    first, second, *_ = cells(grid_of())
    for cell in (first, second):
        ran(tmp_path, cell)
    Folders(tmp_path).write_grid(grid_of())
    assert report_of(tmp_path / first.name)["left_out"] == []
