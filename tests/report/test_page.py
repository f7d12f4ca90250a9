"""The page that `evaluate` leaves in a run's folder."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from limbeck.errors import LimbeckError
from limbeck.files import read_jsonl
from limbeck.formatting import code
from limbeck.runs import Recipe, evaluate, evaluate_runs, predict_file, train
from limbeck.runs.page import markdown, write_page
from tests import builders
from tests.runs.recipes import TINY


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(Recipe.parse({**TINY, "objective": "dss"}, "test"), tmp_path_factory.mktemp("runs") / "dss")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run of a student that learnt no rationales, and gives another confidence than by default."""
    recipe = {**TINY, "objective": "finetune", "evaluation": {"confidence": "normalised"}}
    return train(Recipe.parse(recipe, "test"), tmp_path_factory.mktemp("runs") / "plain")


@pytest.fixture(scope="module")
def measured(run):
    """What `evaluate` returns of the run, with rationales."""
    return evaluate(run.path, "test", rationales=True)


def page(run, name="test"):
    return json.loads((run.path / "evaluation" / f"{name}.json").read_text())


def test_a_page_has_what_the_predictions_say(run, measured):
    found = page(run)
    rows = [row for _, row in read_jsonl(run.predictions("test"))]
    right = np.array([row["correct"] for row in rows])
    sure = np.array([row["confidence"] for row in rows])
    assert found["n"] == len(rows) == measured["n"]
    assert found["accuracy"]["interval"] == measured["interval"]
    assert found["calibration"]["accuracy"] == measured["accuracy"] == right.mean()
    assert found["calibration"]["brier"] == pytest.approx(((sure - right) ** 2).mean())
    assert found["calibration"]["average_confidence"] == pytest.approx(sure.mean())
    assert found["calibration"]["temperature_fitted_on"] == "validation"
    assert set(found["definitions"]) == {"sequence", "normalised", "first-token"}
    assert found["definitions"]["sequence"]["brier"] == found["calibration"]["brier"]
    assert found["selective"]["n"] == len(rows)
    first, last = found["cascade"][0], found["cascade"][-1]
    assert (first["passed"], first["accuracy"], first["cost"]) == (0, measured["accuracy"], 0)
    assert (last["passed"], last["cost"], last["threshold"]) == (1, 1, None)
    assert found["teacher"]["accuracy"] == last["accuracy"]
    assert set(found["thresholds"]) == {"best", "as_teacher"}
    assert found["quality"]["n"] > 0
    assert found["dependence"]["n"] <= len(rows)
    assert (found["judge"], found["significance"]) == (None, None)
    text = (run.path / "evaluation" / "test.md").read_text()
    for title in (
        "Calibration",
        "Temperature",
        "Reliability",
        "Selective prediction: the surest answers",
        "Rationales",
    ):
        assert f"## {title}\n" in text
    assert "nan" not in text.lower().split()
    for figure in ("reliability", "risk-coverage", "cascade"):
        assert f"(test-{figure}.svg)" in text
        assert (run.path / "evaluation" / f"test-{figure}.svg").read_text().startswith("<svg")


def test_what_there_is_not_is_none_and_a_line_says_why(run):
    evaluate(run.path, "valid")
    found = page(run, "valid")
    assert (found["quality"], found["dependence"], found["thresholds"]) == (None, None, None)
    assert found["calibration"]["temperature_fitted_on"] == "these answers"
    lines = (run.path / "evaluation" / "valid.md").read_text().splitlines()
    for name, title in (
        ("quality", "Rationales"),
        ("judge", "The judge"),
        ("significance", "Significance"),
        ("thresholds", "Thresholds of the cascade"),
    ):
        assert lines[lines.index(f"## {title}") + 2] == f"Not measured: {found['reasons'][name]}."


def test_runs_evaluated_together_have_their_differences_and_similarity_by_an_encoder(run, tmp_path):
    other = train(Recipe.parse({**TINY, "seed": 8, "evaluation": {"rationales": True}}, "test"), tmp_path / "b_8")
    encoder = str(builders.encoder(tmp_path / "bert", "bert"))
    both = evaluate_runs([run.path, other.path], rationales=True, encoder=encoder)
    assert list(both) == [str(run.path), str(other.path)]
    ours, theirs = page(run), page(other)
    (one,), (back,) = ours["significance"], theirs["significance"]
    assert (one["run"], back["run"]) == (str(other.path), str(run.path))
    gap = both[str(run.path)]["accuracy"] - both[str(other.path)]["accuracy"]
    assert one["difference"] == pytest.approx(gap)
    assert back["difference"] == pytest.approx(-gap)
    assert one["adjusted"] == one["p_value"]
    assert ours["quality"]["similarity"]["encoder"] == encoder
    assert -1 <= ours["quality"]["similarity"]["mean"] <= 1
    assert f"| {code(other.path)} |" in (run.path / "evaluation" / "test.md").read_text()
    evaluate(other.path)  # the recipe wants its rationales, so that they are not lost
    assert page(other)["quality"]["n"] == 6
    assert page(other)["quality"]["similarity"] is None
    with pytest.raises(LimbeckError, match="stands there twice"):
        evaluate_runs([run.path, run.path])
    with pytest.raises(LimbeckError, match="cannot be loaded as an encoder"):
        evaluate(run.path, rationales=True, encoder=str(tmp_path))


def test_rationales_stay_where_the_answers_are_asked_for_again(run, measured):
    def said():
        return [row["rationale"] for _, row in read_jsonl(run.predictions("test"))]

    before = said()
    evaluate(run.path)
    assert said() == before
    assert page(run)["quality"]["n"] == 6
    rows = [row for _, row in read_jsonl(run.predictions("test"))]
    run.predictions("test").write_text("".join(json.dumps(row | {"input": "Another?"}) + "\n" for row in rows))
    evaluate(run.path)  # of other questions than these
    assert page(run)["quality"] is None
    evaluate(run.path, rationales=True)
    assert said() == before


def test_a_student_without_rationales_beside_one_with(run, plain):
    asked = []
    evaluate_runs([plain.path, run.path], rationales=True, judge=asked.extend)
    assert asked == [run.path]
    assert (page(plain)["quality"], page(run)["quality"]["n"]) == (None, 6)
    reasons = page(plain)["reasons"]
    assert {reasons[name] for name in ("quality", "judge", "dependence")} == {
        "a student trained with finetune learns no rationales"
    }
    with pytest.raises(LimbeckError, match="a student trained with finetune learns no rationales; train one with dss"):
        evaluate(plain.path, rationales=True)


def test_a_run_that_cannot_be_asked_leaves_those_beside_it_as_they_were(tmp_path):
    rows = [{"input": f"Is {i} even?", "label": "yes", "choices": ["yes", "not so, it is odd"]} for i in range(30)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"task": "custom", "source": {"kind": "files", "train_file": str(tmp_path / "rows.jsonl")}}
    long, short = (
        train(
            Recipe.parse(TINY | {"objective": "finetune", "data": data, "student": TINY["student"] | changes}, "test"),
            tmp_path / f"run{number}",
        )
        for number, changes in enumerate(({"max_target_length": 40}, {"max_target_length": 4}))
    )
    before = {path: path.read_bytes() for path in long.path.rglob("*") if path.is_file()}
    with pytest.raises(LimbeckError, match="the choice 'not so, it is odd' has more than 4 tokens"):
        evaluate_runs([long.path, short.path], answers="choices")
    assert {path: path.read_bytes() for path in long.path.rglob("*") if path.is_file()} == before


def test_a_judge_that_fails_costs_no_page(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "evaluation", ignore_errors=True)

    def fails(paths):
        raise LimbeckError("the budget is spent")

    with pytest.raises(LimbeckError, match="the budget is spent"):
        evaluate_runs([tmp_path / "run"], rationales=True, judge=fails)
    found = json.loads((tmp_path / "run" / "evaluation" / "test.json").read_text())
    assert found["quality"]["n"] == 6
    assert found["reasons"]["judge"] == "no judge was asked: limbeck evaluate RUN --judge FILE does that"


@pytest.mark.parametrize("objective", ["single-task", "answer-first"])
def test_a_student_that_writes_both_in_one_text_has_no_two_sides(objective, tmp_path):
    joint = train(Recipe.parse({**TINY, "objective": objective}, "test"), tmp_path / objective)
    evaluate(joint.path, rationales=True)
    assert page(joint)["dependence"] is None
    reason = f"a student trained with {objective} writes label and rationale in one text"
    assert page(joint)["reasons"]["dependence"] == reason
    assert page(joint)["quality"] is not None


def test_a_broken_student_has_a_page_all_the_same(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    weights = tmp_path / "run" / "model" / "model.safetensors"
    broken = {name: torch.full_like(one, torch.nan) for name, one in load_file(weights).items()}
    save_file(broken, weights, {"format": "pt"})
    source = {**TINY["data"]["source"], "test_rows": 120}  # so many that there would be a dependence
    (tmp_path / "more.yaml").write_text(yaml.safe_dump({**TINY, "data": {"task": "arithmetic", "source": source}}))
    evaluate(tmp_path / "run", rationales=True, on=str(tmp_path / "more.yaml"))
    found = json.loads((tmp_path / "run" / "evaluation" / "more-test.json").read_text())
    assert (found["calibration"], found["dependence"]) == (None, None)
    assert found["reasons"]["calibration"] == "no answer has a confidence"
    assert "not finite" in found["reasons"]["dependence"]


def test_an_answer_without_confidence_leaves_the_rest_of_the_page(run, measured, tmp_path):
    found = page(run)
    for name in ("calibration", "selective", "cascade", "teacher", "thresholds"):
        found[name] = None
        found["reasons"][name] = "2 answers do not have a confidence"
    write_page(tmp_path, "test", found | {"run": "<b>a|b</b>"})
    text = (tmp_path / "test.md").read_text()
    assert text.startswith(r"# \<b\>a\|b\</b\>, test: 6 answers")
    assert text.count("Not measured: 2 answers do not have a confidence.") == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test.json", "test.md"]


def test_a_page_that_cannot_be_written_is_one_line(run, measured, tmp_path):
    (tmp_path / "evaluation").write_text("a file in the folder's place")
    without_figures = dict.fromkeys(("calibration", "selective", "cascade", "teacher", "thresholds"))
    with pytest.raises(LimbeckError, match=r"evaluation/test\.json: cannot be written"):
        write_page(tmp_path / "evaluation", "test", page(run) | without_figures)


def test_figures_of_an_earlier_page_do_not_stay(run, measured, tmp_path):
    found = page(run)
    write_page(tmp_path, "a b", found)
    assert "(a%20b-cascade.svg)" in markdown(found, "a b")
    assert (tmp_path / "a b-cascade.svg").is_file()
    found["cascade"], found["reasons"]["cascade"] = None, "no teacher's answer to 6 of 6 examples"
    write_page(tmp_path, "a b", found)
    assert not (tmp_path / "a b-cascade.svg").exists()
    assert (tmp_path / "a b-reliability.svg").is_file()


def test_predict_gives_the_confidence_that_the_recipe_chose(plain, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"input": "Ada has 3 pears. How many?"}\n')
    predict_file(plain.path, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    ((_, row),) = read_jsonl(tmp_path / "out.jsonl")
    assert row["confidence"] == row["confidences"]["normalised"] != row["confidences"]["sequence"]
