"""A Hub on this machine: what an upload sends is written down, and names make it refuse."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

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


class Hub(BaseHTTPRequestHandler):
    """The endpoints that an upload goes through."""

    protocol_version = "HTTP/1.1"
    requests: Requests

    def do_POST(self) -> None:
        lines = [json.loads(line) for line in self.rfile.read(int(self.headers["Content-Length"])).splitlines()]
        body, is_commit = lines[0], self.path.endswith("/commit/main")
        self.requests.append((self.path, lines if is_commit else body, self.headers["Authorization"]))
        for (ending, name), (status, message) in REFUSALS.items():
            if self.path.endswith(f"/{ending}") and (f"/{name}/" in self.path or body.get("name") == name):
                return self.answer(message if status == 200 else {"error": message}, status)
        url = f"http://{self.headers['Host']}"
        if self.path == "/api/repos/create":
            below = "datasets/" if body["type"] == "dataset" else ""
            return self.answer({"url": f"{url}/{below}me/{body['name']}"}, 409 if body["name"] in THERE else 200)
        if "/preupload/" in self.path:
            files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in body["files"]]
            return self.answer({"files": files})
        return self.answer({"warnings": [], "errors": [], "commitUrl": f"{url}/me/x/commit/0", "commitOid": "0" * 40})

    def do_GET(self) -> None:
        """Say what there is of a repository; also asked for where creating was refused."""
        owner, name = [*self.path.split("/"), "", "", ""][3:5]
        created = {body["name"]: body for path, body, _ in self.requests if path == "/api/repos/create"}
        if name not in THERE and (name not in created or ("create", name) in REFUSALS):
            return self.answer({}, 404)
        private, files = THERE.get(name) or (created[name]["visibility"] == "private", [".gitattributes"])
        siblings = [{"rfilename": file} for file in files]
        return self.answer({"id": f"{owner}/{name}", "private": private, "siblings": siblings})

    def answer(self, value: Any, status: int = 200) -> None:
        body = (value if isinstance(value, str) else json.dumps(value)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def running() -> Iterator[tuple[str, Requests]]:
    """Run the server, and yield its address and the list of every request that arrives."""
    requests: Requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Hub,), {"requests": requests})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", requests
        server.shutdown()


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
