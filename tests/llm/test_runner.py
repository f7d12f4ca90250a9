"""Asking many questions: each once, again where that helps, within every limit, whatever the server does."""

import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest

from limbeck.errors import EndpointError, FileError
from limbeck.llm.messages import Tokens, estimate
from limbeck.llm.runner import RateLimiter, Request, Session, Tally, ask_all, backoff
from limbeck.llm.settings import LimitSettings, SamplingSettings, TeacherSettings
from limbeck.llm.store import Key, Store
from limbeck.schema import Example
from tests.helpers.servers import Answer, Asked, Server, completion, error, explain, mixed

CEILING = Tokens(20, 100)


def make_requests(count: int) -> list[Request]:
    return [
        Request(Key("m", "p", f"q{i}", 0), Example(f"e{i}", (f"question {i}",), "1"), False, CEILING)
        for i in range(count)
    ]


def messages(request: Request) -> list[dict[str, str]]:
    return [{"role": "user", "content": request.example.input}]


def ask(
    server: Server,
    store: Store,
    requests: list[Request],
    covers=lambda spent: True,
    watch=lambda tally: None,
    seconds: float = 30,
    tally: Tally | None = None,
    **limits,
) -> Tally:
    settings = LimitSettings.model_validate({"concurrency": 16, "request_seconds": seconds, **limits})
    teacher = TeacherSettings(name="m", base_url=server.url)
    session = Session(teacher, settings, store, covers, tally or Tally(), watch)
    ask_all(session, SamplingSettings(), messages, lambda: requests)
    return session.tally


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "annotations.sqlite") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _default_interrupt():
    """A parent in the background ignores SIGINT, and its children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """No server here needs a rest."""
    monkeypatch.setattr("limbeck.llm.runner.backoff", lambda failures, retry_after: retry_after or 0.0)


def answered(server: Server) -> Counter[str]:
    """How often each question was answered in full."""
    return Counter(asked.question for asked in server.asked if asked.answer and asked.answer.paid and asked.sent)


def test_every_question_is_asked_once_and_what_is_stored_is_not_asked_again(store):
    with Server(lambda number, asked: completion(explain(asked), usage=(5, 6))) as server:
        tally = ask(server, store, make_requests(40))
        assert (tally.total, tally.sent, tally.stored, tally.given_up) == (40, 40, 40, 0)
        assert tally.tokens == Tokens(200, 240)
        assert answered(server) == Counter(f"question {i}" for i in range(40))
        texts = store.texts("m", "p")
        assert texts[("q7", 0)] == "Because of question 7. The answer is (1)."
        assert ask(server, store, make_requests(50)).sent == 10
        assert len(server.asked) == 50
        assert ask(server, store, []).total == 0
        again = [replace(request, key=request.key._replace(sample=1)) for request in make_requests(3)]
        assert ask(server, store, again + again).sent == 3  # the same question twice is asked once


def test_a_bad_server_is_asked_again_until_all_is_there(store):
    with Server(mixed(0.3, seed=1)) as server:
        tally = ask(server, store, make_requests(200), attempts=20)
        assert (tally.stored, tally.given_up) == (200, 0)
        assert tally.sent == len(server.asked) == 200 + tally.failures.total()
        assert answered(server) == Counter(f"question {i}" for i in range(200))
        failed = [asked for asked in server.asked if not asked.answer.paid]
        assert len(failed) == tally.failures.total() > 50
        assert len(tally.failures) == 7  # kinds: several ways look alike from here


def test_no_more_attempts_than_allowed_and_what_helps_nothing_is_not_repeated(store):
    def behave(number: int, asked: Asked) -> Answer:
        match asked.question:
            case "question 1":
                return error(500, "always")
            case "question 2":
                return error(400, "never")
            case "question 3":
                return completion("So far", finish_reason="length", usage=(7, 100))
        return completion()

    with Server(behave) as server:
        tally = ask(server, store, make_requests(20), attempts=3, concurrency=2)
        assert Counter(asked.question for asked in server.asked)["question 1"] == 3
        assert len(server.asked) == 17 + 3 + 1 + 1
        assert (tally.stored, tally.given_up) == (17, 3)
        assert tally.failures == {"HTTP 500": 3, "HTTP 400": 1, "cut off": 1}
        kinds = {question: kind for (question, _), (kind, _) in store.failures("m", "p").items()}
        assert kinds == {"q1": "HTTP 500", "q2": "HTTP 400", "q3": "cut off"}
        assert store.usage("m")[0] == Tokens(17 * 12 + 7, 17 * 34 + 100)  # what was cut off was paid for, too
        assert ask(server, store, make_requests(20), attempts=1).sent == 3  # failures are asked again


def test_the_wait_grows_with_failures_and_is_at_least_what_the_server_says(store, monkeypatch):
    waits: list[tuple[int, float | None]] = []
    monkeypatch.setattr("limbeck.llm.runner.backoff", lambda *given: waits.append(given) or 0.0)
    failures = [error(500), error(429, headers={"Retry-After": "7"}), error(500)]
    with Server(lambda number, asked: [*failures, completion()][number]) as server:
        assert ask(server, store, make_requests(1), concurrency=1).stored == 1
    assert waits == [(1, None), (2, 7.0), (3, None)]


def test_the_budget_ends_it_cleanly_and_is_never_passed(store):
    spent: list[int] = []
    with Server(lambda number, asked: completion(usage=(20, 50))) as server:
        tally = ask(
            server, store, make_requests(100), covers=lambda tokens: spent.append(sum(tokens)) or sum(tokens) <= 1000
        )
        assert tally.stopped == "budget"
        used, replies = store.usage("m")
        assert replies == tally.stored == len(server.asked)
        # one more, at its dearest, would not have fitted; and none that was sent went past it
        assert 1000 - sum(CEILING) < sum(used) <= 1000
        more = ask(server, store, make_requests(100), covers=lambda tokens: sum(tokens) <= 1000)
        assert (more.sent, more.stopped) == (0, "budget")
        assert ask(server, store, make_requests(100)).stored == 100 - replies


def test_ctrl_c_waits_for_what_is_in_flight(store):
    def behave(number: int, asked: Asked) -> Answer:
        if number == 10:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        return completion(delay=0.2)

    before = signal.getsignal(signal.SIGINT)
    with Server(behave) as server:
        tally = ask(server, store, make_requests(500), concurrency=8)
        assert tally.stopped == "interrupted"
        assert 8 <= tally.stored == answered(server).total() < 100
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_during_a_long_wait_ends_it_at_once(store):
    def behave(number: int, asked: Asked) -> Answer:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        return error(429, "later", headers={"Retry-After": "3000"})

    with Server(behave) as server:
        tally = ask(server, store, make_requests(1), concurrency=1)
        assert tally.stopped == "interrupted"
        assert len(server.asked) == 1


def test_a_wrong_key_stops_all_with_one_line_and_loses_nothing(store):
    def behave(number: int, asked: Asked) -> Answer:
        return error(401, "Incorrect API key") if number == 20 else completion(delay=0.05)

    with Server(behave) as server:
        with pytest.raises(EndpointError, match="OPENAI_API_KEY"):
            ask(server, store, make_requests(500), concurrency=8)
        assert len(server.asked) < 60
        assert len(store.texts("m", "p")) == answered(server).total() == len(server.asked) - 1


def test_the_estimate_of_tokens_is_rather_too_high():
    text = "Each pack of DVDs costs 76 dollars. If there is a discount of 25 dollars on each pack, how much do you pay?"
    assert 28 <= estimate([{"role": "user", "content": text}]) <= 2 * 28  # 28: by a GPT's tokenizer


def test_a_reply_that_cannot_be_stored_stops_it(store):
    fails = "CREATE TEMP TRIGGER full BEFORE INSERT ON replies BEGIN SELECT RAISE(ABORT, 'no space'); END"

    def watch(tally: Tally) -> None:
        if tally.stored == 5:
            store._connection.execute(fails)

    with Server(lambda number, asked: completion()) as server:
        with pytest.raises(FileError, match="no space"):
            ask(server, store, make_requests(500), concurrency=2, watch=watch)
        assert len(server.asked) < 30
    assert 5 <= len(store.texts("m", "p")) < 10


def test_the_time_is_that_of_all_phases(store):
    tally = Tally()
    tally.started -= 3600
    with Server(lambda number, asked: completion()) as server:
        assert ask(server, store, make_requests(5), tally=tally, hours=1.1).stored == 5
        ask(server, store, make_requests(40), tally=tally, hours=0.9)
        assert (tally.stopped, tally.sent, len(server.asked)) == ("time", 5, 5)


def test_what_fails_after_the_end_is_not_sent_again(store):
    def behave(number: int, asked: Asked) -> Answer:
        return error(401, "wrong key") if asked.question == "question 0" else replace(error(500), delay=0.3)

    with Server(behave) as server:
        with pytest.raises(EndpointError, match="OPENAI_API_KEY"):
            ask(server, store, make_requests(4), concurrency=4)
        assert sorted(asked.question for asked in server.asked) == [f"question {i}" for i in range(4)]
    # each is given up for now, so that a process beside this one does not wait for it
    assert store._read("SELECT question, last FROM failures ORDER BY question") == [(f"q{i}", 1) for i in (1, 2, 3)]
    assert store._read("SELECT question FROM claims") == [("q0",)]


@pytest.mark.parametrize("reachable", [True, False])
def test_a_server_that_never_answers_ends_it_soon(reachable, store):
    with Server(lambda number, asked: error(400, "no such parameter")) as server:
        if reachable:
            with pytest.raises(EndpointError, match=r"last 16 requests came to nothing; .* no such parameter"):
                ask(server, store, make_requests(500), concurrency=4)
            assert len(server.asked) <= 30
    if not reachable:
        with pytest.raises(EndpointError, match="came to nothing"):
            ask(server, store, make_requests(500), concurrency=4)


def test_a_server_that_dies_on_the_way_ends_it(store):
    with Server(lambda number, asked: completion() if number < 50 else error(500, "gone")) as server:
        with pytest.raises(EndpointError, match="came to nothing"):
            ask(server, store, make_requests(500), concurrency=4, attempts=2)
        assert len(store.texts("m", "p")) == 50
        assert len(server.asked) < 120


def test_a_server_that_is_not_ready_yet_is_waited_for(store):
    with Server(lambda number, asked: error(503, "loading") if number < 100 else completion()) as server:
        assert ask(server, store, make_requests(50), concurrency=16, attempts=20).stored == 50


@pytest.mark.parametrize("refusal", [completion("So far", finish_reason="length"), error(400, "bad word"), error(403)])
def test_questions_that_cannot_be_answered_do_not_stop_the_others(refusal, store):
    def behave(number: int, asked: Asked) -> Answer:
        return completion() if int(asked.question.split()[1]) >= 60 or asked.question == "question 0" else refusal

    with Server(behave) as server:
        tally = ask(server, store, make_requests(100), concurrency=1)
        assert (tally.stored, tally.given_up) == (41, 59)


def test_access_refused_at_the_first_question_stops_it(store):
    with Server(lambda number, asked: error(403, "not in your country")) as server:
        with pytest.raises(EndpointError, match="not in your country"):
            ask(server, store, make_requests(500), concurrency=2)
        assert len(server.asked) <= 4


def test_attempts_that_are_paid_for_stay_within_the_budget(store):
    with Server(lambda number, asked: completion(" ", usage=(20, 100))) as server:
        tally = ask(server, store, make_requests(50), concurrency=4, covers=lambda spent: sum(spent) <= 1500)
        assert tally.stopped == "budget"
        assert sum(store.usage("m")[0]) <= 1500
        assert 8 <= len(server.asked) <= 12


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        (completion("Because of it", usage=None), Tokens(CEILING.prompt, 4)),  # estimated
        (completion("Because", usage={"prompt_tokens": 3}), Tokens(3, 2)),
        (completion("Because", usage={"completion_tokens": 4}), Tokens(CEILING.prompt, 4)),
        (completion("So far", finish_reason="length", usage=None), CEILING),
        (Answer(way="silent"), CEILING),  # it may have been paid for
        (error(400, "free of charge"), Tokens(0, 0)),
    ],
)
def test_tokens_that_were_not_counted(answer, tokens, store):
    with Server(lambda number, asked: answer) as server:
        assert ask(server, store, make_requests(1), attempts=1, seconds=0.5).tokens == tokens
        assert store.usage("m")[0] == tokens


def test_an_error_of_our_own_lets_what_is_in_flight_arrive(store):
    def watch(tally: Tally) -> None:
        if tally.stored == 5:
            raise BrokenPipeError("nobody reads this")

    with Server(lambda number, asked: completion(delay=0.1)) as server:
        with pytest.raises(BrokenPipeError):
            ask(server, store, make_requests(100), concurrency=16, watch=watch)
        assert len(store.texts("m", "p")) == server.paid.total() < 40


def test_a_second_ctrl_c_keeps_what_had_arrived(store):
    """Another process holds the store's file, so that replies wait for it when the second one comes."""
    with Server(lambda number, asked: completion(delay=0.01)) as server:
        other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)

        def interrupt() -> None:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.5)
            other.execute("COMMIT")

        def hold(tally: Tally) -> None:
            if tally.stored == 5:
                other.execute("BEGIN IMMEDIATE")
                threading.Thread(target=interrupt).start()

        with pytest.raises(KeyboardInterrupt):
            ask(server, store, make_requests(400), concurrency=8, watch=hold)
        assert 5 < len(store.texts("m", "p")) == server.paid.total() < 40
        assert store.failures("m", "p") == {}
        other.close()


def test_rates_are_spread_over_the_minute(monkeypatch):
    now = 100.0
    monkeypatch.setattr("limbeck.llm.runner.time.monotonic", lambda: now)
    requests = RateLimiter(120)
    assert [requests.delay(1) for _ in range(5)] == [0, 0, 0, 0.5, 1]  # a second's worth at once
    tokens = RateLimiter(600)
    assert [tokens.delay(100), tokens.delay(10)] == [0, 9]  # a large request is let through, and waited for afterwards
    now = 200.0
    assert requests.delay(1) == tokens.delay(10) == RateLimiter(None).delay(10**9) == 0


def test_a_rate_does_not_delay_the_end(store):
    with Server(lambda number, asked: completion()) as server:
        tally = ask(server, store, make_requests(100), hours=0.7 / 3600, requests_per_minute=120)
        assert 1 <= tally.stored == len(server.asked) <= 5
        assert tally.stopped == "time"


def test_back_off_is_random_within_bounds_that_double_up_to_a_minute():
    for failures, longest in ((1, 1.0), (2, 2.0), (5, 16.0), (8, 60.0), (1000, 60.0)):
        waits = [backoff(failures, None) for _ in range(300)]
        assert 0 <= min(waits) < 0.1 * longest
        assert 0.9 * longest < max(waits) <= longest
        assert 30.0 <= backoff(failures, 30.0) <= 30.0 + longest
