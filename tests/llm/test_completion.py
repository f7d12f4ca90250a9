"""What an endpoint wrote, read: hostile values of every shape, waits, and keys in every escape."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.llm.completion import Redact, line, read_completion, read_error, retry_after
from limbeck.llm.engine import Failure, Reply

SIGNS = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\"'\\")
# no key of random signs repeats itself; one that did could also be seen half within the escape before it
KEYS = st.text(SIGNS, min_size=6, max_size=60).filter(lambda key: all(key[n:] != key[:-n] for n in range(1, 6)))
FIELDS = ["choices", "message", "content", "text", "finish_reason", "usage", "prompt_tokens", "error", "code", "type"]
NOTHING = Redact(None)


def strings(value: Any) -> list[str]:
    """All texts in a JSON value, names of fields too."""
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in strings(part)]
    return [text for part in value for text in strings(part)] if isinstance(value, list) else [str(value)]


def escaped(text: str, data: st.DataObject) -> str:
    """The text as JSON, each character in one of the ways that JSON has."""
    ways = [[c, f"\\u{ord(c):04x}", f"\\u{ord(c):04X}", *["\\/"] * (c == "/")] for c in text]
    return '"' + "".join(data.draw(st.sampled_from(way)) for way in ways) + '"'


@given(key=KEYS, data=st.data())
def test_no_key_is_left(key: str, data: st.DataObject) -> None:
    """However it is escaped, no reader of JSON gets to see the key, and it is still JSON."""
    echo, bearer, name = (escaped(text, data) for text in (key, "Bearer " + key + key, key))
    raw = f'{{"a": {echo}, "b": [{bearer}], {name}: {json.dumps(key)}}}'
    assert key in strings(json.loads(raw))
    assert json.loads(Redact(key)(raw)) == {"a": "[key]", "b": ["Bearer [key][key]"], "[key]": "[key]"}


@given(key=KEYS, levels=st.integers(0, 3), data=st.data())
def test_no_key_is_left_in_json_within_json(key: str, levels: int, data: st.DataObject) -> None:
    written = escaped(key, data)
    for _ in range(levels):
        written = json.dumps([written])
    redacted = Redact(key)(written)
    for _ in range(levels):
        redacted = json.loads(redacted)[0]
    assert redacted == '"[key]"'


@given(key=KEYS, text=st.text())
def test_what_is_no_key_is_left_alone(key: str, text: str) -> None:
    if key[0] not in text:
        assert Redact(key)(text) == text
    assert Redact(key[:5])(text) == Redact(None)(text) == text


def test_a_flood_of_backslashes() -> None:
    flood = "\\" * 2**20  # quadratic, this would take hours
    assert Redact("sk-abcdef")(flood) == flood


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["stop", "length", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=8,
)


@given(value=VALUES, choice=VALUES, message=VALUES, content=VALUES)
def test_values_of_every_shape(value: Any, choice: Any, message: Any, content: Any) -> None:
    for body in (
        value,
        {"choices": [choice], "usage": value},
        {"choices": [{"message": message, "finish_reason": value}]},
        {"choices": [{"message": {"content": content}, "finish_reason": value}], "usage": {"prompt_tokens": value}},
    ):
        outcome = read_completion(json.dumps(body), NOTHING)
        said = outcome.text if isinstance(outcome, Reply) else outcome.message
        said.encode()
        if isinstance(outcome, Reply):
            assert outcome.text.strip()
            assert outcome.finish_reason.isascii()
        else:
            assert len(outcome.message) <= 300
            assert outcome.message.isprintable()
        message, codes = read_error(json.dumps(body), NOTHING)
        assert message.isprintable()
        assert all(isinstance(code, str) for code in codes)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 0, "completion_tokens": 7}, (0, 7)),
        ({"prompt_tokens": -1, "completion_tokens": True}, (None, None)),
        ({"prompt_tokens": "12", "completion_tokens": 3.0}, (None, None)),
        ({"prompt_tokens": 10**30, "completion_tokens": None}, (None, None)),
        ({}, (None, None)),
        (None, (None, None)),
        ([12, 34], (None, None)),
    ],
)
@pytest.mark.parametrize("finish_reason", ["stop", "length", "content_filter"])
def test_tokens(usage: Any, counts: tuple[int | None, int | None], finish_reason: str) -> None:
    """Those of failures are known, too: they were paid for."""
    choice = {"message": {"content": "Yes."}, "finish_reason": finish_reason}
    raw = json.dumps({"choices": [choice], "usage": usage})
    outcome = read_completion(raw, NOTHING)
    assert isinstance(outcome, Reply if finish_reason == "stop" else Failure)
    assert (outcome.prompt_tokens, outcome.completion_tokens) == counts
    assert outcome.raw == raw


@pytest.mark.parametrize(
    ("reason", "read"),
    [("stop", "stop"), ("eos_token", "eos_token"), (None, ""), ("", ""), (3, ""), ("x" * 99, "")],
)
def test_finish_reasons(reason: Any, read: str) -> None:
    reply = read_completion(json.dumps({"choices": [{"message": {"content": "Y"}, "finish_reason": reason}]}), NOTHING)
    assert isinstance(reply, Reply)
    assert reply.finish_reason == read


def test_half_characters() -> None:
    """A lone surrogate becomes the replacement character, a pair the character that it means."""
    reply = read_completion(r'{"choices": [{"message": {"content": "a\ud800b\ud83d\ude00"}}]}', NOTHING)
    assert isinstance(reply, Reply)
    assert reply.text == "a\ufffdb\U0001f600"
    reply.raw.encode()


@pytest.mark.parametrize(
    "value", ["", "-1", "-0.5", "soon", "nan", "inf", "1e3", "0x10", "1_0", "\u0661", "9" * 400, "31 Dec 99999 0:0 GMT"]
)
def test_waits_that_say_nothing(value: str) -> None:
    assert retry_after({"retry-after": value}) is None
    assert retry_after({"retry-after": "7", "retry-after-ms": value}) == 7


@given(value=st.text())
def test_any_wait_is_read(value: str) -> None:
    wait = retry_after({"retry-after": value})
    assert wait is None or 0 <= wait <= 3600


def test_lines() -> None:
    assert line("a\n  b\t\x00\x1b[0m\u202e\ud800", NOTHING) == r"a b \x00\x1b[0m\u202e\ud800"
    assert len(line("x" * 1000, NOTHING)) == 300
    assert line("x" * 1000, NOTHING).endswith("x…")
    assert len(line("\x00" * 1000, NOTHING)) == 300
