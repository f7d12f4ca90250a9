"""Words and thoughts of a message, wherever they stand in it."""

import pytest

from limbeck.llm.messages import Message, read_message

NESTED = {"text": "deep"}
for _ in range(50):
    NESTED = {"content": [NESTED]}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": "a"}, Message("a", "")),
        ({"value": "a"}, Message("a", "")),
        ({}, Message("", "")),
        ({"content": "a", "reasoning": "b", "reasoning_details": [{"type": "reasoning.text", "text": "b"}]},
         Message("a", "b")),
        ({"content": "a", "reasoning": None, "reasoning_content": "", "thinking": "b"}, Message("a", "b")),
        ({"content": "a", "reasoning_details": [{"type": "reasoning.summary", "summary": "b"},
                                                {"type": "reasoning.encrypted", "data": "x"}]}, Message("a", "b")),
        ({"content": ["a", {"type": "text", "text": "b"}]}, Message("a|b", "")),
        ({"content": [{"type": "thinking", "thinking": "b"}, {"type": "text", "text": "a"}]}, Message("a", "b")),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "b"}]}]}, Message("", "b")),
        ({"content": [{"text": "b", "thought": True}, {"text": "a"}]}, Message("a", "b")),
        ({"content": [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "a"}]}, Message("a", "")),
        ({"content": [{"type": "text", "text": ""}, {"type": "image_url", "image_url": {"url": "u"}}]},
         Message("", "", "image_url")),
        ({"content": "half \ud83d"}, Message("half \ufffd", "")),
        ({"content": [NESTED]}, Message("", "")),
        ({"content": 3}, Message("", "")),
    ],
)  # fmt: skip
def test_where_words_and_thoughts_stand(message, expected):
    assert read_message(message, separator="|") == expected
