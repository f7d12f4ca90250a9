"""A chat model behind an OpenAI-compatible endpoint, asked through the openai SDK.

One call is one request: attempts, rates and the budget are the runner's, so that each request is recorded. The
endpoint is not trusted: its replies are bounded in time and size, redirects are not followed, and an echo of the key is
removed.
"""

import asyncio
import json
import logging
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from limbeck.errors import EndpointError
from limbeck.formatting import one_line
from limbeck.llm.messages import ChatMessage, Failure, Reply, part_text, read_message
from limbeck.llm.settings import SHORTEST_SECRET, LimitSettings, SamplingSettings, TeacherSettings, read_key

LARGEST_BODY = 8 * 2**20  # bytes, decompressed
LONGEST_LINE = 300  # characters of a message
LONGEST_WAIT = 3600.0  # seconds; an endpoint that asks for more is asked again after these
TEMPORARY = frozenset({408, 409, 425, 429, *range(500, 600)})  # statuses after which the same request may succeed

log = logging.getLogger(__name__)
for name in ("openai", "httpcore2"):  # at DEBUG they log headers, and an endpoint may echo the key there
    logging.getLogger(name).setLevel(logging.INFO)


class EndpointClient:
    """Chat completions of an OpenAI-compatible endpoint, over connections that are kept.

    Proxies and trusted certificates come from the environment (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE), the key from the
    variable `teacher.key` and nowhere else. A loopback address is asked without a proxy.
    """

    def __init__(self, teacher: TeacherSettings, sampling: SamplingSettings, limits: LimitSettings) -> None:
        """Prepare the client; nothing is sent yet.

        Raises:
            EndpointError: a URL, key or proxy that cannot be used.
        """
        self._teacher, self._url, self._seconds = teacher, teacher.endpoint(), limits.request_seconds
        self._key = read_key(teacher.key)
        self._default_temperature = sampling.temperature is None
        self._body = {"model": teacher.name, "temperature": sampling.heat, "max_tokens": sampling.max_tokens}
        self._body |= {} if sampling.top_p is None else {"top_p": sampling.top_p}
        self._body |= sampling.extra
        host = urlsplit(self._url).hostname or ""
        loopback = host == "localhost" or host.startswith("127.") or host == "::1"
        try:
            http_client = openai.DefaultAsyncHttpxClient(
                follow_redirects=False,
                timeout=None,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=limits.concurrency),
                mounts={f"all://[{host}]" if ":" in host else f"all://{host}": None} if loopback else None,
            )
        except (ValueError, ImportError, OSError, httpx2.InvalidURL):  # a proxy's address may hold a password
            raise EndpointError(
                "a proxy or a file of certificates named by the environment (HTTPS_PROXY, SSL_CERT_FILE) cannot be used"
            ) from None
        self._client = openai.AsyncOpenAI(
            base_url=self._url,
            api_key=self._key or "unset",  # the SDK wants one; without a key the header is omitted
            max_retries=0,
            http_client=http_client,
        )

    async def ask(self, messages: Sequence[ChatMessage]) -> Reply | Failure:
        """Send one request, and again if the model insists on `max_completion_tokens` or its own temperature.

        Raises:
            EndpointError: every other request would be refused too.
        """
        body = dict(self._body)
        # half a surrogate pair cannot be sent
        turns = [{"role": message["role"], "content": part_text(message["content"])} for message in messages]
        try:
            async with asyncio.timeout(self._seconds):
                raw = await self._post({**body, "messages": turns})
        except TimeoutError:
            return Failure("timed out", f"no complete reply within {self._seconds:g} seconds", raw="")
        except openai.APIStatusError as error:
            if self._adapts(body, error):
                return await self.ask(messages)
            return self._refused(error)
        except (openai.APIConnectionError, httpx2.HTTPError, OSError) as error:
            return self._disconnected(error)
        if raw is None:
            return Failure("too large", f"a reply of more than {LARGEST_BODY} bytes", again=False, raw="")
        return read_completion(self._redact(raw))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _post(self, body: dict[str, Any]) -> str | None:
        """Return the body of a success; None: it is larger than LARGEST_BODY."""
        content = bytearray()
        # `extra_body` spares the SDK's conversion of the messages: half of a request's processor time
        create = self._client.chat.completions.with_streaming_response.create
        headers = {} if self._key else {"Authorization": openai.omit}
        async with create(model="", messages=[], extra_body=body, extra_headers=headers) as response:
            async for chunk in response.iter_bytes():
                content += chunk
                if len(content) > LARGEST_BODY:
                    return None
        return content.decode("utf-8-sig", "replace")

    def _adapts(self, body: dict[str, Any], error: openai.APIStatusError) -> bool:
        """Change what is sent to this model, as its endpoint asks for; return whether to send the request again."""
        text = error.response.text
        if error.status_code != 400:
            return False
        if "max_tokens" in body and re.search(r"max_tokens\b.{0,200}\bmax_completion_tokens\b", text):
            self._body["max_completion_tokens"] = body["max_tokens"]
            self._body.pop("max_tokens", None)
            return True
        if "temperature" in body and self._default_temperature and "temperature" in text:
            if self._body.pop("temperature", None) is not None:
                log.warning("%s takes no other temperature than its own, which is used", self._teacher.name)
            return True
        return False

    def _refused(self, error: openai.APIStatusError) -> Failure:
        status, headers = error.status_code, error.response.headers
        fields: Mapping[Any, Any] = error.body if isinstance(error.body, Mapping) else {"message": error.body}
        text = next((fields[name] for name in ("message", "detail") if isinstance(fields.get(name), str)), "")
        message = one_line(self._redact(text or error.response.text), LONGEST_LINE)
        reason = f" (HTTP {status}){': ' * bool(message)}{message}"
        if status < 400:
            target = error.response.next_request
            address = target.url.copy_with(userinfo=b"", query=None, fragment=None) if target else "nowhere"
            raise EndpointError(
                f"{self._url} redirects to {self._redact(str(address))}; change base_url if you trust it"
            )
        if status in (401, 403):
            state = "set" if self._key else "not set"
            refusal = f"{self._url} refuses access, and ${self._teacher.key} is {state}{reason}"
            if status == 403:  # a filter in front of the endpoint may refuse a single question with it
                return Failure("HTTP 403", refusal, again=False)
            raise EndpointError(refusal)
        if status in (404, 405):
            raise EndpointError(f"{self._url} has no model {self._teacher.name!r:.100}{reason}")
        if status == 402 or "insufficient_quota" in (fields.get("code"), fields.get("type")):
            raise EndpointError(f"{self._url}: no money is left for the key in ${self._teacher.key}{reason}")
        return Failure(f"HTTP {status}", message or "without a message", status in TEMPORARY, retry_after(headers))

    def _disconnected(self, error: Exception) -> Failure:
        causes = list(_causes(error))
        reason = one_line(self._redact(str(causes[-1]) or type(causes[-1]).__name__), LONGEST_LINE)
        if not any(isinstance(cause, httpx2.ConnectError) for cause in causes):
            return Failure("connection lost", reason, raw="")  # it may have been answered, and paid for
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError) or (
                isinstance(cause, ssl.SSLError) and re.search("WRONG_VERSION|PROTOCOL|HANDSHAKE", cause.reason or "")
            ):
                raise EndpointError(
                    f"{self._url}: no trusted TLS connection ({reason}); "
                    "see $SSL_CERT_FILE, or begin base_url with http:// if the endpoint has no certificate"
                )
        return Failure("no connection", f"{self._url}: {reason}")

    def _redact(self, text: str) -> str:
        """Return the text without the key, also as JSON writes it with escaped slashes."""
        key = self._key or ""
        if len(key) < SHORTEST_SECRET:
            return text
        return text.replace(key, "[key]").replace(key.replace("/", r"\/"), "[key]")


def read_completion(raw: str) -> Reply | Failure:
    """Return the reply in the body of a success, which may be anything."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return Failure("not JSON", one_line(f"no JSON object: {raw or 'an empty body'}", LONGEST_LINE), raw=raw)
    usage = body.get("usage")
    prompt, completion = (
        _count(usage.get(name) if isinstance(usage, dict) else None) for name in ("prompt_tokens", "completion_tokens")
    )

    def failure(kind: str, message: str, again: bool = False) -> Failure:
        return Failure(kind, message, again, None, raw, prompt, completion)

    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        return failure("no choices", one_line(raw, LONGEST_LINE), again=True)
    choice = choices[0] if isinstance(choices[0], dict) else {}
    reason = choice.get("finish_reason")
    reason = reason if isinstance(reason, str) and re.fullmatch(r"\w{1,40}", reason, re.ASCII) else ""
    if re.search("length|max_tokens", reason, re.IGNORECASE):  # some say "model_length"
        return failure("cut off", "the answer reached max_tokens")
    if reason == "content_filter":
        return failure("filtered", "the endpoint's filter stopped the answer")
    if reason == "error":  # a router's, whose own source failed
        return failure("broken off", "the endpoint says that the answer is incomplete", again=True)
    content = choice.get("message")
    message = read_message({"content": "", **(content if isinstance(content, dict) else {})}, separator="")
    if not message.words.strip() and not message.thoughts.strip():
        return failure("no content", "the message's content is blank, and no thoughts are beside it", again=True)
    return Reply(message.words, raw, reason, prompt, completion)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds after which an endpoint wants to be asked again; None: it does not say so."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value := headers.get(name, "").strip()):
            return min(float(value) * unit, LONGEST_WAIT)
    return None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= 10**9 else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
