"""What a teacher is sent: the prompts that come with limbeck, a user's own, and one clear line for a broken one."""

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from limbeck.annotation.filters import Asked, Sample
from limbeck.annotation.prompts import Prompt, Questions, WorkedExample, load_prompt, prompt_text
from limbeck.errors import LimbeckError
from limbeck.llm import parse
from limbeck.llm.messages import Failure, Reply, Tokens, estimate
from limbeck.llm.settings import SamplingSettings
from limbeck.llm.store import Record, Store
from limbeck.schema import Example
from limbeck.tasks import TASKS, get

NLI = ("entailment", "neutral", "contradiction")
SHEEP = Example("s", ("Ann has 3 sheep.\nHow many legs have they?",), "( 3.0 * 4.0 )")
KEYS = Example("k", ("Where are keys?\nAnswer Choices:\n(a) sea\n(b) pocket",), "pocket", choices=("sea", "pocket"))
PAIR = Example("p", ("A man eats.", "A man sleeps."), "contradiction", choices=NLI)
FREE = Example("f", ("Is ice cold?",), "yes")
OWN = Example("o", ("Where are keys?",), "pocket", choices=("sea", "pocket"), own_choices=True)
CLOSED = Example("c", ("Is ice cold?",), "yes", choices=("yes", "no, not {at} all"))

HINT = (
    "(The right answer is known: {}. Reason towards it step by step as if it had not been given to you, never mention "
    "that it was given, and end with it in the form asked for.)"
)

ANSWERS = {
    "svamp": [
        "( 58.0 - 23.0 )",
        "( 9.0 * 16.0 )",
        "( ( 40.0 + 27.0 ) - 18.0 )",
        "( 96.0 / 8.0 )",
        "( 46.0 + 17.0 )",
        "( ( 130.0 - 10.0 ) / 6.0 )",
    ],
    "cqa": ["flooding", "lantern", "tune it", "post office", "stale", "sea"],
    "esnli": ["entailment", "contradiction", "neutral", "contradiction", "entailment", "neutral"],
    "anli1": ["contradiction", "entailment", "neutral", "entailment", "contradiction", "neutral"],
    "custom": [],
}
PLAIN = {
    "instruction": "Think.",
    "question": "Q {input}",
    "choices": "One of {choices}",
    "hint": "It is {label}.",
    "examples": [{"input": "1 and 1?", "reply": "One more. The answer is (1 + 1)."}],
}


def written(folder: Path, values: object) -> Path:
    path = folder / "prompt.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values, allow_unicode=True))
    return path


@pytest.mark.parametrize(
    ("task", "example", "content"),
    [
        ("svamp", SHEEP, "Ann has 3 sheep.\nHow many legs have they?"),
        ("cqa", KEYS, "Where are keys?\nAnswer Choices:\n(a) sea\n(b) pocket"),
        ("esnli", PAIR, "Premise: A man eats.\nHypothesis: A man sleeps."),
        ("anli1", PAIR, "Premise: A man eats.\nHypothesis: A man sleeps."),
        ("custom", FREE, "Is ice cold?"),
        (
            "custom",
            CLOSED,
            "Is ice cold?\n\nChoose the answer from these, and repeat it word for word:\n- yes\n- no, not {at} all",
        ),
    ],
)
def test_the_messages_of_each_task(task, example, content):
    prompt = load_prompt(get(task))
    messages = prompt.messages(example)
    assert [message["role"] for message in messages] == ["system", *["user", "assistant"] * len(ANSWERS[task]), "user"]
    assert all(set(message) == {"role", "content"} for message in messages)
    assert messages[0]["content"] == yaml.safe_load(prompt_text(task))["instruction"].strip()
    assert messages[-1]["content"] == content
    hinted = prompt.messages(example, hint=True)
    assert hinted[:-1] == messages[:-1]
    assert hinted[-1]["content"] == f"{content}\n\n{HINT.format(example.label)}"


@pytest.mark.parametrize("task", sorted(ANSWERS))
def test_every_reply_we_ship_is_read_as_it_is_meant(task):
    prompt = load_prompt(get(task))
    assert len(prompt.examples) == len(ANSWERS[task])
    for worked, answer in zip(prompt.examples, ANSWERS[task], strict=True):
        parsed = parse(worked.reply, get(task), Example("", worked.input, "", choices=worked.choices))
        assert parsed.label == answer
        assert worked.reply.startswith(parsed.rationale)
        assert len(parsed.rationale.split()) >= 8


def test_every_task_has_a_prompt_and_arithmetic_has_svamps():
    for name in TASKS:
        load_prompt(get(name))
    assert prompt_text("arithmetic") == prompt_text("svamp")
    with pytest.raises(LimbeckError, match="did you mean 'svamp'"):
        prompt_text("svmap")


def test_the_example_in_a_comment_of_the_custom_prompt_works(tmp_path):
    text = re.sub(r"^# ?(?=examples:| {2})", "", prompt_text("custom"), flags=re.MULTILINE)
    (worked,) = load_prompt(get("custom"), written(tmp_path, text)).examples
    example = Example("", worked.input, "", choices=worked.choices)
    assert parse(worked.reply, get("custom"), example).label == "no"


braces = st.lists(
    st.sampled_from(
        ["{input}", "{input_1}", "{label}", "{choices}", "{x}", "{", "}", "{{", "}}", "%s", "\\1", "\\g<0>"]
    )
    | st.text(max_size=5)
).map("".join)


@given(braces, braces, braces, st.lists(braces, max_size=3))
def test_an_examples_braces_come_through_as_they_are(first, second, label, choices):
    prompt = Prompt.parse(
        {
            "instruction": "Say {this} as it stands.",
            "question": "{input_2}|{input_1}|{input}|{ input }{1}{}",
            "choices": "among\n{choices}!",
            "hint": "{label}/{label}",
        },
        "test",
    )
    example = Example("1", (first, second), label or "-", choices=tuple(choices))
    content = second + "|" + first + "|" + first + "\n" + second + "|{ input }{1}{}"
    if choices:
        content += "\n\namong\n" + "\n".join("- " + choice for choice in choices) + "!"
    assert [message["content"] for message in prompt.messages(example)] == ["Say {this} as it stands.", content]
    assert prompt.messages(example, hint=True)[-1]["content"] == f"{content}\n\n{label or '-'}/{label or '-'}"


def test_a_rows_own_choices_are_sent_once_whichever_way_a_prompt_shows_them(tmp_path):
    listed = "Where are keys?\nAnswer Choices:\n(a) sea\n(b) pocket"
    template = Prompt.parse(PLAIN, "test")
    for example in (OWN, KEYS):
        assert template.messages(example)[-1]["content"] == "Q Where are keys?\n\nOne of - sea\n- pocket"
        assert Prompt.parse({**PLAIN, "choices": None}, "test").messages(example)[-1]["content"] == f"Q {listed}"
    worked = {"input": "Is ice hot?", "choices": ["hot", "cold"], "reply": "It is not. The answer is cold."}
    for choices, content in (
        (PLAIN["choices"], "\n\nOne of - hot\n- cold"),
        (None, "\nAnswer Choices:\n(a) hot\n(b) cold"),
    ):
        path = tmp_path / "prompt.yaml"
        path.write_text(yaml.safe_dump({**PLAIN, "choices": choices, "examples": [worked]}))
        assert load_prompt(get("custom"), path).messages(OWN)[1]["content"] == f"Q Is ice hot?{content}"


def test_worked_examples_may_be_a_text_a_list_or_the_fields_of_the_task(tmp_path):
    values = {**PLAIN, "question": "{input_1} > {input_2}", "choices": None}
    reply = "He is awake.\nAnswer: contradiction"
    rows = [
        {"input": ["A man eats.", "A man sleeps."], "reply": reply},
        {"premise": "A man eats.", "hypothesis": "A man sleeps.", "label": 2, "reply": reply},
    ]
    prompts = [load_prompt(get("esnli"), written(tmp_path, {**values, "examples": [row]})) for row in rows]
    assert prompts[0] == prompts[1]
    assert prompts[0].messages(PAIR)[1]["content"] == "A man eats. > A man sleeps."
    commented = load_prompt(get("esnli"), written(tmp_path, {**values, "examples": None}))
    assert commented.examples == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"instruction": None}, "instruction: Input should be a valid string"),
        ({"instruction": " "}, "instruction: String should have at least 1 character"),
        ({"instruction": "Say {label}"}, "instruction: unknown placeholder {label}; known here: none"),
        ({"question": "{inptu}"}, "question: unknown placeholder {inptu}; known here: {input}, {input_1}, {input_2}"),
        ({"question": "{input} {label}"}, "question: unknown placeholder {label}"),
        ({"question": "Well?"}, "question: has to hold a placeholder: {input}"),
        ({"question": {"input": None}}, "question: text was expected; in YAML a text that begins with a brace"),
        ({"question": "{input_2}"}, "worked example 1: the prompt's question shows {input_2}"),
        ({"choices": "{input}"}, "choices: unknown placeholder {input}; known here: {choices}"),
        ({"choices": "Choose."}, "choices: has to hold a placeholder: {choices}"),
        ({"hint": "It is known."}, "hint: has to hold a placeholder: {label}"),
        ({"hint": "{labels}"}, "hint: unknown placeholder {labels}; known here: {label}"),
        ({"hints": "x"}, "unknown field 'hints': did you mean 'hint'?"),
        ({"examples": "none"}, "examples: a list was expected"),
        ({"examples": ["none"]}, "worked example 1: "),
        ({"examples": [{"input": "1?"}]}, "worked example 1: reply: Field required"),
        ({"examples": [{"reply": "1. The answer is (1)."}]}, "worked example 1: field 'input': missing"),
        ({"examples": [{"input": [], "reply": "1. The answer is (1)."}]}, "worked example 1: input: "),
        ({"examples": [{"input": "1?", "answer": "1", "reply": "?"}]}, "unknown field 'answer'"),
        ({"examples": [*PLAIN["examples"], {"input": "1?", "reply": "1."}]}, "worked example 2: reply: no rationale"),
        ({"examples": [{"input": "1?", "reply": "The answer is (1)."}]}, "worked example 1: reply: no rationale"),
        ({"examples": [{"input": "1?", "reply": "Why. The answer is one."}]}, "worked example 1: reply: no answer"),
    ],
    ids=str,
)
def test_a_broken_file_is_one_line_that_names_it(change, words, tmp_path):
    path = written(tmp_path, {**PLAIN, **change})
    with pytest.raises(LimbeckError) as caught:
        load_prompt(get("svamp"), path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message
    assert len(message) < 400 + len(str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("instruction: x\nquestion: [1", ":2: not YAML"),
        ("instruction: Say: so", ":1: not YAML"),
        ("- a list", ": a prompt is a mapping with the keys instruction, question"),
        ("", ": a prompt is a mapping"),
        ('instruction: "\\uD800"\nquestion: "{input}"\nhint: "{label}"', ": instruction: "),
    ],
)
def test_what_is_no_prompt_at_all(text, words, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(LimbeckError) as caught:
        load_prompt(get("custom"), path)
    assert str(caught.value).startswith(f"{path}{words}")
    with pytest.raises(LimbeckError, match="no such file"):
        load_prompt(get("custom"), tmp_path / "none.yaml")


def test_what_an_example_lacks_is_named():
    prompt = load_prompt(get("esnli"))
    with pytest.raises(LimbeckError, match=r"^example 'f': the prompt's question shows {input_2}"):
        prompt.messages(FREE)
    with pytest.raises(LimbeckError, match=r"^example 'p': no hint can be given: its label is not known$"):
        prompt.messages(Example("p", PAIR.segments, ""), hint=True)


@pytest.mark.parametrize("task", ["svamp", "cqa", "esnli", "anli1"])
def test_no_question_we_ship_stands_in_the_released_data(task, dss):
    paths = sorted((dss / task).glob(f"{task}_*.json"))
    rows = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    assert len(rows) >= 100
    fields = {"svamp": ["input"], "cqa": ["question"]}.get(task, ["premise", "hypothesis"])
    released = {plain(row[field]) for row in rows for field in fields}
    shipped = yaml.safe_load(prompt_text(task))["examples"]
    shipped_texts = {plain(row[field]) for row in shipped for field in fields}
    assert len(shipped_texts) == 6 * len(fields)
    assert not shipped_texts & released


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


PROMPT = Prompt(
    instruction="Think.",
    question="Q: {input}",
    hint="It is {label}.",
    examples=(WorkedExample(input=("1 + 1?",), reply="One more. The answer is 2."),),
)
ONE, TWO = Example("one", ("What is 3?",), "3"), Example("two", ("What is 4?",), "")


def questions(prompt: Prompt = PROMPT, model: str = "m", examples=(ONE, TWO), **sampling) -> Questions:
    return Questions(list(examples), prompt, model, SamplingSettings(**sampling))


def keys(**options) -> list[tuple[str, str, str, int]]:
    questions_ = questions(**options)
    return [request.key for request in questions_.requests(questions_.examples)]


def test_samples_are_asked_for_round_by_round():
    questions_ = questions(samples=2)
    requests = questions_.requests(questions_.examples)
    assert [(request.example.id, request.key.sample, request.hint) for request in requests] == [
        ("one", 0, False),
        ("two", 0, False),
        ("one", 1, False),
        ("two", 1, False),
    ]
    assert len({request.key.question for request in requests}) == 2
    messages = questions_.messages(requests[0])
    assert messages == PROMPT.messages(ONE)
    assert requests[0].ceiling == Tokens(estimate(messages), 1024)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": PROMPT.model_copy(update={"instruction": "Think!"})},
        {"prompt": PROMPT.model_copy(update={"examples": ()})},
        {"prompt": PROMPT.model_copy(update={"question": "{input}"})},
        {"model": "n"},
        {"temperature": 0.5},
        {"top_p": 0.9},
        {"extra": {"reasoning_effort": "low"}},
        {"examples": (Example("one", ("What is 3? Well?",), "3"), Example("two", ("And 4?",), ""))},
    ],
    ids=str,
)
def test_what_is_sent_otherwise_is_another_question(change):
    assert not set(keys()) & set(keys(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": PROMPT.model_copy(update={"hint": "Say {label}."})},
        {"max_tokens": 4096},
        {"temperature": 0.0},  # what one sample has by itself
        {"examples": (Example("another", ("What is 3?",), "5", choices=("3", "5")), TWO)},
    ],
    ids=str,
)
def test_what_is_not_sent_makes_no_other_question(change):
    assert keys() == keys(**change)


def test_more_samples_keep_those_that_are_there():
    assert keys(samples=2, temperature=1.0) == keys(samples=3, temperature=1.0)[:4]


def test_a_hint_is_a_question_of_its_own_with_one_sample():
    questions_ = questions(samples=3)
    [hinted] = questions_.requests([ONE], hint=True)
    assert (hinted.hint, hinted.key.sample) == (True, 0)
    assert hinted.key.question not in {request.key.question for request in questions_.requests(questions_.examples)}
    assert questions_.messages(hinted)[-1]["content"].endswith("It is 3.")


def test_what_the_store_has_is_laid_beside_the_examples(tmp_path: Path):
    questions_ = questions(samples=2)
    request, two, one_more, _ = questions_.requests(questions_.examples)
    [hinted] = questions_.requests([ONE], hint=True)
    with Store.open(tmp_path / "s.sqlite") as store:
        assert questions_.asked(store) == [Asked(ONE, (Sample(None),) * 2), Asked(TWO, (Sample(None),) * 2)]
        results = [
            (request, Reply("Three.", "{}", "stop", 1, 1)),
            (two, Failure("timed out", "too slow")),
            (two, Failure("HTTP 500", "oops")),
            (hinted, Reply("Three!", "{}", "stop", 1, 1)),
            (one_more, Failure("HTTP 500", "oops")),
            (one_more, Reply("III.", "{}", "stop", 1, 1)),
        ]
        store.put([Record(request.key, request.example.id, result, Tokens(1, 1), True) for request, result in results])
        assert questions_.asked(store) == [
            Asked(ONE, (Sample("Three."), Sample("III."), Sample("Three!", hinted=True))),
            Asked(TWO, (Sample(None, "HTTP 500", "oops"), Sample(None))),
        ]
        assert questions(samples=1, temperature=0.7).asked(store)[0] == Asked(
            ONE, (Sample("Three."), Sample("Three!", hinted=True))
        )


def test_the_most_of_a_hinted_request_counts_the_hint():
    questions_ = questions(PROMPT.model_copy(update={"hint": "It is {label}. " * 50}), max_tokens=7)
    [plain] = questions_.requests([ONE])
    [hinted] = questions_.requests([ONE], hint=True)
    assert hinted.ceiling == Tokens(estimate(questions_.messages(hinted)), 7)
    assert hinted.ceiling.prompt >= plain.ceiling.prompt + 50 * len("It is 3. ") // 4
