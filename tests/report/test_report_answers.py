"""Which run groups a report compares with which, and which of them make a curve over the training data."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from limbeck.report.answers import score_cell
from tests.report.reports import ARITHMETIC, finished, report_of, tables_of
from tests.runs.recipes import rows_of


def test_scores_without_any_variance_of_their_mean_have_no_interval():
    cell = score_cell([{"a": 4.0, "b": 5.0}, {"a": 5.0, "b": 4.0}])
    assert (cell.value, cell.interval, cell.n, cell.seeds) == (4.5, None, 2, 2)
    assert score_cell([{"a": 4.0}, {"b": 4.0}]).reason == "no example judged in all seeds"


def test_differences_and_their_tests_are_the_predictions_own(runs, tmp_path):
    paths = {name: runs / name / "predictions" / "test.jsonl" for name in ("finetune", "dss", "mi")}
    right = {name: np.array([row["correct"] for row in rows_of(path)]) for name, path in paths.items()}
    table = tables_of(report_of(runs, out=tmp_path / "out"))["accuracy-arithmetic"]
    cells = {name: row["accuracy"] for name, row in table["rows"].items()}
    p_values = {}
    for name, cell in cells.items():
        assert cell["value"] == pytest.approx(100 * right[name].mean())
        if name != "dss":
            assert cell["difference"] == pytest.approx(100 * (right[name].mean() - right["dss"].mean()))
            a, b = int((right[name] & ~right["dss"]).sum()), int((right["dss"] & ~right[name]).sum())
            p_values[name] = binomtest(a, a + b).pvalue - binom.pmf(a, a + b, 0.5)  # McNemar's mid-p
            assert cell["p_value"] == pytest.approx(p_values[name])
    assert (cells["dss"]["difference"], cells["dss"]["reason"]) == (None, "baseline")
    small, large = sorted(p_values, key=p_values.get)
    assert cells[small]["adjusted"] == pytest.approx(min(1, 2 * p_values[small]))
    assert cells[large]["adjusted"] == pytest.approx(max(p_values[large], cells[small]["adjusted"]))


def test_the_baseline_differs_in_its_objective_alone(tmp_path):
    for objective in ("dss", "mi"):
        for fraction in (0.5, 1.0):
            data = {**ARITHMETIC, "train_fraction": fraction}
            evaluation = {"batch_size": 1 if objective == "mi" else 8}  # which changes no answer
            finished(tmp_path / f"{objective}{fraction}", objective, 1, data, evaluation=evaluation)
    report = report_of(tmp_path)
    names = [f"data.train_fraction={share}" for share in (0.5, 1.0)]
    compared = {(entry["group"], entry["baseline"]) for entry in report["comparisons"]}
    assert compared == {(f"mi, {name}", f"dss, {name}") for name in names}
    curves = tables_of(report)["fractions-arithmetic"]["rows"]
    assert {name: list(row) for name, row in curves.items()} == {"0.5": ["dss", "mi"], "1": ["dss", "mi"]}
    assert all(cell["value"] is not None for row in curves.values() for cell in row.values())


def test_groups_on_other_examples_are_not_compared(tmp_path):
    finished(tmp_path / "dss", "dss", 1, right=0.2)
    finished(tmp_path / "mi", "mi", 1, {**ARITHMETIC, "source": {**ARITHMETIC["source"], "seed": 5}}, right=0.9)
    report = report_of(tmp_path)
    assert "not compared: mi, data.source.seed=5 on arithmetic" in " ".join(report["overview"])
    assert report["comparisons"] == []
    assert "fractions-arithmetic" not in tables_of(report)  # no fraction varies
