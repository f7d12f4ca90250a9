"""A real HTTP server that plays OpenAI's chat completions, well or badly, and writes down every request.

`python -m tests.helpers.servers SECONDS` prints the base_url of one with that latency and runs on.
"""

import json
import os
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self


@dataclass(frozen=True)
class Answer:
    """The server's answer to one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0  # seconds before the first byte
    # cut: half of the body, and the connection is closed; reset: nothing, and it is reset; garbage: the body without a
    # head; dribble: a byte every 0.2 seconds; silent: nothing, and the connection stays open
    mode: Literal["whole", "cut", "reset", "garbage", "dribble", "silent"] = "whole"
    paid: bool = False  # it is a completion that somebody pays for


@dataclass
class HttpRequest:
    """A request, and its answer."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: Any  # a JSON value, or a list of those in its lines
    answer: Answer = Answer()
    sent: bool = False  # all of the answer was handed to the operating system

    @property
    def question(self) -> str:
        """The last user's turn."""
        return self.body["messages"][-1]["content"]


Behave = Callable[[int, HttpRequest], Answer]  # the request's number from 0, in the order of arrival, and the request


def completion(
    text: Any = "Because. The answer is (1).", *, finish_reason: Any = "stop", usage: Any = (12, 34), delay: float = 0.0
) -> Answer:
    """Return a completion as OpenAI writes it; `usage`: two counts of tokens, or any value."""
    if isinstance(usage, tuple):
        usage = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    body = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return Answer(body=json.dumps(body).encode(), delay=delay, paid=True)


def error(status: int, message: str = "no", code: str | None = None, headers: dict[str, str] | None = None) -> Answer:
    """Return an error as OpenAI writes it."""
    body = {"error": {"message": message, "type": "an_error", "param": None, "code": code}}
    return Answer(status, json.dumps(body).encode(), headers or {})


def redirect(url: str) -> Answer:
    return Answer(307, headers={"Location": url})


# Ways to fail that another attempt may mend. "silent" and "dribble" end only with the client's time limit.
PASSING: dict[str, Answer] = {
    "429": error(429, "slow down", "rate_limit_exceeded"),
    "429 with a wait": error(429, "slow down", "rate_limit_exceeded", {"Retry-After": "0.01"}),
    "503": Answer(503, b"<html>busy</html>"),
    "cut": replace(completion(), mode="cut", paid=False),
    "reset": Answer(mode="reset"),
    "garbage": Answer(body=b"\x16\x03\x01 what is this\r\n\r\n", mode="garbage"),
    "not JSON": Answer(body=b'{"choices": [{"mess'),
    "null": replace(completion(None), paid=False),
    "blank": replace(completion(" \n"), paid=False),
}
HANGING = {"silent": Answer(mode="silent"), "dribble": replace(completion(), mode="dribble", paid=False)}


def explain(request: HttpRequest) -> str:
    return f"Because of {request.question[-60:]}. The answer is (1)."


def mixed(
    share: float = 0.3,
    seed: int = 0,
    *,
    failures: Sequence[Answer] = tuple(PASSING.values()),
    text: Callable[[HttpRequest], str] = explain,
    latency: float = 0.0,
) -> Behave:
    """Return a behaviour that fails a share of the requests in these ways, by seed and number alone."""

    def behave(number: int, request: HttpRequest) -> Answer:
        draw = random.Random(seed * 1_000_003 + number)
        answer = draw.choice(failures) if draw.random() < share else completion(text(request))
        return replace(answer, delay=latency)

    return behave


class Server(ThreadingHTTPServer):
    """The server on a free port of 127.0.0.1, in threads from `with` to its end."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, behave: Behave) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behave = behave  # may be changed at any time
        self.requests: list[HttpRequest] = []  # those that arrived whole
        self.connections: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.lock = threading.Lock()
        self.stopped = threading.Event()

    @property
    def count(self) -> int:
        return len(self.requests)

    @property
    def paid(self) -> Counter[str]:
        """Count how often each question was answered by a whole completion."""
        return Counter(request.question for request in self.requests if request.sent and request.answer.paid)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.shutdown()
        self.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address


class _Handler(BaseHTTPRequestHandler):
    """The answers to the requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        with suppress(OSError, ValueError):  # the client went away, or the server is being stopped
            super().handle()

    def do_POST(self) -> None:
        lines = self.rfile.read(int(self.headers.get("Content-Length", 0))).splitlines() or [b"{}"]
        body = json.loads(lines[0]) if len(lines) == 1 else [json.loads(line) for line in lines]
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = HttpRequest(self.command, self.path, headers, body)
        with self.server.lock:
            self.server.requests.append(request)
            answer = request.answer = self.server.behave(self.server.count - 1, request)
        time.sleep(answer.delay)
        self.close_connection = answer.mode != "whole"
        headers = {"Content-Type": "application/json", "Content-Length": str(len(answer.body))} | answer.headers
        lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in headers.items()), "\r\n"]
        head = b"" if answer.mode == "garbage" else "\r\n".join(lines).encode("latin-1")
        match answer.mode:
            case "whole" | "garbage":
                self.wfile.write(head + answer.body)
                request.sent = True
            case "cut":
                self.wfile.write(head + answer.body[: len(answer.body) // 2])
            case "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())
            case "silent":
                self.server.stopped.wait()
            case "dribble":
                self.wfile.write(head)
                for byte in answer.body:
                    self.wfile.write(bytes([byte]))
                    self.server.stopped.wait(0.2)

    def do_GET(self) -> None:  # of the Hub
        self.do_POST()

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    measured = Server(mixed(0, latency=float(sys.argv[1])))
    print(measured.url, flush=True)
    measured.serve_forever()
