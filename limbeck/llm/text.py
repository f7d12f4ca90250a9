"""A model's reply as plain text: without thoughts, chat tokens, Markdown and HTML; and the JSON in it."""

import html
import json
import re
from itertools import islice
from typing import Any

# Tags around thoughts; a name stands for <name> and </name>.
_THOUGHT_NAMES = (
    r"(?:seed:)?think|thinking|thoughts?|reasoning|analysis|scratchpad|reflection|antthinking|inner_monologue"
)
THOUGHT_TAG = re.compile(
    rf"(?P<open><\s{{0,3}}(?:{_THOUGHT_NAMES})(?:\s[^<>\n]{{0,100}})?>|\[THINK\]|\u25c1think\u25b7"
    r"|<\|begin_of_thought\|>|<\|START_THINKING\|>|<\|think\|>)"
    rf"|(?P<close><\s{{0,3}}/\s{{0,3}}(?:{_THOUGHT_NAMES})\s{{0,3}}>|\[/THINK\]|\u25c1/think\u25b7"
    r"|<\|end_of_thought\|>|<\|END_THINKING\|>|<\|/think\|>)",
    re.IGNORECASE,
)
# gpt-oss: <|channel|>analysis<|message|>...<|end|>, and as it reads once its special tokens are gone.
_CHANNEL = re.compile(r"<\|channel\|>\s{0,3}(?P<name>\w{1,20})[^<>]{0,60}<\|message\|>", re.IGNORECASE)
_BARE_CHANNELS = re.compile(r"\A\s{0,9}analysis(?=\S)(?P<thoughts>.*?)assistant\s?final", re.DOTALL)
_LINE_START = re.compile(r"(?:\A|(?<=\n)|(?<=\r))[ \t*_#>]*\Z")
_LONGEST_INDENT = 40
_TAG_QUOTES = frozenset("`'\"\u2018\u2019\u201c\u201d")

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
_WRAPPED = re.compile(
    r"\s*<(?P<tag>response|reply|output|text|message|solution|body)>(?P<reply>.*)</(?P=tag)>\s*", re.I | re.DOTALL
)
_PHRASE_TAG = re.compile(
    r"<(?P<tag>i|em|u|span|mark|code)(?:\s[^<>\n]{0,100})?>(?P<text>[^<\n]{1,300})</(?P=tag)>", re.IGNORECASE
)
_BOLD_TAG = re.compile(r"<(?P<tag>b|strong)>\s{0,3}(?P<text>[^<\n]{1,300}?)\s{0,3}</(?P=tag)>", re.IGNORECASE)
_LINE_TAG = re.compile(r"\s{0,3}</?(?:br|p|div|li|ul|ol|h[1-6])(?:\s[^<>\n]{0,100})?/?>[^\S\n]{0,3}\n?", re.IGNORECASE)
_SHOUTED_COMMAND = re.compile(r"\\[A-Z]{3,20}(?![A-Za-z])")  # \BOXED
_RULE = re.compile(r"\A(?:[ \t]{0,9}[-*_=]{3,9}[ \t]{0,9}\n|\s)+|\n[ \t]{0,9}[-*_=]{3,9}\s*\Z")

# One character for one, so that positions stay valid. A Chinese full stop needs no space after it.
_ASCII = {0x3000: " ", 0x00A0: " ", 0x202F: " ", 0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x3002: "\n"}
_ASCII |= {0xFF01 + offset: chr(0x21 + offset) for offset in range(94)}  # full-width letters, digits, signs

_BOX = re.compile(r"\\(?:boxed|fbox|text|textbf|textit|mathrm|mathbf)\s?\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}")
_MATHS = re.compile(r"\\[()\[\]]")
_BOLD = re.compile(r"\*\*|__")
_STRAY_TAG = re.compile(r"^<\w{1,20}>|</\w{1,20}>$")
_EMOJI = "\u2300-\u2bff\ufe0f\U0001f000-\U0001faff"
_EMOJI_AROUND = re.compile(rf"^[\s\u2190-\u21ff{_EMOJI}]+|[\s{_EMOJI}]+$")
_EDGES = " \t*_`~$"
_LONGEST_LINE = 1_000  # characters of an answer's line
_TRAILING_COMMA = re.compile(r",(?=\s{0,99}[}\]])")
_MAX_BRACES = 10


def split_thoughts(raw: str) -> tuple[str, str]:
    """Return a reply's thoughts and the rest of it; either may be blank.

    A thought that is never closed runs to the end if its tag opens a line; a tag in mid-line, in quotes or in backticks
    is only mentioned. A thought that is closed but never opened (its tag was in the prompt) began at the start.
    """
    if (channels := _split_channels(raw)) is not None:
        return channels
    thoughts: list[str] = []
    content: list[str] = []
    position, inside = 0, False
    tags = [
        tag
        for tag in THOUGHT_TAG.finditer(raw)
        if not (raw[tag.start() - 1 : tag.start()] in _TAG_QUOTES and raw[tag.end() : tag.end() + 1] in _TAG_QUOTES)
    ]
    last_close = max((tag.start() for tag in tags if tag["close"]), default=-1)
    for tag in tags:
        text = raw[position : tag.start()]
        if tag["close"]:
            thoughts += [text] if inside else [*content, text]
            content = content if inside else []
        elif inside or (tag.start() > last_close and not _opens_line(raw, tag.start())):
            continue
        else:
            content.append(text)
        inside = not tag["close"]
        position = tag.end()
    (thoughts if inside else content).append(raw[position:])
    return "\n".join(text.strip() for text in thoughts if text.strip()), "".join(content)


def _opens_line(raw: str, start: int) -> bool:
    return _LINE_START.search(raw, max(0, start - _LONGEST_INDENT), start) is not None


def _split_channels(raw: str) -> tuple[str, str] | None:
    channels = list(_CHANNEL.finditer(raw))
    if not channels:
        bare = _BARE_CHANNELS.match(raw)
        return (bare["thoughts"].strip(), raw[bare.end() :]) if bare else None
    texts: dict[bool, list[str]] = {True: [], False: []}  # by whether the channel is the final one
    ends = [channel.start() for channel in channels[1:]] + [len(raw)]
    for channel, end in zip(channels, ends, strict=True):
        texts[channel["name"].lower() == "final"].append(raw[channel.end() : end])
    return "\n".join(text.strip() for text in texts[False]), "\n".join(texts[True])


def plain(raw: str) -> str:
    """Return the reply without thoughts, chat tokens, entities, code fences and HTML, with "\\n" line ends.

    The reply ends where a chat token opens a turn of the user.
    """
    text = THOUGHT_TAG.sub("", split_thoughts(html.unescape(raw))[1])
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    turn = _USER_TURN.search(text)
    text = _FENCE.sub("", _TOKEN_WITH_ROLE.sub("", text[: turn.start()] if turn else text))
    if text.lstrip()[:1] == ">" and all(line.lstrip()[:1] in (">", "") for line in text.split("\n")):
        text = _QUOTED_LINE.sub("", text)
    if (wrapped := _WRAPPED.fullmatch(text)) is not None:
        text = wrapped["reply"]
    text = _SHOUTED_COMMAND.sub(lambda command: command[0].lower(), text)
    text = _BOLD_TAG.sub(r"**\g<text>**", _PHRASE_TAG.sub(r"\g<text>", text))
    return _RULE.sub("", _LINE_TAG.sub("\n", text)).rstrip()


def same_length(text: str) -> str:
    """Return the text with full-width characters, smart quotes and odd spaces as ASCII, each at its position."""
    return text.translate(_ASCII)


def unwrapped(text: str) -> str:
    """Return an answer's first line without what wraps it: bold, quotes, backticks, `$`, `\\boxed{\\text{}}`."""
    line = _STRAY_TAG.sub("", text[: 2 * _LONGEST_LINE].strip().partition("\n")[0]).strip()
    line = " ".join(_EMOJI_AROUND.sub("", line).split())
    if re.match(r"\*\*[^*]+\*\*\w", line):
        return ""  # `**2**3` may be 23 or 2**3
    for _ in range(3):  # a box in a text in a box
        line = _BOX.sub(r"\1", line)
    line = _MATHS.sub("", line)
    if len(_BOLD.findall(line)) % 2 == 0:  # else `2**3`, a power
        line = re.sub(r"(?<![\w)])(?:\*\*|__)(?=\S)|(?<=\S)(?:\*\*|__)(?![\w(])", "", line)
    line = _unquoted(line)
    return _unquoted(line.removesuffix(".")) if line.endswith(("*.", "`.", '".', "'.", "$.")) else line


def _unquoted(line: str) -> str:
    """Return the text without one pair of quotes around it, or half a pair."""
    line = line.strip(_EDGES)
    if len(line) > 1 and line[0] == line[-1] and line[0] in "\"'":
        return line[1:-1].strip(_EDGES)
    return line.strip('"').strip(_EDGES) if line.count('"') == 1 else line


def json_object(text: str) -> tuple[dict[str, Any], str] | None:
    """Return the first JSON object in the text, trailing commas forgiven, and the text before it."""
    text = _TRAILING_COMMA.sub("", text)
    for start in islice(re.finditer(r"\{\s{0,99}\"", text), _MAX_BRACES):
        try:
            fields, _ = json.JSONDecoder().raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        return fields, text[: start.start()].rstrip().removesuffix("[")
    return None
