"""The loop: a student is served, what it passes on is harvested, and the next one is trained on it."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limbeck.annotation.results import harvest
from limbeck.data.conversations import export_rows
from limbeck.data.generated import GeneratedSource
from limbeck.files import read_jsonl, write_jsonl
from limbeck.report.write import write_report
from limbeck.runs import train
from limbeck.runs.recipe import Recipe
from limbeck.tasks import TASKS
from tests.helpers.servers import Server, mixed
from tests.serving.conftest import process

ROUNDS, BASE, ASKED = 3, 300, 2000
RECIPE = {
    "data": {"task": "arithmetic", "source": {"kind": "files", "valid_file": "valid.jsonl", "test_file": "test.jsonl"}},
    "student": {
        "scratch": {"vocab_size": 800, "d_model": 128, "d_kv": 16, "d_ff": 256, "num_layers": 2, "num_heads": 8},
        "max_target_length": 64,
    },
    "objective": "dss",
    "training": {
        "max_steps": 250,
        "per_device_train_batch_size": 32,
        "learning_rate": 2.0e-3,
        "warmup_steps": 50,
        "eval_steps": 125,
    },
    "seed": 1,
}
JOB = """\
rows: none.jsonl
task: arithmetic
store: annotations.sqlite
teacher: {{name: scripted, base_url: {url}, key: NO_KEY}}
prices: {{input: 0.5, output: 1.5}}
budget: {{money: 10}}
"""


def recipe(*files: str) -> Recipe:
    values = json.loads(json.dumps(RECIPE))
    values["data"]["source"]["train_file"] = list(files)
    return Recipe.parse(values, "loop")


def traffic(served, questions):
    """Ask all questions, 40 a request, from four clients."""
    requests = [questions[begin : begin + 40] for begin in range(0, len(questions), 40)]
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda some: served.ask(input=some).json()["answers"], requests))
    return [answer for answers in responses for answer in answers]


@pytest.mark.slow
def test_three_rounds_raise_accuracy_and_lower_what_is_passed_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = GeneratedSource(train_rows=BASE + ROUNDS * ASKED, valid_rows=200, test_rows=500, error_rate=0.0)
    rows = source.read(TASKS["arithmetic"])
    for split, examples in (("base", rows["train"][:BASE]), ("valid", rows["valid"]), ("test", rows["test"])):
        write_jsonl(Path(f"{split}.jsonl"), export_rows(examples, TASKS["arithmetic"], "limbeck")[0])
    known = {row.input: f"{row.rationale} The answer is {row.label}." for row in rows["train"]}
    files, parent, accuracies, shares = ["base.jsonl"], None, [], []
    with Server(mixed(0, text=lambda request: known[request.question])) as teacher:
        Path("job.yaml").write_text(JOB.format(url=teacher.url))
        for number in range(1, ROUNDS + 1):
            run = train(recipe(*files), f"runs/round{number}", parent=parent)
            first = BASE + (number - 1) * ASKED
            questions = [row.input for row in rows["train"][first : first + ASKED]]
            with process(run.path, tmp_path / "log", "--teacher", "job.yaml", "--threshold", "0.8") as served:
                answers = traffic(served, questions)
                served.process.send_signal(signal.SIGTERM)
                assert served.process.wait(30) == 0
            passed_on = sum(answer["passed_on"] == "answered" for answer in answers)
            (totals,) = run.served()
            assert (totals["questions"], totals["passed_on"], totals["failed"]) == (ASKED, passed_on, 0)
            accuracies.append(run.results["test"]["accuracy"])
            shares.append(passed_on / ASKED)
            harvested = harvest(Path("annotations.sqlite"), Path("more.jsonl"))
            assert harvested["rows"] == sum(round(share * ASKED) for share in shares)
            files, parent = ["base.jsonl", "more.jsonl"], run.path
        assert teacher.count == len(list(read_jsonl(Path("more.jsonl"))))
    print(accuracies, shares)
    assert accuracies == sorted(accuracies) and accuracies[-1] > accuracies[0] + 0.05
    assert shares == sorted(shares, reverse=True) and shares[-1] < shares[0] - 0.1
    write_report([Path("runs")], Path("report"))
    report = json.loads(Path("report/report.json").read_text())
    usage = next(section for section in report["sections"] if section["id"] == "usage")
    rounds = usage["figures"][0]["table"]["rows"]
    assert [cells["passed on (%)"]["value"] / 100 for cells in rounds.values()] == pytest.approx(shares)
