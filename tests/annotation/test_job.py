"""A job opened: its rows, its filters, and what is asked again with a hint."""

import pytest
import yaml

from limbeck.annotation.job import Job, OpenJob
from limbeck.annotation.results import read_results, summary
from limbeck.errors import LimbeckError
from limbeck.llm.messages import Failure
from limbeck.llm.store import Store
from tests.annotation.jobs import fill, make_job, says

FAILED = Failure("HTTP 500", "oops")


def test_a_table_of_other_names_and_filters_of_ones_own(tmp_path):
    (tmp_path / "table.csv").write_text("number,ask,gold\nx1,What is 1?,1\nx2,What is 2?,\nx3,What is 3?,3\n")
    values = {
        "rows": str(tmp_path / "table.csv"),
        "columns": {"id": "number", "input": "ask", "label": "gold"},
        "teacher": "m",
        "sampling": {"samples": 3},
        "filters": {"max_words": 6, "agreement": 0.6},
        "store": str(tmp_path / "annotations.sqlite"),
    }
    (tmp_path / "annotate.yaml").write_text(yaml.safe_dump(values))
    job = Job.load(tmp_path / "annotate.yaml")
    assert [(one.id, one.input, one.label) for one in OpenJob(job).examples] == [
        ("x1", "What is 1?", "1"),
        ("x2", "What is 2?", ""),
        ("x3", "What is 3?", "3"),
    ]
    long = "These are the seven words of it."
    said = {
        "x1": [says("1", "It is one."), says("1", long), says("2", "It is two.")],
        "x2": [says("2", "It is two."), says("4", "It is four."), says("5", "It is five.")],
        "x3": [says("3", "It is three."), says("3", "It is three."), FAILED],
    }
    fill(job, said)
    found = {name: count for name, count in summary(read_results(job))["outcomes"].items() if count}
    assert found == {
        "kept": 2,
        "too long": 1,
        "wrong": 1,
        "low agreement": 1,  # the vote for x2, with one of three
        "outvoted": 2,
        "duplicate": 1,
        "failed": 1,
    }


def test_asked_again_are_those_whose_every_sample_is_there_and_none_of_them_right(tmp_path):
    said = {
        "both wrong": [says("7"), says("no idea", "I do not know what it is.")],
        "unreadable": ["Well.", "Hm."],
        "one right": [says("7"), says("1")],
        "right one too short": [says("7"), says("1", "So.")],
        "all right": [says("1"), says("1")],
        "one failed": [says("7"), FAILED],
        "one missing": [says("7")],
        "nothing": [],
        "hinted already": [says("7"), says("8")],
        "hint failed": [says("7"), says("8")],
    }
    rows = [{"id": name, "input": f"{name}: what is 1?", "label": "1"} for name in said]
    rows.append({"id": "no label", "input": "What is 1?"})
    said["no label"] = [says("7"), says("8")]
    job = make_job(tmp_path, rows, sampling={"samples": 2}, rationalise=True)
    fill(job, said)
    fill(job, {"hinted already": [says("1")], "hint failed": [FAILED]}, hint=True)
    with Store.open(job.store) as store:
        asked = OpenJob(job).mistaken(store)
        assert [(one.example.id, one.hint) for one in asked] == [
            ("both wrong", True),
            ("unreadable", True),
            ("hint failed", True),
        ]
        assert [(one.example.id, one.key.sample) for one in OpenJob(job).unanswered(store)] == [
            ("nothing", 0),
            ("one failed", 1),
            ("one missing", 1),
            ("nothing", 1),
        ]
        assert OpenJob(job.model_copy(update={"rationalise": False})).mistaken(store) == []


@pytest.mark.parametrize("words", ["[yes, no]", "[on, off, maybe]", "[true, 'no']"])
def test_choices_that_yaml_takes_for_truth_values_want_quotes(words, tmp_path):
    (tmp_path / "annotate.yaml").write_text(f"rows: q.jsonl\nteacher: m\nchoices: {words}\n")
    with pytest.raises(LimbeckError, match=r'choices: yes and no.*need quotes in YAML: \["yes", "no"\]') as raised:
        Job.load(tmp_path / "annotate.yaml")
    assert "\n" not in str(raised.value)
    (tmp_path / "annotate.yaml").write_text('rows: q.jsonl\nteacher: m\nchoices: ["yes", "no"]\n')
    assert Job.load(tmp_path / "annotate.yaml").choices == ["yes", "no"]
