"""The report's overview, its sections (accuracy with tests and counts, calibration, curves, rationales), its cases."""

import json
import re

import numpy as np
import pytest

from limbeck.data import DataSettings, load
from limbeck.grids import Grid, GridFolder, cells
from limbeck.notes import MEASURED, NOTES
from limbeck.report.answers import grade, score_cell
from limbeck.report.cases import shared_cases
from limbeck.report.write import find_runs
from limbeck.runs.compare import group_runs
from limbeck.stats.significance import compare
from tests.helpers.archives import write_rows
from tests.paper.paper_runs import answers
from tests.paper.paper_runs import finished as finished_cell
from tests.report.reports import ARITHMETIC, finished, judge, questions, report_of, tables_of
from tests.runs.recipes import TINY, rows_of

EXAMPLES = load(DataSettings.parse(ARITHMETIC, "test")).test
RATIONALES = {example.id: example.rationale for example in EXAMPLES}


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
            p_values[name] = cell["p_value"]
            assert p_values[name] == pytest.approx(compare(right[name], right["dss"]).p_value)
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


def test_every_count_stands_below_the_accuracies_once_and_other_data_beside_them(tmp_path):
    finished(tmp_path / "finetune", "finetune", 1)
    for name in ("dss", "mi"):
        path = finished(tmp_path / name, name, 1) / "results.json"
        results = json.loads(path.read_text())
        results["training"] |= dict.fromkeys(("examples", "sources", "targets"), 1000)
        results["valid"] = results["test"] | {"n": 50}
        results["notes"] = {name: 100 + index for index, name in enumerate(NOTES)}
        results["test"] |= {name: 30 + index for index, name in enumerate(MEASURED)}
        results["out_of_domain"] = {"anli1": {"accuracy": 0.5, "interval": [0.0, 1.0], "n": 2}}
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


@pytest.mark.parametrize(
    "line",
    [
        '{"step": 20, "term_la',
        '{"step": 20, "term_label": "nine"}',
        '{"step": null, "term_label": 1}',
        '{"step": Infinity, "term_label": 1}',
    ],
)
def test_a_damaged_log_leaves_out_its_own_curves_alone(line, tmp_path):
    for seed in (1, 2):
        run = finished(tmp_path / f"dss{seed}", "dss", seed)
        write_rows(run / "log.jsonl", [{"step": 10, "term_label": seed}, {"step": 20, "term_label": 9}])
    with (run / "log.jsonl").open("a") as file:
        file.write(line)
    report = report_of(tmp_path)
    (learning,) = (section for section in report["sections"] if section["id"] == "learning")
    (sentence,) = learning["missing"]
    assert f"{tmp_path.name}/dss2" in sentence and "log.jsonl:3" in sentence
    (figure,) = learning["figures"]
    assert [row["dss"]["value"] for row in figure["table"]["rows"].values()] == [1, 9]


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
    (section,) = (section for section in report_of(tmp_path)["sections"] if section["id"] == "rationales")
    assert [line for line in section["missing"] if "dss/evaluation/test.json" in line]


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


def cases_in(folder):
    return shared_cases(grade(group_runs(find_runs([folder])[0])))


def test_a_case_has_every_group_the_teacher_and_the_judge(tmp_path):
    for seed in (2, 1):
        finished(tmp_path / f"dss{seed}", "dss", seed, answers={EXAMPLES[0].id: f"answer of seed {seed}"})
    mi = finished(tmp_path / "mi", "mi", 7, rationale="x" * 5000)
    judge(mi, {EXAMPLES[0].id: 2.0, EXAMPLES[1].id: (5.0, 4.0)})
    gold = {EXAMPLES[0].id: 5.0, EXAMPLES[1].id: 4.0}
    judge(mi, gold, gold=True, rationales=RATIONALES | {EXAMPLES[1].id: "an older one"})
    first, second, *_ = cases = cases_in(tmp_path)
    assert len(cases) == len(EXAMPLES)
    fields = {"id": "id", "input": "input", "gold": "label", "teacher": "teacher_label", "rationale": "rationale"}
    assert [first[name] for name in fields] == [getattr(EXAMPLES[0], field) for field in fields.values()]
    assert (first["task"], first["score"], second.get("score")) == ("arithmetic", 5.0, None)
    dss_answer, mi_answer = first["answers"]
    assert (dss_answer["seed"], dss_answer["answer"]) == (1, "answer of seed 1")
    assert (mi_answer["group"], mi_answer["score"], second["answers"][1]["score"]) == ("mi", 2.0, 4.5)
    assert mi_answer["rationale"].endswith("(cut: 5,000 characters)")
    assert "score" not in dss_answer


def test_the_same_id_of_other_data_is_another_example(tmp_path):
    finished(tmp_path / "dss", "dss", 1)
    run = finished(tmp_path / "mi", "mi", 1)
    rows = rows_of(run / "predictions" / "test.jsonl")
    write_rows(run / "predictions" / "test.jsonl", [{**rows[0], "input": "2 apples?"}, *rows[1:]])
    assert len(cases_in(tmp_path)) == len(EXAMPLES) - 1
    _, mi = grade(group_runs(find_runs([tmp_path])[0]))
    foreign, second, *_ = mi.examples.values()
    assert (foreign.input, foreign.rationale) == ("2 apples?", None)
    assert second.rationale == EXAMPLES[1].rationale


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
        f"{tmp_path.name}/all/one/{unfinished.name} is not finished",
    }
    assert report["left_out"][3] == f"{all_cells[4].name} was not run"
    assert report["left_out"][13:] == ["and 28 more"]
    assert report_of(folder.out / all_cells[0].name)["left_out"] == []
