"""A tiny student behind a real server, in a thread or in a process of its own."""

import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from limbeck.runs import train
from limbeck.runs.evaluation import open_trained
from limbeck.serving.app import Service, ServingOptions
from limbeck.serving.server import open_server
from tests.runs.recipes import tiny


@dataclass
class Served:
    """A running server; without a `process` it is a thread of this one."""

    url: str
    process: subprocess.Popen | None = None
    log: Path | None = None

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def ask(self, **body):
        return httpx2.post(f"{self.url}/v1/answers", json=body, timeout=60)

    def get(self, path, **headers):
        return httpx2.get(f"{self.url}{path}", headers=headers)


@contextmanager
def serving(trained, teacher=None, **options):
    """Serve an open student from a thread."""
    server, listener = open_server(Service(trained, "dss", ServingOptions(**options), teacher=teacher), "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def process(run: Path, log: Path, *words: str):
    """Serve a run by `limbeck serve` at a free port; end it if it runs yet."""
    with log.open("w") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "limbeck", "serve", str(run), "--port", "0", *words], stderr=output
        )
    try:
        while not (address := re.search(r"answers at (\S+)", log.read_text())):
            assert child.poll() is None, log.read_text()
        yield Served(address[1], child, log)
    finally:
        child.kill()
        child.wait()


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """A finished run that writes rationales, which no test changes."""
    return train(tiny(), tmp_path_factory.mktemp("runs") / "dss").path


@pytest.fixture(scope="session")
def trained(run):
    return open_trained(run, {})


@pytest.fixture(scope="session")
def served(trained):
    with serving(trained) as server:
        yield server
