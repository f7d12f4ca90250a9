"""A chat message as endpoints and data sets write it: words and thoughts told apart, in keys or in parts."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# DeepSeek and vLLM, OpenRouter, Ollama and Anthropic, OpenRouter's list of parts
THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "thoughts", "thought", "reasoning_details")
_CONTENT_FIELDS = ("content", "value", "text")
_PART_FIELDS = (*_CONTENT_FIELDS, "thinking", "reasoning", "summary")
_DEEPEST = 4  # parts within parts


@dataclass(frozen=True, slots=True)
class Message:
    """A message's text; `lacking` is the type of a part without any, like an image, and None where there is none."""

    words: str
    thoughts: str
    lacking: str | None = None


def read_message(message: Mapping[str, Any], separator: str = "\n") -> Message:
    """Return what a message says; `separator` stands between the parts of its content."""
    content = next((message[name] for name in _CONTENT_FIELDS if message.get(name) is not None), None)
    parts = content if isinstance(content, list) else [] if content is None else [content]
    words, thoughts, lacking = [], [], None
    for part in parts:
        text = part_text(part)
        if _is_thought(part):
            thoughts.append(text)
        elif text or not isinstance(part, dict) or any(isinstance(part.get(name), str) for name in _PART_FIELDS):
            words.append(text)
        else:
            lacking = str(part.get("type", "unknown"))
    apart = (part_text(message.get(name)) for name in THOUGHT_FIELDS)
    beside = next((text for text in apart if text.strip()), "")
    return Message(separator.join(words), beside or "\n".join(filter(None, thoughts)), lacking)


def completion_thoughts(raw: str) -> str:
    """Return the thoughts beside the content in the body of a completion; "" where there are none, or no completion."""
    try:
        message = json.loads(raw)["choices"][0]["message"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return ""
    return read_message(message).thoughts if isinstance(message, dict) else ""


def part_text(value: Any, depth: int = 0) -> str:
    """Return the text of a part: itself, what its field for text holds, or those of its own parts, a line each.

    Half a surrogate pair, which UTF-8 cannot write, becomes a replacement character.
    """
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if depth < _DEEPEST and isinstance(value, list):
        return "\n".join(filter(None, (part_text(part, depth + 1) for part in value)))
    if depth < _DEEPEST and isinstance(value, dict):
        return next((text for name in _PART_FIELDS if (text := part_text(value.get(name), depth + 1))), "")
    return ""


def _is_thought(part: Any) -> bool:
    """Return whether a part holds thoughts: by its type, or as Gemini has it by a mark beside its text."""
    if not isinstance(part, dict):
        return False
    kind = str(part.get("type", ""))
    return part.get("thought") is True or re.search("think|thought|reasoning", kind) is not None
