"""A job opened: its rows, its requests and their keys, its filters, and what is asked again with a hint."""

import pytest
import yaml

from limbeck.annotation.job import OpenJob
from limbeck.annotation.prompts import prompt_file
from limbeck.annotation.results import read_results, summary
from limbeck.llm.messages import Failure
from limbeck.llm.store import Store
from tests.annotation.jobs import fill, make_job, reply_with

FAILED = Failure("HTTP 500", "oops")
ROWS = [{"id": "three", "input": "What is 3?", "label": "3"}, {"id": "four", "input": "What is 4?"}]


def test_a_table_of_other_names_and_filters_of_ones_own(tmp_path):
    (tmp_path / "table.csv").write_text("number,ask,gold\nx1,What is 1?,1\nx2,What is 2?,\n")
    table = {"rows": str(tmp_path / "table.csv"), "columns": {"id": "number", "input": "ask", "label": "gold"}}
    job = make_job(tmp_path, [], **table, sampling={"samples": 4}, filters={"max_words": 6, "agreement": 0.6})
    rows = [(example.id, example.input, example.label) for example in OpenJob(job).examples]
    assert rows == [("x1", "What is 1?", "1"), ("x2", "What is 2?", "")]
    short = reply_with("1", "It is one.")
    replies = [short, short, reply_with("1", "These are the seven words of it."), FAILED]
    fill(job, {"x1": replies, "x2": [reply_with("2"), reply_with("4"), reply_with("5")]})
    expected = {"kept": 1, "duplicate": 1, "too long": 1, "failed": 1}
    expected |= {"low agreement": 1, "outvoted": 2, "not asked": 1}
    assert {name: count for name, count in summary(read_results(job))["outcomes"].items() if count} == expected


def keys(folder, rows, instruction=None, hint=None, **settings):
    prompt = yaml.safe_load(prompt_file("custom").read_text())
    prompt |= {"instruction": instruction or prompt["instruction"], "hint": hint or prompt["hint"]}
    (folder / "prompt.yaml").write_text(yaml.safe_dump(prompt))
    opened = OpenJob(make_job(folder, rows, prompt=str(folder / "prompt.yaml"), **settings))
    return [request.key for request in opened.requests()]


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ({"instruction": "Think!"}, 0),
        ({"teacher": "n"}, 0),
        ({"sampling": {"temperature": 0.5}}, 0),
        ({"sampling": {"extra": {"reasoning_effort": "low"}}}, 0),
        ({"rows": [{"input": "What is 3? Well?"}, {"input": "And 4?"}]}, 0),
        ({"hint": "Say {label}."}, 2),
        ({"sampling": {"max_tokens": 4096}}, 2),
        ({"sampling": {"temperature": 0.0}}, 2),  # what one sample has by itself
        ({"rows": [{**ROWS[0], "id": "another", "label": "5"}, ROWS[1]]}, 2),
    ],
)
def test_questions_are_other_ones_where_something_else_is_sent(change, shared, tmp_path):
    before, after = keys(tmp_path, ROWS), keys(tmp_path, **{"rows": ROWS} | change)
    assert len(set(before) & set(after)) == shared


def test_fewer_samples_are_the_first_of_many(tmp_path):
    three, two = (keys(tmp_path, ROWS, sampling={"samples": n, "temperature": 1.0}) for n in (3, 2))
    assert two == three[:4]


def test_asked_again_are_those_whose_every_sample_is_there_and_none_of_them_right(tmp_path):
    first = reply_with("7")
    replies = {"both wrong": [first, "Hm."], "one right": [first, reply_with("1")], "one failed": [first, FAILED]}
    replies |= {"nothing": [], **dict.fromkeys(("hinted already", "hint failed", "no label"), (first, reply_with("8")))}
    rows = [{"id": name, "input": f"{name}: what is 1?", "label": "1"} for name in replies]
    rows[-1]["label"] = ""
    job = make_job(tmp_path, rows, sampling={"samples": 2}, rationalise=True)
    fill(job, replies)
    fill(job, {"hinted already": [reply_with("1")], "hint failed": [FAILED]}, hint=True)
    with Store(job.store) as store:
        hinted = store.missing(OpenJob(job).hinted_requests(store))
        assert [request.example for request in hinted] == ["both wrong", "hint failed"]
        unanswered = [(request.example, request.key.sample) for request in store.missing(OpenJob(job).requests())]
        assert unanswered == [("nothing", 0), ("one failed", 1), ("nothing", 1)]
        assert OpenJob(job.model_copy(update={"rationalise": False})).hinted_requests(store) == []
