"""A large model: how it is asked, and its replies taken apart."""

from limbeck.llm.replies import RationaleSource, concluded_label, parse, read_reply, stated_answer
from limbeck.llm.text import CHAT_TOKEN, THOUGHT_TAG, json_object, plain

__all__ = [
    "CHAT_TOKEN",
    "THOUGHT_TAG",
    "RationaleSource",
    "concluded_label",
    "json_object",
    "parse",
    "plain",
    "read_reply",
    "stated_answer",
]
