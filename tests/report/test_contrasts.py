"""Which run groups a report compares with which, and which of them make a curve over the training data."""

import json

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from tests.report.reports import ARITHMETIC, finished, report_of

CHOICES = {"answers": "choices"}
pytestmark = pytest.mark.usefixtures("no_figures")


def compared(report):
    return {(entry["group"], entry["baseline"]) for entry in report["comparisons"]}


def curves(report):
    """Return for each figure over fractions, by series, the fractions that it has a value at."""
    figures = [figure for section in report["sections"] for figure in section["figures"]]
    return [
        {
            series: [row["name"] for row in figure["table"]["rows"] if row["cells"][column]["value"] is not None]
            for column, series in enumerate(figure["table"]["columns"])
        }
        for figure in figures
        if "fraction of" in figure["title"]
    ]


def test_differences_and_their_tests_are_the_predictions_own(runs, report):
    right = {}
    for name in ("finetune", "dss", "mi"):
        lines = (runs / name / "predictions" / "test.jsonl").read_text().splitlines()
        right[name] = np.array([json.loads(line)["correct"] for line in lines])
    data = json.loads((report / "report.json").read_text())
    table = next(
        table for part in data["sections"] for table in part["tables"] if table["name"] == "accuracy-arithmetic"
    )
    cells = {row["name"]: row["cells"][0] for row in table["rows"]}
    p_values = {}
    for name, cell in cells.items():
        assert cell["value"] == pytest.approx(100 * right[name].mean())
        if name == "dss":
            assert (cell["difference"], cell["reason"]) == (None, "baseline")
            continue
        assert cell["difference"] == pytest.approx(100 * (right[name].mean() - right["dss"].mean()))
        a, b = int((right[name] & ~right["dss"]).sum()), int((right["dss"] & ~right[name]).sum())
        p_values[name] = binomtest(a, a + b).pvalue - binom.pmf(a, a + b, 0.5)  # McNemar's mid-p, where a is not b
        assert cell["p_value"] == pytest.approx(p_values[name])
    small, large = sorted(p_values, key=p_values.get)
    assert cells[small]["adjusted"] == pytest.approx(min(1, 2 * p_values[small]))
    assert cells[large]["adjusted"] == pytest.approx(max(p_values[large], cells[small]["adjusted"]))
    page = (report / "index.html").read_text()
    for cell in cells.values():
        star = "*" if cell["adjusted"] is not None and cell["adjusted"] < 0.05 else ""
        assert f"<td><b>{cell['value']:.2f}{star}</b></td>" in page


def test_the_baseline_differs_in_its_objective_alone(tmp_path):
    for objective in ("dss", "mi"):
        for fraction in (0.5, 1.0):
            finished(tmp_path / f"{objective}{fraction}", objective, 1, {**ARITHMETIC, "train_fraction": fraction})
    report = report_of(tmp_path)
    names = [f"data.train_fraction={share}" for share in (0.5, 1.0)]
    assert compared(report) == {(f"mi, {name}", f"dss, {name}") for name in names}
    assert curves(report) == [{"dss": ["0.5", "1"], "mi": ["0.5", "1"]}]


def test_groups_on_other_examples_are_not_compared(tmp_path):
    finished(tmp_path / "dss", "dss", 1, right=0.2)
    finished(tmp_path / "mi", "mi", 1, {**ARITHMETIC, "source": {**ARITHMETIC["source"], "seed": 5}}, right=0.9)
    report = report_of(tmp_path)
    assert "not compared: mi, data.source.seed=5 on arithmetic" in " ".join(report["overview"])
    assert report["comparisons"] == []


def test_groups_are_compared_with_those_that_were_asked_in_the_same_way(tmp_path):
    for objective in ("dss", "mi"):
        finished(tmp_path / objective, objective, 1)
        finished(tmp_path / f"{objective}-choices", objective, 1, evaluation=CHOICES)
    names = [f"evaluation.answers={answers}" for answers in ("choices", "generate")]
    report = report_of(tmp_path)
    assert compared(report) == {(f"mi, {name}", f"dss, {name}") for name in names}
    assert curves(report) == []  # no fraction varies


def test_settings_that_change_no_answer_keep_no_groups_apart(tmp_path):
    finished(tmp_path / "finetune", "finetune", 1)
    finished(tmp_path / "dss", "dss", 1, evaluation={"rationales": True, "batch_size": 8, "encoder": "some-encoder"})
    assert compared(report_of(tmp_path)) == {("finetune", "dss")}


def test_sets_that_differ_only_in_how_they_were_asked_have_names_of_their_own(tmp_path):
    for objective, evaluation in (("dss", None), ("finetune", None), ("mi", CHOICES), ("kl", CHOICES)):
        finished(tmp_path / objective, objective, 1, evaluation=evaluation)
    report = report_of(tmp_path)
    assert compared(report) == {("finetune", "dss"), ("mi", "kl")}
    overview = " ".join(report["overview"])
    assert " on arithmetic, evaluation.answers=generate (" in overview
    assert " on arithmetic, evaluation.answers=choices (" in overview


def test_each_way_of_asking_has_a_curve_of_its_own(tmp_path):
    for fraction in (0.5, 1.0):
        for name, evaluation in (("generate", None), ("choices", CHOICES)):
            data = {**ARITHMETIC, "train_fraction": fraction}
            finished(tmp_path / f"{name}{fraction}", "dss", 1, data, evaluation=evaluation)
    finished(tmp_path / "mi", "mi", 1, evaluation=CHOICES)
    names = [f"dss, evaluation.answers={answers}" for answers in ("choices", "generate")]
    assert curves(report_of(tmp_path)) == [{name: ["0.5", "1"] for name in names}]


def test_series_whose_groups_differ_in_their_fractions_alone_both_stay(tmp_path):
    for steps, fractions in ((400, (0.1, 0.2)), (800, (0.5, 1.0))):
        for fraction in fractions:
            finished(tmp_path / f"dss{fraction}", "dss", 1, {**ARITHMETIC, "train_fraction": fraction}, steps=steps)
    names = [f"dss, data.train_fraction={fraction}" for fraction in (0.1, 0.5)]
    assert curves(report_of(tmp_path)) == [{names[0]: ["0.1", "0.2"], names[1]: ["0.5", "1"]}]


def test_of_two_groups_at_one_fraction_it_names_the_one_that_is_not_drawn(tmp_path):
    for fraction in (0.5, 1.0):
        finished(tmp_path / f"dss{fraction}", "dss", 1, {**ARITHMETIC, "train_fraction": fraction})
    finished(tmp_path / "rationales", "dss", 2, right=0.0, evaluation={"rationales": True})
    report = report_of(tmp_path)
    (missing,) = [line for section in report["sections"] for line in section["missing"] if "fraction" in line]
    name = "dss, data.train_fraction=1.0, evaluation.rationales="
    assert missing.startswith(f"{name}True is not in") and missing.endswith(f"{name}False is instead.")
