"""A row's own choices, in the made-up files of users, are shown to the student as to the teacher."""

from pathlib import Path

import pytest

from limbeck.annotation.prompts import load_prompt
from limbeck.data import View, load, show, source
from limbeck.files import read_jsonl
from limbeck.tasks import get
from tests.cases.recipes import case_recipe

CASES = Path(__file__).parents[2] / "../shared/cases/multiple_choice"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not there")


def test_a_students_input_has_the_choices_that_the_teachers_prompt_has(monkeypatch):
    monkeypatch.chdir(CASES)
    data = case_recipe(Path("text_answer.yaml")).data
    rows = {row["question"]: row["choices"] for _, row in read_jsonl(Path("text_answer.jsonl"))}
    splits, prompt = load(data), load_prompt(get("custom"))
    for example in (*splits.train, *splits.valid, *splits.test):
        choices = rows[example.segments[0]]
        asked = prompt.messages(example)[-1]["content"]
        for view in View:
            read = source(example, view).text("</s>")
            assert [read.count(f") {choice}") for choice in choices] == [1] * 4
            assert [read.index(choice) for choice in choices] == sorted(read.index(choice) for choice in choices)
        assert [asked.count(f"- {choice}") for choice in choices] == [1] * 4
    assert show(data, 1).count("Answer Choices:") == len(View)
