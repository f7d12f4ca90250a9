"""A real HTTP server that plays OpenAI's chat completions, well or badly, and writes down what it was asked.

    with Server(lambda number, asked: completion("Why. The answer is (1).")) as server:
        ...  # server.url is a base_url; server.asked has every request

By itself, for measurements: `python -m tests.helpers.servers --latency 0.2 --failing 0.3` prints its base_url and
runs until it is terminated.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import ssl
import struct
import subprocess
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
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
    # closed or reset; garbage: the body without a head; endless: the body over and over, in chunks; dribble: the
    # body, a byte every `PAUSE` seconds; silent: nothing, and the connection stays open
    way: Literal["whole", "cut", "close", "reset", "garbage", "endless", "dribble", "silent"] = "whole"
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
    finish_reason: str | None = "stop",
    usage: Any = (12, 34),
    headers: dict[str, str] | None = None,
    delay: float = 0.0,
) -> Answer:
    """A completion as OpenAI writes it; `usage`: prompt and completion tokens, or what is to stand in their place."""
    if isinstance(usage, tuple):
        usage = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    body = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return Answer(body=json.dumps(body).encode(), headers=headers or {}, delay=delay, paid=True)


def error(status: int, message: str = "no", code: str | None = None, headers: dict[str, str] | None = None) -> Answer:
    """An error as OpenAI writes it."""
    body = {"error": {"message": message, "type": "an_error", "param": None, "code": code}}
    return Answer(status, json.dumps(body).encode(), headers or {})


def in_json(value: Any, status: int = 200) -> Answer:
    """Any JSON value as the body."""
    return Answer(status, json.dumps(value).encode())


def redirect(url: str, status: int = 307) -> Answer:
    """A redirect to another URL."""
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
ENDLESS = Answer(body=b" " * 65536, way="endless")
HUGE = Answer(body=b'{"choices": "' + b"a" * 10 * 2**20 + b'"}')


def explain(asked: Asked) -> str:
    """An answer that names its question."""
    return f"Because of {asked.question[-60:]}. The answer is (1)."


def mixed(
    share: float = 0.3,
    seed: int = 0,
    failures: Sequence[Answer] = (*PASSING.values(),),
    text: Callable[[Asked], str] = explain,
    latency: float = 0.0,
) -> Behave:
    """Fails the given share of requests, in all of the given ways; by seed and number alone."""

    def behave(number: int, asked: Asked) -> Answer:
        draw = random.Random(seed * 1_000_003 + number)
        if draw.random() < share:
            failure = draw.choice(failures)
            return replace(failure, delay=failure.delay + latency)
        return completion(text(asked), delay=latency)

    return behave


def certificate(folder: Path) -> tuple[Path, Path] | None:
    """A self-signed certificate for 127.0.0.1 and its key, made on the spot; None without openssl."""
    files = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(files[0]), "-keyout", str(files[1])]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return files


class Server:
    """The server on a free port of 127.0.0.1, in a thread of its own from `with` to its end."""

    def __init__(self, behave: Behave, *, tls: tuple[Path, Path] | None = None, record: bool = True) -> None:
        """`tls`: certificate and key; `record`: keep every request in `asked`."""
        self.behave = behave  # may be changed at any time
        self.asked: list[Asked] = []
        self.count = 0  # requests that arrived whole
        self.connections = 0  # accepted so far
        self.port = 0
        self._record = record
        self._tls = tls
        self._tasks: set[asyncio.Task] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """The base_url."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    @property
    def paid(self) -> Counter[str]:
        """How often each question was answered by a whole completion."""
        return Counter(asked.question for asked in self.asked if asked.sent and asked.answer and asked.answer.paid)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def start(self, port: int = 0) -> None:
        """Listen, in the loop that runs."""
        context = None
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port, ssl=context, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while (asked := await self._read(reader, writer)) and await self._answer(asked, writer):
                pass
        except (ConnectionError, asyncio.CancelledError, ssl.SSLError):
            pass  # the client went away, or the server is being stopped
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Asked | None:
        """The next request of a connection; None: there is no other."""
        try:
            head = await reader.readexactly(1)
            if not head.isalpha():  # TLS, or whatever
                writer.write(b"HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n")
                return None
            head += await reader.readuntil(b"\r\n\r\n")
            first, *rest = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        except asyncio.IncompleteReadError:
            return None
        method, path, _ = first.split(" ")
        asked = Asked(self.count, method, path, headers, json.loads(body or b"{}"))
        self.count += 1
        if self._record:
            self.asked.append(asked)
        return asked

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection may be used again."""
        answer = asked.answer = self.behave(asked.number, asked)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.way == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if answer.way == "garbage" and self._tls:  # past the encryption
            os.write(writer.get_extra_info("socket").fileno(), answer.body)
            return False
        if answer.way == "silent":
            await asyncio.sleep(3600)
        async for piece in _pieces(answer):
            writer.write(piece)
            await writer.drain()
        asked.sent = answer.way in ("whole", "dribble")
        return answer.way == "whole"


async def _pieces(answer: Answer) -> AsyncIterator[bytes]:
    """The bytes of an answer."""
    if answer.way == "close":
        return
    if answer.way == "garbage":
        yield answer.body
        return
    length = {"Content-Length": str(len(answer.body))} if answer.way != "endless" else {"Transfer-Encoding": "chunked"}
    headers = {"Content-Type": "application/json"} | length | answer.headers
    lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in headers.items()), "\r\n"]
    head = "\r\n".join(lines).encode("latin-1")
    if answer.way == "whole":
        yield head + answer.body
        return
    yield head
    if answer.way == "cut":
        yield answer.body[: len(answer.body) // 2]
    while answer.way == "endless":
        yield b"%x\r\n%b\r\n" % (len(answer.body), answer.body)
    for byte in answer.body if answer.way == "dribble" else b"":
        yield bytes([byte])
        await asyncio.sleep(PAUSE)


async def _main() -> None:
    parser = argparse.ArgumentParser(description="A server for measurements; it prints its base_url.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--failing", type=float, default=0.0, help="the share of requests that fail")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    server = Server(mixed(options.failing, options.seed, latency=options.latency), record=False)
    await server.start(options.port)
    print(server.url, flush=True)
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, done.set)
    await done.wait()
    await server.stop()
    print(f"{server.count} requests over {server.connections} connections", flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
