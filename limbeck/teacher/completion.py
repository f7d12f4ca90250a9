"""A chat completion's body read: what the teacher wrote, or why that is no answer. Nothing here trusts the server."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from limbeck.teacher.engine import Failure, Reply

SHORTEST_KEY = 6  # characters; a shorter one ("EMPTY") is no secret, but may well be a word of an answer
LONGEST_LINE = 300  # characters of a message
LONGEST_WAIT = 3600.0  # seconds; who says more is waited for no longer
MOST_TOKENS = 10**9


class Redact:
    """Takes a key out of text, written plainly or with the escapes of JSON, also of JSON within JSON."""

    def __init__(self, key: str | None) -> None:
        """`key`: printable ASCII."""
        # up to 16 backslashes, for the time that a body of nothing else takes
        one = [rf"(?:{re.escape(c)}|\\{{1,16}}(?:{re.escape(c)}|u00(?i:{ord(c):02x})))" for c in key or ""]
        self._pattern = re.compile("".join(one)) if len(one) >= SHORTEST_KEY else None

    def __call__(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub("[key]", text)


def line(text: str, redact: Callable[[str], str]) -> str:
    """The text as a short line without the key, its control characters made visible."""
    text = " ".join(redact(text)[: 4 * LONGEST_LINE].split())
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= LONGEST_LINE else shown[: LONGEST_LINE - 1] + "…"


def read_completion(raw: str, redact: Callable[[str], str]) -> Reply | Failure:
    """What comes of the body of a success.

    Args:
        raw: the body, without the key
        redact: takes the key out of text that is put together here
    """
    body = _loads(raw)
    if body is None:
        return Failure("not JSON", f"no JSON object: {line(raw, redact) or 'nothing'}")
    usage = _mapping(body.get("usage"))
    paid = {
        "raw": raw,
        "prompt_tokens": _count(usage.get("prompt_tokens")),
        "completion_tokens": _count(usage.get("completion_tokens")),
    }
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        return Failure("no choices", read_error(raw, redact)[0] or "the list of choices is empty or missing", **paid)
    choice = _mapping(choices[0])
    reason = choice.get("finish_reason")
    reason = reason[:40] if reason and isinstance(reason, str) else "stop"
    if reason == "length":
        return Failure("cut off", "the answer reached max_tokens", again=False, **paid)
    if reason == "content_filter":
        return Failure("filtered", "the endpoint's content filter stopped the answer", again=False, **paid)
    if reason == "error":  # a router whose own source failed: what it has of the text is no whole answer
        return Failure("broken off", line(str(choice.get("error", "finish_reason error")), redact), **paid)
    text = redact(_text(_mapping(choice.get("message")).get("content")))
    if not text.strip():
        return Failure("no content", "the message's content is null, missing or blank", **paid)
    return Reply(text, finish_reason=_sound(reason), **paid)


def read_error(raw: str, redact: Callable[[str], str]) -> tuple[str, str]:
    """The message of an error's body, as a line, and its code and type; empty where there is none."""
    body = _loads(raw)
    if body is None:
        return line(raw, redact), ""
    error = body.get("error", body)
    if not isinstance(error, dict):
        return line(str(error), redact), ""
    said = error.get("message") or error.get("detail") or ""  # "detail" is FastAPI's
    return line(said if isinstance(said, str) else json.dumps(said), redact), f"{error.get('code')} {error.get('type')}"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks one to wait; None where it does not, or not in a readable way."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"[0-9]{1,30}(\.[0-9]{0,30})?", value):
            return min(float(value) * unit, LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(value)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return min(max((date - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_WAIT)
    except (TypeError, ValueError, OverflowError):
        return None


def _loads(raw: str) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _text(content: Any) -> str:
    """A message's content: text, or a list of parts of which some have text."""
    if isinstance(content, list):
        parts = [part if isinstance(part, str) else _mapping(part).get("text") for part in content]
        content = "".join(part for part in parts if isinstance(part, str))
    return _sound(content) if isinstance(content, str) else ""


def _sound(text: str) -> str:
    """The text with half characters replaced, which UTF-8 cannot write."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)
