"""Thoughts come apart from the rest of a reply."""

import pytest

from limbeck.llm.text import json_object, split_thoughts


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        ("<think>\nOne.\n</think>\n<think>Two.</think>Yes.", ("One.\nTwo.", "\nYes.")),
        ("Hm.</think>Yes.", ("Hm.", "Yes.")),
        ("<think>Hm.", ("Hm.", "")),
        ("[THINK]Hm.[/THINK]Yes.", ("Hm.", "Yes.")),
        ("\u25c1think\u25b7Hm.\u25c1/think\u25b7Yes.", ("Hm.", "Yes.")),
        ('<reasoning effort="high">Hm.</reasoning>Yes.', ("Hm.", "Yes.")),
        ("< analysis >Hm.</ analysis >Yes.", ("Hm.", "Yes.")),
        ("<|channel|>analysis<|message|>Hm.<|end|><|channel|>final<|message|>Yes.", ("Hm.<|end|>", "Yes.")),
        ("A model writes <think> first. Yes.", ("", "A model writes <think> first. Yes.")),
    ],
)
def test_thoughts_come_apart(raw: str, parts: tuple[str, str]) -> None:
    assert split_thoughts(raw) == parts


def test_the_first_json_object_is_read_with_a_comma_too_many() -> None:
    assert json_object('Why. {"answer": [1, 2,],}') == ({"answer": [1, 2]}, "Why.")
    assert json_object('{x} {"answer": ') is None
