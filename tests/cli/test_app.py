"""The command line as a stranger meets it: help, output, exit codes."""

import json
import signal
import subprocess
import sys
import time
from typing import get_args

import pytest
import yaml

from limbeck import cli
from limbeck.models import Answers, EngineName
from limbeck.objectives import METHODS
from tests.runs.recipes import TINY


@pytest.mark.parametrize(
    "verb",
    [
        [],
        ["quickstart"],
        ["data"],
        ["data", "show"],
        ["data", "fetch"],
        ["train"],
        ["grid"],
        ["evaluate"],
        ["predict"],
        ["calibrate"],
        ["compare"],
        ["report"],
        ["judge"],
        ["objectives"],
        ["schema"],
        *(["annotate", *verb] for verb in ([], ["run"], ["show"], ["export"], ["import"], ["prompt"], ["schema"])),
    ],
)
def test_every_verb_has_help(verb, limbeck):
    code, out, _ = limbeck(*verb, "--help")
    assert code == 0
    assert "Usage" in out


def test_objectives_lists_every_method(limbeck):
    code, out, _ = limbeck("objectives")
    assert code == 0
    assert all(name in out for name in METHODS)
    code, out, _ = limbeck("objectives", "--json")
    assert set(json.loads(out)) == set(METHODS)


def test_schema_is_one_and_knows_our_fields_and_transformers(limbeck):
    _, out, _ = limbeck("schema")
    schema = json.loads(out)
    assert set(schema["properties"]) == {"data", "student", "objective", "training", "evaluation", "seed"}
    assert "learning_rate" in schema["$defs"]["TrainingSettings"]["properties"]
    assert schema["additionalProperties"] is False


def test_the_options_name_the_engines_and_answers_that_there_are():
    assert [engine.value for engine in cli.Engine] == list(get_args(EngineName))
    assert [answers.value for answers in cli.Answers] == list(get_args(Answers))


def test_train_evaluate_and_predict(limbeck, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(TINY))
    code, out, err = limbeck("train", "recipe.yaml", "-s", "objective=mi", "-s", "seed=3", "--out", "run", "--json")
    assert code == 0, err
    printed = json.loads(out)
    assert printed["run"] == "run"
    assert printed == {"run": "run", **json.loads((tmp_path / "run" / "results.json").read_text())}
    assert "mi on 24 examples" in err
    code, out, _ = limbeck("evaluate", "run", "--json")
    assert (code, json.loads(out)) == (0, printed["test"])
    code, out, _ = limbeck("evaluate", "run", "--engine", "transformers", "--answers", "generate", "--json")
    assert (code, json.loads(out)) == (0, printed["test"])
    code, _, err = limbeck("evaluate", "run", "--answers", "choices")
    assert (code, err.count("\n")) == (2, 1)
    assert "has no choices" in err
    (tmp_path / "in.jsonl").write_text('{"input": "Ada has 3 pears and gets 2. How many?"}\n')
    code, out, _ = limbeck("predict", "run", "--input", "in.jsonl", "--output", "out.jsonl", "--rationale")
    assert code == 0
    assert out == "out.jsonl: 1 predictions\n"
    assert "prediction" in json.loads((tmp_path / "out.jsonl").read_text())
    code, out, _ = limbeck("train", "recipe.yaml", "-s", "objective=mi", "-s", "seed=3", "--out", "run", "--resume")
    assert code == 0
    assert " test: accuracy" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "none.yaml"], "none.yaml: no such file"),
        (["train", "recipe.yaml", "-s", "objective=mii"], "did you mean 'mi'"),
        (["evaluate", "nowhere"], "no run here"),
        (["predict", "nowhere", "--input", "a.jsonl", "--output", "b.jsonl"], "no trained student"),
        (["data", "show", "svmap"], "did you mean 'svamp'"),
        (["data", "show", "svamp"], "source"),
        (["data", "show", "svamp", "--root", "nowhere"], "nowhere"),
        (["data", "fetch", "nowhere.zip"], "nowhere.zip"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(words, says, limbeck, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(TINY))
    code, out, err = limbeck(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("limbeck: error: ")
    assert err.count("\n") == 1
    assert says in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recipe.yaml"]


def test_data_show_prints_splits_and_every_view(limbeck):
    code, out, _ = limbeck("data", "show", "arithmetic")
    assert code == 0
    for words in ("train", "valid", "test", "4000", "predict:", "explain:", "Answer:", "Rationale:"):
        assert words in out
    code, out, _ = limbeck("data", "show", "arithmetic", "--json")
    assert json.loads(out)["test"]["rows"] == 500


def test_ctrl_c_is_one_line_and_the_run_goes_on(limbeck, tmp_path):
    endless = {**TINY, "training": {**TINY["training"], "max_steps": 100_000}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(endless))
    command = [sys.executable, "-m", "limbeck.cli", "train", "recipe.yaml", "--out", "run"]
    # a parent in the background ignores SIGINT, and its children inherit that
    heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heed) as process:
        log = tmp_path / "run" / "log.jsonl"
        while process.poll() is None and not (log.exists() and '"step": 5' in log.read_text()):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("limbeck: interrupted")
    assert "Traceback" not in err
    assert list((tmp_path / "run" / "checkpoints").iterdir())


def test_the_installed_command_answers_quickly_without_heavy_imports():
    program = "import sys; import limbeck.cli; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
