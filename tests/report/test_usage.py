"""Students in use, in the report: sums over servers, the cascade's accuracy, and rounds of training."""

import json
import shutil

import numpy as np
import pytest

from limbeck.data import DataSettings, load
from limbeck.files import write_json
from tests.helpers.archives import write_rows
from tests.report.reports import ARITHMETIC, finished, report_of, tables_of
from tests.runs.recipes import rows_of

TEACHER = {"name": "m", "least_confidence": 0.4, "replies": 20, "cost": 0.08}
TIMES = {"started": "a", "ended": "b", "engine": "transformers"}
SERVER = {**TIMES, "questions": 100, "passed_on": 30, "failed": 1, "seconds": 4.0, "waited": 15.0, "teacher": TEACHER}


def changed(**changes):
    return {**SERVER, **changes}


def usage_of(folder, *servers, name="a"):
    run = finished(folder / name, "dss", 1)
    write_rows(run / "serving.jsonl", servers)
    return tables_of(report_of(folder))["usage"]["rows"]


def values(row):
    return [cell["value"] for cell in row.values()]


def test_price_accuracy_and_seconds_are_those_of_the_servers_and_the_test_split(tmp_path):
    alone = changed(passed_on=0, failed=0, waited=0.0, questions=9000, teacher=None)
    other = changed(teacher={**TEACHER, "least_confidence": 0.9}, questions=7000)
    later = changed(questions=300, seconds=8.0, waited=25.0, teacher={**TEACHER, "replies": 30, "cost": 0.22})
    unused = changed(questions=0, passed_on=0, failed=0)
    rows = usage_of(tmp_path, alone, other, SERVER, later, unused)
    assert list(rows) == ["a: student", "a: m", "a: both"]
    answers = rows_of(tmp_path / "a" / "predictions" / "test.jsonl")
    correct = np.array([row["correct"] for row in answers])
    passed = np.array([row["confidence"] < 0.4 for row in answers])
    examples = load(DataSettings.parse(ARITHMETIC, "test")).test
    teacher = np.array([example.teacher_label == example.label for example in examples])
    expected = {
        "a: student": (correct.mean(), 0.0, 0.0, 1000 * 12 / 400),
        "a: m": (teacher.mean(), 1.0, 1000 * 0.3 / 50, 1000 * 40 / 60),
        "a: both": (np.where(passed, teacher, correct).mean(), 60 / 400, 1000 * 0.3 / 400, 1000 * (12 + 40) / 400),
    }
    for name, (accuracy, share, price, seconds) in expected.items():
        assert values(rows[name]) == pytest.approx([100 * accuracy, 100 * share, price, seconds])
    assert rows["a: both"]["passed on (%)"]["reason"] == "2 failed"


@pytest.mark.parametrize(
    ("server", "row", "column", "reason"),
    [
        (changed(teacher={**TEACHER, "cost": None}), "a: both", 2, "no price known"),
        (changed(teacher={**TEACHER, "replies": 0}), "a: m", 2, "no reply"),  # but paid for
        (changed(passed_on=0, failed=0), "a: m", 3, "none passed on"),
        (changed(engine="ctranslate2-int8"), "a: both", 0, "the test split was answered in another way"),
    ],
)
def test_what_was_not_counted_has_a_reason(tmp_path, server, row, column, reason):
    usage_of(tmp_path, server)
    results = json.loads((tmp_path / "a" / "results.json").read_text())
    results["test"]["engine"] = "transformers"
    write_json(tmp_path / "a" / "results.json", results)
    rows = tables_of(report_of(tmp_path))["usage"]["rows"]
    cell = list(rows[row].values())[column]
    assert (cell["value"], cell["reason"]) == (None, reason)


def test_a_student_without_a_teacher_has_its_row_and_runs_of_one_name_have_one_each(tmp_path):
    for number, name in enumerate(("x/seed", "y/seed"), start=1):
        run = finished(tmp_path / name, "dss", number)
        write_rows(run / "serving.jsonl", [changed(seconds=float(number), passed_on=0, failed=0, teacher=None)])
    rows = tables_of(report_of(tmp_path))["usage"]["rows"]
    assert {name: values(row)[3] for name, row in rows.items()} == {
        "x/seed: student": pytest.approx(10.0),
        "y/seed: student": pytest.approx(20.0),
    }


def rounds(folder, *names, **changes):
    """Finished runs, each trained from the one before it."""
    for number, name in enumerate(names):
        run = finished(folder / name, "dss", 1, steps=400 + number)  # else they are seeds of one recipe
        if number:
            provenance = json.loads((run / "provenance.json").read_text())
            parent = {"run": str(folder / names[number - 1]), "steps": 399 + number, "sha256": {}, **changes}
            write_json(run / "provenance.json", {**provenance, "from": parent})
    write_rows(folder / names[1] / "serving.jsonl", [SERVER])


def test_rounds_are_in_order_wherever_the_runs_lie_now(tmp_path):
    rounds(tmp_path / "made", "first", "second", "third")
    shutil.move(tmp_path / "made", tmp_path / "moved")
    rows = tables_of(report_of(tmp_path))["rounds-third"]["rows"]
    assert [row.partition(",")[0] for row in rows] == ["1: first", "2: second", "3: third"]
    shares = [(row["passed on (%)"]["value"], row["passed on (%)"]["reason"]) for row in rows.values()]
    assert shares == [(None, "not served"), (pytest.approx(30.0), "1 failed"), (None, "not served")]


@pytest.mark.parametrize("changes", [{"steps": 7}, {"run": "/elsewhere/a\0b"}, {"run": 3}, {"run": "/nowhere/else"}])
def test_another_run_is_no_parent(tmp_path, changes):
    rounds(tmp_path, "first", "second", **changes)
    assert not any(name.startswith("rounds") for name in tables_of(report_of(tmp_path)))


DAMAGED = {
    "words": {"questions": "many"},
    "infinite": {"questions": 1e999},
    "large": {"seconds": 10**400},
    "part": {"questions": 0.5},
    "negative": {"passed_on": -5},
    "surprise": {"more": 1},
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_named_and_without_use_there_is_no_section(tmp_path, damage):
    run = finished(tmp_path / "a", "dss", 1)
    assert "usage" not in [section["id"] for section in report_of(tmp_path)["sections"]]
    write_rows(run / "serving.jsonl", [SERVER, changed(**damage)])
    section = next(section for section in report_of(tmp_path)["sections"] if section["id"] == "usage")
    assert not section["tables"] and "serving.jsonl" in section["missing"][0]
