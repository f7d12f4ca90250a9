"""What an endpoint wrote, read with distrust: a completion, an error, a wait; and the key taken out of all of it."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from limbeck.llm.engine import Failure, Reply
from limbeck.llm.messages import read_message

SHORTEST_KEY = 6  # characters; a shorter one ("EMPTY") is no secret, but may well be a word of an answer
LONGEST_LINE = 300  # characters of a message
LONGEST_WAIT = 3600.0  # seconds; a server that says more is asked again after these
MOST_TOKENS = 10**9  # more in one request is nonsense


class Redact:
    """Takes a key out of text, written as it is or with JSON's escapes, also those of JSON within JSON."""

    def __init__(self, key: str | None) -> None:
        """`key`: printable ASCII, without quotes and backslashes."""
        # Up to 8 backslashes: three levels of JSON. Without a bound a body of backslashes would take hours.
        slash = {"/": "/|"}  # the only one of these characters that JSON writes with a backslash of its own
        one = [rf"(?:{re.escape(c)}|\\\\{{0,7}}(?:{slash.get(c, '')}u00(?i:{ord(c):02x})))" for c in key or ""]
        self._pattern = re.compile("".join(one)) if len(one) >= SHORTEST_KEY else None

    def __call__(self, text: str) -> str:
        """The text with `[key]` for every occurrence."""
        return text if self._pattern is None else self._pattern.sub("[key]", text)


def line(text: str, redact: Callable[[str], str]) -> str:
    """The text without the key: one line, at most `LONGEST_LINE` characters, control characters made visible."""
    text = " ".join(redact(text)[: 4 * LONGEST_LINE].split())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1] + "…"


def read_completion(raw: str, redact: Callable[[str], str]) -> Reply | Failure:
    """What comes of the body of a success, out of which the key has been taken already."""
    body = _object(raw)
    if body is None:
        return Failure("not JSON", line(f"no JSON object: {raw or 'an empty body'}", redact), raw=raw)
    usage = _dict(body.get("usage"))
    paid: dict[str, Any] = {
        "raw": raw,
        "prompt_tokens": _count(usage.get("prompt_tokens")),
        "completion_tokens": _count(usage.get("completion_tokens")),
    }
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        return Failure("no choices", read_error(raw, redact)[0], **paid)
    choice = _dict(choices[0])
    reason = choice.get("finish_reason")
    if isinstance(reason, str) and re.search("length|max_tokens", reason, re.IGNORECASE):  # "model_length" of some
        return Failure("cut off", "the answer reached max_tokens", again=False, **paid)
    if reason == "content_filter":
        return Failure("filtered", "the endpoint's filter stopped the answer", again=False, **paid)
    if reason == "error":  # of a router, whose own source failed
        return Failure("broken off", "the endpoint says that the answer is not whole", **paid)
    message = read_message({"content": "", **_dict(choice.get("message"))}, separator="")
    text = redact(message.words)
    if not text.strip() and not message.thoughts.strip():
        return Failure("no content", "the message's content is missing or blank, and no thoughts are beside it", **paid)
    if not isinstance(reason, str) or not re.fullmatch(r"\w{1,40}", reason, re.ASCII):
        reason = ""
    return Reply(text, finish_reason=reason, **paid)


def read_error(raw: str, redact: Callable[[str], str]) -> tuple[str, list[str]]:
    """The message of an error's body, as a line, and what it gives as code and type."""
    body = _object(raw) or {}
    error = body.get("error")
    fields = error if isinstance(error, dict) else body
    message = next((m for m in (fields.get("message"), error, fields.get("detail")) if isinstance(m, str)), raw)
    return line(message, redact), [v for v in (fields.get("code"), fields.get("type")) if isinstance(v, str)]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server wants to be left alone; None if it does not say so in a readable way."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"[0-9]{1,30}(\.[0-9]{0,30})?", value):
            return min(float(value) * unit, LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(value)
        wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(wait.total_seconds(), 0.0), LONGEST_WAIT)


def _object(raw: str) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None
