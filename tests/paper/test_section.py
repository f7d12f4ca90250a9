"""The paper's tables made of runs: every number against a sum by hand, every gap with its reason."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from limbeck.errors import LimbeckError
from limbeck.files import read_jsonl
from limbeck.grids import Grid, GridFolder, cells
from limbeck.paper import NAMES, case_studies, paper_grid, paper_grids, paper_tables
from limbeck.report.tables import Figure
from limbeck.runs.training import train
from limbeck.schema import Judgement
from tests.paper.paper_runs import answers, cell_of, data_at, finished, smoke

HOSTILE = "<script>alert('x')</script> \\input{x} | =1+1"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return data_at(tmp_path_factory.mktemp("data"))


def at(table, row, column):
    (cells_of_row,) = (entry.cells for entry in table.rows if entry.name == row)
    return cells_of_row[table.columns.index(column)]


def judge(run, scores, gold=(), several=()):
    """Judgements of a run by example: single ones, the teacher's, and such of several askings."""
    folder = run.path / "evaluation"
    folder.mkdir()
    predictions = {row["id"]: row["prediction"] for _, row in read_jsonl(run.predictions("test"))}
    for file, whose, entries in (("judge", "x", scores), ("judge-gold", "Gold", gold), ("judge", "x", several)):
        with (folder / f"{file}-test.jsonl").open("a") as stream:
            for id, value in dict(entries).items():
                values = value if isinstance(value, tuple) else (value,)
                judgement = Judgement(
                    id, "t", whose, predictions.get(id, "1"), "", HOSTILE, 0, tuple(map(str, values)), values
                )
                stream.write(json.dumps(asdict(judgement)) + "\n")


def test_an_accuracy_is_a_mean_with_wilsons_interval_and_mcnemars_test_by_hand(tmp_path, root):
    grid = smoke("table1", root)
    right = {"dss": "1110000000", "mi": "1011111100", "finetune": "1110000000"}
    runs = [finished(tmp_path / name, cell_of(grid, name, "svamp"), answers(flags)) for name, flags in right.items()]
    (table,) = paper_tables(runs, [grid])
    assert table.columns == ("e-SNLI", "ANLI", "CQA", "SVAMP", "arithmetic")
    assert (table.unit, table.baseline) == ("%", "DSS")
    mi_cell = at(table, "Ours", "SVAMP")
    assert (mi_cell.value, mi_cell.n, mi_cell.seeds, mi_cell.paper) == (pytest.approx(70), 10, 1, 68.0)
    z = stats.norm.ppf(0.975)
    middle, half = (0.7 + z * z / 20) / (1 + z * z / 10), z * math.sqrt(0.021 + z * z / 400) / (1 + z * z / 10)
    assert mi_cell.interval == pytest.approx((100 * (middle - half), 100 * (middle + half)))
    # Ours alone has d to h right, DSS alone b: 5 against 1; mid-p: 2 (P(X = 0) + P(X = 1)/2) of Binomial(6, 1/2)
    assert mi_cell.difference == pytest.approx(40)
    assert mi_cell.p_value == pytest.approx(2 * (1 / 64 + 6 / 64 / 2))
    assert mi_cell.difference_interval[0] < 40 < mi_cell.difference_interval[1]
    same = at(table, "Finetuning", "SVAMP")
    assert (same.difference, same.p_value) == (0, 1)
    assert (mi_cell.adjusted, same.adjusted) == (pytest.approx(2 * mi_cell.p_value), 1)  # Holm over two tests
    assert at(table, "DSS", "SVAMP").p_value is None


def test_several_seeds_are_one_mean_and_tested_over_seeds(tmp_path, root):
    grid = smoke("table4", root)
    rng = np.random.default_rng(0)
    right = {}
    runs = []
    for objective, share in (("dss", 0.2), ("mi", 0.9), ("mi-mean", 0.25)):
        for seed in (1, 2):
            flags = "".join(str(int(x)) for x in rng.random(200) < share)
            right.setdefault(objective, []).append(np.array(list(flags), dtype=int))
            rows = answers(flags, id=[f"x{n}" for n in range(200)])
            runs.append(finished(tmp_path / f"{objective}{seed}", cell_of(grid, objective, "cqa", seed), rows))
    (table,) = paper_tables(runs, [grid])
    best = at(table, "Max", "CQA")
    assert (best.value, best.seeds, best.n) == (pytest.approx(100 * np.mean(right["mi"])), 2, 200)
    assert best.difference == pytest.approx(100 * (np.mean(right["mi"]) - np.mean(right["dss"])))
    assert best.p_value < 0.01 < at(table, "Mean", "CQA").p_value
    pair = 100 * (np.mean(right["mi"]) - np.mean(right["mi-mean"]))
    assert any("Max less Mean, in points" in note and f"CQA {pair:+.2f} (" in note for note in table.notes)
    assert any("no row DSS here" in note for note in table.notes)
    assert any("at most 16 rows" in note for note in table.notes)


def test_a_cell_without_a_value_says_why(tmp_path):
    root = data_at(tmp_path / "data", {"cqa": "train test", "svamp": "train test"})
    grid, out = smoke("table1", root), GridFolder(tmp_path / "runs")
    out.write_grid(grid)
    failed = cell_of(grid, "single-task", "cqa", 2)
    out.fail(failed.name, f"{HOSTILE}\nsecond line")
    unfinished = finished(tmp_path / "runs" / "begun", cell_of(grid, "mi", "cqa"), [])
    (unfinished.path / "results.json").unlink()
    first = finished(tmp_path / "runs" / "one", cell_of(grid, "dss", "svamp"), answers("10"))
    second = finished(tmp_path / "runs" / "other", cell_of(grid, "dss", "svamp", 2), answers("10", id=["y", "z"]))
    saved = Grid.load(out.grids / "table1.yaml")
    (table,) = paper_tables([unfinished, first, second], [saved], out.error)
    reasons = {
        (row.name, column): cell.reason
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    }
    assert reasons["Single-task", "CQA"] == f"failed: {HOSTILE}"
    assert reasons["Ours", "CQA"] == "not finished"
    assert reasons["Ours", "SVAMP"] == "not run"
    assert reasons["Ours", "ANLI"] == "no data, so not in the grid that was run"
    assert reasons["DSS", "SVAMP"] == "no example that all of its runs answered"
    assert all(cell.value is None for row in table.rows for cell in row.cells)
    assert all(reasons.values())
    assert at(table, "Ours", "ANLI").paper == 51.2


def test_fewer_seeds_than_the_grid_has_are_said_and_another_recipes_run_is_none_of_ours(tmp_path, root):
    grid = smoke("table2", root)
    run = finished(tmp_path / "small", cell_of(grid, "dss", "cqa"), answers("10"))
    stray = finished(tmp_path / "base", cell_of(smoke("table1", root), "mi", "cqa"), answers("11"))
    unfinished = finished(tmp_path / "again", cell_of(grid, "dss", "cqa"), answers("00"))
    (unfinished.path / "results.json").unlink()
    (table,) = paper_tables([unfinished, run, stray, unfinished], [grid])
    assert at(table, "DSS", "CQA").value == 50
    assert (at(table, "Ours", "CQA").value, at(table, "Single-task", "CQA").paper) == (None, None)
    assert any("In 1 of 20 places fewer than the grid's 2 seeds" in note for note in table.notes)


def naive_ece(confidences, right):
    """Over the bins (0, .1] to (.9, 1]."""
    total = 0.0
    for number in range(10):
        inside = [n for n, p in enumerate(confidences) if number / 10 < p <= (number + 1) / 10]
        total += abs(sum(right[n] - confidences[n] for n in inside))
    return total / len(confidences)


def test_calibration_in_and_out_of_domain(tmp_path, root):
    grid = smoke("table6", root)
    by_seed = {1: ([0.95, 0.9, 0.15, 0.5], "1101"), 2: ([0.35, 0.3, 0.85, 0.45], "1001")}
    runs = []
    for seed, (confidences, flags) in by_seed.items():
        folder, cell = tmp_path / f"{seed}", cell_of(grid, "mi", "esnli", seed)
        finished(folder, cell, answers(flags, confidence=confidences))
        runs.append(finished(folder, cell, answers("10", confidence=[0.8, 0.8]), "anli1-test"))
    runs.append(finished(tmp_path / "anli", cell_of(grid, "mi", "anli1"), answers("1", confidence=[0.75])))
    runs.append(finished(tmp_path / "without", cell_of(grid, "dss", "cqa"), answers("1")))
    for seed, right in ((1, 11), (2, 9)):
        rows = answers("1" * right + "0" * (20 - right), confidence=[0.5] * 20)
        runs.append(finished(tmp_path / f"calibrated{seed}", cell_of(grid, "dss", "svamp", seed), rows))
    (table,) = paper_tables(runs, [grid])
    calibrated = at(table, "DSS", "SVAMP ECE")
    assert calibrated.value == pytest.approx(5)
    assert calibrated.interval[0] == pytest.approx(0)  # nothing against an error of 0
    assert at(table, "DSS", "SVAMP Conf.").interval == pytest.approx((50, 50))
    assert table.columns[:4] == ("SVAMP ECE", "SVAMP Conf.", "CQA ECE", "CQA Conf.")
    assert table.columns[8:] == (
        "e-SNLI (Out) ECE",
        "e-SNLI (Out) Conf.",
        "ANLI (Out) ECE",
        "ANLI (Out) Conf.",
        "arithmetic ECE",
        "arithmetic Conf.",
    )
    ece = at(table, "Ours", "e-SNLI ECE")
    by_hand = np.mean(
        [naive_ece(confidences, [int(flag) for flag in flags]) for confidences, flags in by_seed.values()]
    )
    assert (ece.value, ece.paper, ece.seeds, ece.n) == (pytest.approx(100 * by_hand), 4.35, 2, 4)
    assert 0 <= ece.interval[0] <= ece.value <= ece.interval[1] <= 100
    confidences = at(table, "Ours", "e-SNLI Conf.")
    assert (confidences.value, confidences.paper) == (
        pytest.approx(100 * np.mean([of for of, _ in by_seed.values()])),
        30.06,
    )
    out = at(table, "Ours", "e-SNLI (Out) ECE")
    assert (out.value, out.paper) == (pytest.approx(30), 6.61)
    assert at(table, "Ours", "ANLI ECE").value == pytest.approx(25)
    assert at(table, "Ours", "ANLI (Out) ECE").reason == "not measured out of domain"
    assert "'confidence'" in at(table, "DSS", "CQA ECE").reason
    assert at(table, "DSS", "ANLI (Out) Conf.").paper == 41.69
    assert any("trained on e-SNLI, asked the test questions of ANLI" in note for note in table.notes)
    assert any("constant" in note for note in table.notes)


def test_a_judges_scores_by_hand(tmp_path, root):
    grid = smoke("table7", root)
    dss = {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0, "e": 1.0}
    mi_scores = [{"a": 4.0, "b": 5.0, "c": 5.0, "d": 5.0, "e": 3.0}, {"a": 4.0, "b": 5.0, "c": 4.0, "d": 5.0}]
    gold = {"a": 5.0, "b": 3.0, "c": 4.0}
    several = {"a": (1.0, 3.0), "b": (5.0, None)}
    runs = [finished(tmp_path / "dss", cell_of(grid, "dss", "svamp"), answers("11000"))]
    judge(runs[0], dss, gold, several)
    for seed, scores in enumerate(mi_scores, start=1):
        run = finished(tmp_path / f"mi{seed}", cell_of(grid, "mi", "svamp", seed), answers("11001"))
        judge(run, scores, gold if seed == 1 else {})
        runs.append(run)
    runs.append(finished(tmp_path / "cqa", cell_of(grid, "mi", "cqa"), answers("1")))
    (table,) = paper_tables(runs, [grid])
    cell = at(table, "DSS", "SVAMP")
    low, high = stats.t.interval(0.95, 4, np.mean(list(dss.values())), stats.sem(list(dss.values())))
    assert (cell.value, cell.spread) == (pytest.approx(1.8), pytest.approx(np.std(list(dss.values()), ddof=1)))
    assert cell.interval == pytest.approx((max(low, 1), high))
    assert (cell.n, cell.seeds, cell.paper, cell.paper_spread) == (5, 1, 2.5, 1.42)
    best = at(table, "Ours", "SVAMP")  # e has no score by the second seed
    assert (best.value, best.n, best.seeds) == (pytest.approx(37 / 8), 4, 2)
    assert best.difference == pytest.approx(37 / 8 - 2)
    assert 0 < best.p_value < 0.1
    assert best.adjusted == best.p_value
    assert at(table, "Gold", "SVAMP").value == 4
    assert at(table, "DSS ++", "SVAMP").value == 3.5
    assert at(table, "Ours ++", "SVAMP").reason == at(table, "Ours", "CQA").reason == "no judge was asked; give --judge"
    assert at(table, "Gold", "CQA").paper == 3.95
    assert at(table, "Gold", "ANLI").reason == "not run"
    assert any(f"The judge: {HOSTILE};" in note for note in table.notes)


def test_scores_of_rationales_that_were_written_anew_are_none(tmp_path, root):
    grid = smoke("table7", root)
    run = finished(tmp_path / "dss", cell_of(grid, "dss", "cqa"), answers("10", rationale=["", "better thought out"]))
    judge(run, {"a": 2.0, "b": 5.0})  # of two empty rationales
    (table,) = paper_tables([run], [grid])
    cell = at(table, "DSS", "CQA")
    assert (cell.value, cell.n) == (2, 1)
    path = run.path / "evaluation" / "judge-test.jsonl"
    path.write_text(path.read_text().replace('"label": "1"', '"label": "another answer"'))
    (table,) = paper_tables([run], [grid])
    assert at(table, "DSS", "CQA").reason == "no judge was asked; give --judge"


def test_scores_that_do_not_vary_have_no_interval_and_no_test(tmp_path, root):
    grid = smoke("table7", root)
    runs = [finished(tmp_path / name, cell_of(grid, name, "cqa"), answers("10")) for name in ("dss", "mi")]
    for run in runs:
        judge(run, {"a": 5.0, "b": 5.0})
    (table,) = paper_tables(runs, [grid])
    cell = at(table, "Ours", "CQA")
    assert (cell.value, cell.difference, cell.interval, cell.p_value, cell.spread) == (5, 0, None, None, 0)


def test_correlations_by_hand(tmp_path, root):
    grid = smoke("table8", root).changed(["seeds=3"])
    rng = np.random.default_rng(1)
    scores = {f"x{n}": float(rng.integers(1, 6)) for n in range(40)}
    with_scores = [score + rng.normal() > 3 for score in scores.values()]
    flags = "".join("1" if yes else "0" for yes in with_scores)
    single = finished(tmp_path / "dss", cell_of(grid, "dss", "cqa"), answers(flags, id=list(scores)))
    judge(single, scores, gold={"x1": 2.0}, several={"x2": (1.0, 1.0)})
    constant = finished(tmp_path / "all", cell_of(grid, "dss", "svamp"), answers("111"))
    judge(constant, {"a": 1.0, "b": 2.0, "c": 3.0})
    runs = [single, constant]
    flipped = "".join("10"[int(flag)] if n % 2 else flag for n, flag in enumerate(flags))
    for task, values in (("cqa", [flags, flipped, "1" * 40]), ("anli1", [flags, flags])):
        for seed, right in enumerate(values, start=1):
            cell = cell_of(grid, "mi", task, seed)
            runs.append(finished(tmp_path / f"{task}{seed}", cell, answers(right, id=list(scores))))
            judge(runs[-1], scores)
    (table,) = paper_tables(runs, [grid])
    r, p = stats.pearsonr(list(scores.values()), with_scores)
    second = stats.pearsonr(list(scores.values()), [flag == "1" for flag in flipped])
    first, two, same = at(table, "DSS", "CQA"), at(table, "Ours", "CQA"), at(table, "Ours", "ANLI")
    assert (first.value, first.p_value, first.paper, first.n) == (pytest.approx(r), pytest.approx(p), 0.66, 40)
    assert first.adjusted == pytest.approx(3 * p)  # Holm over three, of which it is one of the two smallest
    assert first.interval == pytest.approx(
        tuple(stats.pearsonr(list(scores.values()), with_scores).confidence_interval())
    )
    # of the second seed's answers the other half is right: so that its r is another; the third says nothing but right
    assert (two.value, two.n, two.seeds) == (pytest.approx((r + second.statistic) / 2), 40, 2)
    assert two.p_value == pytest.approx(2 * stats.beta(19, 19, loc=-1, scale=2).sf(two.value))
    # a seed that says just what another says makes nothing surer
    assert (same.value, same.p_value, same.interval) == (first.value, first.p_value, first.interval)
    assert "every answer is right" in at(table, "DSS", "SVAMP").reason
    assert any("p < 0.05 of DSS on CQA, Ours on SVAMP, Ours on CQA" in note for note in table.notes)


def test_fractions_are_a_figure_a_task_with_its_numbers(tmp_path, root):
    grid = smoke("figure3", root)
    runs = [
        finished(tmp_path / f"{objective}{share}", cell_of(grid, objective, "cqa", 1, share), answers(flags))
        for objective, share, flags in (("dss", 0.25, "1000"), ("dss", 1.0, "1100"), ("mi", 1.0, "1110"))
    ]
    figures = paper_tables(runs, [grid])
    assert [figure.name for figure in figures] == [
        f"figure3-{task}" for task in ("esnli", "anli1", "cqa", "svamp", "arithmetic")
    ]
    assert all(isinstance(figure, Figure) and figure.svg.startswith("<svg") for figure in figures)
    table = figures[2].table
    assert table.columns == ("25 %", "50 %", "75 %", "100 %")
    values_of_row = {
        row.name: [cell.value if cell.reason is None else cell.reason for cell in row.cells] for row in table.rows
    }
    assert values_of_row == {"DSS": [25, "not run", "not run", 50], "Ours": ["not run", "not run", "not run", 75]}
    assert figures[0].table.rows[0].cells[0].reason == "not run"


def test_a_case_study_has_every_kind_of_difference_by_its_rule(tmp_path, root):
    grid = smoke("figure4", root)
    reasons = [HOSTILE, "same", "x", "y", "Same.", "z", "v"]
    first = answers("1100011", rationale=reasons)
    second = answers("0101011", rationale=["other", "same ", "x2", "w", "same", "z2", "v2"])
    runs = [
        finished(tmp_path / "dss", cell_of(grid, "dss", "arithmetic"), first),
        finished(tmp_path / "mi", cell_of(grid, "mi", "arithmetic"), second),
        finished(tmp_path / "mi2", cell_of(grid, "mi", "arithmetic", 2), first),
    ]
    svamp, study = case_studies(runs, [grid])
    assert (svamp.task, svamp.reason, svamp.kinds) == ("svamp", "not run", ())
    counts = {kind.name: (kind.count, [case.id for case in kind.picked]) for kind in study.kinds}
    assert counts["only DSS right"] == (1, ["a"])
    assert counts["only Ours right"] == (1, ["d"])
    assert counts["both right"][0] == 2
    assert counts["both wrong"] == (1, ["c"])  # e has "Same." and "same", which is no difference
    assert study.examples == 7
    (case,) = study.kinds[1].picked
    assert [(answer.group, answer.seed, answer.correct) for answer in case.answers] == [
        ("dss", 1, True),
        ("mi", 1, False),
    ]
    assert case.answers[0].rationale == HOSTILE


def test_a_grid_read_twice_is_one_table_and_two_of_one_name_are_refused(tmp_path, root):
    grid = smoke("table3", root)
    for folder in ("one", "other"):
        GridFolder(tmp_path / folder).write_grid(grid)
    read = [Grid.load(path) for folder in ("one", "other") for path in (tmp_path / folder / "grids").glob("*.yaml")]
    assert len(read) == 2
    assert len(paper_tables([], read)) == 1
    with pytest.raises(LimbeckError, match=r"other/grids/table3\.yaml: both are called table3 and they differ"):
        paper_tables([], [grid, read[-1].changed(["seeds=9"])])


def test_the_smoke_grids_are_trained_and_make_tables(tmp_path):
    """Without any data at all: the embedded task alone."""
    grids, _ = paper_grids(["table1", "table6", "figure4"], offline=True, smoke=True, root=tmp_path / "no")
    (cases_grid,) = (grid for grid in grids if grid.name == "figure4")
    first = [cell for cell in cells(cases_grid) if cell.recipe.seed == 1]
    runs = [train(cell.recipe, tmp_path / cell.name) for cell in first]
    accuracy, calibration = paper_tables(runs, grids)
    for row, run in zip(("DSS", "Ours"), runs, strict=True):
        measured = run.results["test"]
        assert at(accuracy, row, "arithmetic").value == 100 * measured["accuracy"]
        assert at(accuracy, row, "arithmetic").interval == pytest.approx([100 * end for end in measured["interval"]])
        assert 0 <= at(calibration, row, "arithmetic Conf.").value <= 100
        assert at(calibration, row, "arithmetic ECE").n == measured["n"] == 16
    assert at(accuracy, "Finetuning", "arithmetic").reason == "not run"
    svamp, study = case_studies(runs, grids)
    assert (svamp.reason, study.examples) == ("no data, so not in the grid that was run", 16)
    assert all(case.rationale is not None for kind in study.kinds for case in kind.picked)


def test_whether_our_numbers_are_to_be_held_against_the_papers_is_said(tmp_path):
    full_data = data_at(tmp_path / "whole", dict.fromkeys(("cqa", "esnli"), "train valid test"))
    grid, _ = paper_grid("table1", root=full_data)
    paper = "google/t5-v1_1-base, 10,000 steps of 64 examples, learning rate 5e-05"
    (table,) = paper_tables([], [grid])
    assert table.notes[0] == f"Ours: {paper}, as in the paper."
    for change in ("training.learning_rate=1e-4", "student=mine", "data.limit=100", "training.max_steps=-1"):
        (table,) = paper_tables([], [grid.changed([change])])
        assert table.notes[0].endswith(f"The paper's: {paper}, the whole data; so its numbers are no measure of ours.")
    (table,) = paper_tables([], [paper_grid("table2", offline=True, root=data_at(tmp_path / "local"))[0]])
    assert "a T5 from scratch of width 128" in table.notes[0]
    assert table.notes[1] == "The paper has no arithmetic."
    assert "e-SNLI and ANLI: trained on the archive's split 'valid'." in table.notes


def test_all_of_the_paper_is_made_without_a_single_run(root):
    grids, omissions = paper_grids(["paper"], offline=True, smoke=True, root=root)
    assert omissions == []
    items = paper_tables([], [*reversed(grids), Grid.parse({"name": "table1", "recipe": {}}, "other")])
    tables = [first.table if isinstance(first, Figure) else first for first in items]
    assert [table.name.partition("-")[0] for table in tables] == [*NAMES[:8], *["figure2"] * 5, *["figure3"] * 5]
    for table in tables:
        assert all(len(row.cells) == len(table.columns) for row in table.rows)
        assert {cell.reason for row in table.rows for cell in row.cells} == {"not run"}
        assert {cell.value for row in table.rows for cell in row.cells} == {None}
    assert len(case_studies([], grids)) == 4
    assert all(len(cells(grid)) > 0 for grid in grids)


def test_what_was_cut_stands_below_the_accuracies(tmp_path, root):
    grid = smoke("table1", root)
    run = finished(tmp_path / "run", cell_of(grid, "mi", "cqa"), answers("1101"))
    notes = {"sources_cut": 3, "targets_cut": 40}
    run.write_results({"training": {"examples": 400, "sources": 800, "targets": 800}, "notes": notes})
    (table,) = paper_tables([run], [grid])
    (warning,) = [note for note in table.notes if note.startswith("Warning")]  # 3 of 800 are no cause for one
    assert "40 targets" in warning
    assert "Ours, CQA" in warning
