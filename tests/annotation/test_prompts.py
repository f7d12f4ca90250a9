"""The prompts that come with limbeck, a user's own, and one clear line for a broken one."""

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from limbeck.annotation.prompts import Prompt, load_prompt, prompt_file
from limbeck.errors import LimbeckError
from limbeck.llm.replies import parse
from limbeck.schema import Example
from limbeck.tasks import TASKS, get

NLI = ("entailment", "neutral", "contradiction")
SHEEP = Example("s", ("Ann has 3 sheep.\nHow many legs have they?",), "( 3.0 * 4.0 )")
KEYS = Example("k", ("Where are keys?\nAnswer Choices:\n(a) sea\n(b) pocket",), "pocket", choices=("sea", "pocket"))
PAIR = Example("p", ("A man eats.", "A man sleeps."), "contradiction", choices=NLI)
FREE = Example("f", ("Is ice cold?",), "yes")
OWN = Example("o", ("Where are keys?",), "pocket", choices=("sea", "pocket"), own_choices=True)
CLOSED = Example("c", ("Is ice cold?",), "yes", choices=("yes", "no, not {at} all"))
ANSWERS = {
    "svamp": ["( 58.0 - 23.0 )", "( 9.0 * 16.0 )", "( ( 40.0 + 27.0 ) - 18.0 )", "( 96.0 / 8.0 )", "( 46.0 + 17.0 )",
              "( ( 130.0 - 10.0 ) / 6.0 )"],
    "cqa": ["flooding", "lantern", "tune it", "post office", "stale", "sea"],
    "esnli": ["entailment", "contradiction", "neutral", "contradiction", "entailment", "neutral"],
    "anli1": ["contradiction", "entailment", "neutral", "entailment", "contradiction", "neutral"],
    "custom": [],
}  # fmt: skip
CHOOSE = "Choose the answer from these, and repeat it word for word"
PLAIN = {"instruction": "Think.", "question": "Q {input}", "choices": "One of {choices}", "hint": "It is {label}."}
PLAIN["examples"] = [{"input": "1 and 1?", "reply": "One more. The answer is (1 + 1)."}]


def load(folder: Path, task: str, values: object) -> Prompt:
    (folder / "prompt.yaml").write_text(yaml.safe_dump(values))
    return load_prompt(get(task), folder / "prompt.yaml")


@pytest.mark.parametrize(
    ("task", "example", "content"),
    [
        ("svamp", SHEEP, "Ann has 3 sheep.\nHow many legs have they?"),
        ("cqa", KEYS, "Where are keys?\nAnswer Choices:\n(a) sea\n(b) pocket"),
        *[(task, PAIR, "Premise: A man eats.\nHypothesis: A man sleeps.") for task in ("esnli", "anli1")],
        ("custom", FREE, "Is ice cold?"),
        ("custom", CLOSED, f"Is ice cold?\n\n{CHOOSE}:\n- yes\n- no, not {{at}} all"),
    ],
)
def test_the_messages_of_each_task(task, example, content):
    prompt = load_prompt(get(task))
    *turns, last = prompt.messages(example)
    assert [turn["role"] for turn in turns] == ["system", *["user", "assistant"] * len(ANSWERS[task])]
    assert turns[0]["content"] == yaml.safe_load(prompt_file(task).read_text())["instruction"].strip()
    assert last == {"role": "user", "content": content}
    *same, hinted = prompt.messages(example, hint=True)
    assert same == turns
    assert hinted["content"].startswith(f"{content}\n\n(The right answer is known: {example.label}. ")


def test_every_task_has_a_prompt_and_every_reply_we_ship_is_read_as_it_is_meant():
    for name in TASKS:
        prompt = load_prompt(get(name))
        parsed = [parse(reply, get(name), example) for example, reply in prompt.examples]
        assert [reply.label for reply in parsed] == ANSWERS[{"arithmetic": "svamp"}.get(name, name)]
        assert all(len(str(reply.rationale).split()) >= 8 for reply in parsed)
    with pytest.raises(LimbeckError, match="did you mean 'svamp'"):
        prompt_file("svmap")


pieces = ["{input}", "{input_1}", "{input_2}", "{label}", "{choices}", "{x}", "{", "}", "{{", "}}", "%s", "\\1"]
braces = st.lists(st.sampled_from(pieces) | st.text(max_size=5)).map("".join)


@given(first=braces, second=braces, label=braces, choices=st.lists(braces, max_size=3))
def test_an_examples_braces_come_through_as_they_are(first, second, label, choices):
    question = "{input_2}|{input_1}|{input}|{ input }{1}{}"
    turns = {"question": question, "choices": "among\n{choices}!", "hint": "{label}/{label}"}
    prompt = Prompt(instruction="Say {this} as it stands.", **turns)
    example = Example("1", (first, second), label or "-", choices=tuple(choices))
    content = f"{second}|{first}|{first}\n{second}|{{ input }}{{1}}{{}}"
    if choices:
        content += "\n\namong\n" + "\n".join("- " + choice for choice in choices) + "!"
    assert [message["content"] for message in prompt.messages(example)] == ["Say {this} as it stands.", content]
    assert prompt.messages(example, hint=True)[-1]["content"] == f"{content}\n\n{label or '-'}/{label or '-'}"


def test_a_rows_own_choices_are_sent_once_whichever_way_a_prompt_shows_them(tmp_path):
    worked = {"input": "Is ice hot?", "choices": ["hot", "cold"], "reply": "It is not. The answer is cold."}
    for choices, listed in (
        (PLAIN["choices"], "\n\nOne of - {}\n- {}"),
        (None, "\nAnswer Choices:\n(a) {}\n(b) {}"),
    ):
        prompt = load(tmp_path, "custom", {**PLAIN, "choices": choices, "examples": [worked]})
        expected = f"Q Is ice hot?{listed.format('hot', 'cold')}", f"Q Where are keys?{listed.format('sea', 'pocket')}"
        for example in (OWN, KEYS):
            contents = [message["content"] for message in prompt.messages(example)]
            assert (contents[1], contents[-1]) == expected


def test_worked_examples_are_rows_of_the_task(tmp_path):
    values = {**PLAIN, "question": "{input_1} > {input_2}", "choices": None}
    reply = "He is awake.\nAnswer: contradiction"
    for row in ({"input": ["A man eats.", "A man sleeps."]}, {"premise": "A man eats.", "hypothesis": "A man sleeps."}):
        messages = load(tmp_path, "esnli", {**values, "examples": [{**row, "reply": reply}]}).messages(PAIR)
        assert [message["content"] for message in messages[1:3]] == ["A man eats. > A man sleeps.", reply]
    assert load(tmp_path, "esnli", {**values, "examples": None}).examples == ()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"instruction": " "}, "instruction"),
        ({"question": "{inptu}"}, "question"),
        ({"question": "{input} {label}"}, "question"),
        ({"question": "Well?"}, "question"),
        ({"choices": "{input}"}, "choices"),
        ({"hint": "It is known."}, "hint"),
        ({"examples": [{"input": "1?"}]}, "examples"),
        ({"examples": [{"reply": "1. The answer is (1)."}]}, None),
        ({"examples": [*PLAIN["examples"], {"input": "1?", "reply": "1."}]}, "reply"),
        ({"examples": [{"input": "1?", "reply": "The answer is (1)."}]}, "reply"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(change, field, tmp_path):
    with pytest.raises(LimbeckError) as raised:
        load(tmp_path, "svamp", {**PLAIN, **change})
    assert raised.value.field == field
    assert str(raised.value).startswith(f"{tmp_path}/prompt.yaml: ")


@pytest.mark.parametrize("task", ["svamp", "cqa", "esnli", "anli1"])
def test_no_question_we_ship_stands_in_the_released_data(task, dss):
    paths = sorted((dss / task).glob(f"{task}_*.json"))
    rows = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    assert len(rows) >= 100
    fields = {"svamp": ["input"], "cqa": ["question"]}.get(task, ["premise", "hypothesis"])
    examples = yaml.safe_load(prompt_file(task).read_text())["examples"]
    released, shipped = (
        {" ".join(re.findall(r"\w+", row[field].casefold())) for row in table for field in fields}
        for table in (rows, examples)
    )
    assert len(shipped) == 6 * len(fields)
    assert not shipped & released
