"""`limbeck calibrate` and `limbeck compare`."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def row(**more):
    return {"label": "yes", "prediction": "yes", "confidence": 0.5} | more


def test_calibrate_and_compare_as_verbs(limbeck, tmp_path):
    rng = np.random.default_rng(0)
    confidence = rng.uniform(size=300)
    right = rng.uniform(size=300) < confidence
    rows = [row(id=str(i), prediction="yes" if right[i] else "no", confidence=float(confidence[i])) for i in range(300)]
    write(tmp_path / "a.jsonl", rows)
    code, out, _ = limbeck("calibrate", "a.jsonl", "--json")
    found = json.loads(out)
    assert code == 0
    keys = {"n", "accuracy", "ece", "ece_interval", "ece_expected_if_calibrated", "adaptive_ece", "mce", "brier", "nll"}
    assert keys | {"average_confidence", "temperature"} <= found.keys()
    assert (found["n"], found["accuracy"]) == (300, right.mean())
    assert found["brier"] == pytest.approx(((confidence - right) ** 2).mean())
    code, out, _ = limbeck("calibrate", "a.jsonl", "--validation", "a.jsonl")
    assert code == 0
    assert "expected calibration error" in out
    better = [one | {"prediction": "yes"} if i % 10 == 0 else one for i, one in enumerate(rows)]
    write(tmp_path / "b.jsonl", better)
    gained = sum(not right[i] for i in range(0, 300, 10))
    code, out, _ = limbeck("compare", "a.jsonl", "b.jsonl", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["n"], found["discordant"]) == (300, gained)
    assert found["difference"] == pytest.approx(-gained / 300)
    exact = binomtest(0, gained).pvalue
    assert found["p_value"] == pytest.approx(exact / 2)  # mid-p of gained against none
    code, out, _ = limbeck("compare", "a.jsonl", "b.jsonl")
    assert f"{gained} discordant" in out
    write(tmp_path / "a2.jsonl", rows)
    code, out, _ = limbeck("compare", "a.jsonl,a2.jsonl", "b.jsonl", "--json")
    assert json.loads(out)["seeds"] == [2, 1]


def test_one_run_is_not_two_seeds(limbeck, tmp_path):
    write(tmp_path / "a.jsonl", [row(id="1")])
    for side in ("a.jsonl,a.jsonl", "a.jsonl,./a.jsonl"):
        code, _, err = limbeck("compare", side, "a.jsonl")
        assert code == 2
        assert "a.jsonl: stands there twice; name each seed's run once" in err
    for side in ("", "a.jsonl,"):
        code, _, err = limbeck("compare", side, "a.jsonl")
        assert code == 2
        assert "a run's folder or a file of predictions was expected between the commas" in err


def test_a_temperature_of_choices_is_not_taken_for_answers_without(limbeck, tmp_path):
    rng = np.random.default_rng(2)
    rows = []
    for number in range(200):
        p = dict(zip("abc", rng.dirichlet([1, 1, 1]).tolist(), strict=True))
        milder = np.sqrt(list(p.values()))
        said, label = max(p, key=p.get), str(rng.choice(list("abc"), p=milder / milder.sum()))
        rows.append({"id": str(number), "label": label, "prediction": said, "confidence": p[said], "probabilities": p})
    bare = [{key: value for key, value in one.items() if key != "probabilities"} for one in rows]
    write(tmp_path / "all.jsonl", rows)
    write(tmp_path / "bare.jsonl", bare)

    def temperature(answers, validation):
        found = json.loads(limbeck("calibrate", answers, "--validation", validation, "--json")[1])
        return found["temperature"], found["temperature_reason"]

    (of_choices, _), (of_answers, _) = temperature("all.jsonl", "all.jsonl"), temperature("bare.jsonl", "bare.jsonl")
    assert abs(of_choices - of_answers) > 0.05
    assert temperature("bare.jsonl", "all.jsonl") == (of_answers, None)
    reason = "no validation answer has its choices' probabilities"
    assert temperature("all.jsonl", "bare.jsonl") == (None, reason)


def test_a_confidence_that_is_not_of_the_choices_is_scaled_as_it_is(limbeck, tmp_path):
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(200):
        p = dict(zip("abc", rng.dirichlet([1, 1, 1]).tolist(), strict=True))
        said, label = max(p, key=p.get), str(rng.choice(list("abc")))
        by = {"choices": p[said], "sequence": p[said] / 2}
        rows.append(row(label=label, prediction=said, confidence=by["sequence"], confidences=by, probabilities=p))
    write(tmp_path / "run.jsonl", rows)
    write(tmp_path / "bare.jsonl", [{key: one[key] for key in ("label", "prediction", "confidence")} for one in rows])
    found, bare = (json.loads(limbeck("calibrate", name, "--json")[1]) for name in ("run.jsonl", "bare.jsonl"))
    assert found["scaling"]["ece_before"] == pytest.approx(found["ece"])
    assert found == bare


def test_runs_on_other_examples_are_compared_on_shared_ones_only_when_told_to(limbeck, tmp_path):
    write(tmp_path / "a.jsonl", [row(id=str(i)) for i in range(10)])
    write(tmp_path / "b.jsonl", [row(id=str(i)) for i in range(5, 20)])
    code, _, err = limbeck("compare", "a.jsonl", "b.jsonl")
    assert code == 2
    assert "15 examples are not in all of the runs, 5 are; give --shared" in err
    code, out, _ = limbeck("compare", "a.jsonl", "b.jsonl", "--shared", "--json")
    found = json.loads(out)
    assert (found["n"], found["left_out"], found["p_value"]) == (5, 15, 1.0)
    write(tmp_path / "c.jsonl", [row(id=str(i), label="no") for i in range(10)])
    code, _, err = limbeck("compare", "a.jsonl", "c.jsonl")
    assert "has other labels in other runs" in err
    write(tmp_path / "d.jsonl", [row()])
    code, _, err = limbeck("compare", "a.jsonl", "d.jsonl")
    assert "no `id`" in err
    code, _, err = limbeck("compare", "a.jsonl", "nowhere")
    assert "nowhere: no such file" in err


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row(confidence=None), row(confidence=None)], "p.jsonl:1: no field 'confidence'"),
        ([row(confidence=-0.2)], "p.jsonl:1: field 'confidence': a number from 0 to 1 was expected, not -0.2"),
        ([row(confidence="high")], "p.jsonl:1: field 'confidence': a number from 0 to 1 was expected, not 'high'"),
        ([], "p.jsonl: no rows"),
        ([{"label": "yes"}], "p.jsonl: no column 'prediction'"),
        ([{"label": "yes", "prediction": "no"}], "p.jsonl: no column 'confidence'"),
        (
            [row(probabilities={"yes": 0.5, "no": 0.5}), row(probabilities={"yes": 0.5, "no": 0.3})],
            "p.jsonl:2: field 'probabilities': they sum to 0.8, not to 1",
        ),
    ],
)
def test_predictions_that_cannot_be_calibrated_are_one_line(rows, says, limbeck, tmp_path):
    write(tmp_path / "p.jsonl", rows)
    code, out, err = limbeck("calibrate", "p.jsonl")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([row()], "fewer than two answers"),
        ([row(id=str(i)) for i in range(20)], "no temperature changes these confidences"),
        ([row(confidence=0.5 + i / 100) for i in range(20)], "the colder the likelier"),
        ([row(prediction="no", confidence=0.5 + i / 100) for i in range(20)], "the milder the likelier"),
    ],
    ids=["one answer", "one confidence", "all right", "all wrong"],
)
def test_where_a_measure_is_undefined_it_is_said(rows, reason, limbeck, tmp_path):
    write(tmp_path / "p.jsonl", rows)
    code, out, _ = limbeck("calibrate", "p.jsonl")
    assert code == 0
    assert f"no temperature: {reason}" in out
    assert "nan" not in out
    code, out, _ = limbeck("calibrate", "p.jsonl", "--json")
    found = json.loads(out)
    assert found["temperature"] is None
    assert found["accuracy"] == sum(one["prediction"] == "yes" for one in rows) / len(rows)
    assert (found["ece_interval"] is None) == (len(rows) == 1)


def test_one_example_and_a_small_p_value_are_compared(limbeck, tmp_path):
    write(tmp_path / "a.jsonl", [row(id=str(i)) for i in range(40)])
    write(tmp_path / "b.jsonl", [row(id=str(i), prediction="no") for i in range(40)])
    code, out, _ = limbeck("compare", "a.jsonl", "b.jsonl")
    assert code == 0
    assert f"p = {binomtest(0, 40).pvalue / 2:.1e} (" in out
    write(tmp_path / "c.jsonl", [row(id="1")])
    code, out, _ = limbeck("compare", "c.jsonl", "c.jsonl", "--json")
    found = json.loads(out)
    assert (found["n"], found["difference"], found["p_value"], found["cohens_g"]) == (1, 0, 1, None)


def test_answers_left_out_are_a_share_of_all(limbeck, tmp_path):
    write(tmp_path / "p.jsonl", [row(confidence=None if i < 50 else 0.5 + i / 1000) for i in range(200)])
    code, out, _ = limbeck("calibrate", "p.jsonl")
    assert code == 0
    assert "150 answers" in out
    assert "50 answers without a confidence (25.0% of 200)" in out
