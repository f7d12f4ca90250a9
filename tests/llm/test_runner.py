"""Asking many questions: each once, again where that helps, within every limit, whatever the server does."""

import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest

from limbeck.errors import EndpointError
from limbeck.llm.messages import Tokens
from limbeck.llm.runner import RateLimiter, Session, Tally, backoff
from limbeck.llm.settings import AskingSettings, SamplingSettings
from limbeck.llm.store import Key, Request, Store, estimate
from limbeck.models import open_teacher
from tests.helpers.servers import Answer, HttpRequest, Server, completion, error, explain

CEILING = Tokens(11, 100)  # of the first requests


def make_requests(count: int) -> list[Request]:
    turns = [[{"role": "user", "content": f"question {i}"}] for i in range(count)]
    return [Request(Key("m", "p", f"q{i}", 0), f"e{i}", turn, 100) for i, turn in enumerate(turns)]


def ask(server: Server, store: Store, requests: int | list[Request], *, tokens=None, tally=None, **limits) -> Tally:
    requests = make_requests(requests) if isinstance(requests, int) else requests
    values = {"teacher": {"name": "m", "base_url": server.url}, "budget": {"tokens": tokens}}
    settings = AskingSettings.parse({**values, "limits": {"request_seconds": 30, **limits}}, "test")
    session = Session(settings, store, open_teacher, tally=tally or Tally())
    session.ask(SamplingSettings(), lambda: requests)
    return session.tally


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "annotations.sqlite") as opened:
        yield opened


@pytest.fixture
def server():
    """A server that answers all; a test changes `behave`."""
    with Server(lambda number, request: completion()) as started:
        yield started


@pytest.fixture(autouse=True)
def _quick(monkeypatch, interruptible):
    """Ask again at once: no server here needs a rest."""
    monkeypatch.setattr("limbeck.llm.runner.backoff", lambda failures, retry_after: retry_after)


def test_every_question_is_asked_once_and_what_is_stored_is_not_asked_again(store, server):
    server.behave = lambda number, request: completion(explain(request), usage=(5, 6))
    tally = ask(server, store, 40)
    assert (tally.total, tally.sent, tally.stored, tally.given_up) == (40, 40, 40, 0)
    assert tally.tokens == Tokens(200, 240)
    assert server.paid == Counter(f"question {i}" for i in range(40))
    assert store.results("m", "p")["q7", 0].text == "Because of question 7. The answer is (1)."
    assert ask(server, store, 50).sent == 10
    second_samples = [replace(request, key=request.key._replace(sample=1)) for request in make_requests(3)]
    assert ask(server, store, second_samples * 2).sent == 3  # the same question twice is asked once


def test_no_more_attempts_than_allowed_and_what_helps_nothing_is_not_repeated(store, server):
    cut = completion("So far", finish_reason="length", usage=(7, 100))
    failures = {"question 1": error(500, "always"), "question 2": error(400, "never"), "question 3": cut}
    server.behave = lambda number, request: failures.get(request.question, completion())
    tally = ask(server, store, 20, attempts=3, concurrency=2)
    assert (server.count, tally.stored, tally.given_up) == (17 + 3 + 1 + 1, 17, 3)
    assert tally.failures == {"HTTP 500": 3, "HTTP 400": 1, "cut off": 1}
    kinds = [store.results("m", "p")[f"q{i}", 0].failure for i in (1, 2, 3)]
    assert kinds == ["HTTP 500", "HTTP 400", "cut off"]
    assert store.usage("m")[0] == Tokens(17 * 12 + 7, 17 * 34 + 100)  # what was cut off was paid for, too
    with Store(store.path) as reopened:
        assert ask(server, reopened, 20, attempts=1).sent == 3  # failures are asked again


def test_the_wait_grows_with_failures_up_to_a_minute_beyond_what_the_server_says(store, server, monkeypatch):
    waits = []
    monkeypatch.setattr("limbeck.llm.runner.backoff", lambda *values: waits.append(values) or 0.0)
    answers = [error(500), error(429, headers={"Retry-After": "7"}), error(500), completion()]
    server.behave = lambda number, request: answers[number]
    assert ask(server, store, 1, concurrency=1).stored == 1
    assert waits == [(1, 0.0), (2, 7.0), (3, 0.0)]
    for number, longest in ((1, 1.0), (2, 2.0), (5, 16.0), (8, 60.0), (1000, 60.0)):
        seconds = [backoff(number, 30.0) - 30.0 for _ in range(300)]
        assert 0 <= min(seconds) < 0.1 * longest < 0.9 * longest < max(seconds) <= longest


def test_the_budget_ends_it_cleanly_and_is_never_passed(store, server):
    server.behave = lambda number, request: completion(usage=(20, 50))
    tally = ask(server, store, 100, tokens=1000)
    used, replies = store.usage("m")
    assert (tally.stopped, tally.stored, server.count) == ("budget", replies, replies)
    # one more, at its dearest, would not have fitted; and none that was sent went past it
    assert 1000 - sum(CEILING) < sum(used) <= 1000
    tally = ask(server, store, 100, tokens=1000)
    assert (tally.sent, tally.stopped) == (0, "budget")
    assert ask(server, store, 100).stored == 100 - replies


def test_attempts_that_are_paid_for_stay_within_the_budget(store, server):
    server.behave = lambda number, request: completion(" ", usage=(20, 100))
    assert ask(server, store, 50, tokens=1500, concurrency=4).stopped == "budget"
    assert sum(store.usage("m")[0]) <= 1500
    assert 8 <= server.count <= 12


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        (completion("Because of it", usage=None), Tokens(CEILING.prompt, estimate("Because of it"))),
        (completion("So far", finish_reason="length", usage=None), CEILING),
        (Answer(mode="silent"), CEILING),  # it may have been paid for
        (error(400, "free of charge"), Tokens(0, 0)),
    ],
)
def test_tokens_that_were_not_counted(answer, tokens, store, server):
    server.behave = lambda number, request: answer
    assert ask(server, store, 1, attempts=1, request_seconds=0.3).tokens == tokens
    assert store.usage("m")[0] == tokens


def kill_after(seconds: float, signal_number: int) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), signal_number)).start()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_wait_for_what_is_in_flight(signal_number, store, server):
    def behave(number: int, request: HttpRequest) -> Answer:
        if number == 10:
            kill_after(0.05, signal_number)
        return completion(delay=0.2)

    server.behave, before = behave, signal.signal(signal.SIGTERM, kill_after)  # as a program around it may have set
    tally = ask(server, store, 500, concurrency=8)
    assert (signal.signal(signal.SIGTERM, before), tally.stopped) == (kill_after, "interrupted")
    assert 8 <= tally.stored == server.paid.total() < 100


def test_a_second_ctrl_c_waits_for_nothing_and_keeps_what_had_arrived(store, server):
    def behave(number: int, request: HttpRequest) -> Answer:
        for seconds in (0.05, 0.1) if number == 10 else ():
            kill_after(seconds, signal.SIGINT)
        return completion() if number < 8 else Answer(mode="silent")

    server.behave = behave
    with pytest.raises(KeyboardInterrupt):
        ask(server, store, 500, concurrency=8)
    assert len(store.answered("m", "p")) == server.paid.total() == 8


def test_a_wrong_key_stops_all_and_what_is_in_flight_arrives(store, server):
    server.behave = lambda number, request: error(401, "wrong key") if number == 20 else completion(delay=0.05)
    with pytest.raises(EndpointError, match="OPENAI_API_KEY"):
        ask(server, store, 500, concurrency=8)
    assert len(store.answered("m", "p")) == server.paid.total() == server.count - 1 < 59


def test_replies_wait_for_a_store_that_another_process_locks(store, server):
    path = store.path.with_name("locked.sqlite")
    with Store(path) as locked, closing(sqlite3.connect(path, check_same_thread=False)) as other:

        def behave(number: int, request: HttpRequest) -> Answer:
            if number == 0:
                other.execute("BEGIN IMMEDIATE")
                threading.Timer(0.3, other.rollback).start()
            return completion()

        server.behave = behave
        assert ask(server, locked, 3, concurrency=1).stored == 3


def test_the_time_is_that_of_all_phases(store, server):
    tally = Tally(started=time.monotonic() - 3600)
    assert ask(server, store, 5, tally=tally, hours=1.1).stored == 5
    ask(server, store, 40, tally=tally, hours=0.9)
    assert (tally.stopped, tally.sent, server.count) == ("time", 5, 5)


ENDS = [(0, error(403, "no access"), "no access", 5), (0, error(400, "no such parameter"), "came to nothing", 70)]
ENDS += [(50, error(500, "gone"), "came to nothing", 120)]


@pytest.mark.parametrize(("answers", "failure", "reason", "most"), ENDS)
def test_a_server_that_answers_nothing_or_dies_on_the_way_ends_it(answers, failure, reason, most, store):
    with Server(lambda number, request: completion() if number < answers else failure) as server:
        with pytest.raises(EndpointError, match=reason):
            ask(server, store, 500, concurrency=4, attempts=2)
        assert (len(store.answered("m", "p")), server.count <= most) == (answers, True)
    if not answers:  # nobody is there any more
        with pytest.raises(EndpointError, match="came to nothing"):
            ask(server, store, 500, concurrency=4)


@pytest.mark.parametrize(
    ("refusal", "refused"),
    [(completion("So far", finish_reason="length"), range(1, 60)), (error(403), range(1, 60)), (error(403), range(1))],
)
def test_questions_that_cannot_be_answered_do_not_stop_the_others(refusal, refused, store, server):
    questions = {f"question {number}" for number in refused}
    server.behave = lambda number, request: refusal if request.question in questions else completion()
    tally = ask(server, store, 100, concurrency=1)
    assert (tally.stored, tally.given_up) == (100 - len(refused), len(refused))


def test_rates_are_spread_over_the_minute(monkeypatch):
    now = 100.0
    monkeypatch.setattr("limbeck.llm.runner.time.monotonic", lambda: now)
    requests = RateLimiter(120)
    assert [requests.delay(1) for _ in range(5)] == [0, 0, 0, 0.5, 1]  # a second's worth at once
    tokens = RateLimiter(600)
    assert [tokens.delay(100), tokens.delay(10)] == [0, 9]  # a large request is let through, and waited for afterwards
    now = 200.0
    assert requests.delay(1) == tokens.delay(10) == RateLimiter(None).delay(10**9) == 0
