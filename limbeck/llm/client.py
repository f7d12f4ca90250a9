"""A chat model behind an OpenAI-compatible endpoint, asked through the openai SDK.

One call is one request: attempts, rates and the budget are the runner's, so that each request is recorded. Redirects
are not followed, and an echo of the key is removed.
"""

import asyncio
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from limbeck.errors import EndpointError
from limbeck.formatting import one_line
from limbeck.llm.messages import ChatMessage, Failure, Reply, Tokens, read_message
from limbeck.llm.settings import SHORTEST_SECRET, SamplingSettings, TeacherSettings, read_key

LONGEST_WAIT = 3600.0  # seconds; an endpoint that asks for more is asked again after these
_TEMPORARY = frozenset({408, 409, 425, 429, *range(500, 600)})  # statuses after which the same request may succeed
_HOPELESS = frozenset({401, 402, 404, 405, *range(300, 400)})  # statuses that every other request would get too
_UNFINISHED = {
    **dict.fromkeys(("length", "model_length", "max_tokens"), ("cut off", "the answer reached max_tokens")),
    "content_filter": ("filtered", "the endpoint's filter stopped the answer"),
    "error": ("broken off", "the endpoint says that the answer is incomplete"),  # a router's, whose source failed
}

log = logging.getLogger(__name__)
for name in ("openai", "httpcore2"):  # at DEBUG they log headers, and an endpoint may echo the key there
    logging.getLogger(name).setLevel(logging.INFO)


class EndpointClient:
    """Chat completions of an OpenAI-compatible endpoint, over connections that are kept.

    Proxies and trusted certificates come from the environment (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE), the key from the
    variable `teacher.key` and nowhere else.
    """

    def __init__(self, teacher: TeacherSettings, sampling: SamplingSettings, seconds: float) -> None:
        """Prepare requests of at most so many seconds. Raises LimbeckError: a URL, key or proxy that cannot be used."""
        self._teacher, self._url, self._seconds = teacher, teacher.endpoint(), seconds
        self._key = read_key(teacher.key)
        self._default_temperature = sampling.temperature is None
        self._body: dict[str, Any] = {"model": teacher.name, "temperature": sampling.heat}
        self._body |= {"max_tokens": sampling.max_tokens} | sampling.extra
        if sampling.top_p is not None:
            self._body["top_p"] = sampling.top_p
        host = urlsplit(self._url).hostname or ""
        is_local = host in ("localhost", "::1") or host.startswith("127.")  # no proxy reaches it
        # the SDK wants a key; without one the header is omitted
        self._headers = {} if self._key else {"Authorization": openai.omit}
        try:
            http = openai.DefaultAsyncHttpxClient(
                follow_redirects=False,
                timeout=None,
                mounts={f"all://[{host}]" if ":" in host else f"all://{host}": None} if is_local else None,
            )
            key = self._key or "unset"
            self._client = openai.AsyncOpenAI(base_url=self._url, api_key=key, max_retries=0, http_client=http)
        except (ValueError, ImportError, OSError, httpx2.InvalidURL):  # a proxy's address may hold a password
            message = f"{self._url}, or a proxy or certificates ($HTTPS_PROXY, $SSL_CERT_FILE), cannot be used"
            raise EndpointError(message) from None

    async def ask(self, messages: Sequence[ChatMessage]) -> Reply | Failure:
        """Send one request, and again if the model insists on `max_completion_tokens` or its own temperature."""
        body = self._body | {"messages": messages}
        # `extra_body` spares the SDK's conversion of the messages: half of a request's processor time
        create = self._client.chat.completions.with_raw_response.create
        try:
            async with asyncio.timeout(self._seconds):
                response = await create(model="", messages=[], extra_body=body, extra_headers=self._headers)
        except TimeoutError:
            return Failure("timed out", f"no complete reply within {self._seconds:g} seconds", raw="")
        except openai.APIStatusError as error:
            return await self.ask(messages) if self._adapts(body, error) else self._refusal(error)
        except (openai.APIConnectionError, httpx2.HTTPError, OSError) as error:
            return self._lost(error.__cause__ or error)
        return read_completion(self._redact(response.content.decode("utf-8-sig", "replace")))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _adapts(self, body: Mapping[str, Any], error: openai.APIStatusError) -> bool:
        """Change what is sent to this model, as its endpoint asks for; return whether to send the request again."""
        text = error.response.text if error.status_code == 400 else ""
        if "max_tokens" in body and "max_completion_tokens" in text:
            self._body["max_completion_tokens"] = body["max_tokens"]
            self._body.pop("max_tokens", None)
            return True
        if "temperature" in body and self._default_temperature and "temperature" in text:
            if self._body.pop("temperature", None) is not None:
                log.warning("%s takes no other temperature than its own, which is used", self._teacher.name)
            return True
        return False

    def _refusal(self, error: openai.APIStatusError) -> Failure:
        fields: Mapping[str, Any] = error.body if isinstance(error.body, dict) else {}
        message = one_line(self._redact(str(fields.get("message") or error.response.text)), 300) or "without a message"
        status = error.status_code
        if status in _HOPELESS or "insufficient_quota" in (fields.get("code"), fields.get("type")):
            state = f"${self._teacher.key} is {'set' if self._key else 'not set'}"
            raise EndpointError(f"{self._url} refuses {self._teacher.name!r:.100} (HTTP {status}, {state}): {message}")
        wait = error.response.headers.get("retry-after", "")
        seconds = min(float(wait), LONGEST_WAIT) if re.fullmatch(r"\d{1,9}(\.\d{0,9})?", wait) else 0.0
        return Failure(f"HTTP {status}", message, status in _TEMPORARY, seconds)

    def _lost(self, error: BaseException) -> Failure:
        reason = one_line(self._redact(str(error) or type(error).__name__), 300)
        if not isinstance(error, httpx2.ConnectError):
            return Failure("connection lost", reason, raw="")  # it may have been answered, and paid for
        if re.search(r"\[SSL: \w*(?:CERTIFICATE_VERIFY|WRONG_VERSION|PROTOCOL|HANDSHAKE)", reason):
            raise EndpointError(f"{self._url}: no trusted TLS connection ({reason}); see $SSL_CERT_FILE")
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
        choices, usage = body.get("choices"), body.get("usage")
    except (ValueError, RecursionError, AttributeError):
        return Failure("not JSON", one_line(f"no JSON object: {raw or 'an empty body'}", 300), raw=raw)
    tokens = _tokens(usage)
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return Failure("no choices", one_line(raw, 300), raw=raw, tokens=tokens)
    reason = str(choice.get("finish_reason")).lower()
    if reason in _UNFINISHED:
        kind, message = _UNFINISHED[reason]
        return Failure(kind, message, again=kind == "broken off", raw=raw, tokens=tokens)
    fields = choice.get("message")
    content = read_message(fields if isinstance(fields, dict) else {}, separator="")
    if not content.words.strip() and not content.thoughts.strip():
        return Failure("no content", "the message is blank, and no thoughts are beside it", raw=raw, tokens=tokens)
    return Reply(content.words, raw, tokens)


def _tokens(usage: Any) -> Tokens | None:
    """Return the tokens that an endpoint counted; None where it did not."""
    try:
        prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
    except (LookupError, TypeError):
        return None
    is_count = all(type(number) is int and 0 <= number <= 10**9 for number in (prompt, completion))
    return Tokens(prompt, completion) if is_count else None
