"""The command line as a stranger meets it: help, output, mistakes, and what a verb imports."""

import json
import subprocess
import sys

import pytest
import yaml

from limbeck.objectives.methods import METHODS
from tests.annotation.jobs import fill, make_job, reply_with
from tests.helpers.archives import write_rows
from tests.helpers.processes import Forked
from tests.report.reports import finished
from tests.runs.recipes import TINY


def test_helps_objectives_and_schemas_have_every_name(limbeck):
    for verb in ("", "data", "annotate"):  # the verbs' own are those of the documentation
        assert "Usage" in limbeck(*verb.split(), "--help")[1]
    assert all(name in limbeck("objectives")[1] for name in METHODS)
    schema = json.loads(limbeck("schema")[1])
    assert schema["properties"].keys() == {"data", "student", "objective", "training", "evaluation", "seed"}
    assert "learning_rate" in schema["$defs"]["TrainingSettings"]["properties"]
    assert {"rows", "teacher", "filters"} <= json.loads(limbeck("annotate", "schema")[1])["properties"].keys()


def test_train_evaluate_and_predict(limbeck, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(TINY))
    _, out, err = limbeck("train", "recipe.yaml", "-s", "objective=mi", "-s", "seed=3", "--out", "run", "--json")
    results = json.loads(out)
    assert results == {"run": "run", **json.loads((tmp_path / "run" / "results.json").read_text())}
    assert "mi on 24 examples" in err
    out = limbeck("evaluate", "run", "--engine", "transformers", "--answers", "generate", "--json")[1]
    assert json.loads(out) == results["test"]
    by_votes = json.loads(limbeck("evaluate", "run", "--votes", "2", "--temperature", "0.5", "--json")[1])
    assert (by_votes["votes"], by_votes["temperature"], by_votes["n"]) == (2, 0.5, results["test"]["n"])
    text = '{"input": "What is 3 and 2?"}\n'
    code, out, err = limbeck("predict", "run", "--input", "-", "--output", "/dev/stdout", "--rationale", stdin=text)
    assert (code, json.loads(out)["input"], "1 predictions" in err) == (0, "What is 3 and 2?", True)
    files = ("--input", "run/predictions/test.jsonl", "--output", "out.jsonl")
    assert limbeck("predict", "run", *files, "--votes", "2", "--temperature", "0.5")[0] == 0
    rows = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert all(row["confidence"] in (0.5, 1) for row in rows if row["prediction"])
    out = limbeck("predict", "run", *files)[1]
    assert out.startswith("out.jsonl: 6 predictions; accuracy 0.")


def test_quickstart(limbeck, tmp_path, monkeypatch):
    monkeypatch.setattr("limbeck.runs.training.QUICKSTART", tmp_path / "recipe.yaml")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(TINY))
    assert [*json.loads(limbeck("quickstart", "--seed", "2", "--json")[1])] == ["finetune", "dss", "mi"]
    assert "report/index.html" in limbeck("quickstart", "--seed", "2")[1]


def test_a_report_is_written(limbeck, tmp_path):
    finished(tmp_path / "runs" / "dss", "dss", 1)
    code, out, err = limbeck("report", "runs", "-o", "out")
    assert (code, out[:18], err) == (0, "out/index.html: 0.", "")
    result = json.loads(limbeck("report", "runs/dss", "-o", "out", "--json")[1])
    assert result == {"page": "out/index.html", "bytes": (tmp_path / "out" / "index.html").stat().st_size}


MISTAKES = """train recipe.yaml -s objective=mii | did you mean 'mi'
evaluate nowhere -s runs=3 | -s: changes the judge's config
evaluate {run} --answers choices | choices
evaluate {run} --votes 8 | temperature
predict nowhere --input a.jsonl --output b.jsonl | nowhere
report nowhere -o out | nowhere
report {run} -o .. | current folder
data show svmap | did you mean 'svamp'
data fetch nowhere.zip | nowhere.zip
compare , p.jsonl | both sides
calibrate nowhere | no such file
judge {run} --config none.yaml | no such file
grid none.yaml | no such file
grid table99 | table99
grid recipe.yaml | recipe.yaml: recipe: Field required
grid grid.yaml --smoke | --smoke
grid table3 --root nowhere | e-SNLI is left out: no nowhere/esnli/esnli_train.json
grid grid.yaml -s objective=kl | grid.yaml: objective: would overwrite objective
grid grid.yaml --out grid.yaml | grid.yaml
push nowhere me/mine | nowhere
export {run} --to hf --output . | already there
export {run} --to hf --output x --precision int8 | --precision
export {run} --to gguf --output x | 't5'
push {run} me/mine --license My-Own | My-Own
push {run} a/b/c | a/b/c
push {run} ../x | ../x
annotate run job.yaml -s teecher.name=x | did you mean 'teacher'
annotate run job.yaml -s budget.money=3 | prices
annotate run job.yaml -s teacher.base_url=https://me:password@host/v1 | without user, password
annotate show job.yaml | no such store
annotate export job.yaml --output x.jsonl --public | --hub
annotate export job.yaml --output rows.jsonl | overwrite
annotate export job.yaml -s rows=x.provenance.json --output x.jsonl | overwrite
annotate import none.jsonl --output x.jsonl | no such file
annotate prompt svmap | did you mean 'svamp'"""


@pytest.mark.parametrize("line", MISTAKES.splitlines())
def test_a_mistake_is_one_line_and_exit_code_two(line, limbeck, run, tmp_path):
    words, _, text = line.partition(" | ")
    write_rows(tmp_path / "rows.jsonl", [{"input": "What is it?", "label": "red"}])
    files = {"recipe": TINY, "grid": {"recipe": TINY, "axes": {"objective": ["dss", "mi"]}}}
    files["job"] = {"rows": "rows.jsonl", "teacher": {"name": "m", "base_url": "http://127.0.0.1:9/v1"}}
    for name, values in files.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(values))
    before = set(tmp_path.iterdir())
    code, out, err = limbeck(*words.format(run=run).split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("limbeck: error: ") and text in err
    assert "password@" not in err
    assert {path for path in tmp_path.iterdir() if path.suffix != ".lock"} == before


def test_ctrl_c_is_one_line_and_leaves_a_run_to_resume(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    endless = {**TINY, "training": {**TINY["training"], "max_steps": 100_000}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(endless))
    command = Forked("train", "recipe.yaml", "--out", "run")
    log = tmp_path / "run" / "log.jsonl"
    command.wait_until(lambda: log.exists() and '"step": 5' in log.read_text())
    command.type(b"\x03")
    assert command.wait() == 130
    assert "limbeck: interrupted" in command.text and "Traceback" not in command.text
    assert list((tmp_path / "run" / "checkpoints").iterdir())


IMPORTED = """
import sys
from limbeck.cli.app import app
for line in sys.stdin:
    app(line.split(), standalone_mode=False)
print({"torch", "transformers"} & set(sys.modules), file=sys.stderr)
"""
LIGHT = ["--help", "objectives", "schema", "data show arithmetic", "annotate show annotate.yaml", "compare {run} {run}"]
LIGHT += ["calibrate {run}/predictions/test.jsonl", "report {run} -o {out}"]


def test_verbs_without_a_model_import_neither_torch_nor_transformers(run, tmp_path):
    fill(make_job(tmp_path, [{"id": "a", "input": "What is it?", "label": "red"}]), {"a": [reply_with("red")]})
    words = "\n".join(LIGHT).format(run=run, out=tmp_path / "report")
    options = {"input": words, "capture_output": True, "text": True, "cwd": tmp_path}
    process = subprocess.run([sys.executable, "-c", IMPORTED], **options)
    assert process.stderr.splitlines()[-1] == "set()"
