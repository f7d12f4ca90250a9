"""A student behind HTTP: right answers for any client, and words for whatever is wrong."""

import json
import resource
import signal
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import get_args

import httpx2
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limbeck.cli import main
from limbeck.data.rows import Column
from limbeck.files import read_jsonl, write_jsonl
from limbeck.llm.settings import is_loopback
from limbeck.runs import predict_file
from limbeck.tasks import TASKS
from tests.serving.conftest import process, serving

KEY = "a-key-of-the-tests"
QUESTIONS = [f"Tom has {n} apples and buys {n % 7} more. How many has he?" for n in range(16)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def predicted(run, tmp_path_factory):
    """The answers of `limbeck predict` to QUESTIONS."""
    folder = tmp_path_factory.mktemp("predicted")
    write_jsonl(folder / "in.jsonl", [{"input": question} for question in QUESTIONS])
    predict_file(run, folder / "in.jsonl", folder / "out.jsonl", rationales=True)
    return [row for _, row in read_jsonl(folder / "out.jsonl")]


def client(served, key="unused"):
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0)


def check(answer, row):
    assert answer["answer"] == row["prediction"]
    assert answer["confidence"] == pytest.approx(row["confidence"], rel=1e-3)


@pytest.mark.parametrize("concurrency", [1, 32])
def test_answers_are_those_of_predict(served, predicted, concurrency):
    with ThreadPoolExecutor(concurrency) as pool:
        responses = list(pool.map(lambda question: served.ask(input=question).json(), QUESTIONS))
    for response, row in zip(responses, predicted, strict=True):
        check(response["answers"][0], row)
        assert response["model"] == "dss" and response["answers"][0]["rationale"] is None


def test_several_questions_of_one_request_have_answers_in_order_with_their_rationales(served, predicted):
    answers = served.ask(input=[QUESTIONS[0], {"input": QUESTIONS[1]}, *QUESTIONS[2:]], rationale=True).json()[
        "answers"
    ]
    for answer, row in zip(answers, predicted, strict=True):
        check(answer, row)
        assert answer["rationale"] == row["rationale"] and answer["answered_by"] == "student"


def test_the_openai_client_gets_the_answer_whole_and_streamed(served, predicted):
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": QUESTIONS[3]}]},
    ]
    completions = client(served).chat.completions
    whole = completions.create(model="any", messages=turns, temperature=0.5, extra_body={"rationale": True})
    row = predicted[3]
    assert whole.choices[0].message.content == row["prediction"]
    assert whole.choices[0].message.reasoning_content == row["rationale"]
    assert whole.confidence == pytest.approx(row["confidence"], rel=1e-3)
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens > 2
    chunks = list(completions.create(model="any", messages=turns, stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant" and "".join(delta.content or "" for delta in deltas) == row["prediction"]
    assert chunks[-1].usage == whole.usage and {chunk.id for chunk in chunks} == {chunks[0].id}
    assert [model.id for model in client(served).models.list()] == ["dss"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b'{"input": ', 400, None),
        (b'{"input": "\xff"}', 400, None),
        (b"[" * 100_000, 400, None),
        (b'{"input": "\\ud800"}', 422, "input"),
        (b'{"input": ""}', 422, "input"),
        (b'{"input": "   "}', 422, "input"),
        (b'{"input": []}', 422, "input"),
        (b'{"input": {"premise": "x"}}', 422, None),
        (b'{"input": {"input": "x", "choices": {"text": ["a", "b"], "label": 3}}}', 422, "choices"),
        (json.dumps({"input": {"input": "x", "choices": list(map(str, range(65)))}}).encode(), 422, "input"),
        (json.dumps({"input": "x" * 50_001}).encode(), 422, "input"),
        (b'{"input": {"input": [{"a": 1}]}}', 422, "input"),
        (b'{"input": "x", "rational": true}', 422, "rational"),
        (json.dumps({"input": ["x"] * 257}).encode(), 422, "input"),
        (b'{"input": "' + b"x" * 10_000_000 + b'"}', 413, None),
    ],
)
def test_a_wrong_body_is_refused_in_words(served, body, status, field):
    headers = {"content-type": "application/json"}
    response = httpx2.post(f"{served.url}/v1/answers", content=body, headers=headers, timeout=60)
    error = response.json()["error"]
    assert response.status_code == status and error["message"]
    assert field is None or error["param"] == field
    assert served.ask(input="And the next?").status_code == 200


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [{"role": "system", "content": "x"}],
        [{"role": "user", "content": "  "}],
        [{"role": "user"}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}],
    ],
)
def test_a_chat_without_a_question_is_refused(served, turns):
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client(served).chat.completions.create(model="any", messages=turns)
    assert refused.value.body["param"] == "messages"


def test_pages_of_other_sites_reach_nothing(served):
    text = httpx2.post(f"{served.url}/v1/answers", content=b'{"input": "x"}', headers={"content-type": "text/plain"})
    assert text.status_code == 415
    rebound = httpx2.post(f"{served.url}/v1/answers", json={"input": "x"}, headers={"host": "evil.example:80"})
    assert rebound.status_code == 421
    assert "access-control-allow-origin" not in served.ask(input="x").headers
    names = {"localhost": 1, "LOCALHOST:8000": 1, "a.b": 0, "": 0}
    hosts = {
        **names,
        "127.0.0.1:80": 1,
        "localhost": 1,
        "LOCALHOST:8000": 1,
        "[::1]:9": 1,
        "::1": 1,
        "127.9.9.9": 1,
        "0.0.0.0": 0,
        "a.b": 0,
        "": 0,
    }
    assert {host: int(is_loopback(host)) for host in hosts} == hosts


COLUMNS = [*get_args(Column), *TASKS["esnli"].fields[0], "text", "question", "stem"]
ROW = st.dictionaries(st.sampled_from(COLUMNS), JSON | st.dictionaries(st.sampled_from(COLUMNS), JSON), max_size=5)


FIELDS = {"input": JSON | ROW | st.lists(ROW, max_size=3), "rationale": JSON, "messages": JSON, "stream": JSON}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.fixed_dictionaries({}, optional=FIELDS))
def test_no_json_makes_the_server_fail(served, body):
    content = json.dumps(body).encode()
    for path in ("answers", "chat/completions"):
        headers = {"content-type": "application/json"}
        response = httpx2.post(f"{served.url}/v1/{path}", content=content, headers=headers, timeout=60)
        assert response.status_code in (200, 400, 422), (response.text, body)


def test_a_student_without_rationales_says_so(trained):
    finetuned = replace(trained, card=trained.card.model_copy(update={"rationale_view": None, "objective": "finetune"}))
    with serving(finetuned) as served:
        response = served.ask(input="x", rationale=True)
        assert response.status_code == 422 and response.json()["error"]["param"] == "rationale"
        assert served.ask(input="x").status_code == 200


def test_a_key_is_asked_for_and_stands_nowhere(trained, caplog):
    with serving(trained, token=KEY) as served:
        assert served.ask(input="x").status_code == 401
        for header in ("Bearer wrong", f"Bearer {KEY}x", f"Basic {KEY}", KEY, "Bearer", "Bearer \u00e9"):
            response = served.get("/v1/models", authorization=header.encode())
            assert response.status_code == 401 and "www-authenticate" in response.headers
        assert client(served, KEY).models.list().data[0].id == "dss"
        assert served.get("/metrics").status_code == 401
        texts = [served.get(path).text for path in ("/", "/healthz", "/openapi.json", "/docs")]
        texts.append(served.get("/metrics", authorization=f"Bearer {KEY}").text)
    assert 'status="401"' in texts[-1] and KEY not in "".join(texts) + caplog.text


@pytest.mark.parametrize(
    "words",
    [
        ["--host", "0.0.0.0"],
        ["--host", "example.com"],
        ["--api-key-env", "NO_SUCH_KEY"],
        ["--threshold", "80"],
        ["--threshold", "0.8"],
        ["--max-cost", "0.1"],
    ],
)
def test_others_are_not_answered_without_a_key(run, words, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["limbeck", "serve", str(run), *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2 and words[0] in capsys.readouterr().err


def test_metrics_count_and_the_log_has_no_question_unless_asked(trained, caplog):
    caplog.set_level("INFO")
    with serving(trained) as served:
        for _ in range(3):
            served.ask(input=["secret question"] * 4)
        served.ask(input="")
        text = served.get("/metrics").text
    assert 'limbeck_requests_total{path="/v1/answers",status="200"} 3.0' in text
    assert 'limbeck_requests_total{path="/v1/answers",status="422"} 1.0' in text
    assert 'limbeck_answers_total{answered_by="student",passed_on="no"} 12.0' in text
    assert "limbeck_batch_size_sum 12.0" in text and "secret" not in text + caplog.text
    with serving(trained, log_inputs=True) as served:
        served.ask(input="open question")
    assert "open question" in caplog.text


def test_nothing_more_is_computed_for_a_client_that_left(trained):
    body = json.dumps({"input": ["Slow"] * 200}).encode()
    head = b"POST /v1/answers HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with serving(trained, batch_size=1) as served:
        with socket.create_connection(served.address) as connection:
            connection.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            while "limbeck_batch_size_sum 0.0" in served.get("/metrics").text:
                time.sleep(0.01)
        assert served.ask(input="And I?").status_code == 200
        count = next(line for line in served.get("/metrics").text.splitlines() if "batch_size_sum" in line)
    assert float(count.split()[1]) < 50


def test_pipelined_requests_are_all_answered_and_an_idle_connection_is_closed(trained, monkeypatch):
    monkeypatch.setattr("limbeck.serving.server._HEAD_SECONDS", 0.5)
    body = json.dumps({"input": ["Slow"] * 12}).encode()
    head = b"POST /v1/answers HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with serving(trained, batch_size=1) as served, socket.create_connection(served.address) as connection:
        connection.sendall((head + b"content-length: %d\r\n\r\n" % len(body) + body) * 3)
        text = b""
        connection.settimeout(60)
        while data := connection.recv(100_000):
            text += data
    assert text.count(b"HTTP/1.1 200") == 3 and text.count(b'"answered_by"') == 36


def test_a_full_queue_says_when_to_come_again_and_answers_what_it_took(trained):
    with serving(trained, queue=16, batch_size=1) as served, ThreadPoolExecutor(6) as pool:
        responses = list(pool.map(lambda n: served.ask(input=[f"Question {n}"] * 8), range(6)))
    assert {response.status_code for response in responses} == {200, 429}
    for response in responses:
        assert response.status_code == 200 or int(response.headers["retry-after"]) >= 1
        assert response.status_code == 429 or len(response.json()["answers"]) == 8


def test_a_request_ends_after_its_time(trained):
    with serving(trained, seconds=0.2, batch_size=1) as served:
        response = served.ask(input=["A question"] * 200)
        assert response.status_code == 504 and response.json()["error"]["type"] == "timeout"
        with socket.create_connection(served.address) as slow:
            slow.sendall(b"POST /v1/answers HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")
            slow.sendall(b"content-length: 100\r\n\r\n{")
            assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")


@pytest.fixture(scope="module")
def child(run, tmp_path_factory):
    """A process for the last two tests, the second of which ends it."""
    folder = tmp_path_factory.mktemp("child")
    teacher = {"name": "m", "base_url": "http://127.0.0.1:9/v1"}
    job = {"rows": "none.jsonl", "task": "arithmetic", "teacher": teacher, "store": str(folder / "a.sqlite")}
    (folder / "job.yaml").write_text(json.dumps(job))
    words = ["--batch-size", "4", "--teacher", str(folder / "job.yaml"), "--threshold", "0"]
    with process(run, folder / "log", *words) as served:
        yield served


def test_clients_that_leave_or_never_ask_harm_nobody(child):
    count = 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * count), hard))
    body = json.dumps({"messages": [{"role": "user", "content": "x"}], "stream": True}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    request = head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body
    with ExitStack() as connections:
        for number in range(count):
            connection = connections.enter_context(socket.create_connection(child.address))
            if number % 100 == 0:
                connection.sendall(request[: number % 7 * 40 + 30])
            if number % 3 == 0:
                connection.close()
        for _ in range(10):
            with socket.create_connection(child.address) as gone:  # reset in the middle of its answer
                gone.sendall(request)
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert child.ask(input="Still there?").status_code == 200
    assert child.ask(input="Still there?").status_code == 200
    assert "Traceback" not in child.log.read_text()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_sigterm_under_load_answers_everything_that_it_took(child):
    statuses = []

    def ask(number):
        with suppress(httpx2.ConnectError, httpx2.ReadError):  # not accepted any longer
            while True:
                response = child.ask(input=[f"Question {number}"] * 3)
                statuses.append((response.status_code, len(response.json()["answers"])))

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(ask, number) for number in range(8)]
        while len(statuses) < 8:
            time.sleep(0.01)
        child.process.send_signal(signal.SIGTERM)
        code = child.process.wait(60)
        errors = [client.exception() for client in clients if client.exception()]
    assert code == 0 and not errors, errors
    assert set(statuses) == {(200, 3)} and "Traceback" not in child.log.read_text()
