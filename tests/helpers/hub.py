"""A Hub on this machine: what an upload sends is written down, and names make it refuse.

with running() as (endpoint, seen):
    ...  # a process with `environment(endpoint, home)` uploads; `seen` has every request
"""

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "hf_thisIsASecretOfTheTests"

# Options of a verb that uploads, what is typed when it asks, and whether what goes there is private; None: nothing does
CONSENT: list[tuple[list[str], str, bool | None]] = [
    ([], "y\n", True),
    (["--public"], "y\n", False),
    ([], "n\n", None),
    ([], "\n", None),
    ([], "", None),
    (["--yes"], "", True),
    (["--yes", "--public"], "", False),
]

Seen = list[tuple[str, Any, str | None]]  # path, body, and the header Authorization

# The server answers by the repository's name: a request's ending and a name that ends so, and what comes back.
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
    seen: Seen

    def do_POST(self) -> None:
        lines = self.rfile.read(int(self.headers["Content-Length"])).splitlines()
        body, *rest = map(json.loads, lines)
        content = [body, *rest] if self.path.endswith("/commit/main") else body
        self.seen.append((self.path, content, self.headers["Authorization"]))
        for (ending, name), (status, message) in REFUSALS.items():
            if self.path.endswith(f"/{ending}") and (f"/{name}/" in self.path or body.get("name") == name):
                return self.answer(message if status == 200 else {"error": message}, status)
        url = f"http://{self.headers['Host']}"
        if self.path == "/api/repos/create":
            below = "datasets/" if body["type"] == "dataset" else ""
            return self.answer({"url": f"{url}/{below}me/{body['name']}"}, 409 if body["name"] in THERE else 200)
        if self.path == "/api/validate-yaml" and "license: nonsense" in body["content"]:
            return self.answer({"errors": [{"message": '"license" must be one of many'}]}, 400)
        if "/preupload/" in self.path:
            files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in body["files"]]
            return self.answer({"files": files})
        return self.answer({"warnings": [], "errors": [], "commitUrl": f"{url}/me/x/commit/0", "commitOid": "0" * 40})

    def do_GET(self) -> None:  # what there is of a repository; also asked for where creating was refused
        owner, name = [*self.path.split("/"), "", "", ""][3:5]
        created = {body["name"]: body for path, body, _ in self.seen if path == "/api/repos/create"}
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
def running() -> Iterator[tuple[str, Seen]]:
    """Run the server, and yield its address and the list of every request that arrives."""
    seen: Seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Hub,), {"seen": seen})) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


def environment(endpoint: str, home: Path) -> dict[str, str]:
    """Return the environment of a process that meets this Hub and no other: its library reads it at import."""
    return {
        **os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint, "HF_TOKEN": TOKEN, "NO_PROXY": "127.0.0.1",
        "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip


def files_of(seen: Seen, name: str, kind: str = "dataset") -> dict[str, bytes]:
    """Return the files of the one commit to a repository."""
    ((_, *files),) = [body for path, body, _ in seen if path == f"/api/{kind}s/me/{name}/commit/main"]
    return {file["value"]["path"]: base64.b64decode(file["value"]["content"]) for file in files}
