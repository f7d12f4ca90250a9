"""A real HTTP server that plays OpenAI's chat completions, well or badly, and writes down what it was asked.

    with Server(lambda number, asked: completion("Why. The answer is (1).")) as server:
        ...  # server.url is a base_url; server.asked has every request

By itself, for measurements: `python -m tests.helpers.servers --latency 0.2` prints its base_url and runs until it is
terminated.
"""

import argparse
import json
import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self

PAUSE = 0.2


@dataclass(frozen=True)
class Answer:
    """What the server does with one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0  # seconds before the first byte
    # whole: as HTTP has it; cut: half of the body, and the connection is closed; close, reset: nothing, and it is
    # closed or reset; garbage: the body without a head; dribble: a byte of the body every `PAUSE` seconds; silent:
    # nothing, and the connection stays open
    way: Literal["whole", "cut", "close", "reset", "garbage", "dribble", "silent"] = "whole"
    paid: bool = False  # it is a completion that somebody pays for


@dataclass
class Asked:
    """A request, and what was done with it."""

    number: int  # from 0, in the order of arrival
    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: dict[str, Any]
    answer: Answer | None = None
    sent: bool = False  # all of the answer was handed to the operating system

    @property
    def question(self) -> str:
        """The last user's turn."""
        return self.body["messages"][-1]["content"]


Behave = Callable[[int, Asked], Answer]  # the request's number and the request


def completion(
    text: Any = "Because. The answer is (1).",
    *,
    finish_reason: str | None = "stop",
    usage: Any = (12, 34),
    headers: dict[str, str] | None = None,
    delay: float = 0.0,
) -> Answer:
    """Return a completion as OpenAI writes it; `usage`: two counts of tokens, or any value."""
    if isinstance(usage, tuple):
        usage = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    body = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return Answer(body=json.dumps(body).encode(), headers=headers or {}, delay=delay, paid=True)


def error(status: int, message: str = "no", code: str | None = None, headers: dict[str, str] | None = None) -> Answer:
    """Return an error as OpenAI writes it."""
    body = {"error": {"message": message, "type": "an_error", "param": None, "code": code}}
    return Answer(status, json.dumps(body).encode(), headers or {})


def in_json(value: Any, status: int = 200) -> Answer:
    """Return any JSON value as the body."""
    return Answer(status, json.dumps(value).encode())


def redirect(url: str, status: int = 307) -> Answer:
    """Return a redirect to another URL."""
    return Answer(status, headers={"Location": url})


# Ways to fail that another attempt may mend. "silent" and "dribble" end only with the client's time limit.
PASSING: dict[str, Answer] = {
    "429": error(429, "slow down", "rate_limit_exceeded"),
    "429 with a wait": error(429, "slow down", "rate_limit_exceeded", {"Retry-After": "0.01"}),
    "500": error(500, "oops"),
    "503": Answer(503, b"<html>busy</html>"),
    "cut": replace(completion(), way="cut", paid=False),
    "close": Answer(way="close"),
    "reset": Answer(way="reset"),
    "garbage": Answer(body=b"\x16\x03\x01 what is this\r\n\r\n", way="garbage"),
    "not JSON": Answer(body=b'{"choices": [{"mess'),
    "no choices": in_json({"choices": []}),
    "null": replace(completion(None), paid=False),
    "blank": replace(completion(" \n"), paid=False),
}
HANGING: dict[str, Answer] = {
    "silent": Answer(way="silent"),
    "dribble": replace(completion(), way="dribble", paid=False),
}


def explain(asked: Asked) -> str:
    """Return a text that names its question."""
    return f"Because of {asked.question[-60:]}. The answer is (1)."


def mixed(
    share: float = 0.3,
    seed: int = 0,
    *,
    failures: Sequence[Answer] = (*PASSING.values(),),
    text: Callable[[Asked], str] = explain,
    latency: float = 0.0,
) -> Behave:
    """Fail the given share of requests, in all of the given ways; by seed and number alone."""

    def behave(number: int, asked: Asked) -> Answer:
        draw = random.Random(seed * 1_000_003 + number)
        if draw.random() < share:
            return replace(draw.choice(failures), delay=latency)
        return completion(text(asked), delay=latency)

    return behave


def certificate(folder: Path) -> tuple[Path, Path] | None:
    """Make a self-signed certificate for 127.0.0.1 and its key; None without openssl."""
    files = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(files[0]), "-keyout", str(files[1])]
    if shutil.which("openssl") is None:
        return None
    subprocess.run(command, check=True, capture_output=True)
    return files


class Server(ThreadingHTTPServer):
    """The server on a free port of 127.0.0.1, in threads from `with` to its end."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, behave: Behave, *, tls: tuple[Path, Path] | None = None, port: int = 0) -> None:
        """`tls`: certificate and key."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.behave = behave  # may be changed at any time
        self.asked: list[Asked] = []
        self.connections = 0  # accepted so far
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}/v1"
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self._open: list[socket.socket] = []
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def count(self) -> int:
        """The number of requests that arrived whole."""
        return len(self.asked)

    @property
    def paid(self) -> Counter[str]:
        """Count how often each question was answered by a whole completion."""
        return Counter(asked.question for asked in self.asked if asked.sent and asked.answer and asked.answer.paid)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.shutdown()
        self.server_close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        self._open.append(connection)
        return connection, address


class _Handler(BaseHTTPRequestHandler):
    """The answers to the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def handle(self) -> None:
        with suppress(OSError, ValueError):  # the client went away, or the server is being stopped
            super().handle()

    def handle_one_request(self) -> None:
        if self.rfile.peek(1)[:1].isalpha():
            super().handle_one_request()
        else:  # the end, or TLS
            self.wfile.write(b"HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n")
            self.close_connection = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.lock:
            asked = Asked(self.server.count, self.command, self.path, headers, body)
            self.server.asked.append(asked)
            answer = asked.answer = self.server.behave(asked.number, asked)
        time.sleep(answer.delay)
        self.close_connection = answer.way != "whole"
        if answer.way == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
        elif answer.way == "garbage":
            os.write(self.connection.fileno(), answer.body)  # past the encryption, if there is any
        elif answer.way == "silent":
            self.server.stopped.wait()
        elif answer.way == "dribble":
            self.wfile.write(_head(answer))
            for byte in answer.body:
                self.wfile.write(bytes([byte]))
                self.server.stopped.wait(PAUSE)
        elif answer.way != "close":
            size = len(answer.body) // 2 if answer.way == "cut" else len(answer.body)
            self.wfile.write(_head(answer) + answer.body[:size])
            asked.sent = answer.way == "whole"

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _head(answer: Answer) -> bytes:
    headers = {"Content-Type": "application/json", "Content-Length": str(len(answer.body))} | answer.headers
    lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in headers.items()), "\r\n"]
    return "\r\n".join(lines).encode("latin-1")


def _main() -> None:
    parser = argparse.ArgumentParser(description="A server for measurements; it prints its base_url.")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--failing", type=float, default=0.0, help="the share of requests that fail")
    options = parser.parse_args()
    server = Server(mixed(options.failing, latency=options.latency))
    print(server.url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _main()
