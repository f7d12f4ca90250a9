"""An OpenAI-compatible endpoint as an engine: one question, one request over HTTP, one reply or failure by value.

No server is trusted: what it sends is bounded in time and size, redirects are not followed, and a key that it echoes is
taken out. Sending again is the runner's business.
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
from limbeck.llm.completion import Redact, line, read_completion, read_error, retry_after
from limbeck.llm.engine import FORBIDDEN, Failure, Message, Reply
from limbeck.llm.settings import OPENAI, LimitSettings, SamplingSettings, TeacherSettings, check_url

LARGEST_BODY = 8 * 2**20  # bytes, decompressed
LATER = frozenset({408, 409, 425, 429, *range(500, 600)})  # what the same request may well survive at another time
# Reasons of OpenSSL's for a handshake that no other attempt will mend, besides a certificate that is not trusted:
NO_TLS = re.compile("WRONG_VERSION|HTTP_REQUEST|UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|HANDSHAKE_FAILURE|CERTIFICATE")
POOL = 16  # connections of one client: for each request httpcore2 walks over all those of its pool

logger = logging.getLogger(__name__)
# At DEBUG httpcore2 writes down the headers of replies, and a server may echo the key there, too.
logging.getLogger("httpcore2").setLevel(logging.INFO)


class EndpointEngine:
    """Chat completions of an OpenAI-compatible endpoint, over HTTP/1.1 on connections that are kept.

    Proxies and trusted certificates come from the environment (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE), the key from the
    variable `settings.key` and nowhere else: `.netrc` is not read. A loopback address is asked without a proxy.
    """

    def __init__(self, settings: TeacherSettings, sampling: SamplingSettings, limits: LimitSettings) -> None:
        """Nothing is sent yet.

        Raises:
            LimbeckError: a URL, key, proxy or extra field that cannot be used.
        """
        self._url = completions_url(settings)
        self._model, self._variable, self._seconds = settings.name, settings.key, limits.request_seconds
        self._body, self._heat_is_ours = _body(settings, sampling), sampling.temperature is None
        self._most, self._limit = sampling.max_tokens, "max_tokens"  # or, where it is refused, "max_completion_tokens"
        key = _key(settings.key)
        self._keyed, self._redact = key is not None, Redact(key)
        self._headers = httpx2.Headers(
            {
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # replies are small, and what is not compressed cannot burst
                "Content-Type": "application/json",
                "User-Agent": "limbeck",
            }
        )
        local = _loopback(self._url.host)
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
            if self._url.scheme == "http" and not local:
                logger.warning("the key in $%s goes to %s over plain http", settings.key, self._url.host)
        self._clients = _clients(limits.concurrency, f"all://{self._url.netloc.decode()}" if local else None)
        self._turn = asyncio.Semaphore(limits.concurrency)
        # a client for each connection that it may open; the last one back is the first to be taken, for it is warm
        self._free = [self._clients[i // POOL] for i in range(limits.concurrency)]

    async def ask(self, messages: Sequence[Message]) -> Reply | Failure:
        """Send one request, and again if the endpoint insists on `max_completion_tokens` or its own temperature."""
        async with self._turn:
            client = self._free.pop()
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._ask(client, messages)
            except TimeoutError:
                return Failure("timed out", f"no whole reply within {self._seconds:g} seconds", raw="")
            except (httpx2.HTTPError, OSError) as error:  # an SSLError in mid-connection is not wrapped
                return self._broken(error)
            finally:
                self._free.append(client)

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()

    async def _ask(self, client: httpx2.AsyncClient, messages: Sequence[Message]) -> Reply | Failure:
        limit, heated = self._limit, self._heat_is_ours and "temperature" in self._body
        status, headers, text = await self._post(client, messages, limit)
        if status == 400 and limit == "max_tokens" and _insists(text or ""):
            self._limit = "max_completion_tokens"
            status, headers, text = await self._post(client, messages, self._limit)
        if status == 400 and heated and "temperature" in (text or ""):  # so do reasoning models of OpenAI's
            if self._body.pop("temperature", None) is not None:
                logger.warning("%s takes no other temperature than its own, which is used", self._model)
            status, headers, text = await self._post(client, messages, self._limit)
        if not 200 <= status < 300:
            return self._refused(status, headers, text or "")
        if text is None:
            return Failure("too large", f"a reply of more than {LARGEST_BODY} bytes", again=False, raw="")
        return read_completion(text, self._redact)

    async def _post(
        self, client: httpx2.AsyncClient, messages: Sequence[Message], limit: str
    ) -> tuple[int, httpx2.Headers, str | None]:
        """Status, headers and body of the answer to one request; no body: it is larger than `LARGEST_BODY`."""
        content = json.dumps({**self._body, "messages": list(messages), limit: self._most}).encode()
        request = httpx2.Request("POST", self._url, headers=self._headers, content=content)
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LARGEST_BODY:
                    return response.status_code, response.headers, None
            return response.status_code, response.headers, self._redact(body.decode("utf-8-sig", "replace"))
        finally:
            await response.aclose()

    def _refused(self, status: int, headers: httpx2.Headers, text: str) -> Failure:
        """What comes of a status that is no success.

        Raises:
            LimbeckError: every other request would get the same.
        """
        message, code = read_error(text, self._redact)
        said = f": {message}" if message else ""
        if 300 <= status < 400:
            to = self._redact(_base(self._url, headers.get("location", "")))
            raise LimbeckError(f"{self._url} redirects to {to}; give that as base_url if you trust it")
        if status in (401, 403):
            state = "is set" if self._keyed else "is not set"
            refused = f"{self._url} refuses access (HTTP {status}), and ${self._variable} {state}{said}"
            if status == 403:  # also what a filter before the endpoint says to one question
                return Failure(FORBIDDEN, refused, again=False)
            raise LimbeckError(refused)
        if status in (404, 405):
            raise LimbeckError(f"{self._url} has no model {self._model!r:.100} (HTTP {status}){said}")
        if status == 402 or "insufficient_quota" in code:
            raise LimbeckError(f"{self._url}: no money is left for the key in ${self._variable} (HTTP {status}){said}")
        if status == 400 and "temperature" in message:
            message += " (with sampling.temperature another one is sent; 1 is the default of such models)"
        return Failure(f"HTTP {status}", message or "without a message", status in LATER, retry_after(headers))

    def _broken(self, error: Exception) -> Failure:
        """What comes of a connection that failed.

        Raises:
            LimbeckError: no other attempt will do better, as with a certificate that is not trusted.
        """
        causes = list(_causes(error))
        reason = line(str(causes[-1]) or type(causes[-1]).__name__, self._redact)
        if not isinstance(error, httpx2.ConnectError):
            return Failure("connection lost", reason)
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = line(cause.verify_message, self._redact)
                raise LimbeckError(f"{self._url}: its certificate is not trusted ({why}); see $SSL_CERT_FILE") from None
            if isinstance(cause, ssl.SSLError) and NO_TLS.search(cause.reason or ""):
                raise LimbeckError(f"{self._url}: no TLS ({reason}); does base_url begin with http://?") from None
        return Failure("no connection", f"{self._url.host}: {reason}")


def completions_url(settings: TeacherSettings) -> httpx2.URL:
    """Where questions go. Raises LimbeckError where $OPENAI_BASE_URL is no address of an endpoint."""
    base, where = settings.base_url, "teacher.base_url"
    if base is None and (base := os.environ.get("OPENAI_BASE_URL", "").strip()):
        where = "$OPENAI_BASE_URL"
    try:
        url = httpx2.URL(check_url(base or OPENAI) + "/chat/completions")
        url.host.encode("idna")  # as the resolver will
    except (ValueError, httpx2.InvalidURL) as error:
        raise LimbeckError(f"{where}: {error}") from None
    return url


def _body(settings: TeacherSettings, sampling: SamplingSettings) -> dict[str, object]:
    """What is the same in every request."""
    body = {"model": settings.name, "temperature": sampling.heat, **sampling.extra}
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    try:
        json.dumps(body, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise LimbeckError(f"sampling.extra: cannot be sent as JSON ({error})") from None
    return body


def _key(variable: str) -> str | None:
    """The key, if there is one. Quotes come from files of variables that a shell would have taken them out of."""
    key = os.environ.get(variable, "").strip()
    if not re.fullmatch(r"""((?!["'\\])[!-~])*""", key):
        raise LimbeckError(f"${variable}: a key is ASCII without blanks, quotes and backslashes")
    return key or None


def _clients(concurrency: int, direct: str | None) -> list[httpx2.AsyncClient]:
    """Clients that open so many connections between them; `direct`: a pattern of URLs that no proxy is used for."""
    try:
        trusted = httpx2.create_ssl_context()
        clients = [
            httpx2.AsyncClient(
                limits=httpx2.Limits(max_connections=POOL, max_keepalive_connections=POOL),
                timeout=None,  # there is one limit, over the whole request
                verify=trusted,
                mounts={direct: None} if direct else None,
            )
            for _ in range(0, concurrency, POOL)
        ]
    except (ValueError, ImportError, OSError, httpx2.InvalidURL) as error:
        # an address of a proxy is not shown: it may hold a password
        what = "a proxy" if isinstance(error, ValueError | httpx2.InvalidURL) else f"proxies or certificates ({error})"
        raise LimbeckError(f"{what} named by the environment (HTTPS_PROXY, SSL_CERT_FILE) cannot be used") from None
    for client in clients:
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))  # none are kept, none are sent
    return clients


def _insists(text: str) -> bool:
    """Whether an error says to write `max_completion_tokens`, as newer models of OpenAI's do."""
    return re.search(r"max_tokens\b.{0,200}\bmax_completion_tokens\b", text) is not None


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _base(url: httpx2.URL, location: str) -> str:
    """The base_url that a redirect leads to, without password and query."""
    try:
        target = url.join(location)
    except (ValueError, httpx2.InvalidURL):
        return "an address that cannot be read"
    path = target.path.rstrip("/").removesuffix("/chat/completions")
    return f"{target.scheme}://{target.netloc.decode('ascii', 'replace')}{path}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from, down to the socket's."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
