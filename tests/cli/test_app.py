"""The command line as a stranger meets it: help, output, exit codes, and what a verb imports."""

import json
import subprocess
import sys

import pytest
import yaml

from limbeck.objectives.methods import METHODS
from tests.annotation.jobs import fill, make_job, reply_with
from tests.helpers.processes import Forked
from tests.report.reports import finished
from tests.runs.recipes import TINY

VERBS = ["quickstart", "data show", "data fetch", "train", "grid", "evaluate", "predict", "calibrate", "compare"]
VERBS += ["report", "judge", "push", "objectives", "schema", "annotate run", "annotate show", "annotate export"]


@pytest.mark.parametrize("verb", ["", "data", "annotate", *VERBS])
def test_every_verb_has_help(verb, limbeck):
    code, out, _ = limbeck(*verb.split(), "--help")
    assert code == 0
    assert "Usage" in out


def test_objectives_and_schemas_have_every_name(limbeck):
    assert all(name in limbeck("objectives")[1] for name in METHODS)
    assert set(json.loads(limbeck("objectives", "--json")[1])) == set(METHODS)
    schema = json.loads(limbeck("schema")[1])
    assert set(schema["properties"]) == {"data", "student", "objective", "training", "evaluation", "seed"}
    assert "learning_rate" in schema["$defs"]["TrainingSettings"]["properties"]
    fields = {"rows", "teacher", "sampling", "limits", "budget", "filters", "store"}
    assert fields <= json.loads(limbeck("annotate", "schema")[1])["properties"].keys()


def test_train_evaluate_and_predict(limbeck, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(TINY))
    code, out, err = limbeck("train", "recipe.yaml", "-s", "objective=mi", "-s", "seed=3", "--out", "run", "--json")
    assert code == 0, err
    results = json.loads(out)
    assert results == {"run": "run", **json.loads((tmp_path / "run" / "results.json").read_text())}
    assert "mi on 24 examples" in err
    code, out, _ = limbeck("evaluate", "run", "--engine", "transformers", "--answers", "generate", "--json")
    assert (code, json.loads(out)) == (0, results["test"])
    assert limbeck("evaluate", "run", "--answers", "choices")[0] == 2
    (tmp_path / "in.jsonl").write_text('{"input": "Ada has 3 pears and gets 2. How many?"}\n')
    code, out, _ = limbeck("predict", "run", "--input", "in.jsonl", "--output", "out.jsonl", "--rationale")
    assert (code, out) == (0, "out.jsonl: 1 predictions\n")
    assert "prediction" in json.loads((tmp_path / "out.jsonl").read_text())


def test_a_report_is_written_once_its_folder_is_checked(limbeck, tmp_path):
    finished(tmp_path / "runs" / "dss", "dss", 1)
    code, out, err = limbeck("report", "runs", "-o", "out")
    assert (code, err) == (0, "")
    assert out.startswith("out/index.html: 0.")
    code, out, _ = limbeck("report", "runs/dss", "-o", "out", "--json")
    size = (tmp_path / "out" / "index.html").stat().st_size
    assert (code, json.loads(out)) == (0, {"page": "out/index.html", "bytes": size})
    before = sorted(tmp_path.rglob("*"))
    for folder in ("runs", ".", ".."):
        code, _, err = limbeck("report", "runs", "-o", folder)
        assert (code, err.count("\n")) == (2, 1)
    assert sorted(tmp_path.rglob("*")) == before


MISTAKES = """train recipe.yaml -s objective=mii
evaluate nowhere -s runs=3
predict nowhere --input a.jsonl --output b.jsonl
report nowhere -o out
data show svmap
data fetch nowhere.zip
compare , p.jsonl
calibrate nowhere
grid none.yaml
grid table99
grid recipe.yaml --smoke
push nowhere me/mine
annotate show none.yaml
annotate import none.jsonl --output x.jsonl
annotate prompt svmap"""


@pytest.mark.parametrize("words", MISTAKES.splitlines())
def test_a_mistake_is_one_line_and_exit_code_two(words, limbeck, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(TINY))
    code, out, err = limbeck(*words.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("limbeck: error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_ctrl_c_is_one_line_and_leaves_a_run_to_resume(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    endless = {**TINY, "training": {**TINY["training"], "max_steps": 100_000}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(endless))
    command = Forked("train", "recipe.yaml", "--out", "run")
    log = tmp_path / "run" / "log.jsonl"
    command.wait_until(lambda: log.exists() and '"step": 5' in log.read_text())
    command.type(b"\x03")
    assert command.wait() == 130
    assert "limbeck: interrupted" in command.text
    assert "Traceback" not in command.text
    assert list((tmp_path / "run" / "checkpoints").iterdir())


IMPORTED = """
import sys
from limbeck import cli
for line in sys.stdin:
    sys.argv = ["limbeck", *line.split()]
    try:
        cli.main()
    except SystemExit as end:
        assert not end.code, line
print({"torch", "transformers"} & set(sys.modules), file=sys.stderr)
"""
LIGHT = """--help
objectives
schema
data show arithmetic
annotate show annotate.yaml
compare {run} {run}
calibrate {run}/predictions/test.jsonl
report {run} -o {out}
"""


def test_verbs_without_a_model_import_neither_torch_nor_transformers(run, tmp_path):
    fill(make_job(tmp_path, [{"id": "a", "input": "What is it?", "label": "red"}]), {"a": [reply_with("red")]})
    words = LIGHT.format(run=run, out=tmp_path / "report")
    process = subprocess.run(
        [sys.executable, "-c", IMPORTED], input=words, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert process.stderr.splitlines()[-1] == "set()"
