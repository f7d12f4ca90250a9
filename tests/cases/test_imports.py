"""Conversations of other tools in the shared cases: rationale and label taken apart."""

import pytest

from limbeck.data.conversations import read_conversations
from limbeck.tasks import get
from tests.cases import CASES, needs_cases

pytestmark = needs_cases
THOUGHTS = "Nine full crates hold 9*12 = 108 jars. One more crate has 5, so 108 + 5 = 113."
WRITTEN = "9 full crates hold 9*12 = 108 jars.\nWith 5 more that is 108+5 = 113."
SHORT = "Nine full crates hold 108, five more make 113."
RATIONALES = {  # of a solution beside the thoughts, where it reasons at all; else of the thoughts
    **dict.fromkeys(("hash_hash", "hash_with_label"), WRITTEN),
    **dict.fromkeys(("bool_label", "instruction_response", "llamafactory_v1_parts"), SHORT),
    "openthoughts": "Add 108 and 5.",
    "think_boxed": "Nine crates hold 108 jars and the last has 5.",
    "think_only_close": "Nine crates hold 108 jars, 5 more make 113.",
}


@pytest.mark.parametrize("path", sorted((CASES / "chat_formats").glob("*.jsonl")), ids=lambda path: path.stem)
@pytest.mark.parametrize("task", [get("custom"), get("custom", answer="equation")], ids=["text", "equation"])
def test_every_form_gives_rationale_and_label(path, task):
    (example,), counts, left_out = read_conversations(path, task)
    assert example.label == example.teacher_label == "113"
    assert example.rationale == RATIONALES.get(path.stem, THOUGHTS)
    assert example.input.startswith("A crate holds 12 jars.")
    assert (counts["rows"], counts["left_out"], left_out) == (1, 0, {})
