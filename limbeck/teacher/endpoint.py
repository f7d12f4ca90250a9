"""An OpenAI-compatible endpoint as an engine: one question, one request over HTTP, one reply or failure by value.

A server is not trusted: what it sends is bounded in time and size, a redirect is not followed, and where it echoes the key
the key is taken out. Sending again is the runner's business.
"""

import asyncio
import ipaddress
import json
import logging
import os
import re
import ssl
from collections.abc import Iterator, Sequence
from http.cookiejar import DefaultCookiePolicy

import httpx2

from limbeck.errors import LimbeckError
from limbeck.teacher.completion import Redact, line, read_completion, read_error, retry_after
from limbeck.teacher.engine import Failure, Message, Reply
from limbeck.teacher.settings import OPENAI, LimitSettings, SamplingSettings, TeacherSettings, check_url

LARGEST_BODY = 8 * 2**20  # bytes, decompressed
LATER = frozenset({408, 409, 425, 429, *range(500, 600)})  # what the same request may well survive at another time
# Reasons of OpenSSL's for a handshake that no other attempt will mend, besides a certificate that is not trusted:
NO_TLS = re.compile("WRONG_VERSION|HTTP_REQUEST|UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|HANDSHAKE_FAILURE|CERTIFICATE")

logger = logging.getLogger(__name__)
# At DEBUG httpcore2 writes down the headers of replies, and a server may echo a key there, too.
logging.getLogger("httpcore2").setLevel(logging.INFO)


class EndpointEngine:
    """Chat completions of an OpenAI-compatible endpoint, over HTTP/1.1 and connections that are kept.

    Proxies and certificates are taken from the environment (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE), keys from no other place
    than the variable `settings.key`; `.netrc` is not read. A loopback address is asked without a proxy.
    """

    def __init__(self, settings: TeacherSettings, sampling: SamplingSettings, limits: LimitSettings) -> None:
        """
        Raises:
            LimbeckError: a key, URL, proxy or extra field that cannot be sent.
        """
        self._url = _completions_url(settings)
        self._model, self._variable = settings.name, settings.key
        self._seconds = limits.request_seconds
        self._limit = "max_tokens"  # or "max_completion_tokens", as soon as the endpoint insists on it
        self._max_tokens = sampling.max_tokens
        self._body = {"model": settings.name, "temperature": sampling.heat, **sampling.extra}
        if sampling.top_p is not None:
            self._body["top_p"] = sampling.top_p
        try:
            json.dumps(self._body, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise LimbeckError(f"sampling.extra: cannot be sent as JSON ({error})") from None
        key = _key(settings.key)
        self._keyed, self._redact = key is not None, Redact(key)
        # "identity": a reply is small, and what is not compressed cannot burst
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "limbeck",
        }
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        local = _loopback(self._url.host)
        if key is not None and self._url.scheme == "http" and not local:
            logger.warning("the key in %s goes to %s over plain http", settings.key, self._url.host)
        self._client = _client(self._url, limits.concurrency, local)

    async def ask(self, messages: Sequence[Message]) -> Reply | Failure:
        """Send one request (two, if the endpoint insists on `max_completion_tokens` for the first time). See `Engine`."""
        try:
            async with asyncio.timeout(self._seconds):
                limit = self._limit
                status, headers, body = await self._post(messages, limit)
                if status == 400 and limit == "max_tokens" and body is not None and b"max_completion_tokens" in body:
                    self._limit = "max_completion_tokens"
                    status, headers, body = await self._post(messages, self._limit)
        except TimeoutError:
            return Failure("timed out", f"no whole reply within {self._seconds:g} seconds")
        except (httpx2.HTTPError, OSError) as error:  # OSError: an SSLError in mid-connection is not wrapped
            return self._broken(error)
        if body is None:
            kind = "too large" if status < 300 else f"HTTP {status}"
            return Failure(kind, f"a body of more than {LARGEST_BODY} bytes (HTTP {status})", again=status in LATER)
        text = self._redact(body.decode("utf-8-sig", "replace"))
        return read_completion(text, self._redact) if 200 <= status < 300 else self._refused(status, headers, text)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _post(self, messages: Sequence[Message], limit: str) -> tuple[int, httpx2.Headers, bytes | None]:
        """Status, headers and body of the answer to one request; no body: it is larger than `LARGEST_BODY`."""
        content = json.dumps({**self._body, "messages": list(messages), limit: self._max_tokens}).encode()
        request = httpx2.Request("POST", self._url, headers=self._headers, content=content)
        response = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LARGEST_BODY:
                    return response.status_code, response.headers, None
            return response.status_code, response.headers, bytes(body)
        finally:
            await response.aclose()

    def _refused(self, status: int, headers: httpx2.Headers, text: str) -> Failure:
        """What comes of a status that is no success.

        Raises:
            LimbeckError: every other request would get the same.
        """
        said, code = read_error(text, self._redact)
        told = f" ({said})" if said else ""
        if 300 <= status < 400:
            to = self._redact(_target(self._url, headers.get("location", "")))
            raise LimbeckError(
                f"{self._url} redirects to {to}; give that as base_url if you trust it (nothing was sent there)"
            )
        if status in (401, 403):
            state = "is set" if self._keyed else "is not set"
            raise LimbeckError(f"{self._url} refuses the key (HTTP {status}): ${self._variable} {state}{told}")
        if status in (404, 405):
            raise LimbeckError(
                f"no model {self._model!r:.100} at {self._url} (HTTP {status}){told}; see teacher.name and base_url"
            )
        if status == 402 or "insufficient_quota" in code:
            raise LimbeckError(f"{self._url} has no more money for this key (HTTP {status}){told}")
        return Failure(f"HTTP {status}", said or "without a message", status in LATER, retry_after(headers))

    def _broken(self, error: Exception) -> Failure:
        """What comes of a connection that failed.

        Raises:
            LimbeckError: no other attempt will do better, as with a certificate that is not trusted.
        """
        causes = list(_causes(error))
        reason = line(f"{causes[-1] or type(causes[-1]).__name__}", self._redact)
        if isinstance(error, httpx2.ConnectError):
            for cause in causes:
                if isinstance(cause, ssl.SSLCertVerificationError):
                    raise LimbeckError(f"{self._url}: its certificate is not trusted ({cause.verify_message})")
                if isinstance(cause, ssl.SSLError) and NO_TLS.search(cause.reason or ""):
                    raise LimbeckError(f"{self._url}: no TLS connection ({reason}); is it an http:// address?")
            return Failure("no connection", f"{self._url.host}: {reason}")
        return Failure("connection lost", reason)


def _completions_url(settings: TeacherSettings) -> httpx2.URL:
    """Where the questions go."""
    base, where = settings.base_url, "teacher.base_url"
    if base is None and (base := os.environ.get("OPENAI_BASE_URL", "").strip()):
        where = "$OPENAI_BASE_URL"
    try:
        url = httpx2.URL(check_url(base or OPENAI) + "/chat/completions")
        url.host.encode("idna")  # what the resolver does, and fails at with another error
    except (ValueError, httpx2.InvalidURL) as error:
        raise LimbeckError(f"{where}: {error}") from None
    return url


def _key(variable: str) -> str | None:
    """The key in the environment, or None."""
    key = os.environ.get(variable, "").strip()
    if not re.fullmatch("[!-~]*", key):
        raise LimbeckError(f"${variable}: a key has only printable ASCII characters, without spaces")
    return key or None


def _client(url: httpx2.URL, concurrency: int, local: bool) -> httpx2.AsyncClient:
    try:
        client = httpx2.AsyncClient(
            limits=httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
            timeout=None,
            mounts={f"all://{url.netloc.decode()}": None} if local else None,
        )
    except (ValueError, ImportError, OSError) as error:  # a proxy's URL, socks without its package, a certificate file
        raise LimbeckError(f"the environment's proxy or certificates cannot be used: {error}") from None
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))  # an endpoint has no business with cookies
    return client


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _target(url: httpx2.URL, location: str) -> str:
    """Where a redirect leads, for people: without query and password."""
    try:
        target = url.join(location)
        return f"{target.scheme}://{target.host}{':' + str(target.port) if target.port else ''}{target.path}"[:200]
    except (ValueError, httpx2.InvalidURL):
        return "an address that cannot be read"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what it came from, down to the socket."""
    seen = 0
    while error is not None and seen < 10:
        yield error
        error, seen = error.__cause__ or error.__context__, seen + 1
