"""The engine for OpenAI-compatible endpoints, against real servers on 127.0.0.1 that behave and that do not."""

import asyncio
import gzip
import json
import logging
import socket
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

import pytest

from limbeck.errors import LimbeckError
from limbeck.llm.endpoint import LARGEST_BODY, EndpointEngine
from limbeck.llm.engine import FORBIDDEN, Failure, Reply
from limbeck.llm.settings import LimitSettings, SamplingSettings, TeacherSettings
from tests.servers import (
    ENDLESS,
    HANGING,
    HUGE,
    PASSING,
    Answer,
    Server,
    certificate,
    completion,
    error,
    explain,
    in_json,
    redirect,
)

KEY = "sk-proj-Ab0/+cD_9="
QUESTION = [{"role": "system", "content": "Think."}, {"role": "user", "content": "Où? \ud800 \U0001f600"}]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    files = certificate(tmp_path_factory.mktemp("tls"))
    return files or pytest.skip("a certificate wants the openssl command")


def engine(url: str | None, seconds: float = 10, concurrency: int = 4, **sampling: Any) -> EndpointEngine:
    settings = TeacherSettings(name="some/model", base_url=url)
    limits = LimitSettings(concurrency=concurrency, request_seconds=seconds)
    return EndpointEngine(settings, SamplingSettings(**sampling), limits)


def ask(url: str | None, times: int = 1, **options: Any) -> list[Reply | Failure]:
    """What comes of asking so many times, one after the other."""

    async def run() -> list[Reply | Failure]:
        teacher = engine(url, **options)
        try:
            return [await teacher.ask(QUESTION) for _ in range(times)]
        finally:
            await teacher.close()

    return asyncio.run(run())


def answered(answer: Answer, **options: Any) -> Reply | Failure:
    """What comes of a server that gives this answer, whatever it is asked."""
    with Server(lambda number, asked: answer) as server:
        return ask(server.url, **options)[0]


def test_what_is_sent() -> None:
    with Server(lambda number, asked: completion("Why. The answer is (1).")) as server:
        extra = {"reasoning_effort": "low", "stop": ["Q:"]}
        (reply,) = ask(server.url + "/", samples=3, top_p=0.9, max_tokens=77, extra=extra)
    (asked,) = server.asked
    assert isinstance(reply, Reply)
    assert (reply.text, reply.finish_reason) == ("Why. The answer is (1).", "stop")
    assert (reply.prompt_tokens, reply.completion_tokens) == (12, 34)
    assert asked.answer is not None
    assert reply.raw == asked.answer.body.decode()
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    body = {"model": "some/model", "messages": QUESTION, "temperature": 0.7, "top_p": 0.9, "max_tokens": 77, **extra}
    assert asked.body == body
    headers = {
        "host": f"127.0.0.1:{server.port}",
        "authorization": f"Bearer {KEY}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "user-agent": "limbeck",
    }
    assert {name: value for name, value in asked.headers.items() if name != "content-length"} == headers


def test_the_least_that_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("OPENAI_API_KEY", " \n")
    with Server(lambda number, asked: completion()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        ask(None)
    assert server.asked[0].body == {"model": "some/model", "messages": QUESTION, "temperature": 0, "max_tokens": 1024}
    assert "authorization" not in server.asked[0].headers


def test_a_newline_after_the_key_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\r\n")
    with Server(lambda number, asked: completion()) as server:
        ask(server.url)
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", ["sk-one two", "sk-cl\u00e9", "sk-a\nX-Other: b", "sk-\x07bell", '"sk-quoted"'])
def test_a_key_that_cannot_be_sent(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(LimbeckError, match="OPENAI_API_KEY") as caught:
        engine("http://127.0.0.1/v1")
    assert "sk-" not in str(caught.value)


PASSES = [
    (PASSING["429"], "HTTP 429", "slow down"),
    (PASSING["500"], "HTTP 500", "oops"),
    (PASSING["503"], "HTTP 503", "<html>busy</html>"),
    (error(408), "HTTP 408", "no"),
    (error(409), "HTTP 409", "no"),
    (error(425), "HTTP 425", "no"),
    (error(529), "HTTP 529", "no"),
    (Answer(502), "HTTP 502", "without a message"),
    (PASSING["cut"], "connection lost", "without sending complete message body"),
    (PASSING["close"], "connection lost", "disconnected without sending a response"),
    (PASSING["reset"], "connection lost", "reset by peer"),
    (PASSING["garbage"], "connection lost", "illegal status line"),
    (PASSING["not JSON"], "not JSON", '{"choices": [{"mess'),
    (Answer(), "not JSON", "an empty body"),
    (in_json([completion().body.decode()]), "not JSON", "no JSON object"),
    (Answer(body=b"[" * 100_000), "not JSON", "no JSON object"),
    (Answer(body=b'{"n": ' + b"9" * 10_000 + b"}"), "not JSON", "no JSON object"),
    (PASSING["no choices"], "no choices", ""),
    (in_json({"error": {"message": "upstream is busy", "code": 502}}), "no choices", "upstream is busy"),
    (in_json({"choices": None}), "no choices", ""),
    (in_json({"choices": ["text"]}), "no content", "missing or blank"),
    (in_json({"choices": [{"finish_reason": "stop"}]}), "no content", "missing or blank"),
    (PASSING["null"], "no content", "missing or blank"),
    (PASSING["blank"], "no content", "missing or blank"),
    (completion("half of", finish_reason="error"), "broken off", "not whole"),
    (completion(delay=3), "timed out", "within 0.5 seconds"),
    (HANGING["silent"], "timed out", "within 0.5 seconds"),
    (HANGING["dribble"], "timed out", "within 0.5 seconds"),
]


@pytest.mark.parametrize(("answer", "kind", "said"), PASSES, ids=lambda v: v if isinstance(v, str) else None)
def test_what_may_pass(answer: Answer, kind: str, said: str) -> None:
    failure = answered(answer, seconds=0.5 if kind == "timed out" else 10)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.again, failure.retry_after) == (kind, True, None)
    assert said in failure.message
    assert len(failure.message) <= 300


STAYS = [
    (error(400, "context is too long"), "HTTP 400", "context is too long"),
    (error(413, "too much"), "HTTP 413", "too much"),
    (in_json({"detail": "Field required"}, 422), "HTTP 422", "Field required"),
    (in_json({"error": "no such option"}, 400), "HTTP 400", "no such option"),
    (in_json({"object": "error", "message": "bad"}, 400), "HTTP 400", "bad"),
    (Answer(418, b"I am\na \x1b[31mteapot"), "HTTP 418", r"I am a \x1b[31mteapot"),
    (completion("half an ans", finish_reason="length"), "cut off", "max_tokens"),
    (completion(None, finish_reason="length"), "cut off", "max_tokens"),  # it had only begun to reason
    (completion("", finish_reason="content_filter"), "filtered", "filter"),
    (HUGE, "too large", "8388608"),
    (ENDLESS, "too large", "8388608"),
    (Answer(body=gzip.compress(bytes(9 * 2**20)), headers={"Content-Encoding": "gzip"}), "too large", "8388608"),
]


@pytest.mark.parametrize(("answer", "kind", "said"), STAYS, ids=lambda v: v if isinstance(v, str) else None)
def test_what_stays(answer: Answer, kind: str, said: str) -> None:
    failure = answered(answer)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.again) == (kind, False)
    assert said in failure.message


ENDS = [
    (error(401, "Incorrect API key"), r"HTTP 401.*\$OPENAI_API_KEY is set: Incorrect API key"),
    (Answer(401, b"x" * (LARGEST_BODY + 1)), r"HTTP 401.*is set$"),
    (error(404, "does not exist"), r"127\.0\.0\.1.*'some/model'.*HTTP 404.*does not exist"),
    (error(402, "Insufficient Balance"), "no money.*HTTP 402.*Insufficient Balance"),
    (error(429, "You exceeded your quota", "insufficient_quota"), "no money.*exceeded your quota"),
    (redirect("/v2?secret=1", 302), r"redirects to http://127\.0\.0\.1:\d+/v2; give that as base_url"),
    (redirect("https://me:password@other.example/v1", 308), r"redirects to https://other\.example/v1;"),
    (redirect("http://[::1", 301), "redirects to an address that cannot be read"),
    (Answer(304), "redirects to"),
]


@pytest.mark.parametrize(("answer", "said"), ENDS, ids=lambda v: str(v.status) if isinstance(v, Answer) else None)
def test_what_ends_the_job(answer: Answer, said: str) -> None:
    with pytest.raises(LimbeckError, match=said) as caught:
        answered(answer)
    assert "password" not in str(caught.value)


def test_no_key_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(LimbeckError, match=r"\$OPENAI_API_KEY is not set"):
        answered(error(401))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_another_host_hears_nothing(status: int) -> None:
    with (
        Server(lambda number, asked: completion()) as other,
        Server(lambda number, asked: redirect(other.url + "/chat/completions", status)) as server,
        pytest.raises(LimbeckError, match=rf"redirects to http://127\.0\.0\.1:{other.port}/v1; give that"),
    ):
        ask(server.url)
    assert server.count == 1
    assert other.connections == 0


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": "0.5"}, 0.5, 0.5),
        ({"Retry-After": "9", "retry-after-ms": "1500"}, 1.5, 1.5),
        ({"Retry-After": "999999"}, 3600, 3600),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_waits(status: int, headers: dict[str, str], least: float, most: float) -> None:
    failure = answered(error(status, headers=headers))
    assert isinstance(failure, Failure)
    assert failure.retry_after is not None
    assert least <= failure.retry_after <= most


@pytest.mark.parametrize(("ahead", "least", "most"), [(600, 500, 600), (-600, 0, 0)])
def test_waits_until_a_date(ahead: int, least: float, most: float) -> None:
    failure = answered(error(429, headers={"Retry-After": formatdate(time() + ahead, usegmt=True)}))
    assert isinstance(failure, Failure)
    assert failure.retry_after is not None
    assert least <= failure.retry_after <= most


def test_nobody_is_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and does not listen
        (failure,) = ask(f"http://127.0.0.1:{free.getsockname()[1]}/v1")
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.again) == ("no connection", True)
    assert "127.0.0.1" in failure.message


def test_a_certificate_nobody_vouches_for(tls: tuple[Path, Path]) -> None:
    with (
        Server(lambda number, asked: completion(), tls=tls) as server,
        pytest.raises(LimbeckError, match=r"certificate is not trusted [(]self-signed"),
    ):
        ask(server.url)
    assert server.count == 0


def test_a_trusted_certificate(tls: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    broken = Answer(body=b"no record of TLS's", way="garbage")
    with Server(lambda number, asked: [completion(), broken][number], tls=tls) as server:
        reply, failure = ask(server.url, times=2)
        with pytest.raises(LimbeckError, match="certificate is not trusted"):  # it names the address, not the name
            ask(server.url.replace("127.0.0.1", "localhost"))
    assert isinstance(reply, Reply)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.again) == ("connection lost", True)
    assert "SSL" in failure.message


def test_https_to_a_plain_port() -> None:
    with (
        Server(lambda number, asked: completion()) as server,
        pytest.raises(LimbeckError, match=r"no TLS.*http://"),
    ):
        ask(server.url.replace("http:", "https:"))


ECHOES = [
    completion(f"Your key is {KEY}."),
    completion(f"Your key is {KEY}", finish_reason="length"),
    Answer(body=completion(f"{KEY}{KEY}").body.replace(b"/", rb"\/").replace(b"sk-", rb"\u0073\u006B-")),
    error(400, f"Authorization: Bearer {KEY}"),
    error(500, json.dumps({"headers": json.dumps({"Authorization": f"Bearer {KEY}"})})),
    error(500, "x" * 290 + KEY),  # where the line is cut
    error(401, f"Incorrect API key provided: {KEY}"),
    Answer(503, f"<pre>Bearer {KEY}</pre>".encode()),
    Answer(body=f"HTTP? Bearer {KEY}".encode()),
    Answer(body=f"Bearer {KEY}\r\n\r\n".encode(), way="garbage"),
    redirect(f"http://other.example/{KEY}"),
    completion(headers={"X-Echo": f"Bearer {KEY}", "Set-Cookie": f"key={KEY}"}),
]


@pytest.mark.parametrize("echo", ECHOES)
def test_an_echoed_key_goes_no_further(echo: Answer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    try:
        told = repr(answered(echo))
    except LimbeckError as fatal:
        told = str(fatal)
    for written in (told, caplog.text):
        plain = written.replace("\\", "")
        assert KEY not in plain
        assert KEY[:8] not in plain
        assert KEY[-6:] not in plain


def test_an_echoed_key_leaves_the_reply_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = answered(completion(f"It is {KEY}. The answer is (1)."))
    assert isinstance(reply, Reply)
    assert reply.text == "It is [key]. The answer is (1)."
    assert json.loads(reply.raw)["choices"][0]["message"]["content"] == reply.text
    reply = answered(completion([{"type": "text", "text": KEY[:9]}, {"type": "text", "text": KEY[9:]}]))
    assert isinstance(reply, Reply)
    assert reply.text == "[key]"
    monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")  # as servers without keys are often given
    reply = answered(completion("The bag is EMPTY."))
    assert isinstance(reply, Reply)
    assert reply.text == "The bag is EMPTY."


def test_an_engine_does_not_show_its_key() -> None:
    assert "sk-" not in repr(engine("http://127.0.0.1/v1"))


@pytest.mark.parametrize(
    ("url", "warned"), [("http://teacher.example/v1", True), ("https://teacher.example/v1", False)]
)
def test_a_key_in_the_open(url: str, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    engine(url)
    engine("http://localhost:8000/v1")
    engine("http://[::1]:8000/v1")
    assert (["over plain http" in line for line in caplog.messages]) == [True] * warned


def test_cookies_are_not_kept() -> None:
    async def run(url: str) -> list[str]:
        teacher = engine(url)
        await teacher.ask(QUESTION)
        await teacher.ask(QUESTION)
        return [name for client in teacher._clients for name in client.cookies]

    with Server(lambda number, asked: completion(headers={"Set-Cookie": f"id{number}=1; Path=/"})) as server:
        assert asyncio.run(run(server.url)) == []
    assert "cookie" not in server.asked[1].headers


def test_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(lambda number, asked: completion()) as server, Server(lambda number, asked: completion()) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        ask(server.url)
        ask("http://teacher.example/v1")
    assert server.count == 1
    assert [asked.path for asked in proxy.asked] == ["http://teacher.example/v1/chat/completions"]


@pytest.mark.parametrize("proxy", ["ftp://127.0.0.1:1", "http://[::1"])
def test_a_proxy_that_is_none(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(LimbeckError, match="proxy"):
        engine("https://teacher.example/v1")


@pytest.mark.parametrize(
    "url", ["ftp://a/v1", "a/v1", "http://me:password@a/v1", "http://a..b/v1", f"http://{'a' * 70}/"]
)
def test_a_url_that_is_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(LimbeckError, match=r"^\$OPENAI_BASE_URL: ") as caught:
        engine(None)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize("extra", [{"seed": float("nan")}, {"day": {1, 2}}])
def test_an_extra_field_that_is_no_json(extra: dict[str, Any]) -> None:
    with pytest.raises(LimbeckError, match=r"sampling\.extra"):
        engine("http://127.0.0.1/v1", extra=extra)


def insistent(number: int, asked: Any) -> Answer:
    """As OpenAI's newer models are."""
    said = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    return error(400, said, "unsupported_parameter") if "max_tokens" in asked.body else completion()


def test_max_completion_tokens() -> None:
    with Server(insistent) as server:
        assert all(isinstance(reply, Reply) for reply in ask(server.url, times=3, max_tokens=77))
    fields = [{name: value for name, value in asked.body.items() if name.startswith("max")} for asked in server.asked]
    assert fields == [{"max_tokens": 77}, *[{"max_completion_tokens": 77}] * 3]


def test_other_complaints_about_max_tokens_are_failures() -> None:
    with Server(lambda number, asked: error(400, "max_tokens is too large")) as server:
        assert isinstance(ask(server.url)[0], Failure)
    assert server.count == 1


@pytest.mark.parametrize("answer", [
    Answer(body=gzip.compress(completion("Yes.").body), headers={"Content-Encoding": "gzip"}),
    Answer(body=b"\xef\xbb\xbf" + completion("Yes.").body),
    completion([{"type": "text", "text": "Ye"}, {"type": "image_url"}, {"type": "text", "text": "s."}]),
    completion("Yes.", finish_reason=None),
    completion("Yes.", headers={"Content-Type": "text/html; charset=utf-16"}),
])  # fmt: skip
def test_replies_in_other_dress(answer: Answer) -> None:
    reply = answered(answer)
    assert isinstance(reply, Reply)
    assert (reply.text, reply.finish_reason, reply.completion_tokens) == ("Yes.", reply.finish_reason, 34)


def test_many_at_once() -> None:
    """Each gets its own reply, and no more connections are opened than requests may be in flight."""

    async def run(url: str) -> list[Reply | Failure]:
        teacher = engine(url, concurrency=20)
        asked = [teacher.ask([{"role": "user", "content": f"question {number:03d}"}]) for number in range(100)]
        replies = await asyncio.gather(*asked)
        await teacher.close()
        return replies

    with Server(lambda number, asked: completion(explain(asked), delay=0.01)) as server:
        replies = asyncio.run(run(server.url))
    texts = [reply.text for reply in replies if isinstance(reply, Reply)]
    assert texts == [f"Because of question {number:03d}. The answer is (1)." for number in range(100)]
    assert 1 < server.connections <= 20
    assert server.paid == {f"question {number:03d}": 1 for number in range(100)}


def test_all_connections_are_free_again_after_failures() -> None:
    """Twenty failures of each kind, then a reply: nothing of the engine's was used up."""
    failures = [*PASSING.values(), HANGING["silent"], HUGE]

    async def run(server: Server) -> None:
        teacher = engine(server.url, seconds=0.3, concurrency=3)
        for failure in failures:
            server.behave = lambda number, asked, failure=failure: failure
            for outcome in await asyncio.gather(*(teacher.ask(QUESTION) for _ in range(4))):
                assert isinstance(outcome, Failure)
        server.behave = lambda number, asked: completion()
        for outcome in await asyncio.gather(*(teacher.ask(QUESTION) for _ in range(4))):
            assert isinstance(outcome, Reply)
        await teacher.close()

    with Server(lambda number, asked: completion()) as server:
        asyncio.run(run(server))


def test_a_model_that_takes_no_temperature_gets_none_unless_the_user_wants_one() -> None:
    def behave(number: int, asked: Any) -> Answer:
        if "temperature" in asked.body:
            return error(400, "Unsupported value: 'temperature' does not support 0.0 with this model.")
        return completion("Yes.")

    with Server(behave) as server:
        assert all(isinstance(one, Reply) for one in ask(server.url, 3))
        assert [("temperature" in asked.body) for asked in server.asked].count(False) == 3
        [refused] = ask(server.url, temperature=0.0)
        assert isinstance(refused, Failure)
        assert "sampling.temperature" in refused.message


def test_access_that_is_refused_may_be_a_matter_of_the_question() -> None:
    with Server(lambda number, asked: error(403, "country")) as server:
        outcome = ask(server.url)[0]
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.again) == (FORBIDDEN, False)
    assert "$OPENAI_API_KEY is" in outcome.message
    assert outcome.message.endswith(": country")
