"""The report's sections: accuracy by label, counts, calibration, curves, rationales."""

import json

import pytest
from scipy.stats import binomtest

from limbeck.errors import LimbeckError
from limbeck.notes import MEASURED, NOTES
from limbeck.report.write import make_report
from limbeck.runs.run import count_lines, open_run
from tests.report.reports import evaluated, finished, questions, report_of, write

pytestmark = pytest.mark.usefixtures("no_figures")


def tables(report, section):
    return {table["name"]: table for part in report["sections"] if part["id"] == section for table in part["tables"]}


def rows_of(run):
    return [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]


def counted(path):
    """Return the run with every count that its results can hold."""
    results = json.loads((path / "results.json").read_text())
    results["training"]["examples"] = 1000
    results["valid"] = results["test"] | {"accuracy": 0.5}
    results["notes"] = {name: 100 + index for index, name in enumerate(NOTES)} | {"of_tomorrow": 7}
    results["test"] |= {name: 30 + index for index, name in enumerate(MEASURED)}
    (path / "results.json").write_text(json.dumps(results))
    return open_run(path)


def test_every_count_is_in_the_table_and_every_warning_stands_once(tmp_path):
    older, dss, mi = (finished(tmp_path / name, name, 1) for name in ("finetune", "dss", "mi"))
    run = counted(dss)
    counted(mi)
    accuracy = tables(report_of(dss, mi, older), "accuracy")
    counts = {row["name"]: [cell["value"] for cell in row["cells"]] for row in accuracy["counts-arithmetic"]["rows"]}
    assert counts["dss"] == [*run.results["notes"].values(), *(run.results["test"][name] for name in MEASURED)]
    assert counts["mi"] == counts["dss"]
    assert set(counts["finetune"]) == {None}  # not counted, which is no zero
    text = json.dumps(accuracy["counts-arithmetic"])
    assert all(note.sentence in text for note in (*NOTES.values(), *MEASURED.values()))
    assert "of tomorrow" in text
    warnings = [note for note in accuracy["accuracy-arithmetic"]["notes"] if note.startswith("Warning")]
    assert len(warnings) == sum(note.warns is not None for note in (*NOTES.values(), *MEASURED.values()))
    assert all("dss; mi" in note for note in warnings)


def test_a_run_without_counts_has_no_table_of_them(tmp_path):
    assert "counts-arithmetic" not in tables(report_of(finished(tmp_path / "dss", "dss", 1)), "accuracy")


def test_counts_of_another_dataset_do_not_take_a_splits_place(tmp_path):
    path = finished(tmp_path / "dss", "dss", 1)
    results = json.loads((path / "results.json").read_text())
    results_of_task, results_elsewhere = ({**results["test"], "sources_cut": cut} for cut in (2, 40))
    (path / "results.json").write_text(
        json.dumps({**results, "test": results_of_task, "out_of_domain": {"test": results_elsewhere}})
    )
    counts = {where: line.count for where, line in count_lines(open_run(path).results)}
    assert counts == {"test": 2, "test-test": 40}


def test_labels_are_the_same_whatever_their_case_and_rare_ones_are_counted(tmp_path):
    rows = [{"input": f"Ticket {i}?", "label": ("Repair", "repair", "bill")[i % 3]} for i in range(60)]
    run = finished(tmp_path / "dss", "dss", 1, data=questions(tmp_path / "data", rows))
    table = tables(report_of(run), "accuracy")["labels-custom"]
    (always,) = [row for row in table["rows"] if row["name"].lower() == "always repair"]
    assert [cell["value"] for cell in always["cells"]] == pytest.approx([100 * 2 / 3, 40, 100, 0])
    assert "epair 40, bill 20" in table["notes"][0]
    rows = [{"input": f"Ticket {i}?", "label": f"kind {i % 12}"} for i in range(60)]
    run = finished(tmp_path / "many", "dss", 1, data=questions(tmp_path / "more", rows))
    table = tables(report_of(run), "accuracy")["labels-custom"]
    assert len(table["columns"]) == 2 + 8
    assert "4 rarer labels" in table["notes"][0]


def test_several_seeds_are_one_group_and_their_curves_a_mean(tmp_path):
    for seed in (1, 2):
        run = finished(tmp_path / f"dss{seed}", "dss", seed)
        write(run / "log.jsonl", [{"step": 10, "term_label": seed, "share_label": 0.5}, {"step": 20, "term_label": 9}])
    report = report_of(tmp_path)
    (row,) = tables(report, "accuracy")["accuracy-arithmetic"]["rows"]
    assert (row["cells"][0]["seeds"], row["cells"][0]["n"]) == (2, 60)
    curves = {figure["title"]: figure["table"]["rows"] for s in report["sections"] for figure in s["figures"]}
    steps = curves["arithmetic: label, a term of the loss"]
    assert [step["cells"][0]["value"] for step in steps] == [1.5, 9]


def test_seeds_that_answer_alike_make_no_interval_narrower(tmp_path):
    for seed in (1, 2, 3):
        run = finished(tmp_path / f"dss{seed}", "dss", seed)
        rows = [row | {"confidence": 0.55, "correct": n < 30} for n, row in enumerate(rows_of(run))]
        write(run / "predictions" / "test.jsonl", rows)
    report = report_of(tmp_path)
    titled = {figure["title"]: figure["table"]["rows"] for s in report["sections"] for figure in s["figures"]}
    answers, _, accuracy = titled["arithmetic: reliability of dss"][5]["cells"]
    assert (answers["value"], accuracy["value"]) == (180, 0.5)
    low, high = binomtest(30, 60).proportion_ci(0.95, "wilson")  # of 60 examples, asked thrice
    assert accuracy["interval"] == pytest.approx([low, high])


def test_an_interval_of_a_share_ends_where_shares_do(tmp_path):
    for seed, confidence in ((1, 0.01), (2, 0.2)):
        run = finished(tmp_path / f"dss{seed}", "dss", seed, right=0.0)
        write(run / "predictions" / "test.jsonl", [{**row, "confidence": confidence} for row in rows_of(run)])
    (row,) = tables(report_of(tmp_path), "confidence")["calibration-arithmetic"]["rows"]
    assert row["cells"][0]["interval"] == [0, 1]  # 0.105 and 1.2 to either side


def judgements(run, score, rows):
    judgement = {"task": "arithmetic", "run": "DSS", "judge": "large", "temperature": 0}
    judgement |= {"replies": [str(score)], "scores": [score]}
    return [{**judgement, "id": row["id"], "label": row["prediction"], "rationale": row["rationale"]} for row in rows]


def test_what_evaluate_and_the_judge_left_is_shown(tmp_path):
    for seed, score in ((1, 4), (2, 2)):
        run = finished(tmp_path / f"dss{seed}", "dss", seed)
        current, old = judgements(run, score, rows_of(run)[:3]), judgements(run, score, rows_of(run)[3:5])
        old = [{**row, "rationale": "of before it was evaluated anew"} for row in old]
        write(run / "evaluation" / "judge-test.jsonl", current + old)
    report = report_of(tmp_path)
    cell = tables(report, "rationales")["judge-arithmetic"]["rows"][0]["cells"][0]
    assert (cell["value"], cell["n"], cell["seeds"]) == (3, 3, 2)  # three examples, whatever the seeds
    assert [case["answers"][0]["score"] for case in report["cases"] if "score" in case["answers"][0]] == [4, 4, 4]


@pytest.mark.parametrize("outdated", [None, "accuracy", "n", "all"])
def test_an_evaluations_page_is_used_where_it_is_of_the_newest_answers(outdated, tmp_path):
    run = finished(tmp_path / "dss", "dss", 1)
    quality = {"bleu": {"score": 12.5}, "rougeL": 0.25}
    evaluated(run, quality=quality, calibration={"ece_interval": [0.1, 0.2]})
    results = json.loads((run / "results.json").read_text())
    if outdated:  # measured again, stopped before the page
        results["test"] = None if outdated == "all" else {**results["test"], outdated: 0.123}
        (run / "results.json").write_text(json.dumps(results))
    report = report_of(tmp_path)
    (row,) = tables(report, "confidence")["calibration-arithmetic"]["rows"]
    assert row["cells"][1]["interval"] == (None if outdated else [0.1, 0.2])
    assert ("rationales-arithmetic" in tables(report, "rationales")) is (outdated is None)
    if not outdated:
        (row,) = tables(report, "rationales")["rationales-arithmetic"]["rows"]
        assert [cell["value"] for cell in row["cells"][:2]] == [12.5, 0.25]
        (run / "evaluation" / "test.json").write_text("[]")
        with pytest.raises(LimbeckError, match=r"test\.json"):
            report_of(tmp_path)


def test_what_is_missing_has_a_reason(tmp_path):
    run = finished(tmp_path / "dss", "dss", 1)
    (run / "log.jsonl").unlink()
    (run / "provenance.json").write_text("[")
    report = report_of(tmp_path)
    missing = " ".join(sentence for section in report["sections"] for sentence in section["missing"])
    assert "log.jsonl: no such file" in missing
    assert "`limbeck evaluate RUN --rationale` measures it" in missing
    assert "`limbeck judge RUN...` measures it" in missing
    assert report["provenance"]["unknown"] == [str(run)]


def test_a_teacher_is_right_by_any_accepted_answer(tmp_path):
    rows = [{"input": f"Q{i}?", "label": "a", "answers": ["a", "b"], "teacher_label": "b"} for i in range(20)]
    run = finished(tmp_path / "dss", "dss", 1, data=questions(tmp_path / "data", rows))
    (cascade,) = [figure.table for figure in make_report([run]).figures if figure.name.startswith("cascade")]
    assert cascade.rows[-1].cells[0].value == 1.0  # all passed on
