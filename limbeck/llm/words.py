"""A teacher's words made plain: without thoughts, chat tokens, code fences and the signs of Markdown and LaTeX."""

import html
import json
import re
from itertools import islice
from typing import Any

from limbeck.llm.thoughts import THOUGHT_TAG, split_thoughts

# One character for one, so that places in the text stay where they were. A Chinese full stop needs no blank after it.
_SAME = {0x3000: " ", 0x00A0: " ", 0x202F: " ", 0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x3002: "\n"}
_SAME |= {0xFF01 + offset: chr(0x21 + offset) for offset in range(94)}  # full-width letters, digits, signs

CHAT_TOKEN = re.compile(
    r"<[|\uff5c][^\s<>|\uff5c]{1,60}[|\uff5c]>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?(?:s|bos|eos|pad|unk)>",
    re.IGNORECASE,
)
_OPENING = re.compile(rf"(?:\s|{CHAT_TOKEN.pattern}|(?<=>)(?:assistant|model|user|system)\b)*", re.IGNORECASE)
_ROLE = re.compile(r"\s{0,3}(?:assistant|model)\b:?", re.IGNORECASE)
_USER = re.compile(
    r"\[INST\]|<[|\uff5c]user[|\uff5c]>|<\|?(?:im_start|start_of_turn|start|start_header_id)\|?>\s{0,3}user\b",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8}[0-9]?);", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]{0,20}(?:`{3,9}|~{3,9})[ \t]{0,20}\w{0,20}[ \t]{0,20}$|`{3,9}", re.MULTILINE)
_WRAPPER = re.compile(r"\\(?:boxed|fbox|text|textbf|textit|mathrm|mathbf)\s?\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}")
_QUOTED_LINE = re.compile(r"^[ \t]{0,3}(?:>[ \t]?){1,5}", re.MULTILINE)
_WRAPPED = re.compile(
    r"\s*<(?P<tag>response|reply|output|text|message|p|div|solution|body)>(?P<reply>.*)</(?P=tag)>\s*",
    re.IGNORECASE | re.DOTALL,
)
_PHRASE_TAG = re.compile(
    r"<(?P<tag>i|em|u|span|mark|code)(?:\s[^<>\n]{0,100})?>(?P<text>[^<\n]{1,300})</(?P=tag)>", re.I
)
_BOLD_TAG = re.compile(r"<(?P<tag>b|strong)>\s{0,3}(?P<text>[^<\n]{1,300}?)\s{0,3}</(?P=tag)>", re.IGNORECASE)
_LINE_TAG = re.compile(r"\s{0,3}</?(?:br|p|div|li|ul|ol|h[1-6])(?:\s[^<>\n]{0,100})?/?>[^\S\n]{0,3}\n?", re.IGNORECASE)
_RULE_BEFORE = re.compile(r"\A(?:[ \t]{0,9}[-*_=]{3,9}[ \t]{0,9}\n|\s)+")
_RULE_AFTER = re.compile(r"\n[ \t]{0,9}[-*_=]{3,9}\Z")
_SHOUTED_COMMAND = re.compile(r"\\[A-Z]{3,20}(?![A-Za-z])")
_MATHS = re.compile(r"\\[()\[\]]")
_BOLD = re.compile(r"\*\*|__")
_BOLD_IN_WORD = re.compile(r"\*\*[^*]+\*\*\w")
_EDGES = " \t*_`~$"
_STRAY_TAG = re.compile(r"^<\w{1,20}>|</\w{1,20}>$")
_EMOJI = re.compile(
    r"^[\s\u2190-\u21ff\u2300-\u2bff\ufe0f\U0001f000-\U0001faff]+|[\s\u2300-\u2bff\ufe0f\U0001f000-\U0001faff]+$"
)
_QUOTES = "\"'"
_TRAILING_COMMA = re.compile(r",(?=\s{0,99}[}\]])")
_MOST_BRACES = 10
LONGEST_LINE = 1_000  # characters of an answer's line


def plain(raw: str) -> str:
    """Return the reply without thoughts, chat tokens, entities, code fences and HTML, its line ends all alike.

    Where a token opens a turn of the user, the reply is over.
    """
    text = split_thoughts(_ENTITY.sub(lambda entity: html.unescape(entity[0]), raw))[1]
    text = THOUGHT_TAG.sub("", text).replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    opening = _OPENING.match(text)
    turn = _USER.search(text, opening.end() if opening else 0)
    pieces, place = [], 0
    text = text[: turn.start()] if turn else text
    for token in CHAT_TOKEN.finditer(text):
        pieces.append(text[place : token.start()])
        role = _ROLE.match(text, token.end())
        place = role.end() if role else token.end()
    text = _FENCE.sub("", "".join(pieces) + text[place:])
    if text.lstrip()[:1] == ">" and all(line.lstrip()[:1] in (">", "") for line in text.split("\n")):
        text = _QUOTED_LINE.sub("", text)
    if (wrapped := _WRAPPED.fullmatch(text)) is not None:
        text = wrapped["reply"]
    text = _BOLD_TAG.sub(r"**\g<text>**", _PHRASE_TAG.sub(r"\g<text>", text))
    text = _LINE_TAG.sub("\n", text)
    text = _SHOUTED_COMMAND.sub(lambda command: command[0].lower(), text)
    return _RULE_BEFORE.sub("", _RULE_AFTER.sub("", text.rstrip()))


def same_length(text: str) -> str:
    """Return full-width characters, smart quotes and odd blanks as ASCII has them, each in its place."""
    return text.translate(_SAME)


def unwrapped(words: str) -> str:
    """Return an answer's first line without what wraps it: bold, quotes, backticks, `$`, `\\boxed{\\text{}}`."""
    line = _STRAY_TAG.sub("", words[: 2 * LONGEST_LINE].strip().partition("\n")[0]).strip()
    line = " ".join(_EMOJI.sub("", line).split())
    if _BOLD_IN_WORD.match(line):
        return ""  # `**2**3` may be 23 or 2**3
    for _ in range(3):  # a box in a text in a box
        line = _WRAPPER.sub(r"\1", line)
    line = _MATHS.sub("", line)
    if len(_BOLD.findall(line)) % 2 == 0 or line.startswith(("**", "__")):  # else `2**3`, a power
        line = re.sub(r"(?<![\w)])(?:\*\*|__)(?=\S)|(?<=\S)(?:\*\*|__)(?![\w(])", "", line)
    line = _unquoted(line.strip(_EDGES))
    return _unquoted(line.removesuffix(".")) if line.endswith(("*.", "`.", '".', "'.", "$.")) else line


def _unquoted(line: str) -> str:
    """Return the text without one pair of quotes around it, or half a pair."""
    line = line.strip(_EDGES)
    for quote in _QUOTES:
        if len(line) > 1 and line[0] == line[-1] == quote:
            return line[1:-1].strip(_EDGES)
        if line.count(quote) == 1 and quote == '"':
            return line.strip(quote).strip(_EDGES)
    return line


def json_object(text: str) -> tuple[dict[str, Any], str] | None:
    """Return the first JSON object in the text, commas before its end forgiven, and what stands before it."""
    text = _TRAILING_COMMA.sub("", text)
    for start in islice(re.finditer(r"\{\s{0,99}\"", text), _MOST_BRACES):
        try:
            found, _ = json.JSONDecoder().raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        return found, text[: start.start()].rstrip().removesuffix("[")
    return None
