"""A model's reply as plain text, its sentences and the JSON in it."""

import html
import json
import re
from contextlib import suppress
from itertools import islice
from typing import Any

from limbeck.llm import phrases

_NAMES = r"(?:seed:)?think|thinking|thoughts?|reasoning|analysis|scratchpad|reflection|antthinking|inner_monologue"
_OPEN = (
    rf"(?:<\s{{0,3}}(?:{_NAMES})(?:\s[^<>\n]{{0,100}})?>|\[THINK\]|\u25c1think\u25b7"
    r"|<\|(?:begin_of_thought|START_THINKING|think)\|>)"
)
_CLOSE = (
    rf"(?:<\s{{0,3}}/\s{{0,3}}(?:{_NAMES})\s{{0,3}}>|\[/THINK\]|\u25c1/think\u25b7"
    r"|<\|(?:end_of_thought|END_THINKING|/think)\|>)"
)
THOUGHT_TAG = re.compile(f"{_OPEN}|{_CLOSE}", re.IGNORECASE)
_THOUGHT = re.compile(rf"{_OPEN}(.*?){_CLOSE}", re.IGNORECASE | re.DOTALL)
_THOUGHT_END = re.compile(_CLOSE, re.IGNORECASE)
_UNCLOSED = re.compile(rf"(?:\A|[\n\r])[ \t*_#>]{{0,40}}{_OPEN}", re.IGNORECASE)
_CHANNEL = re.compile(r"<\|channel\|>\s{0,3}(\w{1,20})[^<>]{0,60}<\|message\|>")  # gpt-oss

CHAT_TOKEN = re.compile(
    r"<[|\uff5c][^\s<>|\uff5c]{1,60}[|\uff5c]>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?(?:s|bos|eos|pad|unk)>",
    re.IGNORECASE,
)
_TOKEN_WITH_ROLE = re.compile(rf"(?:{CHAT_TOKEN.pattern})(?:\s{{0,3}}(?:assistant|model)\b:?)?", re.IGNORECASE)
_USER_TURN = re.compile(
    r"\[INST\]|<[|\uff5c]user[|\uff5c]>|<\|?(?:im_start|start_of_turn|start|start_header_id)\|?>\s{0,3}user\b",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^[ \t]{0,20}(?:`{3,9}|~{3,9})[ \t]{0,20}\w{0,20}[ \t]{0,20}$|`{3,9}", re.MULTILINE)
_QUOTED_LINE = re.compile(r"^[ \t]{0,3}(?:>[ \t]?){1,5}", re.MULTILINE)
_ATTRIBUTES = r"(?:\s[\w-]{1,20}=[^<>\n]{0,100})?"
_INLINE_TAG = re.compile(rf"</?(?:b|strong|i|em|u|span|mark|code|text){_ATTRIBUTES}>", re.IGNORECASE)
_BLOCK_TAG = re.compile(
    rf"\s{{0,3}}</?(?:br|p|div|li|ul|ol|h[1-6]|response|reply|output|message|body){_ATTRIBUTES}\s?/?>[^\S\n]{{0,3}}\n?",
    re.IGNORECASE,
)
_RULE = re.compile(r"\A(?:[ \t]{0,9}[-*_=]{3,9}[ \t]{0,9}\n|\s)+|\n[ \t]{0,9}[-*_=]{3,9}\s*\Z")

_ASCII = {0x3000: " ", 0x00A0: " ", 0x202F: " ", 0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'}
_ASCII |= {0xFF01 + offset: chr(0x21 + offset) for offset in range(94)}  # full-width characters

_BOX = re.compile(r"\\(?:boxed|fbox|text|textbf|mathrm|mathbf)\s?\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}", re.I)
_EDGES = " \t*_`~$"
_ORNAMENTS = " \t*_#>-=`$\u27a1\u2192\u2705\ufe0f"
_TRAILING_COMMA = re.compile(r",(?=\s{0,99}[}\]])")
_MAX_BRACES = 10

_ABBREVIATIONS = "".join(rf"(?<!{word})" for word in (r"\n\d", r"\n\d\d", r"\b[A-Ha-h]", "vs", "St", "Mr", "Dr"))
_SENTENCE_END = re.compile(rf"(?:{_ABBREVIATIONS}[.!?][\"'*_)\]]{{0,4}}(?=\s|$)|[\n\u3002])")
LONGEST_SENTENCE = 400
_LONGEST_COURTESY = 160


def split_thoughts(raw: str) -> tuple[str, str]:
    """Return a reply's thoughts and the rest of it, either of which may be blank.

    A thought whose tag opens a line may run to the end, and one without an opening begins at the start.
    """
    _, *channels = _CHANNEL.split(raw)
    if channels:
        texts = list(zip(channels[::2], channels[1::2], strict=True))
        thoughts = [text for name, text in texts if name != "final"]
        content = "\n".join(text for name, text in texts if name == "final")
    else:
        end = max((tag.end() for tag in _THOUGHT_END.finditer(raw)), default=0)
        *unopened, content = _THOUGHT_END.split(_THOUGHT.sub("", raw[:end]))
        content, *unclosed = _UNCLOSED.split(content + raw[end:], maxsplit=1)
        thoughts = [*unopened, *(thought[1] for thought in _THOUGHT.finditer(raw[:end])), *unclosed]
    return "\n".join(text.strip() for text in thoughts if text.strip()), content


def plain(raw: str) -> str:
    """Return the reply in ASCII signs, without thoughts, chat tokens, fences and HTML, up to a user's turn."""
    text = THOUGHT_TAG.sub("", split_thoughts(html.unescape(raw))[1])
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_ASCII)
    turn = _USER_TURN.search(text)
    text = _FENCE.sub("", _TOKEN_WITH_ROLE.sub("", text[: turn.start()] if turn else text))
    if text.lstrip()[:1] == ">" and all(line.lstrip()[:1] in (">", "") for line in text.split("\n")):
        text = _QUOTED_LINE.sub("", text)
    return _RULE.sub("", _BLOCK_TAG.sub("\n", _INLINE_TAG.sub("", text))).rstrip()


def unwrapped(text: str) -> str:
    """Return an answer's first line without bold, quotes, backticks, `$` and `\\boxed{\\text{}}`."""
    line = " ".join(re.split(r"[\n\u3002]", text[:2_000].strip(), maxsplit=1)[0].split())
    if re.match(r"\*\*[^*]+\*\*\w", line):
        return ""  # `**2**3` may be 23 or 2**3
    for _ in range(3):  # a box in a text in a box
        line = _BOX.sub(r"\1", line)
    if line.count("**") % 2 == 0:  # else `2**3`, a power
        line = re.sub(r"(?<![\w)])(?:\*\*|__)(?=\S)|(?<=\S)(?:\*\*|__)(?![\w(])", "", line)
    line = _unquoted(line)
    return _unquoted(line[:-1]) if line.endswith(("*.", "`.", '".', "'.", "$.")) else line


def _unquoted(line: str) -> str:
    line = line.strip(_EDGES)
    if len(line) > 1 and line[0] == line[-1] and line[0] in "\"'":
        line = line[1:-1]
    elif line.count('"') == 1:
        line = line.strip('"')
    return line.strip(_EDGES)


def json_object(text: str) -> tuple[dict[str, Any], str] | None:
    """Return the first JSON object, even with trailing commas, and the text before it."""
    text = _TRAILING_COMMA.sub("", text)
    for brace in islice(re.finditer(r"\{\s{0,99}\"", text), _MAX_BRACES):
        with suppress(ValueError, RecursionError):
            fields, _ = json.JSONDecoder().raw_decode(text, brace.start())
            return fields, text[: brace.start()].rstrip().removesuffix("[")
    return None


def sentence_start(text: str, position: int) -> int:
    """Return the start of the sentence at `position`; every line begins one."""
    low = max(0, position - LONGEST_SENTENCE)
    return max((end.end() for end in _SENTENCE_END.finditer(text, low, position)), default=low)


def sentence_end(text: str, start: int, longest: int = LONGEST_SENTENCE) -> int:
    """Return the end of the sentence from `start`, at most `longest` characters on."""
    limit = min(start + longest, len(text))
    end = _SENTENCE_END.search(text, start, limit)
    return end.end() if end else limit


def without_courtesies(text: str) -> str:
    """Return the text without politeness around it."""
    begin, end = 0, len(text.rstrip())
    for _ in range(3):
        begin = end - len(text[begin:end].lstrip())
        stop = sentence_end(text, begin, _LONGEST_COURTESY)
        if not phrases.COURTESY.match(text, begin, stop) or re.search(r"\d|\banswer\b", text[begin:stop]):
            break
        begin = stop
    for _ in range(3):
        start = max(begin, sentence_start(text, max(begin, end - 2)))
        if farewell := phrases.FAREWELL.search(text, start, end):
            end = len(text[: farewell.start()].rstrip())
    return text[begin : max(begin, end)]


def reasoning(text: str) -> str | None:
    """Return the text without politeness and headings around it; None if that is all."""
    lines = phrases.HEADING.sub("", without_courtesies(text).lstrip(), count=1).strip().split("\n")
    while lines and (not lines[-1].strip(_ORNAMENTS) or phrases.LAST_HEADING.fullmatch(lines[-1])):
        lines.pop()
    return "\n".join(lines).strip().encode(errors="replace").decode() or None
