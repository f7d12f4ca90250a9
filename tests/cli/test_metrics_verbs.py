"""The verbs `calibrate`, `compare` and `judge`."""

import json

import numpy as np
import pytest
import yaml
from scipy.stats import binomtest

from limbeck.files import read_json
from tests.helpers.archives import write_rows
from tests.helpers.servers import Server, completion
from tests.runs.recipes import TINY


def test_calibrate_and_compare(limbeck, tmp_path):
    rng = np.random.default_rng(0)
    confidence = rng.uniform(size=300)
    right = rng.uniform(size=300) < confidence
    rows = [
        {"id": str(i), "label": "yes", "prediction": "yes" if right[i] else "no", "confidence": float(confidence[i])}
        for i in range(300)
    ]
    write_rows(tmp_path / "a.jsonl", rows)
    text = (tmp_path / "a.jsonl").read_text()
    code, out, _ = limbeck("calibrate", "-", "--json", stdin=text)
    metrics = json.loads(out)
    assert (code, metrics["n"], metrics["accuracy"]) == (0, 300, right.mean())
    assert metrics["brier"] == pytest.approx(((confidence - right) ** 2).mean())
    assert "expected calibration error" in limbeck("calibrate", "a.jsonl", "--validation", "a.jsonl")[1]
    seeds = [json.loads(limbeck("calibrate", "a.jsonl", "--seed", seed, "--json")[1]) for seed in "001"]
    assert [metrics["brier_interval"] == seeds[0]["brier_interval"] for metrics in seeds] == [True, True, False]
    changed = [row | {"prediction": "yes"} if i % 10 == 0 else row for i, row in enumerate(rows)]
    write_rows(tmp_path / "b.jsonl", changed)
    gained = sum(not right[i] for i in range(0, 300, 10))
    code, out, _ = limbeck("compare", "-", "b.jsonl", "--json", stdin=text)
    comparison = json.loads(out)
    assert (code, comparison["n"], comparison["discordant"]) == (0, 300, gained)
    assert comparison["difference"] == pytest.approx(-gained / 300)
    assert comparison["p_value"] == pytest.approx(binomtest(0, gained).pvalue / 2)  # mid-p of gained against none
    assert "A minus B" in limbeck("compare", "a.jsonl", "b.jsonl")[1]


def test_a_run_is_judged_beside_the_teacher_and_no_question_is_paid_for_twice(limbeck, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(TINY))
    assert limbeck("train", "recipe.yaml", "--out", "run")[0] == 0
    (tmp_path / "judge.yaml").write_text("teacher: judge\nn: 4\nruns: 2\n")
    assert limbeck("judge", "run", "--config", "judge.yaml")[0] == 2
    evaluation = tmp_path / "run" / "evaluation"

    def behave(number, request):
        gold = "So we need" in request.question  # as the teacher's rationales end
        return completion(f"It explains {'well' if gold else 'nothing'}.\nScore: {5 if gold else 1}")

    def evaluated() -> dict:
        """Return the page of an evaluation with rationales."""
        assert limbeck("evaluate", "run", "--rationale")[0] == 0
        return read_json(evaluation / "test.json")

    assert evaluated()["judge"] is None
    with Server(behave) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        code, out, err = limbeck("judge", "run", "--config", "judge.yaml", "--json")
        assert code == 0, err
        judgements, requests = json.loads(out), server.count
        code, out, _ = limbeck("judge", "run", "--config", "judge.yaml")
        assert (code, server.count) == (0, requests)
    assert "not run" in out and "undefined" in out
    section = evaluated()["judge"]  # the judgements are still of these rationales
    assert (section["name"], section["summary"]) == ("DSS", judgements["summary"])
    assert section["correlation"] == judgements["correlation"]["DSS"]
    assert section["correlation"]["reason"]  # all scores are equal
    assert "| Gold | single | 5.0000 |" in (evaluation / "test.md").read_text()
    gold, student = (judgements["summary"][name]["arithmetic"] for name in ("Gold", "DSS"))
    assert (gold["single"]["mean"], gold["self_consistency"]["mean"], gold["single"]["n"]) == (5, 5, 4)
    assert (student["single"]["mean"], student["self_consistency"]["runs"]) == (1, 2)
    path = evaluation / "judge-test.jsonl"
    path.write_text(path.read_text().replace('"rationale": "', '"rationale": "Or '))
    page = evaluated()
    assert (page["judge"], "judge" in page["reasons"]) == (None, True)
