"""A Hub on this machine: what an upload sends is written down, and names make it refuse.

with running() as (endpoint, seen):
    ...  # a process with `environment(endpoint, home)` uploads; `seen` has every request
"""

import base64
import hashlib
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

Seen = list[tuple[str, Any, str | None]]  # path, body, and what the header Authorization says

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
PLURAL = {"dataset": "datasets", "model": "models"}


class Hub(BaseHTTPRequestHandler):
    """The endpoints that an upload goes through."""

    protocol_version = "HTTP/1.1"
    seen: Seen

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        whole = [json.loads(line) for line in content.splitlines()]
        self.seen.append(
            (self.path, whole if self.path.endswith("/commit/main") else whole[0], self.headers["Authorization"])
        )
        for (ending, name), (status, says) in REFUSALS.items():
            if self.path.endswith(f"/{ending}") and (f"/{name}/" in self.path or whole[0].get("name") == name):
                return self.answer(status, says if status == 200 else json.dumps({"error": says}))
        url = f"http://{self.headers['Host']}"
        if self.path == "/api/repos/create":
            below = "datasets/" if whole[0]["type"] == "dataset" else ""
            status = 409 if whole[0]["name"] in THERE else 200
            return self.answer(status, json.dumps({"url": f"{url}/{below}me/{whole[0]['name']}"}))
        if self.path == "/api/validate-yaml":
            if "license: nonsense" in whole[0]["content"]:
                return self.answer(400, json.dumps({"errors": [{"message": '"license" must be one of many'}]}))
            return self.answer(200, json.dumps({"warnings": [], "errors": []}))
        if "/preupload/" in self.path:  # weights go by LFS, as they do there
            files = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular"}
                for f in whole[0]["files"]
            ]
            return self.answer(200, json.dumps({"files": [{**file, "shouldIgnore": False} for file in files]}))
        if self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{url}/store/{one['oid']}"}}} for one in whole[0]["objects"]
            ]
            return self.answer(200, json.dumps({"transfer": "basic", "objects": objects}))
        return self.answer(200, json.dumps({"commitUrl": f"{url}/me/x/commit/0", "commitOid": "0" * 40}))

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, content, self.headers["Authorization"]))
        self.answer(200, "")

    def do_GET(self) -> None:  # what there is of a repository; also asked for where creating was refused
        owner, name = [*self.path.split("/"), "", "", ""][3:5]
        created = {body["name"]: body for path, body, _ in self.seen if path == "/api/repos/create"}
        if name not in THERE and (name not in created or ("create", name) in REFUSALS):
            return self.answer(404, "{}")
        private, files = THERE.get(name) or (created[name]["visibility"] == "private", [".gitattributes"])
        found = {"id": f"{owner}/{name}", "private": private, "siblings": [{"rfilename": file} for file in files]}
        return self.answer(200, json.dumps(found))

    def answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def running() -> Iterator[tuple[str, Seen]]:
    """The server's address, and every request that arrives."""
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
    """What a process needs to meet this Hub and no other: its library reads its settings when it is imported."""
    return {
        **os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint, "HF_TOKEN": TOKEN, "NO_PROXY": "127.0.0.1",
        "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip


def files_of(seen: Seen, name: str, kind: str = "dataset") -> dict[str, bytes]:
    """The files of the one commit to a repository, those that went by LFS among them."""
    path = f"/api/{PLURAL[kind]}/me/{name}/commit/main"
    ((header, *parts),) = [body for asked, body, _ in seen if asked == path]
    assert header["key"] == "header"
    files = {}
    for part in parts:
        if part["key"] == "file":
            files[part["value"]["path"]] = base64.b64decode(part["value"]["content"])
        else:
            assert part["key"] == "lfsFile"
            content = next(body for asked, body, _ in seen if asked == f"/store/{part['value']['oid']}")
            assert hashlib.sha256(content).hexdigest() == part["value"]["oid"]
            files[part["value"]["path"]] = content
    return files
