"""What was cut, left out, not read or asked twice is the same in results, log, report and card."""

import json
import logging

import pytest

from limbeck.errors import LimbeckError
from limbeck.formatting import markdown as text
from limbeck.notes import MEASURED, NOTES
from limbeck.runs import Recipe, train
from limbeck.runs.run import count_lines, open_run
from tests.report.reports import finished, questions, report_of
from tests.runs.recipes import TINY


def counted(path):
    """The run with every count that its results can hold."""
    results = json.loads((path / "results.json").read_text())
    results["training"]["examples"] = 1000
    results["valid"] = results["test"] | {"accuracy": 0.5}
    results["notes"] = {name: 100 + place for place, name in enumerate(NOTES)} | {"of_tomorrow": 7}
    results["test"] |= {name: 30 + place for place, name in enumerate(MEASURED)}
    (path / "results.json").write_text(json.dumps(results))
    return open_run(path)


def test_every_count_is_on_the_report_and_on_the_card(tmp_path):
    run = counted(finished(tmp_path / "dss", "dss", 1))
    report = report_of(run.path)
    (section,) = [one for one in report["sections"] if one["id"] == "accuracy"]
    tables = {table["name"]: table for table in section["tables"]}
    (row,) = tables["counts-arithmetic"]["rows"]
    values = [cell["value"] for cell in row["cells"]]
    assert values == [*run.results["notes"].values(), *(run.results["test"][name] for name in MEASURED)]
    shown = json.dumps(tables["counts-arithmetic"])
    card = "\n".join(text(line.text) for _, line in count_lines(run.results))
    for note in (*NOTES.values(), *MEASURED.values()):
        assert note.sentence in shown
        assert text(note.sentence) in card
    assert "7 of tomorrow" in card
    warned = [note for note in tables["accuracy-arithmetic"]["notes"] if note.startswith("Warning")]
    assert len(warned) == sum(note.warns is not None for note in (*NOTES.values(), *MEASURED.values()))
    page = (run.path / "report" / "index.html").read_text()
    assert "targets that lost the start of their rationale to student.max_target_length (10" in page


def accuracy_tables(*paths):
    (section,) = [one for one in report_of(*paths)["sections"] if one["id"] == "accuracy"]
    return {table["name"]: table for table in section["tables"]}


def test_a_warning_that_several_arms_share_stands_once_and_what_was_not_counted_is_no_zero(tmp_path):
    older, dss, mi = (finished(tmp_path / name, name, 1) for name in ("finetune", "dss", "mi"))
    for path in (dss, mi):
        counted(path)
    tables = accuracy_tables(dss, mi, older)
    warned = [note for note in tables["accuracy-arithmetic"]["notes"] if note.startswith("Warning")]
    assert len(warned) == sum(note.warns is not None for note in (*NOTES.values(), *MEASURED.values()))
    assert all("dss; mi" in note for note in warned)
    rows = {row["name"]: [cell["value"] for cell in row["cells"]] for row in tables["counts-arithmetic"]["rows"]}
    assert rows["dss"] == rows["mi"] != rows["finetune"]
    assert set(rows["finetune"]) == {None}


def test_a_file_called_as_a_split_does_not_take_its_place(tmp_path):
    path = finished(tmp_path / "dss", "dss", 1)
    results = json.loads((path / "results.json").read_text())
    own, later = ({**results["test"], "sources_cut": cut} for cut in (2, 40))
    (path / "results.json").write_text(json.dumps({**results, "test": own, "out_of_domain": {"test": later}}))
    counts = {where: line.count for where, line in count_lines(open_run(path).results)}
    assert counts == {"test": 2, "test-test": 40}


def test_labels_are_one_whatever_their_case(tmp_path):
    rows = [{"input": f"Ticket {i}?", "label": ("Repair", "repair", "bill")[i % 3]} for i in range(60)]
    tables = accuracy_tables(finished(tmp_path / "dss", "dss", 1, data=questions(tmp_path / "data", rows)))
    table = tables["labels-custom"]
    (always,) = [row for row in table["rows"] if row["name"].lower() == "always repair"]
    assert [cell["value"] for cell in always["cells"]] == pytest.approx([100 * 2 / 3, 40, 100, 0])
    assert table["columns"][-1] == "bill"
    assert "epair 40, bill 20" in table["notes"][0]


def test_labels_beyond_those_of_the_table_are_counted(tmp_path):
    rows = [{"input": f"Ticket {i}?", "label": f"kind {i % 12}"} for i in range(60)]
    tables = accuracy_tables(finished(tmp_path / "dss", "dss", 1, data=questions(tmp_path / "data", rows)))
    assert len(tables["labels-custom"]["columns"]) == 2 + 8
    assert "4 rarer labels" in tables["labels-custom"]["notes"][0]


def test_a_run_without_counts_has_no_table_of_them(tmp_path):
    report = report_of(finished(tmp_path / "dss", "dss", 1))
    assert not any(table["name"].startswith("counts") for one in report["sections"] for table in one["tables"])


def recipe(folder, shared, **data):
    """20 test questions, `shared` of which are trained on, with another label each."""
    rows = [{"input": f"What is {i} plus 1?", "label": str(i % 4), "rationale": f"It is {i}."} for i in range(60)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:40]))
    test = [{**row, "input": row["input"].upper(), "label": "9"} for row in rows[40 - shared : 60 - shared]]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in test))
    source = {"kind": "files", "train_file": str(folder / "train.jsonl"), "test_file": str(folder / "test.jsonl")}
    source["valid_file"] = str(folder / "valid.jsonl")
    (folder / "valid.jsonl").write_text('{"input": "And this?", "label": "2"}\n')
    return Recipe.parse({**TINY, "data": {"task": "custom", "source": source, **data}}, "test")


def test_shared_questions_are_refused_or_said(tmp_path, caplog):
    with pytest.raises(LimbeckError, match="max_overlap"):
        train(recipe(tmp_path, 10), tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    with caplog.at_level(logging.INFO, logger="limbeck"):
        run = train(recipe(tmp_path, 10, max_overlap=0.5), tmp_path / "run")
    assert run.results["notes"]["test_in_train"] == 10
    assert run.results["notes"]["contradictory_across"] == 10
    warned = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert any(message.startswith("warning: 10 test rows whose question") for message in warned)


def test_a_teacher_of_other_rows_is_said_when_training_starts(tmp_path, caplog):
    rows = [
        {"input": f"What is {i} plus {7 * i}?", "label": str(8 * i), "rationale": f"{i} and {7 * i}."}
        for i in range(1, 80)
    ]
    others = [{**row, "rationale": other["rationale"]} for row, other in zip(rows, rows[5:] + rows[:5], strict=True)]
    for name, which in (("right", rows), ("wrong", others)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in which))
        source = {"kind": "files", "train_file": str(tmp_path / f"{name}.jsonl")}
        made = Recipe.parse({**TINY, "data": {"task": "custom", "source": source}}, "test")
        with caplog.at_level(logging.INFO, logger="limbeck"):
            run = train(made, tmp_path / name)
        said = [record.message for record in caplog.records if "most likely joined to the wrong rows" in record.message]
        assert bool(said) == bool(run.results["notes"]["doubtful_teacher"]) == (name == "wrong")
