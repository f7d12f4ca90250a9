"""The client of OpenAI-compatible endpoints, against real servers on 127.0.0.1 that behave and that do not."""

import asyncio
import base64
import json
import os
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import EndpointError
from limbeck.llm.client import EndpointClient, forms, read_completion
from limbeck.llm.messages import Failure, Reply, Tokens
from limbeck.llm.settings import SamplingSettings, TeacherSettings
from tests.helpers.servers import HANGING, PASSING, Answer, HttpRequest, Server, completion, error, redirect

KEY = "sk-proj-Ab0/+cD_9="
QUESTION = [{"role": "system", "content": "Think."}, {"role": "user", "content": "Où? \U0001f600"}]


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in [name for name in os.environ if name.upper().endswith(("_PROXY", "OPENAI_BASE_URL", "SSL_CERT_FILE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def ask(url: str, times: int = 1, *, seconds: float = 10, **sampling: Any) -> list[Reply | Failure]:
    async def run() -> list[Reply | Failure]:
        client = EndpointClient(TeacherSettings(name="some/model", base_url=url), SamplingSettings(**sampling), seconds)
        try:
            return [await client.ask(QUESTION) for _ in range(times)]
        finally:
            await client.close()

    return asyncio.run(run())


def result_of(answer, seconds=10):
    with Server(lambda number, request: answer) as server:
        return ask(server.url, seconds=seconds)[0]


@pytest.mark.parametrize("key", [KEY, " \n"])
def test_request_and_reply(key, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    parts = [{"type": "text", "text": "Why. "}, {"type": "image_url"}, {"type": "text", "text": "The answer is (1)."}]
    extra = {"reasoning_effort": "low", "stop": ["Q:"]}
    with Server(lambda number, request: completion(parts)) as server:
        (reply,) = ask(server.url + "/", samples=3, top_p=0.9, max_tokens=77, extra=extra)
    (request,) = server.requests
    body = {"model": "some/model", "messages": QUESTION, "temperature": 0.7, "top_p": 0.9, "max_tokens": 77, **extra}
    assert (request.method, request.path, request.body) == ("POST", "/v1/chat/completions", body)
    assert request.headers.get("authorization") == (f"Bearer {KEY}" if key == KEY else None)
    assert reply == Reply("Why. The answer is (1).", request.answer.body.decode(), Tokens(12, 34))


@given(before=st.binary(max_size=5), after=st.binary(max_size=5), key=st.text("ab/+=-_Z9", min_size=8, max_size=40))
def test_a_key_is_found_in_every_form_that_an_endpoint_may_echo(before, after, key):
    pattern, whole = forms(key), before + key.encode() + after
    hexadecimal = whole.hex()
    for text in (key, json.dumps(key), quote(key, safe=""), hexadecimal, hexadecimal.upper()):
        assert pattern.search(text)
    for encoded in (base64.b64encode(whole), base64.urlsafe_b64encode(whole)):
        left = pattern.sub("", encoded.decode())
        assert len(left) <= len(encoded) - 4 * len(key) // 3 + 2  # but for characters shared with its neighbours


@pytest.mark.parametrize("key", ["sk-cl\u00e9", "sk-a\nX-Other: b"])
def test_a_key_that_no_header_carries_is_refused_and_not_shown(key, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(EndpointError) as raised:
        ask("http://127.0.0.1/v1")
    assert (raised.value.field, "sk-" in str(raised.value)) == ("$OPENAI_API_KEY", False)


@pytest.mark.parametrize(
    ("answer", "kind", "again"),
    [
        (PASSING["429"], "HTTP 429", True),
        (PASSING["cut"], "connection lost", True),
        (PASSING["garbage"], "connection lost", True),
        (Answer(body=b"[" * 100_000), "not JSON", True),
        (Answer(body=b'{"error": {"message": "upstream is busy", "code": 502}}'), "no choices", True),
        (PASSING["null"], "no content", True),
        (completion("half of", finish_reason="error"), "broken off", True),
        (HANGING["dribble"], "timed out", True),
        (error(400, "context is\ntoo \x1b[31mlong" * 99), "HTTP 400", False),
        (error(403, "country"), "HTTP 403", False),  # may be a matter of the question alone
        (completion("half an ans", finish_reason="length"), "cut off", False),
        (completion("", finish_reason="content_filter"), "filtered", False),
    ],
)
def test_failures(answer, kind, again):
    failure = result_of(answer, seconds=0.3 if kind == "timed out" else 10)
    assert (failure.kind, failure.again, failure.retry_after) == (kind, again, 0)
    assert (failure.raw is None) == kind.startswith("HTTP")  # else it may have been answered and has to be paid for
    assert failure.message.isprintable() and len(failure.message) < 500


@pytest.mark.parametrize("answer", [error(401), error(404), error(429, code="insufficient_quota")])
def test_answers_that_end_the_job(answer):
    with pytest.raises(EndpointError, match=r"'some/model'.*\$OPENAI_API_KEY is set\): no"):
        result_of(answer)


def test_a_redirect_and_a_server_without_a_certificate_end_the_job():
    with (
        Server(lambda number, request: completion()) as target,
        Server(lambda number, request: redirect(target.url + "/chat/completions")) as server,
    ):
        with pytest.raises(EndpointError, match="HTTP 307"):
            ask(server.url)
        assert (server.count, target.connections) == (1, [])
        with pytest.raises(EndpointError, match="no trusted TLS connection"):
            ask(target.url.replace("http:", "https:"))


@pytest.mark.parametrize(("header", "seconds"), [("0.5", 0.5), ("999999", 3600), ("soon", 0), ("nan", 0)])
def test_waits_that_the_endpoint_asks_for(header, seconds):
    assert result_of(error(429, headers={"Retry-After": header})).retry_after == seconds


def test_proxies(monkeypatch):
    monkeypatch.setenv("LIMBECK_KEYS", "OPENAI_API_KEY@http://teacher.example OPENAI_API_KEY@teacher.example")
    with Server(lambda number, request: completion()) as proxy, Server(lambda number, request: completion()) as local:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        ask("http://teacher.example/v1")
        ask(local.url)
    assert [request.path for request in proxy.requests] == ["http://teacher.example/v1/chat/completions"]
    assert local.count == 1
    monkeypatch.setenv("HTTPS_PROXY", "ftp://me:password@127.0.0.1:1")
    with pytest.raises(EndpointError, match="HTTPS_PROXY") as raised:
        ask("https://teacher.example/v1")
    assert "password" not in str(raised.value)


def insistent(number: int, request: HttpRequest) -> Answer:
    if "max_tokens" in request.body:
        return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    if "temperature" in request.body:
        return error(400, "Unsupported value: 'temperature' does not support 0.0 with this model.")
    return completion()


def test_newer_models_of_openai_take_other_fields():
    with Server(insistent) as server:
        assert all(isinstance(reply, Reply) for reply in ask(server.url, times=3, max_tokens=77))
    body = server.requests[-1].body
    assert (server.count, body["max_completion_tokens"], "temperature" in body) == (5, 77, False)
    with Server(insistent) as server:
        (failure,) = ask(server.url, temperature=0.0)  # the user wants this one
    assert isinstance(failure, Failure) and server.count == 2


FIELDS = st.sampled_from(["content", "text", "finish_reason", "prompt_tokens", "completion_tokens", "type"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["length", "\ud800"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5))


@given(value=VALUES, message=VALUES)
def test_bodies_of_every_shape(value, message):
    choices = [value, {"message": message, "finish_reason": value}, {"message": {"content": message}}]
    for body in (value, *({"choices": [choice], "usage": value} for choice in choices)):
        outcome = read_completion(json.dumps(body))
        (outcome.text if isinstance(outcome, Reply) else outcome.message).encode()
