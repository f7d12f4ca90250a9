"""A model in the Hub's cache where the Hub does not answer."""

import os
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from tests.helpers import builders

REVISION = "c0ffee" + "0" * 34
LOAD = """
from limbeck.hub import cached_revision
from limbeck.models import StudentSettings
from limbeck.models.loading import load
student = load(StudentSettings(name="me/tiny"), [])
print(student.model.num_parameters(), cached_revision("me/tiny"))
"""


@pytest.mark.slow
def test_a_cached_model_is_loaded_after_one_question(tmp_path):
    model = builders.t5(tmp_path / "model")
    cache = tmp_path / "hub" / "models--me--tiny"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(REVISION)
    shutil.copytree(model, cache / "snapshots" / REVISION)
    connections = []

    def accept(listener):
        while True:
            try:
                connections.append(listener.accept()[0])
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
        command = [sys.executable, "-c", LOAD]
        done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
        listener.shutdown(socket.SHUT_RDWR)
    for connection in connections:
        connection.close()
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == REVISION
    assert REVISION in done.stderr
    assert "Retrying" not in done.stderr
    assert 1 <= len(connections) <= 2
