"""The gate before the application: who may ask, how large and how slow a request may be, and its metrics."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

from limbeck.llm.settings import is_loopback
from limbeck.serving.metrics import Metrics
from limbeck.serving.protocol import ErrorBody, ErrorResponse

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MOST_BYTES = 1_000_000  # of a request's body
_MOST_READ = 64 * MOST_BYTES
POSTED = {"/v1/answers", "/v1/chat/completions"}
OPEN = {"/healthz", "/", "/docs", "/openapi.json"}  # paths that need no token: the pages ask for it


class RefusedError(Exception):
    """A request that is refused before the application sees it."""

    def __init__(self, status: int, message: str, kind: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


def refusal(
    status: int, message: str, kind: str, *, param: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return an error in OpenAI's form."""
    body = ErrorResponse(error=ErrorBody(message=message, type=kind, param=param))
    return JSONResponse(body.model_dump(), status, headers)


class Gate:
    """An ASGI application that hands on what it lets through, with the whole body read."""

    def __init__(self, application: Application, *, token: str | None, seconds: float, metrics: Metrics) -> None:
        """Ask for the bearer `token`; without one, for a loopback host, so that no web page can reach the student."""
        self._application, self._seconds, self._metrics = application, seconds, metrics
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        start, status = time.monotonic(), 500

        async def watched(event: Event) -> None:
            nonlocal status
            status = event.get("status", status)
            await send(event)

        try:
            self._check(scope)
            body: Event = {"type": "http.request", "body": await self._body(receive), "more_body": False}
            await self._hand_on(scope, body, receive, watched)
        except RefusedError as error:
            headers = {"connection": "close"} | ({"www-authenticate": "Bearer"} if error.status == 401 else {})
            await refusal(error.status, str(error), error.kind, headers=headers)(scope, receive, watched)
        finally:
            self._metrics.request(scope["path"], status, time.monotonic() - start)

    async def _hand_on(self, scope: MutableMapping[str, Any], body: Event, receive: Receive, send: Send) -> None:
        """Run the application until it is done or the client is gone, who reads no answer."""
        events, gone = [body], asyncio.ensure_future(receive())

        async def replayed() -> Event:
            return events.pop() if events else await asyncio.shield(gone)

        task = asyncio.ensure_future(self._application(scope, replayed, send))
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise RefusedError(499, "the client is gone", "disconnected")  # nginx's number, for the metrics alone
            task.result()
        finally:
            task.cancel()
            gone.cancel()

    def _check(self, scope: MutableMapping[str, Any]) -> None:
        headers = dict(scope["headers"])
        if self._token is None:
            if not is_loopback(headers.get(b"host", b"").decode("latin-1")):
                raise RefusedError(421, "only this machine's own names are answered without a key", "host")
        elif scope["path"] not in OPEN:
            scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
            if not secrets.compare_digest(token.strip(), self._token) or scheme.lower() != b"bearer":
                raise RefusedError(401, "a wrong key, or none: send `Authorization: Bearer KEY`", "authentication")
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if scope["method"] == "POST" and scope["path"] in POSTED and kind != b"application/json":
            raise RefusedError(415, "send `Content-Type: application/json`", "invalid_request_error")

    async def _body(self, receive: Receive) -> bytes:
        body, size = bytearray(), 0
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        raise RefusedError(400, "the connection was closed", "disconnected")
                    size += len(event.get("body", b""))
                    if size <= MOST_BYTES:
                        body += event.get("body", b"")
                    complete = not event.get("more_body")
                    # read to its end, since a client that is still writing does not read; but not for ever
                    if size > MOST_BYTES and (complete or size > _MOST_READ):
                        raise RefusedError(413, f"a body has at most {MOST_BYTES:,} bytes", "too_large")
                    if complete:
                        return bytes(body)
        except TimeoutError:
            raise RefusedError(408, f"the body took longer than {self._seconds:g} s", "timeout") from None
