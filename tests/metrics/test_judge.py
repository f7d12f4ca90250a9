"""The judge against a real server: what it is asked, what is kept of its replies, and nothing asked for twice."""

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from limbeck.errors import LimbeckError
from limbeck.metrics.judge import Item, JudgeSettings, judge, question, sample
from limbeck.schema import Example
from tests.helpers.servers import Answer, HttpRequest, Server, completion, error

RUNS = ("Gold", "DSS", "Ours")
KEY = "sk-0123456789"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("limbeck.llm.runner.backoff", lambda failures, retry_after: retry_after)


def items(count: int, runs: tuple[str, ...] = RUNS, task: str = "svamp") -> list[Item]:
    return [
        Item(run, task, Example(f"e{i}", (f"What is {i} + 1?",), f"({i} + 1)"), f"({i} + 1)", f"{run} adds 1 to {i}.")
        for run in runs
        for i in range(count)
    ]


def settings(url: str, store: Path, **fields) -> JudgeSettings:
    limits = {"concurrency": 1, "request_seconds": 5, "attempts": 30}
    terms = {"teacher": {"name": "m", "base_url": url}, "limits": limits, "store": store, "n": 1000}
    return JudgeSettings.parse(terms | fields, "judge.yaml")


def four(number: int, request: HttpRequest) -> Answer:
    return completion("It explains the answer. Score: 4")


def test_the_question_is_the_papers_and_holds_the_item_as_it_is():
    item = Item("Ours", "esnli", Example("1", ("A {task} sleeps.", "He {rests}."), "neutral"), "neutral", "{label} {0}")
    text = question(item)
    assert text.startswith("Given an input pair of a question and an answer of a e-SNLI task, how good is the given ")
    assert "3 is coherent, relevant but not helpful, 4 is somewhat helpful, and 5 is helpful and it explains" in text
    assert "<question>\nA {task} sleeps.\nHe {rests}.\n</question>" in text
    assert "<chain-of-thought>\n{label} {0}\n</chain-of-thought>" in text
    blank = question(Item("Ours", "mine", item.example, "", " \n"))
    assert (blank.count("of a mine task"), blank.count("\n(none)\n")) == (1, 2)


def test_each_item_is_judged_once_and_then_several_times_over(tmp_path):
    scores = {"Score: 3": 3.0, "I'd give it 4/5": 4.0, "no idea": None, "Score: five": 5.0}

    def behave(number: int, request: HttpRequest) -> Answer:
        return completion("Score: 2" if request.body["temperature"] == 0 else list(scores)[number % 4])

    rationales = items(2, ("Ours",))
    samplings = {0: 1, 0.7: 4}
    with Server(behave) as server:
        judgements = judge(rationales, settings(server.url, tmp_path / "judge.sqlite"))
        requests = Counter((request.question, request.body["temperature"]) for request in server.requests)
    assert requests == {(question(item), t): times for item in rationales for t, times in samplings.items()}
    identities = [(judgement.id, judgement.temperature, len(judgement.replies)) for judgement in judgements]
    assert identities == [(id, t, times) for id in ("e0", "e1") for t, times in samplings.items()]
    single, repeated = judgements[2:]
    assert (single.task, single.run, single.rationale, single.judge) == ("svamp", "Ours", "Ours adds 1 to 1.", "m")
    assert (single.scores, single.score) == ((2.0,), 2.0)
    assert repeated.scores == tuple(scores[reply] for reply in repeated.replies)


def test_what_is_stored_is_not_asked_again_and_more_runs_ask_only_for_those(tmp_path):
    store = tmp_path / "judge.sqlite"
    with Server(four) as server:
        judgements = judge(items(5), settings(server.url, store, runs=1))
        assert judge(items(5), settings(server.url, store, runs=1)) == judgements
        assert server.count == len(judgements) == 15
        # how long a reply may get makes no other reply
        for fields, count in (({}, 30), ({"runs": 4, "max_tokens": 2000}, 60), ({"temperature": 1.0}, 60 + 30)):
            judge(items(5), settings(server.url, store, **({"runs": 2} | fields)))
            assert server.count == 15 + count


def test_an_unread_or_missing_reply_is_none(tmp_path):
    def behave(number: int, request: HttpRequest) -> Answer:
        if "to 3." in request.question:
            return error(400, f"I will not for {request.headers['authorization']}")
        return completion("I cannot say." if "to 2." in request.question else "Score: 5", usage=(10, 10))

    progress = []
    with Server(behave) as server:
        priced = settings(server.url, tmp_path / "judge.sqlite", runs=1, prices={"input": 1, "output": 3})
        judgements = judge(items(5, ("Ours",)), priced, lambda *entry: progress.append(entry))
    assert [judgement.scores for judgement in judgements] == [(5.0,), (5.0,), (None,), (None,), (5.0,)]
    assert [judgement.replies[0] for judgement in judgements[2:4]] == ["I cannot say.", None]
    tally, cost = progress[-1]
    assert (tally.sent, tally.stopped, cost) == (5, None, pytest.approx(4 * 40 / 1e6))
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.iterdir())  # it is written nowhere


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_is_no_judgement(tmp_path, caplog):
    def interrupt(number: int, request: HttpRequest) -> Answer:
        if number == 0:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(3000):  # until the interrupt is heard, at most half a minute
                if caplog.records:
                    break
                time.sleep(0.01)
        return four(number, request)

    with Server(interrupt) as server:
        job = settings(server.url, tmp_path / "judge.sqlite")
        with pytest.raises(KeyboardInterrupt):
            judge(items(2), job)
        assert all(judgement.score == 4 for judgement in judge(items(2), job))


def test_the_same_examples_are_sampled_of_every_run_and_fewer_lie_in_more():
    rationales = [item for item in items(200) if (item.run, item.example.id) != ("DSS", "e7")]
    sampled = sample([*rationales, *items(30, ("Ours",), task="cqa")], 50, seed=0)
    ids = {run: [i.example.id for i in sampled if (i.run, i.task) == (run, "svamp")] for run in RUNS}
    assert ids["Gold"] == ids["DSS"] == ids["Ours"]
    assert len(set(ids["Gold"])) == 50
    assert sum(item.task == "cqa" for item in sampled) == 30  # there are no more
    assert "e7" not in {item.example.id for item in sample(rationales, 1000, 0)}
    assert set(sample(rationales, 50, 0)) <= set(sample(rationales[::-1], 100, seed=0))
    assert set(sample(rationales, 50, 0)) != set(sample(rationales, 50, seed=1))
    counts = Counter(item.example.id for seed in range(200) for item in sample(items(20, ("Gold",)), 5, seed))
    assert min(counts.values()) > 25  # of 50 expected; the deviation is 6
    with pytest.raises(LimbeckError):
        sample(items(1, ("Gold",)) + items(2, ("Ours",))[1:], 5, 0)
