"""The judge against real servers: what it is asked, what is kept of its replies, and nothing asked for twice."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from limbeck.errors import LimbeckError
from limbeck.metrics.judge import Item, JudgeSettings, judge, question, sample
from limbeck.schema import Example
from tests.helpers.servers import Answer, Asked, Server, completion, error, mixed
from tests.metrics.judging import RUNS, asked_for, items, settings

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("limbeck.llm.runner.backoff", lambda failures, retry_after: retry_after or 0.0)


def four(number: int, asked: Asked) -> Answer:
    return completion("It explains the answer. Score: 4")


def test_the_question_is_the_papers_and_holds_the_item_as_it_is():
    item = Item("Ours", "esnli", Example("1", ("A {task} sleeps.", "He {rests}."), "neutral"), "neutral", "{label} {0}")
    asked = question(item)
    start = (
        "Given an input pair of a question and an answer of a e-SNLI task, how good is the given Chain-of-thought "
        "example? From 1-5, where 1 is completely incoherent and irrelevant, 2 is somewhat incoherent and irrelevant, "
        "3 is coherent, relevant but not helpful, 4 is somewhat helpful, and 5 is helpful and it explains the answer "
        "well.\n"
    )
    assert asked.startswith(start)
    assert "<question>\nA {task} sleeps.\nHe {rests}.\n</question>" in asked
    assert "<answer>\nneutral\n</answer>" in asked
    assert "<chain-of-thought>\n{label} {0}\n</chain-of-thought>" in asked
    assert asked.endswith("Score: N")
    blank = question(Item("Ours", "mine", item.example, "", " \n"))
    assert "of a mine task" in blank
    assert "<chain-of-thought>\n(none)\n</chain-of-thought>" in blank


def test_each_item_is_judged_once_and_then_several_times_over(tmp_path):
    def behave(number: int, asked: Asked) -> Answer:
        if asked.body["temperature"] == 0:
            return completion("Score: 2")
        return completion(["Score: 3", "I'd give it 4/5", "no idea", "five"][number % 4])

    wanted = items(2, ("Ours",))
    with Server(behave) as server:
        judged = judge(wanted, settings(server.url, tmp_path / "judge.sqlite", limits={"concurrency": 1}))
        assert Counter((asked_for(asked), asked.body["temperature"]) for asked in server.asked) == {
            (item.rationale, temperature): times for item in wanted for temperature, times in ((0, 1), (0.7, 4))
        }
    assert [(one.id, len(one.replies), one.temperature) for one in judged] == [
        ("e0", 1, 0.0), ("e0", 4, 0.7), ("e1", 1, 0.0), ("e1", 4, 0.7),
    ]  # fmt: skip
    single, several = judged[2:]
    assert (single.task, single.run, single.label, single.rationale) == (
        "svamp",
        "Ours",
        "(1 + 1)",
        "Ours adds 1 to 1.",
    )
    assert (single.judge, single.scores, single.score) == ("m", (2.0,), 2.0)
    every = [reply for one in (judged[1], several) for reply in one.replies]
    assert Counter(every) == dict.fromkeys(("Score: 3", "I'd give it 4/5", "no idea", "five"), 2)
    read = {"Score: 3": 3.0, "I'd give it 4/5": 4.0, "no idea": None, "five": 5.0}
    assert several.scores == tuple(read[reply] for reply in several.replies)
    scores = [score for score in several.scores if score is not None]
    assert several.score == sum(scores) / len(scores)


def test_what_is_stored_is_not_asked_again_and_more_runs_ask_only_for_those(tmp_path):
    with Server(four) as server:
        first = settings(server.url, tmp_path / "judge.sqlite", runs=1)
        judged = judge(items(5), first)
        assert server.count == 15
        assert len(judged) == 15
        wanted = []
        assert judge(items(5), first, lambda tally, cost: wanted.append(tally.total)) == judged
        assert wanted == [0]
        assert server.count == 15
        judge(items(5), settings(server.url, tmp_path / "judge.sqlite", runs=2))
        assert server.count == 15 + 30
        both = judge(items(5), settings(server.url, tmp_path / "judge.sqlite", runs=4, max_tokens=2000))
        assert server.count == 15 + 60  # how long a reply may get makes no other reply
        assert all(one.score == 4 for one in both)
        judge(items(5), settings(server.url, tmp_path / "judge.sqlite", runs=2, temperature=1.0))
        assert server.count == 15 + 60 + 30


def test_rationales_that_read_alike_are_asked_about_once(tmp_path):
    example = Example("1", ("What?",), "x")
    alike = [Item("Gold", "mine", example, "x", "Because."), Item("Ours", "mine", example, "x", "Because. ")]
    other = Item("DSS", "mine", example, "y", "Because.")
    with Server(four) as server:
        judged = judge([*alike, other], settings(server.url, tmp_path / "judge.sqlite", runs=1))
        assert server.count == 2
    assert [(one.run, one.score) for one in judged] == [("Gold", 4.0), ("Ours", 4.0), ("DSS", 4.0)]


@pytest.mark.slow
def test_killed_in_the_middle_it_repeats_nothing_that_was_answered(tmp_path):
    count, store = 40, tmp_path / "judge.sqlite"
    requests = count * len(RUNS) * 5
    behave = mixed(0.1, seed=2, text=lambda asked: f"{asked_for(asked)} Score: 4", latency=0.01)

    def stored() -> Counter[tuple[str, ...]]:
        with sqlite3.connect(store) as connection:
            return Counter(connection.execute("SELECT prompt, question, sample, text FROM replies"))

    with Server(behave) as server:
        command = [sys.executable, "-m", "tests.metrics.judging", server.url, str(store), str(count)]
        process = subprocess.Popen(command)
        while server.count < 250 and process.poll() is None:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        kept, seen = stored(), len(server.asked)
        assert 100 < kept.total() < requests - 100
        judged = judge(items(count), settings(server.url, store))
        paid = [asked.sent and asked.answer.paid for asked in server.asked]
    assert stored().total() == requests == sum(len(one.replies) for one in judged)
    assert all(reply == f"{one.rationale} Score: 4" for one in judged for reply in one.replies)
    assert kept <= stored()
    assert sum(paid[seen:]) == requests - kept.total()  # only the rest was asked for
    assert 0 <= sum(paid) - requests <= 16  # what was in flight when it was killed


def test_an_unread_or_missing_reply_is_none_and_a_budget_ends_it(tmp_path):
    def behave(number: int, asked: Asked) -> Answer:
        if "to 3." in asked.question:
            return error(400, "I will not")
        return completion("I cannot say." if "to 2." in asked.question else "Score: 5", usage=(10, 10))

    seen = []
    with Server(behave) as server:
        rule = settings(server.url, tmp_path / "judge.sqlite", runs=1, prices={"input": 1, "output": 3})
        judged = judge(items(5, ("Ours",)), rule, lambda tally, cost: seen.append((tally.sent, tally.stopped, cost)))
        assert [one.scores for one in judged] == [(5.0,), (5.0,), (None,), (None,), (5.0,)]
        assert [one.replies[0] for one in judged[2:4]] == ["I cannot say.", None]
        assert judged[2].score is None
        assert seen[-1] == (5, None, pytest.approx(4 * 40 / 1e6))
        ended = []
        poor = settings(server.url, tmp_path / "poor.sqlite", runs=4, budget={"tokens": 2000}, max_tokens=100)
        judged = judge(items(20, ("Gold",)), poor, lambda tally, cost: ended.append((tally.stopped, cost)))
        assert ended[-1] == ("budget", None)
        assert len(judged) == 40
        assert 0 < sum(one.replies.count(None) for one in judged) < 100
        dear = settings(server.url, tmp_path / "dear.sqlite", budget={"money": 1})
        with pytest.raises(LimbeckError, match=r"budget\.money.*prices"):
            judge(items(2), dear)


def test_an_interrupt_is_no_judgement(tmp_path):
    def interrupt(number: int, asked: Asked) -> Answer:
        if number == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return four(number, asked)

    with Server(interrupt) as server:
        job = settings(server.url, tmp_path / "judge.sqlite", limits={"concurrency": 1})
        with pytest.raises(KeyboardInterrupt):
            judge(items(2), job)
        assert all(judgement.score == 4 for judgement in judge(items(2), job))


def test_the_same_examples_are_drawn_of_every_run_and_fewer_lie_in_more():
    wanted = [item for item in items(200) if (item.run, item.example.id) != ("DSS", "e7")]
    wanted += items(30, ("Ours",), task="cqa")
    chosen = sample(wanted, 50, seed=0)
    ids = {(run, task): [] for run in RUNS for task in ("svamp", "cqa")}
    for item in chosen:
        ids[item.run, item.task].append(item.example.id)
    assert ids["Gold", "svamp"] == ids["DSS", "svamp"] == ids["Ours", "svamp"]
    assert len(set(ids["Gold", "svamp"])) == 50
    assert len(ids["Ours", "cqa"]) == 30  # there are no more
    assert "e7" not in {item.example.id for item in sample(wanted, 1000, 0) if item.task == "svamp"}
    assert [item for item in wanted if item in chosen] == chosen
    assert set(chosen) <= set(sample(wanted, 100, seed=0))
    assert {item.example.id for item in sample(wanted[::-1], 50, 0)} == {item.example.id for item in chosen}
    assert set(chosen) != set(sample(wanted, 50, seed=1))
    drawn = Counter(item.example.id for seed in range(200) for item in sample(items(20, ("Gold",)), 5, seed))
    assert min(drawn.values()) > 25  # of 50 expected; the deviation is 6
    assert sample([], 50, 0) == []


def test_items_that_cannot_be_compared_are_refused(tmp_path):
    with pytest.raises(LimbeckError):
        sample(items(1, ("Gold", "Gold")), 5, 0)
    apart = items(1, ("Gold",)) + [item for item in items(2, ("Ours",)) if item.example.id == "e1"]
    with pytest.raises(LimbeckError):
        sample(apart, 5, 0)
    assert judge([], settings("http://127.0.0.1:9/v1", tmp_path / "no.sqlite")) == []
    assert not (tmp_path / "no.sqlite").exists()


def test_the_key_is_written_nowhere(tmp_path):
    with Server(lambda number, asked: completion(f"{asked.headers['authorization']} Score: 3")) as server:
        judged = judge(items(2), settings(server.url, tmp_path / "judge.sqlite", runs=1))
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert all(one.score == 3 for one in judged)
    assert all(KEY.encode() not in Path(path).read_bytes() for path in tmp_path.iterdir())
    named = JudgeSettings(teacher={"name": KEY, "base_url": "http://127.0.0.1:9/v1"}, store=tmp_path / "other.sqlite")
    with pytest.raises(LimbeckError, match="OPENAI_API_KEY") as raised:
        judge(items(1), named)
    assert KEY not in str(raised.value)


def test_the_store_says_what_was_asked_and_of_whom(tmp_path):
    with Server(four) as server:
        judge(items(1), settings(server.url, tmp_path / "judge.sqlite"))
    with sqlite3.connect(tmp_path / "judge.sqlite") as connection:
        sent = [json.loads(text) for (text,) in connection.execute("SELECT sent FROM prompts")]
        (job, _) = (json.loads(text) for (text,) in connection.execute("SELECT job FROM starts"))
    assert sorted(one["temperature"] for one in sent) == [0.0, 0.7]
    assert all("{rationale}" in one["question"] for one in sent)
    assert (job["judge"]["teacher"]["name"], job["judge"]["seed"], job["items"]["count"]) == ("m", 0, 3)
