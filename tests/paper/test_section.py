"""The paper's tables made of runs: every number against a sum by hand, every gap with its reason."""

import numpy as np
import pytest
from scipy import stats

from limbeck.errors import LimbeckError
from limbeck.grids import Grid, GridFolder, cells
from limbeck.paper import NAMES, paper_grids, paper_section
from limbeck.runs.training import train
from tests.paper.paper_runs import answers, cell_of, data_at, finished, smoke
from tests.report.reports import judge

HOSTILE = "<script>alert('x')</script> \\input{x} | =1+1"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return data_at(tmp_path_factory.mktemp("data"))


@pytest.fixture
def run_of(tmp_path):
    """`run_of(grid, objective, task, right)`: a finished run of a cell, with `answers` and perhaps a judge's scores."""

    def run_of(grid, objective, task, right, *, seed=1, fraction=1.0, file="test", scores=(), gold=None, **columns):
        cell = cell_of(grid, objective, task, seed, fraction=fraction)
        run = finished(tmp_path / "runs" / f"{grid.name}-{cell.name}", cell, answers(right, **columns), file)
        for values in scores:
            judge(run.path, values, model=HOSTILE)
        judge(run.path, gold or {}, gold=True, model=HOSTILE)
        return run

    return run_of


def table_of(runs, grid, errors=()):
    (table,) = paper_section(runs, [grid], dict(errors)).tables
    return table


def test_an_accuracy_is_a_mean_with_wilsons_interval_and_mcnemars_test_by_hand(root, run_of):
    grid = smoke("table4", root)
    right = {"mi-mean": "1110000000", "mi": "1011111100", "dss": "1110000000"}
    runs = [run_of(grid, name, "svamp", flags) for name, flags in right.items()]
    runs += [run_of(grid, "mi", "cqa", flags, seed=seed) for seed, flags in enumerate(("10", "11"), start=1)]
    table = table_of(runs, grid)
    assert table.columns == ["e-SNLI", "ANLI", "CQA", "SVAMP", "arithmetic"]
    mi_cell, same, seeds = table.rows["Max"]["SVAMP"], table.rows["DSS"]["SVAMP"], table.rows["Max"]["CQA"]
    assert (mi_cell.value, mi_cell.n, mi_cell.seeds, mi_cell.paper) == (pytest.approx(70), 10, 1, 68.0)
    wilson = stats.binomtest(7, 10).proportion_ci(method="wilson")
    assert mi_cell.interval == pytest.approx((100 * wilson.low, 100 * wilson.high))
    # Max alone has d to h right, Mean alone b: 5 against 1; mid-p: 2 (P(X = 0) + P(X = 1)/2) of Binomial(6, 1/2)
    assert (mi_cell.difference, mi_cell.p_value) == (pytest.approx(40), pytest.approx(2 * (1 / 64 + 6 / 64 / 2)))
    assert (same.difference, same.p_value) == (0, 1)
    assert (mi_cell.adjusted, same.adjusted) == (pytest.approx(2 * mi_cell.p_value), 1)  # Holm over two tests
    assert table.rows["Mean"]["SVAMP"].p_value is None
    assert (seeds.value, seeds.n, seeds.seeds, seeds.difference) == (75, 2, 2, None)


def test_a_cell_without_a_value_says_why(tmp_path, run_of):
    root = data_at(tmp_path / "data", {"cqa": "train test", "svamp": "train test"})
    grid, out = smoke("table1", root), GridFolder(tmp_path / "runs")
    out.write_grid(grid)
    failed = cell_of(grid, "single-task", "cqa", 2)
    unfinished = run_of(grid, "mi", "cqa", "")
    (unfinished.path / "results.json").unlink()
    first, second = (run_of(grid, "dss", "svamp", "10", seed=seed, id=ids) for seed, ids in ((1, "ab"), (2, "yz")))
    stray = run_of(smoke("table2", root), "mi", "svamp", "11")
    saved = Grid.load(out.grids / "table1.yaml")
    table = table_of([unfinished, first, second, stray], saved, {failed.name: HOSTILE})
    for (row, column), reason in {
        ("Single-task", "CQA"): f"failed: {HOSTILE}",
        ("Ours", "CQA"): "not finished",
        ("Ours", "SVAMP"): "not run",
        ("Ours", "ANLI"): "no data, or not in this grid",
        ("DSS", "SVAMP"): "no example that all of its runs answered",
    }.items():
        assert table.rows[row][column].reason == reason
    assert all(cell.value is None and cell.reason for cell in table.cells)
    assert table.rows["Ours"]["ANLI"].paper == 51.2


def test_calibration_in_and_out_of_domain(root, run_of):
    grid = smoke("table6", root)
    by_seed = {1: ([0.95, 0.9, 0.15, 0.5], "1101"), 2: ([0.35, 0.3, 0.85, 0.45], "1001")}  # each in a bin of its own
    runs = [run_of(grid, "mi", "anli1", "1", confidence=[0.75]), run_of(grid, "dss", "cqa", "1")]
    for seed, (values, flags) in by_seed.items():
        run_of(grid, "mi", "esnli", flags, seed=seed, confidence=values)
        runs.append(run_of(grid, "mi", "esnli", "10", seed=seed, file="anli1-test", confidence=[0.8, 0.8]))
    table = table_of(runs, grid)
    assert table.columns[6:12:2] == ["ANLI ECE", "e-SNLI (Out) ECE", "ANLI (Out) ECE"]
    assert not any("Holm" in note for note in table.notes)
    mi_cells, dss = table.rows["Ours"], table.rows["DSS"]
    ece = mi_cells["e-SNLI ECE"]
    confidences = np.array([values for values, _ in by_seed.values()])
    right = np.array([[flag == "1" for flag in flags] for _, flags in by_seed.values()])
    by_hand, mean = 100 * np.abs(right - confidences).mean(), 100 * confidences.mean()
    assert (ece.value, ece.paper, ece.seeds, ece.n) == (pytest.approx(by_hand), 4.35, 2, 4)
    assert 0 <= ece.interval[0] <= ece.value <= ece.interval[1] <= 100
    expected = {"e-SNLI Conf.": (mean, 30.06), "e-SNLI (Out) ECE": (30, 6.61), "ANLI ECE": (25, 6.94)}
    for column, numbers in expected.items():
        assert (mi_cells[column].value, mi_cells[column].paper) == pytest.approx(numbers)
    assert mi_cells["ANLI (Out) ECE"].reason == "not measured out of domain"
    assert dss["CQA ECE"].reason == "its answers have no confidences"
    assert dss["ANLI (Out) Conf."].paper == 41.69


def test_a_judges_scores_by_hand(root, run_of):
    grid = smoke("table7", root)
    dss = {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0, "e": 1.0}
    mi_scores = [{"a": 4.0, "b": 5.0, "c": 5.0, "d": 5.0, "e": 3.0}, {"a": 4.0, "b": 5.0, "c": 4.0, "d": 5.0}]
    several, gold = {"a": (1.0, 3.0), "b": (5.0, None)}, {"a": 5.0, "b": 3.0, "c": 4.0}
    runs = [run_of(grid, "dss", "svamp", "11000", scores=[several, dss], gold=gold), run_of(grid, "mi", "cqa", "1")]
    for seed, scores in enumerate(mi_scores, start=1):
        runs.append(run_of(grid, "mi", "svamp", "11001", seed=seed, scores=[scores]))
    runs.append(run_of(grid, "mi", "arithmetic", "10", scores=[{"a": 5.0, "b": 5.0}]))
    table = table_of(runs, grid)
    constant = table.rows["Ours"]["arithmetic"]
    assert (constant.value, constant.interval, constant.spread) == (5, None, 0)
    cell, best = table.rows["DSS"]["SVAMP"], table.rows["Ours"]["SVAMP"]
    low, high = stats.t.interval(0.95, 4, np.mean(list(dss.values())), stats.sem(list(dss.values())))
    assert (cell.value, cell.spread) == (pytest.approx(1.8), pytest.approx(np.std(list(dss.values()), ddof=1)))
    assert cell.interval == pytest.approx((max(low, 1), high))
    assert (cell.n, cell.seeds, cell.paper, cell.paper_spread) == (5, 1, 2.5, 1.42)
    assert (best.value, best.n, best.seeds) == (pytest.approx(37 / 8), 4, 2)  # e has no score by the second seed
    assert (table.rows["Gold"]["SVAMP"].value, table.rows["DSS ++"]["SVAMP"].value) == (4, 3.5)
    for name, task in (("Ours ++", "SVAMP"), ("Ours", "CQA")):
        assert table.rows[name][task].reason == "no judge was asked; give --judge"
    assert table.rows["Gold"]["ANLI"].reason == "not run"
    assert any(f"The judge: {HOSTILE}." in note for note in table.notes)


def test_correlations_by_hand(root, run_of):
    grid = smoke("table8", root).changed(["seeds=3"])
    rng = np.random.default_rng(1)
    scores = {f"x{n}": float(rng.integers(1, 6)) for n in range(40)}
    with_scores = [score + rng.normal() > 3 for score in scores.values()]
    flags = "".join("1" if right else "0" for right in with_scores)
    flipped = "".join("10"[int(flag)] if n % 2 else flag for n, flag in enumerate(flags))
    runs = [run_of(grid, "dss", "svamp", "111", scores=[{"a": 1.0, "b": 2.0, "c": 3.0}])]
    judged = {"scores": [scores, {"x2": (1.0, 1.0)}], "gold": {"x1": 2.0}, "id": list(scores)}
    by_cell = {("dss", "cqa"): [flags], ("mi", "cqa"): [flags, flipped, "1" * 40], ("mi", "anli1"): [flags, flags]}
    for cell, values in by_cell.items():
        runs += [run_of(grid, *cell, right, seed=seed, **judged) for seed, right in enumerate(values, start=1)]
    table = table_of(runs, grid)
    expected = stats.pearsonr(list(scores.values()), with_scores)
    second = stats.pearsonr(list(scores.values()), [flag == "1" for flag in flipped])
    first, two, same = table.rows["DSS"]["CQA"], table.rows["Ours"]["CQA"], table.rows["Ours"]["ANLI"]
    assert (first.value, first.p_value) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert (first.paper, first.n, first.adjusted) == (0.66, 40, pytest.approx(3 * expected.pvalue))  # Holm over three
    assert first.interval == pytest.approx(tuple(expected.confidence_interval()))
    # of the second seed's answers the other half is right, so that its r is another; the third's are all right
    assert (two.value, two.n, two.seeds) == (pytest.approx((expected.statistic + second.statistic) / 2), 40, 2)
    assert two.p_value == pytest.approx(2 * stats.beta(19, 19, loc=-1, scale=2).sf(two.value))
    # a seed that says just what another says makes nothing surer
    assert (same.value, same.p_value) == pytest.approx((first.value, first.p_value))
    assert table.rows["DSS"]["SVAMP"].reason.startswith("undefined")


def test_fractions_are_a_figure_a_task_with_its_numbers(root, run_of):
    grid = smoke("figure3", root)
    cells_run = (("dss", 0.25, "1000"), ("dss", 1.0, "1100"), ("mi", 1.0, "1110"))
    runs = [run_of(grid, objective, "cqa", flags, fraction=share) for objective, share, flags in cells_run]
    figures = paper_section(runs, [grid], {}).figures
    tasks = ("esnli", "anli1", "cqa", "svamp", "arithmetic")
    assert [figure.table.name for figure in figures] == [f"figure3-{task}" for task in tasks]
    rows = {x: [cell.value or cell.reason for cell in row.values()] for x, row in figures[2].table.rows.items()}
    not_run = ["not run", "not run"]
    assert rows == {"0.25": [25, "not run"], "0.5": not_run, "0.75": not_run, "1": [50, 75]}


def test_a_case_study_has_every_kind_of_difference_by_its_rule(root, run_of):
    grid = smoke("figure4", root)
    reasons = [HOSTILE, "same", "x", "y", "Same.", "z", "v"]
    others = ["other", "same ", "x2", "w", "same", "z2", "v2"]
    runs = [run_of(grid, "dss", "arithmetic", "1100011", rationale=reasons)]
    for seed, flags, rationale in ((1, "0101011", others), (2, "1100011", reasons)):
        runs.append(run_of(grid, "mi", "arithmetic", flags, seed=seed, rationale=rationale))
    svamp, study = paper_section(runs, [grid], {}).studies
    assert (svamp.rule, svamp.kinds) == ("not run", {})
    picked = {name: [case["id"] for case in cases_of_kind] for name, cases_of_kind in study.kinds.items()}
    assert picked["only Ours right: 1 of 7"] == ["d"]
    assert picked["only DSS right: 1 of 7"] == ["a"]
    assert sorted(picked["both right: 2 of 7"]) == ["f", "g"]  # b's are "same" and "same ", which is no difference
    assert picked["both wrong: 1 of 7"] == ["c"]
    (case,) = study.kinds["only DSS right: 1 of 7"]
    assert [(answer["group"], answer["right"]) for answer in case["answers"]] == [("dss", True), ("mi", False)]
    assert case["answers"][0]["rationale"] == HOSTILE


def test_the_smoke_grids_are_trained_and_make_tables(tmp_path):
    """Without any data at all: the embedded task alone."""
    grids, _ = paper_grids(["table1", "table6", "figure4"], offline=True, smoke=True, root=tmp_path / "no")
    first = [cell for grid in grids[-1:] for cell in cells(grid) if cell.recipe.seed == 1]
    runs = [train(cell.recipe, tmp_path / cell.name) for cell in first]
    section = paper_section(runs, grids, {})
    accuracy, calibration = section.tables
    for row, run in zip(("DSS", "Ours"), runs, strict=True):
        assert accuracy.rows[row]["arithmetic"].value == 100 * run.results["test"]["accuracy"]
        assert calibration.rows[row]["arithmetic ECE"].n == run.results["test"]["n"] == 16
    assert accuracy.rows["Finetuning"]["arithmetic"].reason == "not run"
    assert section.studies[0].rule == "no data, or not in this grid"
    assert all("rationale" in case for cases_of_kind in section.studies[1].kinds.values() for case in cases_of_kind)


def test_whether_our_numbers_are_to_be_held_against_the_papers_is_said(tmp_path):
    full_data = data_at(tmp_path / "whole", dict.fromkeys(("cqa", "esnli"), "train valid test"))
    (grid,), _ = paper_grids(["table1"], root=full_data)
    setup = "google/t5-v1_1-base, 10,000 steps of 64 examples, learning rate 5e-05"
    assert table_of([], grid).notes[0] == f"Ours: {setup}, as in the paper."
    for change in ("training.learning_rate=1e-4", "student=mine", "data.limit=100", "training.max_steps=-1"):
        note = table_of([], grid.changed([change])).notes[0]
        assert note.endswith(f"The paper's: {setup}, the whole data; so its numbers are no measure of ours.")
    (grid,), _ = paper_grids(["table2"], offline=True, root=data_at(tmp_path / "local"))
    notes = table_of([], grid).notes
    assert "a student of our own, 2,000 steps" in notes[0]
    assert {"The paper has no arithmetic.", "e-SNLI: trained on the archive's split 'valid'."} <= set(notes)


def test_all_of_the_paper_is_made_without_a_single_run(root):
    grids, omissions = paper_grids(["paper"], offline=True, smoke=True, root=root)
    assert omissions == []
    section = paper_section([], [*reversed(grids)], {})
    tables = [*section.tables, *(figure.table for figure in section.figures)]
    assert [table.name.partition("-")[0] for table in tables] == [*NAMES[:8], *["figure2"] * 5, *["figure3"] * 5]
    for table in tables:
        assert all(list(row) == table.columns for row in table.rows.values())
        assert {(cell.value, cell.reason) for cell in table.cells} == {(None, "not run")}
    assert len(section.studies) == 4
    tables = [grid for grid in grids if grid.name == "table3"]
    assert len(paper_section([], [*tables, *tables], {}).tables) == 1
    assert paper_section([], [Grid.parse({"name": "table1", "recipe": {}}, "of another kind")], {}) is None
    with pytest.raises(LimbeckError, match="two different table3"):
        paper_section([], [*tables, tables[0].changed(["seeds=9"])], {})
