"""Results of a job: the counts, the accuracy with its interval, and the examples to train on."""

from math import sqrt

import pytest

from limbeck.annotation.results import export, read_results, replies, summary, training_examples
from limbeck.errors import LimbeckError
from limbeck.files import read_jsonl
from limbeck.llm.messages import Failure
from tests.annotation.jobs import USED, fill, make_job, reply_with


def wilson(right: int, n: int) -> list[float]:
    """By the formula: the roots of (p - right/n)^2 = z^2 p (1 - p) / n."""
    z = 1.959963984540054
    centre, half = right + z * z / 2, z * sqrt(right * (n - right) / n + z * z / 4)
    return [(centre - half) / (n + z * z), (centre + half) / (n + z * z)]


def test_what_has_no_label_of_any_kind_is_left_out_and_counted(tmp_path):
    rows = [{"id": name, "input": f"{name}?"} for name in ("silent", "torn", "sure")]
    job = make_job(tmp_path, [*rows, {"id": "known", "input": "And?", "label": "1"}], sampling={"samples": 3})
    job = job.model_copy(update={"filters": job.filters.model_copy(update={"agreement": 0.5})})
    replies_by_id = {
        "silent": ["Well.", "Hm.", Failure("HTTP 500", "oops")],
        "torn": [reply_with("1"), reply_with("2"), reply_with("3")],
        "sure": [reply_with("1"), reply_with("1", "It is one for a good reason."), reply_with("2")],
        "known": [reply_with("1"), reply_with("2"), reply_with("3")],
    }
    fill(job, replies_by_id)
    results = read_results(job)
    assert [(row.id, row.label, row.teacher_label, row.rationale) for row in training_examples(results)] == [
        ("sure", "1", "1", "We think of it a little while."),
        ("known", "1", "1", None),  # its label is known, but a third of the answers is too little to be results by
    ]
    for all_rationales, count in ((False, 2), (True, 3)):
        done = export(job, tmp_path / "annotated.jsonl", "limbeck", all_rationales=all_rationales)
        assert (done["rows"], done["left_out"]) == (count, 2)
    assert export(job, tmp_path / "chat.jsonl", "messages", all_rationales=False)["left_out"] == 3


def test_the_counts_and_the_interval_of_the_accuracy(tmp_path):
    rows = [{"id": f"q{i}", "input": f"{i}?", "label": "1"} for i in range(12)] + [{"id": "free", "input": "And?"}]
    job = make_job(tmp_path, rows, sampling={"samples": 2})
    right = {f"q{i}": [reply_with("1"), reply_with("1", f"There are {i} reasons for it.")] for i in range(7)}
    replies_by_id = right | {
        "q7": [reply_with("2"), reply_with("2")],
        "q8": [reply_with("3"), "Hm."],
        "q9": ["Hm.", "Well."],
        "free": [reply_with("4")],
    }
    fill(job, replies_by_id)
    counts = summary(read_results(job))
    assert counts["votes"] == {
        "accuracy": 7 / 9,
        "interval": pytest.approx(wilson(7, 9), abs=1e-12),
        "right": 7,
        "n": 9,
        "without_vote": 3,  # one that nothing can be read from, and two that were not asked
        "without_label": 1,
    }
    assert counts["kept"] == {"rationales": 15, "questions": 8}
    sent = sum(map(len, replies_by_id.values()))
    assert counts["spent"] == {
        "tokens": {"prompt": USED.prompt * sent, "completion": USED.completion * sent},
        "cost": None,
    }


def test_without_any_answer_there_is_no_accuracy(tmp_path):
    job = make_job(tmp_path, [{"input": "One?", "label": "1"}])
    fill(job, {})
    votes = summary(read_results(job))["votes"]
    assert (votes["accuracy"], votes["interval"], votes["n"], votes["without_vote"]) == (None, None, 0, 1)


def test_so_many_replies_of_an_outcome_and_no_more(tmp_path):
    rows = [{"id": f"q{i}", "input": f"{i}?", "label": "1"} for i in range(5)]
    job = make_job(tmp_path, rows)
    fill(job, {"q0": [reply_with("1")], "q3": [reply_with("1")]} | {f"q{i}": [reply_with("2")] for i in (1, 2)})
    results = read_results(job)
    assert [row["id"] for row in replies(results, "wrong", 1)] == ["q1"]
    assert replies(results, "wrong", 9) == [
        {"id": f"q{i}", "label": "1", "read": "2", "text": reply_with("2")} for i in (1, 2)
    ]
    assert [row["id"] for row in replies(results, "kept", 2)] == ["q0", "q3"]
    assert replies(results, "not asked", 9) == []
    with pytest.raises(LimbeckError, match="did you mean 'wrong'"):
        replies(results, "wronk", 1)


def test_ids_stay_apart_whatever_they_are(tmp_path):
    rows = [{"id": id, "input": f"{id}?", "label": "1"} for id in ("a", "a#2", "a#4", "a#2#2")]
    job = make_job(tmp_path, rows, sampling={"samples": 3})
    fill(job, {row["id"]: [reply_with("1", f"It has the reason {i} of some.") for i in range(3)] for row in rows})
    ids = [row.id for row in training_examples(read_results(job), all_rationales=True)]
    assert len(set(ids)) == len(ids) == 12
    assert ids == ["a", "a#3", "a#5", "a#2", "a#2#3", "a#2#4", "a#4", "a#4#2", "a#4#3", "a#2#2", "a#2#2#2", "a#2#2#3"]
    export(job, tmp_path / "every.jsonl", "limbeck", all_rationales=True)
    assert [row["id"] for _, row in read_jsonl(tmp_path / "every.jsonl")] == ids
