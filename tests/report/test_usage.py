"""What students in use answered, in the report: sums over servers, the cascade's accuracy, and rounds of training."""

import json
import shutil

import numpy as np
import pytest

from limbeck.data import DataSettings, load
from limbeck.files import write_json
from tests.helpers.archives import write_rows
from tests.report.reports import ARITHMETIC, finished, report_of, tables_of
from tests.runs.recipes import rows_of

TEACHER = {"name": "m", "least_confidence": 0.4, "replies": 20, "seconds": 0.5, "cost": 0.08}
SESSION = {"started": "a", "ended": "b", "engine": "transformers", "questions": 100, "passed_on": 30, "failed": 1}


def test_cost_accuracy_and_seconds_are_those_of_the_servers_and_the_test_split(tmp_path):
    run = finished(tmp_path / "a", "dss", 1)
    earlier = {**SESSION, "seconds": 4.0, "teacher": {**TEACHER, "least_confidence": 0.9}}
    later = {**SESSION, "questions": 300, "seconds": 8.0, "teacher": {**TEACHER, "replies": 30, "cost": 0.22}}
    unused = {**SESSION, "questions": 0, "passed_on": 0, "seconds": 0.0}
    write_rows(run / "serving.jsonl", [earlier, later, unused])
    rows = tables_of(report_of(tmp_path))["usage"]["rows"]
    assert list(rows) == ["a: student", "a: teacher", "a: both"]
    answers = rows_of(run / "predictions" / "test.jsonl")
    correct = np.array([row["correct"] for row in answers])
    passed = np.array([row["confidence"] < 0.4 for row in answers])
    examples = load(DataSettings.parse(ARITHMETIC, "test")).test
    teacher = np.array([example.teacher_label == example.label for example in examples])
    expected = {
        "a: student": (correct.mean(), 0.0, 0.0, 1000 * 12 / 400),
        "a: teacher": (teacher.mean(), 1.0, 1000 * 0.3 / 50, 1000 * 0.5),
        "a: both": (np.where(passed, teacher, correct).mean(), 60 / 400, 1000 * 0.3 / 400, 30 + 1000 * 60 / 400 * 0.5),
    }
    for name, (accuracy, share, price, seconds) in expected.items():
        values = [cell["value"] for cell in rows[name].values()]
        assert values == pytest.approx([100 * accuracy, 100 * share, price, seconds])


@pytest.mark.parametrize(
    ("teacher", "reason"), [({"cost": None}, "no price known"), ({"replies": 0, "seconds": None}, "no reply")]
)
def test_what_was_not_counted_has_a_reason(tmp_path, teacher, reason):
    run = finished(tmp_path / "a", "dss", 1)
    write_rows(run / "serving.jsonl", [{**SESSION, "seconds": 4.0, "teacher": {**TEACHER, **teacher}}])
    row = tables_of(report_of(tmp_path))["usage"]["rows"]["a: teacher"]
    assert (row["price per 1,000 questions"]["value"], row["price per 1,000 questions"]["reason"]) == (None, reason)


def test_rounds_are_in_order_wherever_the_runs_lie_now(tmp_path):
    names = ["first", "second", "third"]
    for number, name in enumerate(names):
        steps = 400 + number  # else they are seeds of one recipe
        run = finished(tmp_path / "made" / name, "dss", 1, steps=steps)
        if number:
            provenance = json.loads((run / "provenance.json").read_text())
            parent = {"run": str(tmp_path / "made" / names[number - 1]), "steps": 4, "sha256": {}}
            write_json(run / "provenance.json", {**provenance, "from": parent})
    write_rows(tmp_path / "made" / "second" / "serving.jsonl", [{**SESSION, "seconds": 4.0, "teacher": TEACHER}])
    shutil.move(tmp_path / "made", tmp_path / "moved")
    rows = tables_of(report_of(tmp_path))["rounds-third"]["rows"]
    assert [row.partition(",")[0] for row in rows] == ["1: first", "2: second", "3: third"]
    shares = [row["passed on (%)"] for row in rows.values()]
    assert [(cell["value"], cell["reason"]) for cell in shares] == [
        (None, "not served"),
        (pytest.approx(30.0), None),
        (None, "not served"),
    ]


def test_without_use_there_is_no_section_and_a_damaged_file_is_named(tmp_path):
    run = finished(tmp_path / "a", "dss", 1)
    assert "usage" not in [section["id"] for section in report_of(tmp_path)["sections"]]
    write_rows(run / "serving.jsonl", [{"questions": "many"}])
    section = next(section for section in report_of(tmp_path)["sections"] if section["id"] == "usage")
    assert not section["tables"] and "serving.jsonl" in section["missing"][0]
