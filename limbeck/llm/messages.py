"""Messages to and from a chat model, their thoughts apart from their words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

# of DeepSeek and vLLM, OpenRouter, Ollama and Anthropic
_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "thoughts", "thought", "reasoning_details")
_CONTENT_FIELDS = ("content", "value", "text")
_PART_FIELDS = (*_CONTENT_FIELDS, "thinking", "reasoning", "summary")

ChatMessage = dict[str, str]  # {"role": "system" | "user" | "assistant", "content": ...}


class Tokens(NamedTuple):
    """Tokens of prompts and of completions."""

    prompt: int = 0
    completion: int = 0

    def plus(self, tokens: "Tokens") -> "Tokens":
        return Tokens(self.prompt + tokens.prompt, self.completion + tokens.completion)


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer, blank where there are only thoughts, and the body it came in."""

    text: str
    raw: str
    tokens: Tokens | None = None  # None: not counted


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without an answer, perhaps paid for if `raw` is not None."""

    kind: str  # "timed out", "cut off", "HTTP 500"
    message: str  # one line for people
    again: bool = True  # the same request may be answered
    retry_after: float = 0.0  # seconds that the endpoint asked for
    raw: str | None = None  # the body of a success; "": there may have been one
    tokens: Tokens | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """Text of a message; `lacking` is the type of a part without any, like an image."""

    words: str
    thoughts: str
    lacking: str | None = None


def read_message(message: Mapping[str, Any], separator: str = "\n") -> Message:
    """Return words and thoughts of a message of an endpoint or data set, in keys or in parts."""
    content = next((message[name] for name in _CONTENT_FIELDS if message.get(name) is not None), "")
    words, thoughts, lacking = [], [], None
    for part in content if isinstance(content, list) else [content]:
        fields, text = part if isinstance(part, dict) else {}, _part_text(part)
        kind = str(fields.get("type", "text"))
        if fields.get("thought") is True or re.search("think|thought|reasoning", kind):  # the former is Gemini's
            thoughts.append(text)
        elif text:
            words.append(text)
        elif kind != "text":
            lacking = kind
    fields_text = (text for name in _THOUGHT_FIELDS if (text := _part_text(message.get(name))).strip())
    return Message(separator.join(words), next(fields_text, "\n".join(filter(None, thoughts))), lacking)


def _part_text(value: Any, depth: int = 4) -> str:
    """Return a part's text: itself, that of a field, or those of its own parts, a line each."""
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)  # half a pair is no UTF-8
    if depth and isinstance(value, list):
        return "\n".join(filter(None, (_part_text(item, depth - 1) for item in value)))
    if depth and isinstance(value, dict):
        return next((text for name in _PART_FIELDS if (text := _part_text(value.get(name), depth - 1))), "")
    return ""
