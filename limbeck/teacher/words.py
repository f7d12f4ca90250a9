"""A teacher's words made plain: without thoughts, code fences and the signs of Markdown and LaTeX."""

import json
import re
from typing import Any

# One character for one, so that places in the text stay where they were.
_SAME = {0x3000: " ", 0x00A0: " ", 0x202F: " ", 0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x3002: "."}
_SAME |= {0xFF01 + offset: chr(0x21 + offset) for offset in range(94)}  # full-width letters, digits, signs

_THOUGHT = re.compile(r"<(?P<close>/?)(?:think|thinking|thought)>", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]{0,20}(?:`{3,9}|~{3,9})[ \t]{0,20}\w{0,20}[ \t]{0,20}$|`{3,9}", re.MULTILINE)
_WRAPPER = re.compile(r"\\(?:boxed|fbox|text|textbf|textit|mathrm|mathbf)\s?\{((?:[^{}]|\{[^{}]*\})*)\}")
_MATHS = re.compile(r"\\[()\[\]]")
_BOLD = re.compile(r"\*\*|__")
_EDGES = " \t*_`~$\"'"


def plain(raw: str) -> str:
    """The reply without its thoughts and without code fences, its line ends all alike."""
    text = _without_thoughts(raw).replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    return _FENCE.sub("", text)


def _without_thoughts(text: str) -> str:
    """A thought never closed goes on to the end; one never opened (its tag was in the prompt) began at the start."""
    kept: list[str] = []
    place, thinking = 0, False
    for tag in _THOUGHT.finditer(text):
        if tag["close"] and not thinking:
            kept.clear()
        elif not tag["close"] and not thinking:
            kept.append(text[place : tag.start()])
        thinking = not tag["close"]
        place = tag.end()
    return "".join(kept) + ("" if thinking else text[place:])


def same_length(text: str) -> str:
    """Full-width characters, smart quotes and odd blanks as ASCII has them, each in its place."""
    return text.translate(_SAME)


def unwrapped(words: str) -> str:
    """The first line of an answer without what it is wrapped in: bold, quotes, backticks, `$`, `\\boxed{\\text{}}`."""
    line = words.strip().partition("\n")[0]
    for _ in range(3):  # a box in a text in a box
        line = _WRAPPER.sub(r"\1", line)
    line = _MATHS.sub("", line)
    if len(_BOLD.findall(line)) % 2 == 0 or line.startswith(("**", "__")):  # else `2**3`, a power
        line = re.sub(r"(?<![\w)])(?:\*\*|__)(?=\S)|(?<=\S)(?:\*\*|__)(?![\w(])", "", line)
    line = line.strip(_EDGES)
    return line.removesuffix(".").rstrip(_EDGES) if line.endswith(("*.", "`.", '".', "$.")) else line


def json_object(text: str) -> tuple[dict[str, Any], str] | None:
    """The JSON object that the text's first brace at a line's start opens, and what stands before it."""
    start = re.search(r"^[ \t]{0,20}\{", text, re.MULTILINE)
    if start is None:
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(text, start.end() - 1)
    except (ValueError, RecursionError):
        return None
    return found, text[: start.start()]
