"""What a stored reply is found by: all that was sent for it, and nothing else."""

from pathlib import Path

import pytest

from limbeck.annotation.prompts import Prompt, WorkedExample, load_prompt
from limbeck.annotation.questions import Questions
from limbeck.annotation.sifting import Asked, Sample
from limbeck.llm.messages import Failure, Reply, Tokens, estimate
from limbeck.llm.settings import SamplingSettings
from limbeck.llm.store import Record, Store
from limbeck.schema import Example
from limbeck.tasks import get

PROMPT = Prompt(
    instruction="Think.",
    question="Q: {input}",
    hint="It is {label}.",
    examples=(WorkedExample(input=("1 + 1?",), reply="One more. The answer is 2."),),
)
ONE, TWO = Example("one", ("What is 3?",), "3"), Example("two", ("What is 4?",), "")


def questions(prompt: Prompt = PROMPT, model: str = "m", examples=(ONE, TWO), **sampling) -> Questions:
    return Questions(list(examples), prompt, model, SamplingSettings(**sampling))


def keys(**given) -> list[tuple[str, str, str, int]]:
    made = questions(**given)
    return [request.key for request in made.requests(made.examples)]


def test_samples_are_asked_for_round_by_round():
    made = questions(samples=2)
    requests = made.requests(made.examples)
    assert [(one.example.id, one.key.sample, one.hint) for one in requests] == [
        ("one", 0, False),
        ("two", 0, False),
        ("one", 1, False),
        ("two", 1, False),
    ]
    assert len({one.key.question for one in requests}) == 2
    messages = made.messages(requests[0])
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
    made = questions(samples=3)
    [hinted] = made.requests([ONE], hint=True)
    assert (hinted.hint, hinted.key.sample) == (True, 0)
    assert hinted.key.question not in {one.key.question for one in made.requests(made.examples)}
    assert made.messages(hinted)[-1]["content"].endswith("It is 3.")


def test_what_the_store_has_is_laid_beside_the_examples(tmp_path: Path):
    made = questions(samples=2)
    one, two, one_more, _ = made.requests(made.examples)
    [hinted] = made.requests([ONE], hint=True)
    with Store.open(tmp_path / "s.sqlite") as store:
        assert made.asked(store) == [Asked(ONE, (Sample(None),) * 2), Asked(TWO, (Sample(None),) * 2)]
        results = [
            (one, Reply("Three.", "{}", "stop", 1, 1)),
            (two, Failure("timed out", "too slow")),
            (two, Failure("HTTP 500", "oops")),
            (hinted, Reply("Three!", "{}", "stop", 1, 1)),
            (one_more, Failure("HTTP 500", "oops")),
            (one_more, Reply("III.", "{}", "stop", 1, 1)),
        ]
        store.put([Record(request.key, request.example.id, result, Tokens(1, 1), True) for request, result in results])
        assert made.asked(store) == [
            Asked(ONE, (Sample("Three."), Sample("III."), Sample("Three!", hinted=True))),
            Asked(TWO, (Sample(None, "HTTP 500", "oops"), Sample(None))),
        ]
        assert questions(samples=1, temperature=0.7).asked(store)[0] == Asked(
            ONE, (Sample("Three."), Sample("Three!", hinted=True))
        )


def test_every_shipped_prompt_makes_questions():
    for name, segments in (("svamp", ("1 and 1?",)), ("esnli", ("A man.", "A person.")), ("custom", ("Why?",))):
        example = Example("x", segments, "")
        made = Questions([example], load_prompt(get(name)), "m", SamplingSettings())
        assert made.messages(made.requests([example])[0])[:-1] == list(made.sent["messages"])


def test_the_most_of_a_hinted_request_counts_the_hint():
    made = questions(PROMPT.model_copy(update={"hint": "It is {label}. " * 50}), max_tokens=7)
    [plain] = made.requests([ONE])
    [hinted] = made.requests([ONE], hint=True)
    assert hinted.ceiling == Tokens(estimate(made.messages(hinted)), 7)
    assert hinted.ceiling.prompt >= plain.ceiling.prompt + 50 * len("It is 3. ") // 4


def test_a_hinted_sample_that_failed_is_shown(tmp_path: Path):
    made = questions()
    [plain] = made.requests([ONE])
    [hinted] = made.requests([ONE], hint=True)
    with Store.open(tmp_path / "s.sqlite") as store:
        store.put([Record(plain.key, "one", Reply("Four.", "{}", "stop", 1, 1), Tokens(1, 1), True)])
        store.put([Record(hinted.key, "one", Failure("cut off", "too long"), Tokens(1, 1), True)])
        failed = Sample(None, "cut off", "too long", hinted=True)
        assert made.asked(store) == [Asked(ONE, (Sample("Four."), failed)), Asked(TWO, (Sample(None),))]
