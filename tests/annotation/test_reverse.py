"""Reverse questions: a teacher that errs at every step, kills, budgets; what is read, counted, exported and sent."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from limbeck.annotation.job import Job, OpenJob, annotate, plan
from limbeck.annotation.results import export, read_results, replies, summary
from limbeck.annotation.reverse import read_reverse_question
from limbeck.data import read_rows
from limbeck.files import read_json, read_jsonl, write_json
from limbeck.llm.store import Store
from limbeck.schema import Example
from tests.annotation.jobs import make_job
from tests.helpers.processes import Forked
from tests.helpers.servers import Answer, HttpRequest, Server, completion, error

ROWS = 200
# A bag's last digit decides what goes wrong with its reverse question, and after how many requests.
REPEATED, UNREADABLE, INCONSISTENT, UNDECIDED = 3, 4, 5, 6
KEPT = [bag for bag in range(ROWS) if bag % 10 not in (REPEATED, UNREADABLE, INCONSISTENT, UNDECIDED)]
OUTCOMES = {"kept": 120, "refused": 20, "unreadable": 60, "failed": 0, "unfinished": 0, "not asked": 0}
REQUESTS = ROWS + ROWS + 180 + 160  # rationales, then reverse questions, their reasoning, and the check


def question(bag: int) -> str:
    return f"Tom has some nuts, {bag} of them in bag {bag}, and buys 5 {{more}}. How many nuts has he?"


def reverse(bag: int) -> str:
    return f"Tom buys 5 for bag {bag} and has {bag + 5} now. How many {{nuts}} had he?"


def step_of(content: str) -> str:
    """Return the step that a user's turn belongs to, by the placeholders that it must have been filled with."""
    old, new = (re.search(pattern, content) is not None for pattern in ("Tom has some", "Tom buys 5 for"))
    return (
        "consistency" if old and new else "reasoning" if new else "reverse" if "Correct answer" in content else "first"
    )


def teach(content: str) -> str:
    bag = int(re.search(r"bag (\d+)", content)[1])
    fault = bag % 10
    match step_of(content):
        case "first":
            return f"He has {bag} and 5 more. The answer is {bag + 5}."
        case "reverse":
            return f"**Reverse question:** {question(bag) if fault == REPEATED else reverse(bag)}"
        case "reasoning":
            reason = f"Before he bought 5 he had {bag + 5} - 5 = {bag}."
            return "Who could know that?" if fault == UNREADABLE else f"{reason}\nThe answer is {bag}."
    verdict = "hard to find" if fault == UNDECIDED else "no" if fault == INCONSISTENT else "yes"
    return f"Both speak of {bag} nuts. The answer is {verdict}."


def behave(_number: int, request: HttpRequest) -> Answer:
    text = teach(request.question)
    return completion(text, usage=(len(request.question) // 4, len(text) // 4))


def reverse_job(folder: Path, url: str, rows: int = ROWS, **settings: Any) -> Job:
    questions = [{"id": str(bag), "input": question(bag), "label": str(bag + 5)} for bag in range(rows)]
    teacher = {"name": "m", "base_url": url}
    return make_job(folder, questions, teacher=teacher, reverse=True, **{"limits": {"concurrency": 8}} | settings)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("limbeck.llm.runner.backoff", lambda failures, retry_after: retry_after)


def reverse_counts(job: Job) -> dict[str, int]:
    return summary(read_results(job))["reverse"]


def test_a_whole_job_asks_each_request_once_and_keeps_what_the_teacher_agrees_with(tmp_path):
    with Server(behave) as server:
        job = reverse_job(tmp_path, server.url, prices={"input": 2, "output": 10})
        planned = plan(job)
        assert (planned["missing"], planned["reverse"], server.count) == (ROWS, 3 * ROWS, 0)
        done = annotate(job)
        assert (done["requests"], done["answers"], done["missing"], done["stopped"]) == (REQUESTS, REQUESTS, 0, None)
        assert set(server.paid.values()) == {1} and len(server.paid) == REQUESTS
        steps = [step_of(request.question) for request in server.requests]
        assert steps[:ROWS] == ["first"] * ROWS  # the rationales come first
        assert Counter(steps) == {"first": ROWS, "reverse": ROWS, "reasoning": 180, "consistency": 160}
        assert done["cost"] < planned["cost"]
        after = plan(job)
        assert (after["missing"], after["reverse"], after["cost"]) == (0, 0, 0)
        assert annotate(job)["requests"] == 0
    assert reverse_counts(job) == OUTCOMES
    expected = {
        str(bag): {"question": reverse(bag), "rationale": teach(reverse(bag)).partition("\n")[0]} for bag in KEPT
    }
    for all_rationales in (False, True):
        assert export(job, tmp_path / "rows.jsonl", "limbeck", all_rationales=all_rationales)["reverse"] == OUTCOMES
        rows = {row["id"]: row for _, row in read_jsonl(tmp_path / "rows.jsonl")}
        assert {id: row["reverse"] for id, row in rows.items() if "reverse" in row} == expected
    pairs = {row.id: row.reverse for row in read_rows(tmp_path / "rows.jsonl") if row.reverse}
    assert pairs == {id: tuple(pair.values()) for id, pair in expected.items()}
    refused, unreadable = (replies(read_results(job), outcome, ROWS) for outcome in ("refused", "unreadable"))
    assert [row["id"] for row in refused] == [str(bag) for bag in range(ROWS) if bag % 10 == INCONSISTENT]
    assert {row["text"] for row in refused} == {f"Both speak of {row['id']} nuts. The answer is no." for row in refused}
    assert len(unreadable) == 60
    job = job.model_copy(update={"reverse": False})  # replies stay, and are not minded
    assert "reverse" not in export(job, tmp_path / "plain.jsonl", "limbeck")
    assert not any("reverse" in row for _, row in read_jsonl(tmp_path / "plain.jsonl"))


SLOW = pytest.mark.slow
TIMES = [pytest.param(ROWS + 90, marks=SLOW), 2 * ROWS + 60, pytest.param(2 * ROWS + 260, marks=SLOW)]


@pytest.mark.parametrize("killed_at", TIMES)  # in each of the steps
def test_killed_in_the_middle_it_asks_for_no_reply_in_the_store_again(killed_at, tmp_path):
    with Server(lambda number, request: Answer(**{**vars(behave(number, request)), "delay": 0.02})) as server:
        job = reverse_job(tmp_path, server.url)
        process = Forked(run=lambda: annotate(job))
        process.wait_until(lambda: server.count >= killed_at)
        process.kill()
        count = server.count
        with Store(job.store) as store:
            opened = OpenJob(job)
            before = sum(len(store.answered("m", prompt)) for prompt in (opened.prompt, opened.reverse.prompt))
        assert killed_at - 8 <= before < REQUESTS
        assert Forked(run=lambda: write_json(tmp_path / "done.json", annotate(job))).wait() == 0
        paid = Counter(request.question for request in server.requests[count:] if request.answer.paid)
    done = read_json(tmp_path / "done.json")
    assert (done["requests"], done["answers"], done["missing"]) == (REQUESTS - before, REQUESTS, 0)
    assert paid.total() == len(paid) == REQUESTS - before
    assert server.paid.total() - REQUESTS <= 8  # what was in flight
    assert reverse_counts(job) == OUTCOMES


def test_the_budget_holds_between_the_steps_and_a_higher_one_goes_on(tmp_path):
    rows, most = 40, 11_000
    with Server(behave) as server:
        job = reverse_job(tmp_path, server.url, rows, budget={"tokens": most}, sampling={"max_tokens": 64})
        done = annotate(job)
        counts = reverse_counts(job)
        assert done["stopped"] == "budget", server.count
        assert 0 < counts["unfinished"] + counts["not asked"] == done["missing"] < rows
        assert sum(summary(read_results(job))["spent"]["tokens"].values()) <= most
        planned = plan(job)
        assert done["missing"] <= planned["reverse"] <= 3 * done["missing"]
        asked = server.count
        richer = job.model_copy(update={"budget": job.budget.model_copy(update={"tokens": 10 * most})})
        done = annotate(richer)
        assert (done["missing"], done["stopped"]) == (0, None)
        assert done["requests"] == server.count - asked <= planned["reverse"]
        assert sum(done["tokens"].values()) <= sum(planned["tokens"].values())
        assert set(server.paid.values()) == {1} and server.count == rows * REQUESTS // ROWS
    assert reverse_counts(richer) == {name: count * rows // ROWS for name, count in OUTCOMES.items()}


def test_failures_are_counted_and_asked_again(tmp_path):
    def fail(number: int, request: HttpRequest) -> Answer:
        step = step_of(request.question)
        if step == "reasoning" and "bag 1 " in request.question:
            return error(400, "not this one")
        if step == "reverse" and "bag 2," in request.question:
            return completion("Reverse question: Tom buys", finish_reason="length")
        return behave(number, request)

    with Server(fail) as server:
        job = reverse_job(tmp_path, server.url, 3)
        done = annotate(job)
        assert (done["missing"], done["failures"]) == (2, {"HTTP 400": 1, "cut off": 1})
        counts = summary(read_results(job))
        assert counts["failures"] == {"HTTP 400": 1, "cut off": 1}
        assert {name: count for name, count in counts["reverse"].items() if count} == {"kept": 1, "failed": 2}
        assert plan(job)["reverse"] == 2 + 3  # the failed requests, and those that would follow
        server.behave, asked = behave, server.count
        assert annotate(job)["missing"] == 0
        contents = [step_of(request.question) for request in server.requests[asked:]]
        assert Counter(contents) == {"reverse": 1, "reasoning": 2, "consistency": 2}
    assert reverse_counts(job)["kept"] == 3


def test_only_rows_with_a_label_are_reversed_each_question_once_and_at_temperature_0(tmp_path):
    rows = [{"id": "a", "input": question(0), "label": "5"}, {"id": "b", "input": question(1)}]
    rows += [{"id": "again", "input": question(0), "label": "5"}, {"id": "other", "input": question(0), "label": "6"}]
    with Server(behave) as server:
        settings = {"teacher": {"name": "m", "base_url": server.url}, "reverse": True}
        job = make_job(tmp_path, rows, sampling={"samples": 2}, answer="number", **settings)
        assert plan(job)["reverse"] == 6
        annotate(job)
        heats = {(step_of(request.question), request.body["temperature"]) for request in server.requests}
        asked = Counter(step_of(request.question) for request in server.requests)
    assert heats == {("first", 0.7), ("reverse", 0), ("reasoning", 0), ("consistency", 0)}
    assert asked == {"first": 4, "reverse": 2, "reasoning": 1, "consistency": 2}  # both have the same reverse question
    assert reverse_counts(job)["kept"] == 3
    export(job, tmp_path / "rows.jsonl", "limbeck")
    assert [row["id"] for _, row in read_jsonl(tmp_path / "rows.jsonl") if "reverse" in row] == ["a", "again", "other"]


@pytest.mark.parametrize(
    ("task", "row", "shown"),
    [
        ("cqa", {"question": "Where are keys?", "choices": ["sea", "pocket"], "label": "pocket"}, "(b) pocket"),
        ("esnli", {"premise": "A man eats.", "hypothesis": "He sleeps.", "label": 2}, "Hypothesis: He sleeps."),
        ("custom", {"input": "{label} {question} {x}?", "label": "{reverse_question}"}, "{label} {question} {x}?"),
    ],
)
def test_the_question_is_shown_as_the_teacher_is_asked_it(task, row, shown, tmp_path):
    new = "Reverse question: Who has {label} or {reverse_answer}?"
    texts = {"reverse": new, "reasoning": "It has to be him.\nThe answer is {question}.", "check": "The answer is yes."}

    def answer(number: int, request: HttpRequest) -> Answer:
        content = request.question
        step = "check" if "Second question" in content else "reasoning" if "Who has" in content else "reverse"
        return completion(texts[step])

    with Server(answer) as server:
        job = make_job(tmp_path, [row], task=task, teacher={"name": "m", "base_url": server.url}, reverse=True)
        annotate(job)
        contents = [request.question for request in server.requests]
        label = OpenJob(job).examples[0].label
    first, check = (next(text for text in contents if mark in text) for mark in ("Correct answer", "Second question"))
    assert shown in first and f"Correct answer: {label}" in first
    assert all(text in check for text in (shown, "Who has {label} or {reverse_answer}?\nAnswer: {question}\n"))
    with Store(job.store) as store:
        assert [row.pair for row in OpenJob(job).reversals(store)] == [
            (new.removeprefix("Reverse question: "), "It has to be him.")
        ]


OLD = Example("1", ("Ann has 3 apples and gets 4.", "How many has she?"), "7")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Reverse question: Ann got 4 and has 7. How many had she?", "Ann got 4 and has 7. How many had she?"),
        ("Sure!\n\n**Reverse question:** Ann has 7.\nWhat had she?\n\nAnswer: 3", "Ann has 7. What had she?"),
        ("<think>Reverse question: a?</think>\nReverse question: What?", "What?"),
        ("Reverse question: a?\nBetter:\nReverse question: “What was it？”", "What was it?"),
        ('Reverse question: "What was it", he said?', '"What was it", he said?'),
        ("Ann got 4 and has 7. How many had she?", "Ann got 4 and has 7. How many had she?"),
        ("Reverse question: half \ud800 a pair?", "half ? a pair?"),
        ("I thought of it.\nShall I go on?", None),
        ("Reverse question: Ann got 4 and has 7.", None),
        ("Reverse question: ???", None),
        ("Reverse question: ann has 3 apples, and gets 4! How many has she?", None),
        ("Reverse question: You know that Ann has 3 apples and gets 4. How many has she?", None),
        ("I cannot help with that.", None),
        ("", None),
    ],
)
def test_what_is_a_reverse_question(reply, expected):
    assert read_reverse_question(reply, OLD) == expected


@pytest.mark.parametrize("unit", ["Reverse question:", "reverse ", "question **", "? ", "\n", "<think>", "*_ ", "{"])
def test_the_work_is_in_proportion_to_the_reply(unit):
    """Check many characters: work that grew with their square would take minutes."""
    question = read_reverse_question(unit * (100_000 // len(unit)), OLD)
    assert question is None or json.dumps(question)
