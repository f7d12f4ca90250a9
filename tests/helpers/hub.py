"""A Hub on this machine: what an upload sends is written down, and names make it refuse."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.servers import Answer, HttpRequest, Server

TOKEN = "hf_thisIsASecretOfTheTests"

Requests = list[tuple[str, Any, str | None]]  # path, body, and the header Authorization

# A request's ending and a repository's name, and what comes back.
REFUSALS: dict[tuple[str, str], tuple[int, str]] = {
    ("create", "unauthorised"): (401, "Invalid username or password."),
    ("create", "forbidden"): (403, "You don't have the rights to create a dataset under this namespace"),
    ("create", "broken"): (500, "Internal error"),
    ("create", "echo"): (400, f"no such token: Bearer {TOKEN}"),
    ("commit/main", "full"): (413, "Too\nlarge"),
    ("commit/main", "late"): (401, "expired"),
    ("create", "other"): (200, "<html>no Hub at all</html>"),
}
# Repositories that are there already: whether private, and the files in them.
THERE: dict[str, tuple[bool, list[str]]] = {
    "there": (True, [".gitattributes", "model.safetensors"]),
    "empty": (True, [".gitattributes"]),
    "open": (False, [".gitattributes"]),
}


def _posted(request: HttpRequest, requests: Requests) -> tuple[int, Any]:
    """Return status and answer of one of the steps of an upload."""
    lines = request.body if isinstance(request.body, list) else [request.body]
    body, is_commit = lines[0], request.path.endswith("/commit/main")
    requests.append((request.path, lines if is_commit else body, request.headers["authorization"]))
    for (ending, name), (status, message) in REFUSALS.items():
        if request.path.endswith(f"/{ending}") and (f"/{name}/" in request.path or body.get("name") == name):
            return status, message if status == 200 else {"error": message}
    url = f"http://{request.headers['host']}"
    if request.path == "/api/repos/create":
        below = "datasets/" if body["type"] == "dataset" else ""
        return 409 if body["name"] in THERE else 200, {"url": f"{url}/{below}me/{body['name']}"}
    if "/preupload/" in request.path:
        files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in body["files"]]
        return 200, {"files": files}
    return 200, {"warnings": [], "errors": [], "commitUrl": f"{url}/me/x/commit/0", "commitOid": "0" * 40}


def _contents(path: str, requests: Requests) -> tuple[int, Any]:
    """Return status and contents of a repository; also asked for where creating was refused."""
    owner, name = [*path.split("/"), "", "", ""][3:5]
    created = {body["name"]: body for path, body, _ in requests if path == "/api/repos/create"}
    if name not in THERE and (name not in created or ("create", name) in REFUSALS):
        return 404, {}
    private, files = THERE.get(name) or (created[name]["visibility"] == "private", [".gitattributes"])
    return 200, {"id": f"{owner}/{name}", "private": private, "siblings": [{"rfilename": file} for file in files]}


@contextmanager
def running() -> Iterator[tuple[str, Requests]]:
    """Run the server, and yield its address and the list of every request that arrives."""
    requests: Requests = []

    def behave(_number: int, request: HttpRequest) -> Answer:
        is_get = request.method == "GET"
        status, value = _contents(request.path, requests) if is_get else _posted(request, requests)
        return Answer(status, (value if isinstance(value, str) else json.dumps(value)).encode())

    with Server(behave) as server:
        yield server.url.removesuffix("/v1"), requests


def run_beside(endpoint: str, code: str, arguments: Any, folder: Path) -> Any:
    """Return the JSON that `code` prints in a process beside this Hub; its arguments are on its standard input."""
    changes = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint, "HF_TOKEN": TOKEN, "NO_PROXY": "127.0.0.1"}
    changes |= {"HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    options = {"input": json.dumps(arguments), "env": os.environ | changes, "cwd": folder, "timeout": 240}
    process = subprocess.run([sys.executable, "-c", code], **options, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert TOKEN not in process.stdout + process.stderr
    return json.loads(process.stdout)


def files_of(requests: Requests, name: str, kind: str = "dataset") -> dict[str, bytes]:
    """Return the files of the one commit to a repository."""
    ((_, *files),) = [body for path, body, _ in requests if path == f"/api/{kind}s/me/{name}/commit/main"]
    return {file["value"]["path"]: base64.b64decode(file["value"]["content"]) for file in files}
