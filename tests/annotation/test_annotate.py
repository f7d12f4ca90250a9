"""A whole job against bad servers: nothing lost, nothing paid twice, however it ends and whoever else is at it."""

import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from limbeck.annotation.job import Job, annotate, plan
from limbeck.annotation.prompts import prompt_file
from limbeck.annotation.results import read_results, summary, training_examples
from limbeck.data import read_rows
from limbeck.data.examples import digest
from limbeck.errors import LimbeckError, RecipeError
from limbeck.files import read_json, write_json
from tests.annotation.jobs import make_job
from tests.helpers.processes import Forked
from tests.helpers.servers import HANGING, PASSING, Answer, HttpRequest, Server, completion, error, mixed, redirect

KEY = "sk-proj-Ab0/+cD_9="


def expected_requests(rows: int) -> float:
    """Return the requests where 3 of 10 fail, and five standard deviations of the failures before the last success."""
    return rows / 0.7 + 5 * (rows * 0.3) ** 0.5 / 0.7


def answer_text(request: HttpRequest) -> str:
    number = request.question.partition("\n")[0].rpartition(" ")[2]  # before a hint
    return f"The number that was asked for is {number}. The answer is {number}."


def numbers_job(folder: Path, url: str, rows: int, *, request_seconds: float = 5, **settings: Any) -> Job:
    questions = [{"input": f"Say the number {i}", "label": str(i)} for i in range(rows)]
    limits = {"concurrency": 32, "request_seconds": request_seconds, "attempts": 30}
    return make_job(folder, questions, **{"teacher": {"name": "m", "base_url": url}, "limits": limits} | settings)


def query(folder: Path, text: str) -> list[Any]:
    """Return the rows of the store."""
    with sqlite3.connect(folder / "annotations.sqlite") as connection:
        return connection.execute(text).fetchall()


def stored(folder: Path) -> Counter[str]:
    """Count the replies in the store, by their texts."""
    return Counter(text for (text,) in query(folder, "SELECT text FROM requests WHERE kind IS NULL"))


def all_replies(rows: int) -> Counter[str]:
    return Counter(f"The number that was asked for is {i}. The answer is {i}." for i in range(rows))


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("limbeck.llm.runner.backoff", lambda failures, retry_after: retry_after)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_a_server_that_fails_in_every_way_is_asked_no_more_than_it_has_to_be(tmp_path):
    rows, lines = 250, []
    fatal = [error(401, f"Incorrect API key {KEY}"), error(404, "no such model"), redirect("http://127.0.0.2:9/v1")]
    failures = [*PASSING.values(), *HANGING.values(), error(400, "a bad request"), *fatal]
    with Server(mixed(0.3, seed=3, failures=failures, text=answer_text)) as server:
        job = numbers_job(tmp_path, server.url, rows, request_seconds=0.3)
        for _ in range(200):  # what a user does: start it again after an error that stops all
            try:
                if not annotate(job)["missing"]:
                    break
            except LimbeckError as raised:
                lines.append(str(raised))
        requests, paid = list(server.requests), server.paid
    assert stored(tmp_path) == all_replies(rows)
    assert paid.keys() == {f"Say the number {i}" for i in range(rows)}
    # each paid once, and each paid one is there; but for those that a slow machine's time limit threw away
    ((timeouts,),) = query(tmp_path, "SELECT COUNT(*) FROM requests WHERE kind = 'timed out'")
    late = max(0, timeouts - sum(request.answer.mode in ("silent", "dribble") for request in requests))
    assert paid.total() - rows <= late
    assert len(requests) <= expected_requests(rows) + late
    assert len({id(request.answer) for request in requests if not request.answer.paid}) >= len(failures) // 2
    assert len(lines) >= 3
    assert all("\n" not in line and KEY not in line for line in lines)
    assert len(training_examples(read_results(job))) == rows == summary(read_results(job))["kept"]["rationales"]


def start(job: Job, outcome: Path) -> Forked:
    """Begin the job in a process of its own, which writes its counts to a file at the end."""
    return Forked(run=lambda: write_json(outcome, annotate(job)))


def test_killed_twice_and_ended_by_two_processes_it_loses_no_more_than_what_was_in_flight(tmp_path):
    rows, limits = 240, {"concurrency": 8, "request_seconds": 5, "attempts": 30}
    with Server(mixed(0.3, seed=4, text=answer_text, latency=0.02)) as server:
        job = numbers_job(tmp_path, server.url, rows, limits=limits)
        for kill in (1, 2):
            process = start(job, tmp_path / "killed.json")
            process.wait_until(lambda: server.count >= 60 * kill)  # noqa: B023
            process.kill()
            assert 0 < stored(tmp_path).total() < rows
        before, count = stored(tmp_path).total(), server.count
        outcomes = [tmp_path / "first.json", tmp_path / "second.json"]
        processes = [start(job, outcome) for outcome in outcomes]
        assert [process.wait() for process in processes] == [0, 0]
    counts = [read_json(outcome)["stored"] for outcome in outcomes]
    assert (min(counts) > 0, sum(counts)) == (True, rows - before)
    assert stored(tmp_path) == all_replies(rows)
    assert server.paid.total() - rows <= 2 * 8
    paid = Counter(request.question for request in server.requests[count:] if request.sent and request.answer.paid)
    assert paid.total() == len(paid) == rows - before
    assert server.count <= expected_requests(rows) + 2 * 8 / 0.7


def test_a_dry_run_is_an_upper_bound_of_asking_with_hints_too(tmp_path):
    def behave(number: int, request: HttpRequest):
        text = "It is seven. The answer is 7."  # without a hint all other rows come out wrong
        return completion(answer_text(request) if "known" in request.question else text, usage=(50, 20))

    with Server(behave) as server:
        job = numbers_job(tmp_path, server.url, 40, prices={"input": 2, "output": 10}, rationalise=True)
        planned = plan(job)
        assert (planned["questions"], planned["missing"], planned["hinted"]) == (40, 40, 40)
        assert (server.count, job.store.exists()) == (0, False)
        annotate(job.model_copy(update={"rationalise": False}))
        assert (plan(job)["missing"], plan(job)["hinted"]) == (0, 39)
        done = annotate(job)
        assert done["cost"] == pytest.approx(39 * (50 * 2 + 20 * 10) / 1e6)
        assert 2 * done["cost"] < planned["cost"]
        counts = summary(read_results(job))
        assert (counts["votes"]["right"], counts["kept"]["rationales"]) == (1, 40)  # a hint has no vote
        assert annotate(job)["requests"] == 0
        longer = Job.load(tmp_path / "annotate.yaml", ["sampling.max_tokens=2000"])
        planned = plan(longer)  # how long an answer may get makes no other answer
        assert (planned["missing"], planned["hinted"], planned["cost"]) == (0, 0, 0)
        assert planned["spent"]["tokens"] == {"prompt": 79 * 50, "completion": 79 * 20}


def test_the_key_is_nowhere(tmp_path, caplog, capfd):
    """A server echoes all it gets, at every log level: the key is in no file, no log and no error."""
    caplog.set_level(0)
    texts = []

    def behave(number: int, request: HttpRequest):
        echo = json.dumps(request.headers)
        answers = [
            error(500, echo),
            error(400, echo, headers={"X-Echo": KEY}),
            completion(f"Your header is {request.headers['authorization']}. The answer is 1."),
            completion(f"{echo} The answer is 1.", finish_reason="length"),
            Answer(body=completion(f"{KEY}{KEY} The answer is 1.").body.replace(b"/", rb"\/")),
            error(500, "x" * 290 + KEY),  # where the line is cut
        ]
        return error(401, f"Bearer {KEY} is wrong") if number >= 16 else answers[number % 6]

    with Server(behave) as server:
        job = numbers_job(tmp_path, server.url, rows=12)
        for behaviour in (behave, lambda number, request: redirect(f"http://other.example/{KEY}")):
            server.behave = behaviour
            with pytest.raises(LimbeckError) as raised:
                annotate(job)
            texts.append(str(raised.value))
        assert any(request.headers["authorization"] == f"Bearer {KEY}" for request in server.requests)
    texts += [str(path.read_bytes()) for path in tmp_path.iterdir()]
    texts += [json.dumps([summary(read_results(job)), plan(job)]), str(capfd.readouterr())]
    texts += [caplog.text, str([vars(record) for record in caplog.records])]
    assert stored(tmp_path).total() > 0
    assert not any(part in text.replace("\\", "") for text in texts for part in (KEY, KEY[:8], KEY[-6:]))


@pytest.mark.parametrize("source", ["job", "prompt"])
def test_a_key_in_the_job_or_its_prompt_is_refused(source, tmp_path):
    prompt = yaml.safe_load(prompt_file("custom").read_text()) | {"instruction": f"Use {KEY} to think."}
    (tmp_path / "prompt.yaml").write_text(yaml.safe_dump(prompt))
    change = {"job": {"sampling": {"extra": {"user": KEY}}}, "prompt": {"prompt": str(tmp_path / "prompt.yaml")}}
    with pytest.raises(RecipeError, match="OPENAI_API_KEY") as raised:
        annotate(make_job(tmp_path, [{"input": "What is it?"}], **change[source]))
    assert KEY not in str(raised.value)
    assert KEY.encode() not in (tmp_path / "annotations.sqlite").read_bytes()


def test_the_store_says_what_was_asked_of_whom(tmp_path, monkeypatch):
    with Server(lambda number, request: completion(answer_text(request))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/")
        for most in (50, 60):
            annotate(numbers_job(tmp_path, "", rows=3, teacher="m", filters={"max_words": most}))
        assert server.count == 3
    starts = [json.loads(job) for (job,) in query(tmp_path, "SELECT job FROM starts ORDER BY start")]
    terms = [(start["job"]["filters"]["max_words"], start["endpoint"]) for start in starts]
    assert terms == [(50, server.url), (60, server.url)]
    assert starts[0]["rows"] == {"count": 3, "sha256": digest(read_rows(tmp_path / "questions.jsonl"))}
    assert {"python", "limbeck", "openai"} == starts[0]["versions"].keys()
    [(prompt, content)] = query(tmp_path, "SELECT prompt, sent FROM prompts")
    assert query(tmp_path, "SELECT DISTINCT prompt FROM requests") == [(prompt,)]
    # in full: all that was sent before the question, and how it was sampled
    sent, content = server.requests[0].body, json.loads(content)
    assert (content["messages"], content["temperature"]) == (sent["messages"][:-1], sent["temperature"])
