"""A chat model behind an OpenAI-compatible endpoint, asked once through the openai SDK; `runner.py` asks again."""

import asyncio
import base64
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import openai

from limbeck.errors import EndpointError
from limbeck.formatting import one_line
from limbeck.llm.messages import ChatMessage, Failure, Reply, Tokens, read_message
from limbeck.llm.settings import SHORTEST_SECRET, SamplingSettings, TeacherSettings, is_loopback

LONGEST_WAIT = 3600.0  # seconds, whatever an endpoint asks for
_COUNTS = range(10**9)
_TEMPORARY = {408, 409, 425, 429, *range(500, 600)}  # the same request may succeed
_HOPELESS = {401, 402, 404, 405, *range(300, 400)}  # every request would get it
_UNFINISHED = {
    **dict.fromkeys(("length", "model_length", "max_tokens"), ("cut off", "the answer reached max_tokens")),
    "content_filter": ("filtered", "the endpoint's filter stopped the answer"),
    "error": ("broken off", "the endpoint calls the answer incomplete"),  # a router whose source failed
}
log = logging.getLogger(__name__)
for name in ("openai", "httpcore2"):  # at DEBUG they log headers, and an endpoint may echo the key there
    logging.getLogger(name).setLevel(logging.INFO)


class EndpointClient:
    """Chat completions, with the environment's proxies and certificates; no redirect is followed."""

    def __init__(self, teacher: TeacherSettings, sampling: SamplingSettings, seconds: float) -> None:
        """Prepare requests of at most `seconds`. Raises LimbeckError for an unusable URL, key or proxy."""
        self._teacher, self._url, self._seconds = teacher, teacher.endpoint(), seconds
        self._key = teacher.allowed_key()
        self._forms = forms(self._key) if self._key and len(self._key) >= SHORTEST_SECRET else None
        log.info("asking %s at %s with %s", teacher.name, self._url, f"${teacher.key}" if self._key else "no key")
        self._default_temperature = sampling.temperature is None
        self._body: dict[str, Any] = {"model": teacher.name, "temperature": sampling.heat}
        if sampling.top_p is not None:
            self._body["top_p"] = sampling.top_p
        self._body |= {"max_tokens": sampling.max_tokens, **sampling.extra}
        # the SDK wants a key; without one the header is omitted
        key, self._headers = self._key or "unset", {} if self._key else {"Authorization": openai.omit}
        try:
            url = urlsplit(self._url)
            mounts = {f"all://{url.netloc}": None} if is_loopback(url.hostname or "") else None
            http = openai.DefaultAsyncHttpxClient(follow_redirects=False, timeout=None, mounts=mounts)
            self._client = openai.AsyncOpenAI(base_url=self._url, api_key=key, max_retries=0, http_client=http)
        except (ValueError, ImportError, OSError, httpx2.InvalidURL):  # a proxy's address may hold a password
            raise EndpointError(f"{self._url}, $HTTPS_PROXY or $SSL_CERT_FILE cannot be used") from None

    async def ask(self, messages: Sequence[ChatMessage]) -> Reply | Failure:
        """Send one request, and again if the model insists on `max_completion_tokens` or its own temperature."""
        body, create = self._body, self._client.chat.completions.with_raw_response.create
        extra_body = body | {"messages": messages}  # spares the SDK's conversion: half of a request's processor time
        try:
            async with asyncio.timeout(self._seconds):
                response = await create(model="", messages=[], extra_body=extra_body, extra_headers=self._headers)
        except TimeoutError:
            return Failure("timed out", f"no reply within {self._seconds:g} seconds", raw="")
        except openai.APIStatusError as error:
            if error.status_code == 400 and self._adapts(body, error.response.text):
                return await self.ask(messages)
            return self._refusal(error)
        except (openai.APIConnectionError, httpx2.HTTPError, OSError) as error:
            return self._lost(error.__cause__ or error)
        return read_completion(self._redact(response.content.decode("utf-8-sig", "replace")))

    async def close(self) -> None:
        await self._client.close()

    def _adapts(self, sent: Mapping[str, Any], text: str) -> bool:
        """Change what is sent as the endpoint asks; return whether to send the request again."""
        body = dict(self._body)
        if "max_completion_tokens" in text and "max_tokens" in body:
            body["max_completion_tokens"] = body.pop("max_tokens")
        elif "temperature" in text and self._default_temperature and body.pop("temperature", None) is not None:
            log.warning("%s takes only its own temperature, which is used", self._teacher.name)
        else:
            return self._body is not sent  # changed while this request was in flight
        self._body = body
        return True

    def _refusal(self, error: openai.APIStatusError) -> Failure:
        status, fields = error.status_code, error.body if isinstance(error.body, dict) else {}
        message = one_line(self._redact(str(fields.get("message") or error.response.text)), 300) or "without a message"
        if status in _HOPELESS or "insufficient_quota" in (error.code, error.type):
            state = f"${self._teacher.key} is {'set' if self._key else 'not set'}"
            raise EndpointError(f"{self._url} refuses {self._teacher.name!r:.100} (HTTP {status}, {state}): {message}")
        wait = error.response.headers.get("retry-after", "")
        seconds = min(float(wait), LONGEST_WAIT) if re.fullmatch(r"\d{1,9}(\.\d{0,9})?", wait) else 0.0
        return Failure(f"HTTP {status}", message, status in _TEMPORARY, seconds)

    def _lost(self, error: BaseException) -> Failure:
        reason = one_line(self._redact(str(error) or type(error).__name__), 300)
        if not isinstance(error, httpx2.ConnectError):
            return Failure("connection lost", reason, raw="")  # perhaps answered, and paid for
        if re.search(r"\[SSL: \w*(?:CERTIFICATE_VERIFY|WRONG_VERSION|PROTOCOL|HANDSHAKE)", reason):
            raise EndpointError(f"{self._url}: no trusted TLS connection ({reason}); see $SSL_CERT_FILE")
        return Failure("no connection", f"{self._url}: {reason}")

    def _redact(self, text: str) -> str:
        return text if self._forms is None else self._forms.sub("[key]", text)


def forms(key: str) -> re.Pattern[str]:
    """Return a pattern of a key as it is, in JSON, percent-encoded, in hexadecimal, and within base64."""
    encoded = key.encode()
    texts = {key, key.replace("/", r"\/"), quote(key), quote(key, safe=""), encoded.hex(), encoded.hex().upper()}
    for before in range(3):  # bytes of a group of three; cut are the characters that hold bits of its neighbours
        first, end = (8 * before + 5) // 6, 8 * (before + len(encoded)) // 6
        text = base64.b64encode(bytes(before) + encoded).decode()[first:end]
        texts |= {text, text.replace("+", "-").replace("/", "_"), text.replace("/", r"\/")}
    return re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)))


def read_completion(raw: str) -> Reply | Failure:
    """Return the reply in a successful response's body, which may be anything."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return Failure("not JSON", one_line(f"no JSON object: {raw or 'an empty body'}", 300), raw=raw)
    tokens = None  # not counted
    match body.get("usage"):
        case {"prompt_tokens": int(prompt), "completion_tokens": int(completion)}:
            tokens = Tokens(prompt, completion) if prompt in _COUNTS and completion in _COUNTS else None
    match body.get("choices"):
        case [dict() as choice, *_]:
            reason, fields = str(choice.get("finish_reason")).lower(), choice.get("message")
        case _:
            return Failure("no choices", one_line(raw, 300), raw=raw, tokens=tokens)
    if reason in _UNFINISHED:
        kind, message = _UNFINISHED[reason]
        return Failure(kind, message, again=kind == "broken off", raw=raw, tokens=tokens)
    content = read_message(fields if isinstance(fields, dict) else {}, separator="")
    if not (content.words + content.thoughts).strip():
        return Failure("no content", "the message and its thoughts are blank", raw=raw, tokens=tokens)
    return Reply(content.words, raw, tokens)
