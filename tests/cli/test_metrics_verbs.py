"""The verbs `calibrate`, `compare` and `judge`."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from limbeck.files import read_json
from tests.helpers.archives import write_rows
from tests.helpers.servers import Server, completion


def test_calibrate_and_compare(limbeck, tmp_path):
    confidence, draws = np.random.default_rng(0).uniform(size=(2, 300))
    right = draws < confidence
    columns = {"id": range(300), "label": "yes", "prediction": np.where(right, "yes", "no"), "confidence": confidence}
    rows = pd.DataFrame(columns).to_dict("records")
    text = write_rows(tmp_path / "a.jsonl", rows).read_text()
    metrics = json.loads(limbeck("calibrate", "-", "--json", stdin=text)[1])
    assert (metrics["n"], metrics["accuracy"]) == (300, right.mean())
    assert metrics["brier"] == pytest.approx(((confidence - right) ** 2).mean())
    assert "expected calibration error" in limbeck("calibrate", "a.jsonl", "--validation", "a.jsonl")[1]
    seeds = [json.loads(limbeck("calibrate", "a.jsonl", "--seed", seed, "--json")[1]) for seed in "001"]
    assert [metrics["brier_interval"] == seeds[0]["brier_interval"] for metrics in seeds] == [True, True, False]
    write_rows(tmp_path / "b.jsonl", [row | {"prediction": "yes"} for row in rows[:30]] + rows[30:])
    gained = 30 - int(right[:30].sum())
    comparison = json.loads(limbeck("compare", "-", "b.jsonl", "--json", stdin=text)[1])
    assert (comparison["n"], comparison["discordant"]) == (300, gained)
    assert comparison["difference"] == pytest.approx(-gained / 300)
    assert comparison["p_value"] == pytest.approx(binomtest(0, gained).pvalue / 2)  # mid-p of gained against none
    assert "A minus B" in limbeck("compare", "a.jsonl", "b.jsonl")[1]


def test_a_run_is_judged_beside_the_teacher_and_no_question_is_paid_for_twice(limbeck, run, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "judge.yaml").write_text("teacher: judge\nn: 4\nruns: 2\n")
    assert limbeck("judge", "run", "--config", "judge.yaml")[0] == 2
    evaluation = tmp_path / "run" / "evaluation"

    def behave(number, request):
        return completion(f"So it is.\nScore: {5 if 'So we need' in request.question else 1}")  # as the teacher ends

    def evaluated() -> dict:
        assert limbeck("evaluate", "run", "--rationale")[0] == 0
        return read_json(evaluation / "test.json")

    assert evaluated()["judge"] is None
    with Server(behave) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        judgements = json.loads(limbeck("judge", "run", "--config", "judge.yaml", "--json")[1])
        requests = server.count
        code, out, _ = limbeck("judge", "run", "--config", "judge.yaml")
        assert (code, server.count) == (0, requests)
        for text in ("[]", '{"reasons": {}}', '{"reasons": 3}'):
            (evaluation / "test.json").write_text(text)
            code, _, err = limbeck("judge", "run", "--config", "judge.yaml")
            assert (code, "test.json" in err.splitlines()[-1], server.count) == (2, True, requests)
    assert "self-consistency" in out and "undefined" in out
    section = evaluated()["judge"]  # the judgements are still of these rationales
    assert (section["name"], section["summary"]) == ("DSS", judgements["summary"])
    assert section["correlation"] == judgements["correlation"]["DSS"] and section["correlation"]["reason"]
    assert "| Gold | single | 5.0000 |" in (evaluation / "test.md").read_text()
    gold, student = (judgements["summary"][name]["arithmetic"] for name in ("Gold", "DSS"))
    assert (gold["single"]["mean"], gold["self_consistency"]["mean"], gold["single"]["n"]) == (5, 5, 4)
    assert (student["single"]["mean"], student["self_consistency"]["runs"]) == (1, 2)
    path = evaluation / "judge-test.jsonl"
    path.write_text(path.read_text().replace('"rationale": "', '"rationale": "Or '))
    page = evaluated()
    assert (page["judge"], "judge" in page["reasons"]) == (None, True)
