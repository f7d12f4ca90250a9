"""The report's sections: accuracy with counts, calibration, curves, rationales."""

import json

import pytest

from limbeck.errors import LimbeckError
from limbeck.notes import MEASURED, NOTES
from tests.helpers.archives import write_rows
from tests.report.reports import finished, judge, questions, report_of, tables_of
from tests.runs.recipes import rows_of


def test_every_count_stands_below_the_accuracies_once_and_other_data_beside_them(tmp_path):
    finished(tmp_path / "finetune", "finetune", 1)
    for name in ("dss", "mi"):
        path = finished(tmp_path / name, name, 1) / "results.json"
        results = json.loads(path.read_text())
        results["training"] |= dict.fromkeys(("examples", "sources", "targets"), 1000)
        results["valid"] = results["test"] | {"n": 50}
        results["notes"] = {name: 100 + index for index, name in enumerate(NOTES)}
        results["test"] |= {name: 30 + index for index, name in enumerate(MEASURED)}
        results["out_of_domain"] = {"anli1": {"n": 2}}
        path.write_text(json.dumps(results))
        rows = [{"id": id, "label": "a", "prediction": answer} for id, answer in (("1", "a"), ("2", "b"))]
        write_rows(path.parent / "predictions" / "anli1-test.jsonl", rows)
    table = tables_of(report_of(tmp_path))["accuracy-arithmetic"]
    elsewhere = [table["rows"][name]["on anli1"] for name in ("mi", "finetune")]
    assert [(cell["value"], cell["reason"]) for cell in elsewhere] == [(50, None), (None, "not measured")]
    counts = [note for note in table["notes"] if note.endswith("; dss; mi.")]
    notes = [*NOTES.values(), *MEASURED.values()]
    assert all(any(note.sentence in sentence for sentence in counts) for note in notes)
    assert len(counts) == len(notes)
    assert sum(note.startswith("Warning: ") for note in counts) == sum(note.warns is not None for note in notes)


def test_several_seeds_are_one_group_and_their_curves_a_mean(tmp_path):
    for seed in (1, 2):
        run = finished(tmp_path / f"dss{seed}", "dss", seed)
        write_rows(
            run / "log.jsonl", [{"step": 10, "term_label": seed, "share_label": 0.5}, {"step": 20, "term_label": 9}]
        )
    tables = tables_of(report_of(tmp_path))
    cell = tables["accuracy-arithmetic"]["rows"]["dss"]["accuracy"]
    assert (cell["seeds"], cell["n"]) == (2, 60)
    steps = next(table for table in tables.values() if table["title"].endswith("label, a term of the loss"))["rows"]
    assert [row["dss"]["value"] for row in steps.values()] == [1.5, 9]


def test_scores_are_of_the_answers_that_the_run_has_now(tmp_path):
    for seed, score in ((1, 4), (2, 2)):
        run = finished(tmp_path / f"dss{seed}", "dss", seed)
        rows = rows_of(run / "predictions" / "test.jsonl")
        judge(run, {row["id"]: score for row in rows[:5]})
        rows[3]["rationale"] = rows[4]["rationale"] = "evaluated anew"
        write_rows(run / "predictions" / "test.jsonl", rows)
        judge(finished(tmp_path / f"mi{seed}", "mi", seed), {rows[seed]["id"]: 4})
    report = report_of(tmp_path)
    table = tables_of(report)["judge-arithmetic"]["rows"]
    cell, without = table["dss"]["score"], table["mi"]["score"]
    assert (cell["value"], cell["n"], cell["seeds"]) == (3, 3, 2)  # three examples, whatever the seeds
    assert [case["answers"][0].get("score") for case in report["cases"][:4]] == [4, 4, 4, None]
    assert (without["value"], without["reason"]) == (None, "no example judged in all seeds")


def test_an_evaluation_is_used_where_it_is_of_the_newest_answers(tmp_path):
    run = finished(tmp_path / "dss", "dss", 1)
    results = json.loads((run / "results.json").read_text())
    accuracy = {name: results["test"][name] for name in ("accuracy", "interval", "exact", "n")}
    quality = {"bleu": {"score": 12.5}, "rougeL": 0.25}
    write_rows(run / "evaluation" / "test.json", [{"accuracy": accuracy, "quality": quality}])
    row = tables_of(report_of(tmp_path))["rationales-arithmetic"]["rows"]["dss"]
    assert [row[name]["value"] for name in ("BLEU", "ROUGE-L", "words")] == [12.5, 0.25, None]
    results["test"]["accuracy"] = 0.123  # measured again, stopped before the page
    write_rows(run / "results.json", [results])
    assert "rationales-arithmetic" not in tables_of(report_of(tmp_path))
    (run / "evaluation" / "test.json").write_text("[")
    with pytest.raises(LimbeckError, match=r"test\.json"):
        report_of(tmp_path)


def test_what_is_missing_has_a_reason_and_no_line(tmp_path):
    finished(tmp_path / "dss", "dss", 1)
    path = finished(tmp_path / "mi", "mi", 1) / "predictions" / "test.jsonl"
    write_rows(path, [{**row, "confidence": None} for row in rows_of(path)])
    report = report_of(tmp_path)
    (table,) = [table for name, table in tables_of(report).items() if name.startswith("risk-coverage")]
    assert list(table["rows"]["100% answered"]) == ["dss"]
    missing = " ".join(sentence for section in report["sections"] for sentence in section["missing"])
    assert "`limbeck evaluate RUN --rationale` measures it" in missing
    assert "`limbeck judge RUN...` measures it" in missing


def test_a_teacher_is_right_by_any_accepted_answer(tmp_path):
    rows = [{"input": f"Q{i}?", "label": "a", "answers": ["a", "b"], "teacher_label": "b"} for i in range(20)]
    finished(tmp_path / "dss", "dss", 1, data=questions(tmp_path / "data", rows))
    (cascade,) = [table for name, table in tables_of(report_of(tmp_path)).items() if name.startswith("cascade")]
    assert cascade["rows"]["100% passed on"]["dss"]["value"] == 1.0
