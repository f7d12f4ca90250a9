"""Asking: every question once, again where that helps, within every limit, whatever the server does."""

import asyncio
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest

from limbeck.errors import LimbeckError
from limbeck.llm.endpoint import EndpointEngine
from limbeck.llm.runner import Asker, Request, Tally, estimate
from limbeck.llm.settings import LimitSettings, SamplingSettings, TeacherSettings
from limbeck.llm.store import Key, Store, Tokens
from limbeck.schema import Example
from tests.servers import Answer, Asked, Server, completion, error, explain, mixed

MOST = Tokens(20, 100)


def requests(count: int) -> list[Request]:
    return [
        Request(Key("m", "p", f"q{i}", 0), Example(f"e{i}", (f"question {i}",), "1"), False, MOST) for i in range(count)
    ]


def messages(request: Request) -> list[dict[str, str]]:
    return [{"role": "user", "content": request.example.input}]


def ask(
    server: Server,
    store: Store,
    wanted: list[Request],
    covers=lambda spent: True,
    watch=lambda tally: None,
    seconds: float = 30,
    tally: Tally | None = None,
    **limits,
) -> Tally:
    tally = tally or Tally()
    settings = LimitSettings.model_validate({"concurrency": 16, "request_seconds": seconds, **limits})

    async def go() -> None:
        engine = EndpointEngine(TeacherSettings(name="m", base_url=server.url), SamplingSettings(), settings)
        try:
            await Asker(wanted, messages, engine, store, settings, covers, tally, watch).run()
        finally:
            await engine.close()

    asyncio.run(go())
    return tally


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "annotations.sqlite") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _heeded():
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
        tally = ask(server, store, requests(40))
        assert (tally.wanted, tally.sent, tally.stored, tally.given_up) == (40, 40, 40, 0)
        assert tally.tokens == Tokens(200, 240)
        assert answered(server) == Counter(f"question {i}" for i in range(40))
        texts = store.texts("m", "p")
        assert texts[("q7", 0)] == "Because of question 7. The answer is (1)."
        assert ask(server, store, requests(50)).sent == 10
        assert len(server.asked) == 50
        assert ask(server, store, []).wanted == 0


def test_the_same_question_twice_is_asked_once(store):
    with Server(lambda number, asked: completion()) as server:
        assert ask(server, store, requests(3) + requests(3)).wanted == 3
        assert len(server.asked) == 3


def test_a_bad_server_is_asked_again_until_all_is_there(store):
    with Server(mixed(0.3, seed=1)) as server:
        tally = ask(server, store, requests(200), attempts=20)
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
        tally = ask(server, store, requests(20), attempts=3, concurrency=2)
        assert Counter(asked.question for asked in server.asked)["question 1"] == 3
        assert len(server.asked) == 17 + 3 + 1 + 1
        assert (tally.stored, tally.given_up) == (17, 3)
        assert tally.failures == {"HTTP 500": 3, "HTTP 400": 1, "cut off": 1}
        kinds = {question: kind for (question, _), (kind, _) in store.failures("m", "p").items()}
        assert kinds == {"q1": "HTTP 500", "q2": "HTTP 400", "q3": "cut off"}
        assert store.usage("m")[0] == Tokens(17 * 12 + 7, 17 * 34 + 100)  # what was cut off was paid for, too
        assert ask(server, store, requests(20), attempts=1).sent == 3  # failures are no answers: they are asked again


def test_the_wait_grows_with_failures_and_is_at_least_what_the_server_says(store, monkeypatch):
    waits: list[tuple[int, float | None]] = []
    monkeypatch.setattr("limbeck.llm.runner.backoff", lambda *given: waits.append(given) or 0.0)
    failures = [error(500), error(429, headers={"Retry-After": "7"}), error(500)]
    with Server(lambda number, asked: [*failures, completion()][number]) as server:
        assert ask(server, store, requests(1), concurrency=1).stored == 1
    assert waits == [(1, None), (2, 7.0), (3, None)]


def test_the_budget_ends_it_cleanly_and_is_never_passed(store):
    spent: list[int] = []
    with Server(lambda number, asked: completion(usage=(20, 50))) as server:
        tally = ask(
            server, store, requests(100), covers=lambda tokens: spent.append(sum(tokens)) or sum(tokens) <= 1000
        )
        assert tally.stopped == "budget"
        used, replies = store.usage("m")
        assert replies == tally.stored == len(server.asked)
        # one more, at its dearest, would not have fitted; and none that was sent went past it
        assert 1000 - sum(MOST) < sum(used) <= 1000
        more = ask(server, store, requests(100), covers=lambda tokens: sum(tokens) <= 1000)
        assert (more.sent, more.stopped) == (0, "budget")
        assert ask(server, store, requests(100)).stored == 100 - replies


def test_its_time_ends_it_and_what_is_in_flight_arrives(store):
    with Server(lambda number, asked: completion(delay=0.3)) as server:
        tally = ask(server, store, requests(500), concurrency=8, hours=0.5 / 3600)
        assert tally.stopped == "time"
        assert 8 <= tally.stored == len(server.asked) < 500
        assert answered(server).total() == tally.stored


def test_ctrl_c_waits_for_what_is_in_flight(store):
    def behave(number: int, asked: Asked) -> Answer:
        if number == 10:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        return completion(delay=0.2)

    before = signal.getsignal(signal.SIGINT)
    with Server(behave) as server:
        tally = ask(server, store, requests(500), concurrency=8)
        assert tally.stopped == "interrupted"
        assert 8 <= tally.stored == answered(server).total() < 100
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_during_a_long_wait_ends_it_at_once(store):
    def behave(number: int, asked: Asked) -> Answer:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        return error(429, "later", headers={"Retry-After": "3000"})

    with Server(behave) as server:
        tally = ask(server, store, requests(1), concurrency=1)
        assert tally.stopped == "interrupted"
        assert len(server.asked) == 1


@pytest.mark.parametrize("limit", [{"requests_per_minute": 120}, {"tokens_per_minute": 120 * sum(MOST)}])
def test_a_rate_is_kept_and_the_end_does_not_wait_for_it(limit, store):
    with Server(lambda number, asked: completion()) as server:
        tally = ask(server, store, requests(100), hours=1.2 / 3600, **limit)
        # two at once at the most (a second's worth), then two a second
        assert 1 <= len(server.asked) <= 5
        assert tally.stored == len(server.asked)
        assert tally.stopped == "time"


def test_a_wrong_key_stops_all_with_one_line_and_loses_nothing(store):
    def behave(number: int, asked: Asked) -> Answer:
        return error(401, "Incorrect API key") if number == 20 else completion(delay=0.05)

    with Server(behave) as server:
        with pytest.raises(LimbeckError, match="OPENAI_API_KEY"):
            ask(server, store, requests(500), concurrency=8)
        assert len(server.asked) < 60
        assert len(store.texts("m", "p")) == answered(server).total() == len(server.asked) - 1


@pytest.mark.parametrize("reachable", [True, False])
def test_a_server_that_never_answers_ends_it_soon(reachable, store):
    with Server(lambda number, asked: error(400, "no such parameter")) as server:
        if reachable:
            with pytest.raises(LimbeckError, match=r"none of 16 requests was answered; .* no such parameter"):
                ask(server, store, requests(500), concurrency=4)
            assert len(server.asked) <= 30
    if not reachable:
        with pytest.raises(LimbeckError, match=r"none of \d+ requests was answered"):
            ask(server, store, requests(500), concurrency=4)


def test_a_server_that_is_not_ready_yet_is_waited_for(store):
    with Server(lambda number, asked: error(503, "loading") if number < 100 else completion()) as server:
        assert ask(server, store, requests(50), concurrency=16, attempts=20).stored == 50


@pytest.mark.parametrize("bad", [completion("So far", finish_reason="length"), error(400, "a bad word"), error(403)])
def test_questions_that_cannot_be_answered_do_not_stop_the_others(bad, store):
    def behave(number: int, asked: Asked) -> Answer:
        return completion() if int(asked.question.split()[1]) >= 60 or asked.question == "question 0" else bad

    with Server(behave) as server:
        tally = ask(server, store, requests(100), concurrency=1)
        assert (tally.stored, tally.given_up) == (41, 59)
        assert ask(server, store, requests(100), concurrency=4).given_up == 59


def test_attempts_that_are_paid_for_stay_within_the_budget(store):
    with Server(lambda number, asked: completion(" ", usage=(20, 100))) as server:
        tally = ask(server, store, requests(50), concurrency=4, covers=lambda spent: sum(spent) <= 1500)
        assert tally.stopped == "budget"
        assert sum(store.usage("m")[0]) <= 1500
        assert 8 <= len(server.asked) <= 12


def test_what_was_not_counted_is_taken_at_its_dearest(store):
    def behave(number: int, asked: Asked) -> Answer:
        match asked.question:
            case "question 0":
                return completion("So far", finish_reason="length", usage=None)
            case "question 1":
                return Answer(way="silent")
            case "question 2":
                return completion("Because of it.", usage=None)
        return error(400, "free of charge")

    with Server(behave) as server:
        tally = ask(server, store, requests(4), attempts=1, seconds=0.5)
        assert tally.failures == {"cut off": 1, "timed out": 1, "HTTP 400": 1}
        assert store.usage("m")[0] == Tokens(3 * MOST.prompt, 2 * MOST.completion + len("Because of it.") // 3)


def test_an_error_of_our_own_lets_what_is_in_flight_arrive(store):
    def watch(tally: Tally) -> None:
        if tally.stored == 5:
            raise BrokenPipeError("nobody reads this")

    with Server(lambda number, asked: completion(delay=0.1)) as server:
        with pytest.raises(BrokenPipeError):
            ask(server, store, requests(100), concurrency=16, watch=watch)
        assert len(store.texts("m", "p")) == server.paid.total() < 40


def test_a_store_that_another_process_holds_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("limbeck.llm.database._BUSY", 0.2)
    with Server(lambda number, asked: completion()) as server, Store.open(tmp_path / "annotations.sqlite") as store:
        other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)

        def hold(tally: Tally) -> None:
            if tally.stored == 5:
                other.execute("BEGIN IMMEDIATE")
                threading.Timer(1, other.execute, ("COMMIT",)).start()

        assert ask(server, store, requests(40), concurrency=4, watch=hold).stored == 40
        assert server.paid.total() == 40
        other.close()


def test_a_second_ctrl_c_keeps_what_had_arrived(tmp_path, monkeypatch):
    monkeypatch.setattr("limbeck.llm.database._BUSY", 0.5)
    with (
        Server(lambda number, asked: completion(delay=0.01)) as server,
        Store.open(tmp_path / "annotations.sqlite") as store,
    ):
        other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)

        def interrupt(handler: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            while signal.getsignal(signal.SIGINT) is handler:  # until the first is heeded: two at once are one
                time.sleep(0.01)
            time.sleep(0.5)  # for the replies in flight to arrive: they wait for the store then
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
            other.execute("COMMIT")

        def hold(tally: Tally) -> None:
            if tally.stored == 5:
                other.execute("BEGIN IMMEDIATE")
                threading.Thread(target=interrupt, args=(signal.getsignal(signal.SIGINT),)).start()

        with pytest.raises(KeyboardInterrupt):
            ask(server, store, requests(400), concurrency=8, watch=hold)
        time.sleep(1)
        assert len(store.texts("m", "p")) == server.paid.total() < 40
        assert store.failures("m", "p") == {}
        other.close()


def test_access_refused_stops_it_at_once(store):
    with Server(lambda number, asked: error(403, "not in your country", headers={})) as server:
        with pytest.raises(LimbeckError, match=r"refuses access \(HTTP 403\).*not in your country"):
            ask(server, store, requests(500), concurrency=2)
        assert len(server.asked) <= 4


def test_a_server_that_dies_on_the_way_ends_it(store):
    def behave(number: int, asked: Asked) -> Answer:
        return completion() if number < 50 else error(500, "gone")

    with Server(behave) as server:
        with pytest.raises(LimbeckError, match="came to nothing"):
            ask(server, store, requests(500), concurrency=4, attempts=2)
        assert len(store.texts("m", "p")) == 50
        assert len(server.asked) < 120


def test_a_store_that_cannot_be_written_stops_it(store):
    def watch(tally: Tally) -> None:
        if tally.stored == 5:
            store._connection.execute("ALTER TABLE replies RENAME TO elsewhere")

    with Server(lambda number, asked: completion()) as server:
        with pytest.raises(LimbeckError, match="cannot be used"):
            ask(server, store, requests(500), concurrency=2, watch=watch)
        assert len(server.asked) < 30


def test_one_tally_goes_through_all_phases(store):
    seen: list[int] = []
    with Server(lambda number, asked: completion()) as server:
        tally = ask(server, store, requests(3))
        ask(
            server,
            store,
            [replace(one, key=one.key._replace(sample=1)) for one in requests(3)],
            tally=tally,
            watch=lambda tally: seen.append(tally.stored),
        )
    assert (tally.wanted, tally.stored, seen) == (6, 6, [4, 5, 6])


def test_the_estimate_of_tokens_is_rather_too_high():
    text = "Each pack of DVDs costs 76 dollars. If there is a discount of 25 dollars on each pack, how much do you pay?"
    assert 28 <= estimate([{"role": "user", "content": text}]) <= 2 * 28  # 28: by a GPT's tokenizer


def test_a_reply_that_cannot_be_stored_stops_it(store):
    fails = "CREATE TEMP TRIGGER full BEFORE INSERT ON replies BEGIN SELECT RAISE(ABORT, 'no space'); END"

    def watch(tally: Tally) -> None:
        if tally.stored == 5:
            store._connection.execute(fails)

    with Server(lambda number, asked: completion()) as server:
        with pytest.raises(LimbeckError, match=r"cannot be used \(no space\)"):
            ask(server, store, requests(500), concurrency=2, watch=watch)
        assert len(server.asked) < 30
    assert 5 <= len(store.texts("m", "p")) < 10


def test_the_time_is_that_of_all_phases(store):
    tally = Tally()
    tally.begun -= 3600
    with Server(lambda number, asked: completion()) as server:
        assert ask(server, store, requests(5), tally=tally, hours=1.1).stored == 5
        ask(server, store, requests(40), tally=tally, hours=0.9)
        assert (tally.stopped, tally.sent, len(server.asked)) == ("time", 5, 5)


def test_what_fails_after_the_end_is_not_sent_again(store):
    def behave(number: int, asked: Asked) -> Answer:
        return error(401, "wrong key") if asked.question == "question 0" else replace(error(500), delay=0.3)

    with Server(behave) as server:
        with pytest.raises(LimbeckError, match="OPENAI_API_KEY"):
            ask(server, store, requests(4), concurrency=4)
        assert sorted(asked.question for asked in server.asked) == [f"question {i}" for i in range(4)]
    # each is given up for now, so that a process beside this one does not wait for it
    assert store._read("SELECT question, last FROM failures ORDER BY question") == [(f"q{i}", 1) for i in (1, 2, 3)]
    assert store._read("SELECT question FROM claims") == [("q0",)]


def test_what_was_too_dear_keeps_its_place(store):
    with Server(lambda number, asked: completion(usage=(1, 1))) as server:
        tally = ask(server, store, requests(30), concurrency=4, covers=lambda spent: sum(spent) <= sum(MOST) + 21)
        assert (tally.stored, tally.stopped) == (11, "budget")
        assert [asked.question for asked in server.asked] == [f"question {i}" for i in range(11)]


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, Tokens(MOST.prompt, 9)),
        ({"prompt_tokens": 3}, Tokens(3, 9)),
        ({"completion_tokens": 4}, Tokens(MOST.prompt, 4)),
        ((0, 0), Tokens(0, 0)),
    ],
    ids=str,
)
def test_what_is_not_counted_is_estimated_on_either_side(usage, counted, store):
    with Server(lambda number, asked: completion("Because " * 3 + "of.", usage=usage)) as server:
        assert ask(server, store, requests(1)).tokens == counted
        assert store.usage("m") == (counted, 1)


def test_a_budget_holds_at_a_server_that_counts_nothing(store):
    with Server(lambda number, asked: completion("x" * 240, usage=None)) as server:  # 20 + 80 tokens
        tally = ask(server, store, requests(100), concurrency=4, covers=lambda spent: sum(spent) <= 1019)
        assert (tally.stopped, len(server.asked), store.usage("m")[0]) == ("budget", 9, Tokens(180, 720))
