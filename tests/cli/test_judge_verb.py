"""`limbeck judge`: a run's rationales and the teacher's before a judge on 127.0.0.1."""

import json

import yaml

from limbeck.cli.measured import print_judged
from tests.runs.recipes import TINY
from tests.servers import Server, completion


def test_a_run_is_judged_beside_the_teacher_and_no_reply_is_asked_for_twice(limbeck, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(TINY))
    assert limbeck("train", "recipe.yaml", "--out", "run")[0] == 0
    (tmp_path / "judge.yaml").write_text("teacher: judge\nn: 4\nruns: 2\n")
    code, _, err = limbeck("judge", "run", "--judge", "judge.yaml")
    assert code == 2
    assert "limbeck evaluate run --split test --rationale" in err
    assert limbeck("evaluate", "run", "--rationale")[0] == 0

    def behave(number, asked):
        said = "So we need" in asked.question  # as the teacher's rationales end
        return completion(f"It explains {'well' if said else 'nothing'}.\nScore: {5 if said else 1}")

    def page() -> dict:
        return json.loads((tmp_path / "run" / "evaluation" / "test.json").read_text())

    assert page()["judge"] is None
    with Server(behave) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        code, out, err = limbeck("judge", "run", "--judge", "judge.yaml", "--json")
        assert code == 0, err
        found = json.loads(out)
        asked = server.count
        assert 12 <= asked <= 24  # 4 examples, 2 rationales each, 1 + 2 replies; what reads alike is asked about once
        code, out, _ = limbeck("judge", "run", "--judge", "judge.yaml")
        assert code == 0
        assert server.count == asked
        code, out, err = limbeck("evaluate", "run", "--judge", "judge.yaml", "-s", "n=5")
        assert code == 0, err
        assert asked < server.count <= asked + 6  # one example more
        assert "Gold" in out
        assert page()["judge"]["summary"]["Gold"]["arithmetic"]["single"] | {"n": 4} == found["summary"]["Gold"][
            "arithmetic"
        ]["single"] | {"examples": 5}
        assert limbeck("judge", "run", "--judge", "judge.yaml")[0] == 0
        assert limbeck("evaluate", "run", "--rationale")[0] == 0  # what was judged is still what is said
    judged = page()["judge"]
    assert (judged["name"], judged["summary"], judged["correlation"]) == (
        "DSS",
        found["summary"],
        found["correlation"]["DSS"],
    )
    assert "| Gold | single | 5.0000 |" in (tmp_path / "run" / "evaluation" / "test.md").read_text()
    gold, ours = found["summary"]["Gold"]["arithmetic"], found["summary"]["DSS"]["arithmetic"]
    assert (gold["single"]["mean"], gold["self_consistency"]["mean"], gold["single"]["n"]) == (5, 5, 4)
    assert (ours["single"]["mean"], ours["self_consistency"]["runs"]) == (1, 2)
    assert [row[0] for row in found["table"]] == ["Model", "Gold", "++", "DSS", "++", "Ours", "++"]
    assert found["correlation"]["DSS"]["reason"]  # all scores are equal
    assert "not run" in out
    assert "undefined" in out
    lines = (tmp_path / "run" / "evaluation" / "judge-test.jsonl").read_text().splitlines()
    assert len(lines) == 8  # each of 4 rationales singly and several times
    assert {json.loads(line)["run"] for line in lines} == {"DSS"}
    lines = (tmp_path / "run" / "evaluation" / "judge-gold-test.jsonl").read_text().splitlines()
    assert len(lines) == 8
    assert {json.loads(line)["run"] for line in lines} == {"Gold"}
    path = tmp_path / "run" / "evaluation" / "judge-test.jsonl"
    path.write_text(path.read_text().replace('"rationale": "', '"rationale": "Or '))
    assert limbeck("evaluate", "run", "--rationale")[0] == 0
    assert page()["judge"] is None
    assert page()["reasons"]["judge"] == "judge-test.jsonl is of other rationales than these: have them judged again"
    path.write_text('{"id": "test-0"}\n')
    assert limbeck("evaluate", "run", "--rationale")[0] == 0
    assert "judge-test.jsonl:1: no judgement" in page()["reasons"]["judge"]
    code, _, err = limbeck("evaluate", "run", "-s", "n=3")
    assert code == 2
    assert "--judge" in err


def test_runs_whose_examples_share_names_alone_are_not_judged_together(limbeck, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    (tmp_path / "judge.yaml").write_text("teacher: judge\n")
    recipe = TINY | {"training": TINY["training"] | {"max_steps": 1}, "evaluation": {"rationales": True}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    for seed in ("0", "1"):
        assert limbeck("train", "recipe.yaml", "-s", f"data.source.seed={seed}", "--out", f"run{seed}")[0] == 0
    code, _, err = limbeck("judge", "run0", "run1", "--judge", "judge.yaml")
    assert code == 2
    assert "run1: its example 'test-0' is another one than in run0; judge runs of other data apart" in err


def test_a_runs_name_is_no_markup_of_the_terminal(capsys):
    print_judged({"table": [["Model", "arithmetic"], ["runs/[/old]", "[red]1"]], "correlation": {}})
    out = capsys.readouterr().out
    assert "runs/[/old]" in out
    assert "[red]1" in out
