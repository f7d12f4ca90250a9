"""A model in the Hub's cache where the Hub cannot be reached."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from tests import builders

REVISION = "c0ffee" + "0" * 34
LOAD = """
from limbeck import models
from limbeck.hub import cached_revision
student = models.load(models.StudentSettings(name="me/tiny"), [])
print(student.model.num_parameters(), cached_revision("me/tiny"))
"""


@contextmanager
def unreachable(failure):
    """Yield a port of this machine where nobody listens, or somebody who never answers, and the connections to it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        connections = []

        def accept():
            while True:
                try:
                    connections.append(listener.accept()[0])
                except OSError:
                    return

        if failure == "silent":
            listener.listen()
            threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], connections
        if failure == "silent":
            listener.shutdown(socket.SHUT_RDWR)
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("failure", ["refused", "silent"])
def test_a_cached_model_is_loaded_after_one_question(failure, tmp_path):
    model = builders.t5(tmp_path / "model")
    cache = tmp_path / "hub" / "models--me--tiny"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(REVISION)
    shutil.copytree(model, cache / "snapshots" / REVISION)
    with unreachable(failure) as (port, connections):
        settings = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HUB_OFFLINE": "0"}
        environment = {**os.environ, **settings, "NO_PROXY": "127.0.0.1"}
        done = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == REVISION
    assert REVISION in done.stderr
    assert "Retrying" not in done.stderr
    assert len(connections) <= 2
