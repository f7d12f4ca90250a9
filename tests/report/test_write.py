"""The report's folder: what is in it, what it replaces, how large its page may grow; and tables in its three forms."""

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from limbeck.errors import DataError, LimbeckError
from limbeck.files import read_json, sha256, write_json
from limbeck.grids import GridFolder
from limbeck.paper import paper_section
from limbeck.report import write_report
from limbeck.report.tables import Cell, Table, to_csv, to_latex, to_markdown
from limbeck.report.write import _with_file_names, make_report, to_text
from limbeck.runs.compare import compare_runs
from tests.helpers.servers import Server, error
from tests.paper.paper_runs import answers, cell_of, data_at, smoke
from tests.paper.paper_runs import finished as finished_cell
from tests.report.reports import finished, questions


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_only_a_report_is_replaced(runs, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(LimbeckError, match="not a folder"):
        write_report([runs], tmp_path / "file")
    page = write_report([runs], tmp_path / "new")
    names = files_in(page.parent)
    assert names == set(json.loads((page.parent / "report.json").read_text())["files"])
    assert write_report([runs / "dss"], tmp_path / "new") == page
    assert names - files_in(page.parent)  # tables and figures of the other runs have gone with their report
    for name in ("notes.txt", "tables/mine.csv", "link"):
        foreign = page.parent / name
        foreign.symlink_to(tmp_path) if name == "link" else foreign.write_text("mine")
        with pytest.raises(LimbeckError, match=f"holds '{name}', of no report"):
            write_report([runs / "dss"], tmp_path / "new")
        foreign.unlink()
    (page.parent / "report.json").write_text('{"not": "ours"}')
    monkeypatch.chdir(tmp_path)
    for out, problem in (
        (tmp_path / "new", "of no report"),
        (Path(), "is or holds the current folder"),
        (tmp_path.parent, "is or holds the current folder"),
    ):
        with pytest.raises(LimbeckError, match=problem):
            write_report([runs], out)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "new"]


def test_two_figures_of_one_name_and_a_long_overview_are_whole(runs):
    report = make_report([runs], None)
    section = next(section for section in report["sections"] if section.figures)
    twins = _with_file_names([section, section])
    assert len({figure.table.name for twin in twins for figure in twin.figures}) == 2 * len(section.figures)
    assert "The last." in to_text(report | {"overview": ["One. " * 380, "Two. " * 380, "The last."], "sections": []})


def test_the_papers_tables_come_first_with_its_numbers_beside_ours(tmp_path):
    folder = GridFolder(tmp_path / "runs")
    grids = [smoke(name, data_at(tmp_path / "data")) for name in ("table1", "figure4")]
    for objective, right in (("dss", "1100"), ("mi", "1010")):
        rows = answers(right, rationale=["so", "because <b>", "since", "as"])
        finished_cell(folder.out / objective, cell_of(grids[0], objective, "svamp"), rows)
    for grid in grids:
        folder.write_grid(grid)
    folder.fail(cell_of(grids[0], "finetune", "svamp").name, "out of memory\nmore")
    out = write_report([folder.out], tmp_path / "report", paper_section).parent
    report = json.loads((out / "report.json").read_text())
    first, second, *_ = report["sections"]
    assert (first["id"], second["id"]) == ("paper", "accuracy")
    assert first["tables"][0]["rows"]["Finetuning"]["SVAMP"]["reason"] == "failed: out of memory"
    assert any("failed: out of memory" in line for line in report["left_out"])
    for file, texts in {
        "index.html": ("Table 1: ", "Figure 4: ", "paper: 68.00", "because &lt;b&gt;"),
        "report.md": (r"because \<b\>",),
        "tables/table1.md": ("paper: 68.00",),
    }.items():
        assert all(text in (out / file).read_text() for text in texts)


def test_a_large_report_has_a_sample_of_its_cases_and_says_so(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("limbeck.report.cases.PAGE_BYTES", 10_000)
    page = write_report([runs], tmp_path / "report")
    report = json.loads((page.parent / "report.json").read_text())
    ids = [case["id"] for case in report["cases"]]
    assert report["shared_examples"] == 60
    assert 5 < len(ids) < 55
    assert ids == sorted(ids, key=lambda id: int(id.partition("-")[2]))
    assert f"{len(ids)} of the 60 examples" in " ".join(page.read_text().split())
    assert [case["id"] for case in make_report([runs], None)["cases"]] == ids  # the same sample again


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    (finished(tmp_path / "dss", "dss", 1) / "results.json").unlink()
    with pytest.raises(LimbeckError, match="none of its 1 runs is finished"):
        write_report([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


DAMAGE = {
    "results.json": ["", "{", "[]", "{}", '{"test": 1}', '{"a": ' * 500],
    "provenance.json": ["", "[]", '{"machine": 3}'],
    "recipe.yaml": ["", "data: 3", "a: [" * 2000],
    "predictions/test.jsonl": ["", "[]", '{"id": "a"}\n', "\udcff", '{"id": "a", "label": "1", "prediction": {}}\n'],
}


@pytest.mark.parametrize(("file", "text"), [(file, text) for file, texts in DAMAGE.items() for text in texts])
def test_one_damaged_file_is_named_and_its_run_left_out(tmp_path, file, text):
    finished(tmp_path / "runs" / "mi", "mi", 1)
    path = finished(tmp_path / "runs" / "dss", "dss", 1) / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, errors="surrogateescape")
    report = make_report([tmp_path / "runs"], paper_section)
    assert [sentence for sentence in report["left_out"] if path.name in sentence]
    assert "1 damaged" in " ".join(report["overview"])
    assert [recipe["runs"] for recipe in report["recipes"]] == ["runs/mi"]


ASIDE = {
    "evaluation/judge-test.jsonl": ['{"id": 1}\n', "[]", "null", '{"id": {}, "task": "t"}'],
    "evaluation/test.json": ["{", "", "[" * 200 + "]" * 200],
    "log.jsonl": ["{", '{"step": true, "term_label": 1}'],
    "../grids/g.yaml": ["", "recipe: 3", "recipe: {data: 1}"],
    "../failed/x.json": ["", "{}", "[]"],
}


@pytest.mark.parametrize(("file", "text"), [(file, text) for file, texts in ASIDE.items() for text in texts])
def test_damage_beside_the_answers_is_named_and_leaves_accuracies_alone(tmp_path, file, text):
    finished(tmp_path / "runs" / "mi", "mi", 1)
    path = finished(tmp_path / "runs" / "dss", "dss", 1) / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    report = make_report([tmp_path / "runs"], paper_section)
    sentences = [*report["left_out"], *(line for section in report["sections"] for line in section.missing)]
    assert [sentence for sentence in sentences if path.name in sentence]
    assert len(report["recipes"]) == 2


def test_predictions_that_were_changed_since_they_were_measured_are_left_out(tmp_path):
    for name in ("dss", "mi", "kl"):
        run = finished(tmp_path / name, name, 1)
        predictions = run / "predictions" / "test.jsonl"
        results = read_json(run / "results.json") | {"predictions": {"test": sha256(predictions)}}
        write_json(run / "results.json", results)
    predictions.write_text(predictions.read_text().replace('"correct": false', '"correct": true'))
    report = make_report([tmp_path], None)
    assert len(report["recipes"]) == 2
    assert [sentence for sentence in report["left_out"] if "kl/predictions/test.jsonl" in sentence]
    assert compare_runs([tmp_path / "dss"], [tmp_path / "mi"])["n"] == 60
    for sides in (("kl", "dss"), ("dss", "kl")):
        with pytest.raises(DataError) as caught:
            compare_runs(*([tmp_path / side] for side in sides))
        assert caught.value.path == predictions


def test_a_report_has_no_folder_of_this_machine(tmp_path):
    folder = tmp_path / "Ada's \u00fc & b"
    data = questions(tmp_path / "elsewhere", [{"input": f"{n}?", "label": "yes", "rationale": "So."} for n in range(9)])
    finished(folder / "runs" / "dss", "dss", 1, data)
    finished(folder / "runs" / "mi", "mi", 1, data)
    for file in ("provenance.json", "log.jsonl"):
        (finished(folder / "runs" / file, "kl", 1, data) / file).write_text("{")
    (folder / "runs" / "failed").mkdir()
    write_json(folder / "runs" / "failed" / "x.json", {"error": f"{tmp_path}/elsewhere/rows.jsonl: no such file"})
    page = write_report([folder / "runs"], tmp_path / "out", paper_section)
    for path in (path for path in page.parent.rglob("*") if path.is_file()):
        assert not [part for part in (*tmp_path.parts[1:], "Ada", "\\u00fc") if part in path.read_text()], path
    assert "runs/dss" in page.read_text()


def test_an_older_report_leaves_nothing_beside_the_new_one(runs, tmp_path):
    out = tmp_path / "out" / "report"
    for _ in range(2):
        write_report([runs], out)
        assert [path.name for path in out.parent.iterdir()] == ["report"]


def table_of(name="mi", **cell):
    return Table("t", "title", {name: {"one": Cell(**{"value": 12.345, **cell}), "two": Cell(None, "not run")}}, "%")


def test_a_cell_has_a_line_for_everything_that_is_known_of_it():
    cell = {"interval": (10.0, 14.0), "paper": 80.5, "paper_spread": 0.25, "n": 1234, "seeds": 2}
    cell |= {"difference": -1.234, "difference_interval": (-3.0, 0.5), "p_value": 0.0004, "adjusted": 0.0216}
    lines = ["12.35*", "10.00 to 14.00", "paper: 80.50 ± 0.25", "difference: −1.23 (−3.00 to +0.50)"]
    lines += ["p: <0.001, by Holm's method: 0.022", "n: 1,234, seeds: 2"]
    assert table_of(**cell).texts == {"mi": [lines, ["not run"]]}


def test_a_significant_difference_has_its_asterisk_in_every_form_once_and_no_note_is_lost():
    for adjusted, count in ((0.049, 1), (0.051, 0)):
        table = replace(table_of(difference=5.0, adjusted=adjusted), notes=("n" * 1990, "the last"))
        for write, star in ((to_markdown, "\\*"), (to_latex, "*")):
            assert write(table).count(f"12.35{star}") == count
            assert write(table).count("An asterisk marks") == count
            assert "the last" in write(table)


def test_csv_has_every_cell_in_full_precision():
    first, second = csv.DictReader(io.StringIO(to_csv(table_of("=1+1", interval=(0.5, 1.5)))))
    assert (first["row"], first["column"], first["value"]) == ("'=1+1", "one", "12.345")
    assert (first["interval_low"], first["interval_high"]) == ("0.5", "1.5")
    assert (second["value"], second["reason"]) == ("", "not run")


def test_latex_has_a_column_each_and_no_command_but_its_own():
    text = to_latex(table_of("\\input{x} & 5 % of $x_1^2$ #1 ~"))
    assert r"\begin{tabular}{lrr}\toprule" in text
    assert r"\textbackslash{}input\{x\} \& 5 \% of \$x\_1\textasciicircum{}2\$ \#1 \textasciitilde{} & 12.35" in text


def test_the_list_of_a_report_names_no_other_file_for_deletion(runs, tmp_path):
    page = write_report([runs], tmp_path / "new")
    (page.parent / "notes.txt").write_text("mine")
    listed = json.loads((page.parent / "report.json").read_text())
    (page.parent / "report.json").write_text(json.dumps(listed | {"files": [*listed["files"], "notes.txt"]}))
    with pytest.raises(LimbeckError, match=r"notes\.txt"):
        write_report([runs], tmp_path / "new")
    assert (page.parent / "notes.txt").read_text() == "mine"


def test_a_report_asks_the_hub_for_a_runs_data_only_if_it_is_told_to(tmp_path):
    finished(tmp_path / "run", "dss", 1)
    recipe = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    recipe["data"] = {"task": "custom", "source": {"kind": "hub", "path": "somebody/data"}}
    (tmp_path / "run" / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with Server(lambda *_: error(404)) as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_secret", "HF_HUB_OFFLINE": "0"}
        asked = []
        for words in ([], ["--online"]):
            command = [sys.executable, "-m", "limbeck", "report", "run", "-o", "out", *words]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert done.returncode == 0 and "teacher's words" in done.stderr, done.stderr
            asked.append(hub.count)
    assert asked[0] == 0 < asked[1]
