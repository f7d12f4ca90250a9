"""The loop: a student is served, what it passes on is harvested, and the next one is trained on it."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limbeck.data.conversations import export_rows
from limbeck.data.generated import GeneratedSource
from limbeck.files import read_jsonl, write_jsonl
from limbeck.report.write import write_report
from limbeck.runs import open_run
from limbeck.tasks import TASKS
from tests.helpers.servers import Server, mixed
from tests.serving.conftest import process
from tests.test_docs import DOCS, blocks, commands, write_blocks

ROUNDS, BASE, ASKED = 3, 300, 2000


def traffic(served, questions):
    """Ask all questions, 40 a request, from four clients."""
    requests = [questions[begin : begin + 40] for begin in range(0, len(questions), 40)]
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda some: served.ask(input=some).json()["answers"], requests))
    return [answer for answers in responses for answer in answers]


def limbeck(*words):
    subprocess.run([sys.executable, "-m", "limbeck", *words], check=True)


@pytest.mark.slow
def test_three_rounds_raise_accuracy_and_lower_what_is_passed_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    source = GeneratedSource(train_rows=BASE + ROUNDS * ASKED, valid_rows=200, test_rows=500, error_rate=0.0)
    rows = source.read(TASKS["arithmetic"])
    for split, examples in (("base", rows["train"][:BASE]), ("valid", rows["valid"]), ("test", rows["test"])):
        write_jsonl(Path(f"{split}.jsonl"), export_rows(examples, TASKS["arithmetic"], "limbeck")[0])
    known = {row.input: f"{row.rationale} The answer is {row.label}." for row in rows["train"]}
    write_blocks(DOCS / "loop.md")
    (block,) = blocks(DOCS / "loop.md", "sh")
    first, (_, _, *serving), harvesting, later = commands(block)
    accuracies, shares = [], []
    with Server(mixed(0, text=lambda request: known[request.question])) as teacher:
        monkeypatch.setenv("OPENAI_BASE_URL", teacher.url)
        for number in range(1, ROUNDS + 1):
            names = {"runs/round1": f"runs/round{number - 1}", "runs/round2": f"runs/round{number}"}
            limbeck(*(first if number == 1 else [names.get(word, word) for word in later]))
            run = open_run(Path(f"runs/round{number}"))
            begin = BASE + (number - 1) * ASKED
            questions = [row.input for row in rows["train"][begin : begin + ASKED]]
            with process(run.path, tmp_path / "log", *serving) as served:
                answers = traffic(served, questions)
                served.process.send_signal(signal.SIGTERM)
                assert served.process.wait(30) == 0
            passed_on = sum(answer["passed_on"] == "answered" for answer in answers)
            (totals,) = run.served()
            assert (totals.questions, totals.passed_on, totals.failed) == (ASKED, passed_on, 0)
            accuracies.append(run.results["test"]["accuracy"])
            shares.append(passed_on / ASKED)
            limbeck(*harvesting)
            assert len(list(read_jsonl(Path("more.jsonl")))) == teacher.count == round(sum(shares) * ASKED)
    print(accuracies, shares)
    # replies arrive in another order each time: between the second round and the third either may fall or rise
    assert min(accuracies[1:]) > accuracies[0] + 0.05
    assert max(shares[1:]) < shares[0] and shares[-1] < shares[0] - 0.1
    write_report([Path("runs")], Path("report"))
    report = json.loads(Path("report/report.json").read_text())
    usage = next(section for section in report["sections"] if section["id"] == "usage")
    rounds = usage["figures"][0]["table"]["rows"]
    assert [cells["passed on (%)"]["value"] / 100 for cells in rounds.values()] == pytest.approx(shares)
