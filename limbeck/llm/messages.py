"""Messages to and from a chat model: conversations, replies, failures, and thoughts told apart from words."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

# DeepSeek and vLLM, OpenRouter, Ollama and Anthropic, OpenRouter's list of parts
THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "thoughts", "thought", "reasoning_details")
_CONTENT_FIELDS = ("content", "value", "text")
_PART_FIELDS = (*_CONTENT_FIELDS, "thinking", "reasoning", "summary")

ChatMessage = dict[str, str]  # {"role": "system" | "user" | "assistant", "content": ...}, as every chat API has it


class Tokens(NamedTuple):
    """Tokens of prompts and of completions."""

    prompt: int = 0
    completion: int = 0

    def plus(self, tokens: "Tokens") -> "Tokens":
        """Return the sums."""
        return Tokens(self.prompt + tokens.prompt, self.completion + tokens.completion)


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer: its text, and the body it came in, as JSON text."""

    text: str  # blank where the model wrote thoughts only, beside it
    raw: str
    prompt_tokens: int | None = None  # None: not counted
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without an answer. It may have been paid for all the same: then `raw` is not None."""

    kind: str  # the same few words for every failure of this kind: "timed out", "cut off", "HTTP 500"
    message: str  # one line for people
    again: bool = True  # the same request may be answered if it is sent again
    retry_after: float = 0.0  # seconds that the endpoint asked for
    raw: str | None = None  # the body of a success; "": there may have been one; None: nothing was paid for
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Client(Protocol):
    """One chat model, ready to be asked by many tasks at once; how it is sampled is the client's own."""

    async def ask(self, messages: Sequence[ChatMessage]) -> Reply | Failure:
        """Send one request: a conversation that ends with the user's turn.

        Raises:
            LimbeckError: no request can succeed (a wrong key, an unknown model, a certificate that is not trusted).
        """
        ...

    async def close(self) -> None:
        """Release connections and memory."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """Text of a message; `lacking` is the type of a part without any, like an image, and None where there is none."""

    words: str
    thoughts: str
    lacking: str | None = None


def read_message(message: Mapping[str, Any], separator: str = "\n") -> Message:
    """Return words and thoughts of a message as endpoints and data sets write it, in keys or in parts.

    `separator` joins the parts of its content.
    """
    content = next((message[name] for name in _CONTENT_FIELDS if message.get(name) is not None), "")
    parts = content if isinstance(content, list) else [content]
    words = [part_text(part) for part in parts if not _is_thought(part)]
    thoughts = [part_text(part) for part in parts if _is_thought(part)]
    lacking = [
        str(part["type"])
        for part in parts
        if isinstance(part, dict) and part.get("type", "text") != "text" and not (part_text(part) or _is_thought(part))
    ]
    beside = (part_text(message.get(name)) for name in THOUGHT_FIELDS)
    return Message(
        separator.join(filter(None, words)),
        next((text for text in beside if text.strip()), "\n".join(filter(None, thoughts))),
        lacking[0] if lacking else None,
    )


def completion_thoughts(raw: str) -> str:
    """Return the thoughts beside the content in the body of a completion; "" where there are none, or no completion."""
    try:
        return read_message(json.loads(raw)["choices"][0]["message"]).thoughts
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return ""


def part_text(value: Any, depth: int = 4) -> str:
    """Return the text of a part: itself, that in its field for text, or those of its own parts, a line each.

    Half a surrogate pair, which UTF-8 cannot write, becomes a replacement character. Parts within parts are read to
    `depth`.
    """
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if depth and isinstance(value, list):
        return "\n".join(filter(None, (part_text(item, depth - 1) for item in value)))
    if depth and isinstance(value, dict):
        return next((text for name in _PART_FIELDS if (text := part_text(value.get(name), depth - 1))), "")
    return ""


def _is_thought(part: Any) -> bool:
    """Return whether a part holds thoughts: by its type, or as Gemini has it by a mark beside its text."""
    if not isinstance(part, dict):
        return False
    return part.get("thought") is True or re.search("think|thought|reasoning", str(part.get("type"))) is not None
