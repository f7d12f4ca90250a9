"""The overview says what stands and what does not, what could have been found, and what is missing."""

import re

from limbeck.grids import Grid, GridFolder, cells
from tests.paper.paper_runs import answers
from tests.paper.paper_runs import finished as finished_cell
from tests.report.reports import finished, report_of
from tests.runs.recipes import TINY

ALONE = "one test alone, before Holm's correction, finds 4 times of 5"


def overview(*paths, **options):
    return " ".join(report_of(*paths, **options)["overview"])


def test_differences_that_stand_and_those_that_do_not(runs, tmp_path):
    text = overview(runs, out=tmp_path / "out")
    evidence = r"points, 95 % interval [−+\d.]+ to [−+\d.]+, adjusted p [^,]+, 60 examples, 1 seed\)"
    assert re.search(rf"finetune is behind dss on arithmetic \(−[\d.]+ {evidence}", text)
    undecided = "No difference can be concluded in 1 of 2 comparisons: mi and dss on arithmetic"
    assert re.search(rf"{undecided} \([+−][\d.]+ {evidence}", text)
    assert re.search(rf"the smallest difference that {ALONE} is [\d.]+ points\.", text)
    assert "not about a recipe" in text


def test_runs_of_a_few_steps_say_nothing_of_the_methods(tmp_path):
    for objective, right in (("dss", 0.2), ("mi", 0.9)):
        finished(tmp_path / objective, objective, 1, right=right, steps=4)
    assert "say nothing of the methods" in overview(tmp_path)
    assert "ahead" not in overview(tmp_path)


def grid_of(**changes):
    values = {"name": "g", "recipe": {**TINY, "seed": 1}, "axes": {"objective": ["dss", "mi"]}, "seeds": 2}
    return Grid.parse({**values, **changes}, "g")


def test_failed_unfinished_and_missing_cells_are_counted_at_any_depth(tmp_path):
    folder, grid = GridFolder(tmp_path / "all" / "one"), grid_of(seeds=20)
    all_cells = cells(grid)
    runs = [finished_cell(folder.out / cell.name, cell, answers("10")) for cell in (*all_cells[:2], all_cells[3])]
    unfinished = runs[-1].path
    (unfinished / "results.json").unlink()
    folder.write_grid(grid)
    folder.fail(all_cells[2].name, "out of memory")
    folder.fail(all_cells[0].name, "failed once, and finished since")
    folder.fail("of-another-grid", "no disk")
    GridFolder(tmp_path / "all" / "two").write_grid(grid_of(name="two", seeds=[20, 21]))
    report = report_of(tmp_path, folder.out)
    assert "Runs without a result: 2 failed, 1 unfinished, 38 not run." in report["overview"]
    assert set(report["left_out"][:3]) == {
        f"{all_cells[2].name} failed: out of memory",
        "of-another-grid failed: no disk",
        f"{unfinished} is not finished",
    }
    assert report["left_out"][3] == f"{all_cells[4].name} was not run"
    assert report["left_out"][13:] == ["and 28 more"]
    assert report_of(folder.out / all_cells[0].name)["left_out"] == []
