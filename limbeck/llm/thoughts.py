"""A model's thoughts, told apart from its answer: every tag and token that models put around them, in one list."""

import re

# Tags with their closing form; a name stands for <name>, </name> and [NAME], [/NAME].
_NAMES = r"(?:seed:)?think|thinking|thoughts?|reasoning|analysis|scratchpad|reflection|antthinking|inner_monologue"
_PAIRS = (
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|think|>", "<|/think|>"),
)
_OPENING = "|".join(re.escape(opening) for opening, _ in _PAIRS)
_CLOSING = "|".join(re.escape(closing) for _, closing in _PAIRS)
_ATTRIBUTES = r"(?:\s[^<>\n]{0,100})?"
_TAG = (
    rf"(?P<open><\s{{0,3}}(?:{_NAMES}){_ATTRIBUTES}>|\[THINK\]|{_OPENING})"
    rf"|(?P<close><\s{{0,3}}/\s{{0,3}}(?:{_NAMES})\s{{0,3}}>|\[/THINK\]|{_CLOSING})"
)
THOUGHT_TAG = re.compile(_TAG, re.IGNORECASE)
# gpt-oss: <|channel|>analysis<|message|>...<|end|>, and as it reads once its special tokens are gone.
_CHANNEL = re.compile(r"<\|channel\|>\s{0,3}(?P<name>\w{1,20})[^<>]{0,60}<\|message\|>", re.IGNORECASE)
_BARE_CHANNELS = re.compile(r"\A\s{0,9}analysis(?=\S)(?P<thoughts>.*?)assistant\s?final", re.DOTALL)
_LONGEST_INDENT = 40
_LINE_START = re.compile(r"(?:\A|(?<=\n)|(?<=\r))[ \t*_#>]*\Z")
_QUOTES = frozenset("`'\"\u2018\u2019\u201c\u201d")


def split_thoughts(raw: str) -> tuple[str, str]:
    """Return a reply's thoughts and the rest of it; either may be blank.

    A thought that is never closed goes on to the end where its tag opens a line; in mid-line, in quotes or in
    backticks such a tag is only mentioned. One never opened (its tag was in the prompt) began at the start.
    """
    if (channels := _split_channels(raw)) is not None:
        return channels
    thoughts: list[str] = []
    rest: list[str] = []
    place, depth = 0, 0
    tags = [tag for tag in THOUGHT_TAG.finditer(raw) if not _quoted(raw, tag)]
    last_close = max((tag.start() for tag in tags if tag["close"]), default=-1)
    for tag in tags:
        if tag["close"]:
            if not depth:
                thoughts += [*rest, raw[place : tag.start()]]
                rest = []
            else:
                thoughts.append(raw[place : tag.start()])
            depth = 0
        elif depth:
            continue
        elif tag.start() > last_close and not _opens_line(raw, tag.start()):
            continue  # mentioned
        else:
            rest.append(raw[place : tag.start()])
            depth = 1
        place = tag.end()
    (thoughts if depth else rest).append(raw[place:])
    return "\n".join(part.strip() for part in thoughts if part.strip()), "".join(rest)


def _split_channels(raw: str) -> tuple[str, str] | None:
    channels = list(_CHANNEL.finditer(raw))
    if not channels:
        bare = _BARE_CHANNELS.match(raw)
        return (bare["thoughts"].strip(), raw[bare.end() :]) if bare else None
    thoughts: list[str] = []
    final: list[str] = []
    ends = [channel.start() for channel in channels[1:]] + [len(raw)]
    for channel, end in zip(channels, ends, strict=True):
        (final if channel["name"].lower() == "final" else thoughts).append(raw[channel.end() : end])
    return "\n".join(part.strip() for part in thoughts), "\n".join(final)


def _opens_line(raw: str, start: int) -> bool:
    return _LINE_START.search(raw, max(0, start - _LONGEST_INDENT), start) is not None


def _quoted(raw: str, tag: re.Match[str]) -> bool:
    return raw[tag.start() - 1 : tag.start()] in _QUOTES and raw[tag.end() : tag.end() + 1] in _QUOTES
