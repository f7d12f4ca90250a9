"""Engines on Ray: a Ray of the tests' own, with workers in processes of their own."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from limbeck.errors import LimbeckError
from limbeck.teacher.cluster import ClusterEngine
from limbeck.teacher.engine import Failure, Reply
from limbeck.teacher.local import LocalEngine
from limbeck.teacher.settings import SamplingSettings, TeacherSettings
from limbeck.teaching.job import Job
from limbeck.teaching.run import teach
from tests.chat_models import random_model
from tests.processes import Process, nobody
from tests.servers import Server, mixed

ray = pytest.importorskip("ray", reason="limbeck[ray] is not installed")
ROOT = Path(__file__).parents[2]


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture(scope="module")
def processes() -> Iterator[ClusterEngine]:
    """Two workers on a Ray that this engine has started; the other engines of this file join it."""
    assert not ray.is_initialized()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEACHER_KEY", "sk-of-the-environment")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))  # tests.processes
        engine = ClusterEngine(TeacherSettings(name="none", workers=2), Process)
        assert ray.is_initialized()
        yield engine
        asyncio.run(engine.close())
    assert not ray.is_initialized()


async def pids(engine: ClusterEngine, asks: int) -> Counter[int]:
    replies = await asyncio.gather(*(engine.ask(user("who?")) for _ in range(asks)))
    assert all(isinstance(reply, Reply) for reply in replies)
    return Counter(int(reply.text.split()[0]) for reply in replies)


def test_what_cannot_be_connected_to(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(LimbeckError, match=r"^RAY_ADDRESS=127\.0\.0\.1:\d+: no Ray cluster answers there: "):
        ClusterEngine(TeacherSettings(name="none", workers=1), Process)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LimbeckError, match=r"pip install 'limbeck\[ray\]'"):
        ClusterEngine(TeacherSettings(name="none", workers=1), Process)


def test_requests_are_spread_and_keys_come_from_the_environment(processes):
    assert sorted((asyncio.run(pids(processes, 20))).values()) == [10, 10]
    assert asyncio.run(processes.ask(user("who?"))).text.endswith(" sk-of-the-environment")


def test_a_killed_worker_is_a_failure_and_comes_back(processes):
    async def kill_one():
        before = await pids(processes, 4)
        waiting = [asyncio.ensure_future(processes.ask(user("wait"))) for _ in range(4)]
        await asyncio.sleep(0.5)
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        failed, unanswered = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        while len(failed) < 2:
            failed, unanswered = await asyncio.wait(waiting, timeout=0.5)
        assert len(failed) == len(unanswered) == 2  # the other worker's are still waited for
        for one in unanswered:
            one.cancel()
        return killed, before, [one.result() for one in failed], await pids(processes, 20)

    killed, before, failures, after = asyncio.run(kill_one())
    assert {(one.kind, one.again) for one in failures} == {("worker died", True)}
    assert len(after) == 2 and killed not in after and set(before) & set(after)


def test_who_gives_up_is_no_longer_worked_for(processes, tmp_path):
    async def give_up():
        request = asyncio.ensure_future(processes.ask(user(f"wait {tmp_path / 'note'}")))
        await asyncio.sleep(0.5)
        request.cancel()
        for _ in range(100):
            if (tmp_path / "note").is_file():
                return (tmp_path / "note").read_text()
            await asyncio.sleep(0.1)
        return None

    assert asyncio.run(give_up()) == "given up"


def test_a_fault_of_the_engine_is_not_hidden(processes):
    before = asyncio.run(pids(processes, 4))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(processes.ask(user("fault")))
    assert set(asyncio.run(pids(processes, 4))) == set(before)


def test_closing_ends_every_wait_and_not_a_ray_that_others_use(processes):
    async def close():
        engine = ClusterEngine(TeacherSettings(name="none", workers=1), Process)
        await pids(engine, 1)
        waiting = [asyncio.ensure_future(engine.ask(user("wait"))) for _ in range(3)]
        await asyncio.sleep(0.2)
        await engine.close()
        return await asyncio.wait_for(asyncio.gather(*waiting, engine.ask(user("late"))), 30)

    answers = asyncio.run(close())
    assert [answer.kind for answer in answers] == ["closed"] * 4
    assert ray.is_initialized()


def test_local_models_answer_as_one_would(processes, model):
    settings = TeacherSettings(name=str(model), engine="local", workers=2, batch_size=4)
    sampling = SamplingSettings(max_tokens=12)
    questions = [user(f"What is {number} + {number}?") for number in range(24)]

    async def answers(engine):
        replies = await asyncio.gather(*(engine.ask(question) for question in questions))
        await engine.close()
        return [(type(reply), reply.raw) for reply in replies]

    spread = asyncio.run(answers(ClusterEngine(settings, partial(LocalEngine, settings, sampling))))
    assert spread == asyncio.run(answers(LocalEngine(settings, sampling)))
    assert {kind for kind, _ in spread} == {Reply, Failure}


def test_an_error_of_a_worker_is_the_same_here(processes):
    async def ask():
        engine = ClusterEngine(TeacherSettings(name="none", workers=1), nobody)
        try:
            return await engine.ask(user("x"))
        finally:
            await engine.close()

    with pytest.raises(LimbeckError, match=r"^nobody\.yaml: no such teacher$"):
        asyncio.run(ask())


def test_a_whole_job_over_two_workers_asks_every_row_once(processes, tmp_path):
    rows = [{"input": f"question {i}", "label": "1"} for i in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with Server(mixed(0.2, seed=1)) as server:
        teacher = {"name": "m", "base_url": server.url, "workers": 2}
        values = {"rows": tmp_path / "rows.jsonl", "teacher": teacher, "store": tmp_path / "teach.sqlite"}
        done = teach(Job.parse({**values, "limits": {"attempts": 20}}, "test"))
        assert (done["stored"], done["missing"]) == (60, 0)
        assert server.paid == Counter(f"question {i}" for i in range(60))
        assert server.connections >= 2
        assert len(server.asked) == done["requests"] == 60 + sum(done["failures"].values())
