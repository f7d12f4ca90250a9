"""Cases: what several runs said to an example, and the teacher beside them."""

import json
from dataclasses import asdict

import pytest

from limbeck.data import DataSettings, load
from limbeck.errors import LimbeckError
from limbeck.files import read_jsonl
from limbeck.report.cases import load_cases
from limbeck.runs.groups import find_runs, group_runs
from limbeck.schema import Judgement
from tests.runs.recipes import TINY
from tests.runs.test_groups import write_run

EXAMPLES = load(DataSettings.parse(TINY["data"], "test")).test
HOSTILE = "<script>alert(1)</script> | \\end{x} \t=cmd() \u202e\u0000"


def predicted(folder, rows, **changes):
    """A run's folder with these predictions."""
    write_run(folder, {}, **changes)
    (folder / "predictions" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def row(example, right, **more):
    prediction = example.label if right else HOSTILE
    return {"id": example.id, "input": example.input, "label": example.label, "prediction": prediction, **more}


def judged(folder, rows):
    (folder / "evaluation").mkdir()
    answers = {row["id"]: row["prediction"] for _, row in read_jsonl(folder / "predictions" / "test.jsonl")}
    for id, run, rationale, scores in rows:
        judgement = Judgement(
            id, "arithmetic", run, answers[id], rationale, "gpt", 0.0, tuple(map(str, scores)), scores
        )
        name = "judge-gold-test.jsonl" if run == "Gold" else "judge-test.jsonl"
        with (folder / "evaluation" / name).open("a") as stream:
            stream.write(json.dumps(asdict(judgement)) + "\n")


def test_a_case_has_every_run_the_teacher_and_the_judge(tmp_path):
    a, b = EXAMPLES[:2]
    mi = predicted(
        tmp_path / "mi", [row(a, True, rationale=HOSTILE, confidence=0.5), row(b, False, rationale="")], objective="mi"
    )
    for seed in (2, 1):
        predicted(tmp_path / f"dss{seed}", [row(a, seed == 1, correct=seed == 1)], seed=seed)
    several = (a.id, "mi", HOSTILE, (5.0, 4.0))
    judged(mi, [(a.id, "mi", HOSTILE, (2.0,)), several, (a.id, "Gold", a.rationale, (5.0,)), (b.id, "mi", "", (None,))])
    first, second = load_cases(group_runs(find_runs([tmp_path])))
    assert (first.task, first.id, first.input, first.label) == ("arithmetic", a.id, a.input, a.label)
    assert (first.rationale, first.teacher_label, first.score) == (a.rationale, a.teacher_label, 5.0)
    assert [(answer.group, answer.seed, answer.correct, answer.score) for answer in first.answers] == [
        ("dss", 1, True, None),
        ("dss", 2, False, None),
        ("mi", 7, True, 2.0),
    ]
    assert first.answers[2].rationale == HOSTILE
    assert first.answers[2].confidence == 0.5
    assert [(answer.group, answer.prediction, answer.correct, answer.score) for answer in second.answers] == [
        ("mi", HOSTILE, False, None)
    ]
    assert second.score is None


def test_the_same_id_of_other_data_is_another_example_and_lost_data_leaves_the_teacher_out(tmp_path):
    (a, *_) = EXAMPLES
    predicted(tmp_path / "here", [row(a, True)])
    gone = {"task": "arithmetic", "source": {"kind": "files", "train_file": "nowhere.jsonl"}}
    predicted(tmp_path / "there", [{**row(a, True), "input": "2 apples?"}], data=gone, objective="mi")
    first, second = load_cases(group_runs(find_runs([tmp_path])))
    assert (first.id, first.input, first.rationale) == (a.id, a.input, a.rationale)
    assert (second.id, second.input, second.rationale, second.teacher_label) == (a.id, "2 apples?", None, None)
    assert [len(case.answers) for case in (first, second)] == [1, 1]


@pytest.mark.parametrize("wrong", [{"scores": ["6"]}, {"replies": None}, {"judges": "me"}])
def test_what_is_no_judgement_is_said(tmp_path, wrong):
    (a, *_) = EXAMPLES
    folder = predicted(tmp_path / "run", [row(a, True)])
    judged(folder, [(a.id, "mi", "because", (2.0,))])
    path = folder / "evaluation" / "judge-test.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}) + "\n")
    with pytest.raises(LimbeckError, match=r"judge-test\.jsonl:1: "):
        load_cases(group_runs(find_runs([tmp_path])))


def test_a_rationale_that_is_no_text_is_none(tmp_path):
    (a, *_) = EXAMPLES
    predicted(tmp_path / "run", [row(a, True, rationale=3)])
    assert load_cases(group_runs(find_runs([tmp_path])))[0].answers[0].rationale is None
