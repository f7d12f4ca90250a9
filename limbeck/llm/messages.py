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
_DEEPEST = 4  # parts within parts
_BYTES_PER_TOKEN = 3  # about four in English: the estimate is rather too high
_TOKENS_PER_MESSAGE = 8  # that a chat template adds

ChatMessage = dict[str, str]  # {"role": "system" | "user" | "assistant", "content": ...}, as every chat API has it


class Tokens(NamedTuple):
    """Tokens of prompts and of completions."""

    prompt: int
    completion: int

    def plus(self, tokens: "Tokens") -> "Tokens":
        """Return the sums."""
        return Tokens(self.prompt + tokens.prompt, self.completion + tokens.completion)


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer: its text, and the body it came in, as JSON text."""

    text: str  # blank where the model wrote thoughts only, beside it
    raw: str
    finish_reason: str  # "": unknown
    prompt_tokens: int | None  # None: not counted
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without an answer. It may have been paid for all the same: then `raw` is not None."""

    kind: str  # the same few words for every failure of this kind: "timed out", "cut off", "HTTP 500"
    message: str  # one line for people
    again: bool = True  # the same request may be answered if it is sent again
    retry_after: float | None = None  # seconds, where the endpoint asked for it
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


def estimate(messages: Sequence[ChatMessage]) -> int:
    """Return about how many tokens a conversation has, rather too many than too few."""
    return sum(estimate_text(message["content"]) + _TOKENS_PER_MESSAGE for message in messages)


def estimate_text(text: str) -> int:
    """Return about how many tokens a text has."""
    return len(text.encode(errors="replace")) // _BYTES_PER_TOKEN


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
    content = next((message[name] for name in _CONTENT_FIELDS if message.get(name) is not None), None)
    segments = content if isinstance(content, list) else [] if content is None else [content]
    words, thoughts, lacking = [], [], None
    for segment in segments:
        text = part_text(segment)
        if _is_thought(segment):
            thoughts.append(text)
        elif text or not isinstance(segment, dict) or any(isinstance(segment.get(name), str) for name in _PART_FIELDS):
            words.append(text)
        else:
            lacking = str(segment.get("type", "unknown"))
    fields = (part_text(message.get(name)) for name in THOUGHT_FIELDS)
    beside = next((text for text in fields if text.strip()), "")
    return Message(separator.join(words), beside or "\n".join(filter(None, thoughts)), lacking)


def completion_thoughts(raw: str) -> str:
    """Return the thoughts beside the content in the body of a completion; "" where there are none, or no completion."""
    try:
        message = json.loads(raw)["choices"][0]["message"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return ""
    return read_message(message).thoughts if isinstance(message, dict) else ""


def part_text(value: Any, depth: int = 0) -> str:
    """Return the text of a part: itself, that in its field for text, or those of its own parts, a line each.

    Half a surrogate pair, which UTF-8 cannot write, becomes a replacement character.
    """
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if depth < _DEEPEST and isinstance(value, list):
        return "\n".join(filter(None, (part_text(item, depth + 1) for item in value)))
    if depth < _DEEPEST and isinstance(value, dict):
        return next((text for name in _PART_FIELDS if (text := part_text(value.get(name), depth + 1))), "")
    return ""


def _is_thought(segment: Any) -> bool:
    """Return whether a part holds thoughts: by its type, or as Gemini has it by a mark beside its text."""
    if not isinstance(segment, dict):
        return False
    kind = str(segment.get("type", ""))
    return segment.get("thought") is True or re.search("think|thought|reasoning", kind) is not None
