"""Questions below a threshold go to a teacher: once, within its limits, and never at the price of an answer."""

import json
import math
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from limbeck.annotation.job import Job
from limbeck.annotation.results import harvest
from limbeck.data.rows import read_rows
from limbeck.errors import FileError, RecipeError
from limbeck.files import read_jsonl
from limbeck.models import CARD, Card
from limbeck.runs import open_run, train
from limbeck.runs.evaluation import graded_with_teacher
from limbeck.serving.cascade import CascadeOptions, Teacher, least_confidence, measured_questions
from limbeck.tasks import TASKS
from tests.helpers.archives import replace_predictions
from tests.helpers.servers import HANGING, PASSING, Server, completion, error, mixed
from tests.runs.recipes import TINY, tiny
from tests.serving.conftest import process, serving

REASON = "He gives away two of his five."


def teach(request):
    return f"{REASON} The answer is ( {len(request.question)}.0 - 2.0 )."


def answer_to(question):
    return f"( {len(question)}.0 - 2.0 )"


@pytest.fixture
def job(tmp_path):
    """`job(url, **settings)`: a job with its store in the test's folder."""

    def make(url, **settings):
        teacher = {"name": "m", "base_url": url, "key": "NO_KEY"}
        values = {"rows": "none.jsonl", "task": "arithmetic", "store": tmp_path / "a.sqlite", "teacher": teacher}
        return Job.parse({**values, **settings}, "job")

    return make


def passing_on(trained, job, measured=frozenset(), *, least=math.inf, **options):
    return serving(trained, Teacher(job, "dss", least_confidence=least, measured=measured), **options)


def questions(count):
    return [f"Tom has {'many ' * n}apples." for n in range(count)]


def test_a_teacher_answers_what_the_student_is_unsure_of_and_is_asked_once(trained, job):
    with Server(mixed(0, text=teach, latency=0.05)) as endpoint:
        for _ in range(2):  # servers, one after the other
            with passing_on(trained, job(endpoint.url)) as served, ThreadPoolExecutor(12) as pool:
                asked = [*questions(6), *questions(6)]
                responses = list(pool.map(lambda q: served.ask(input=q, rationale=True).json()["answers"][0], asked))
                metrics = served.get("/metrics").text
            for question, answer in zip(asked, responses, strict=True):
                # the question alone is the teacher's last turn
                assert (answer["answered_by"], answer["passed_on"]) == ("teacher", "answered")
                assert answer["answer"] == answer_to(question) and answer["rationale"] == REASON
                assert 0 <= answer["confidence"] <= 1
            assert 'limbeck_answers_total{answered_by="teacher",passed_on="answered"} 12.0' in metrics
        assert endpoint.paid == dict.fromkeys(questions(6), 1)
        with passing_on(trained, job(endpoint.url), least=0.0) as served:
            answer = served.ask(input="Another one?").json()["answers"][0]
        assert (answer["answered_by"], answer["passed_on"], endpoint.count) == ("student", None, 6)


def test_the_threshold_divides_the_questions(trained, job):
    with serving(trained) as served:
        alone = [answer["confidence"] for answer in served.ask(input=questions(9)).json()["answers"]]
    middle = sorted(alone)[4] * 1.001  # batches round
    with Server(mixed(0, text=teach)) as endpoint, passing_on(trained, job(endpoint.url), least=middle) as served:
        answers = served.ask(input=questions(9)).json()["answers"]
    assert [answer["answered_by"] for answer in answers] == ["teacher" if p < middle else "student" for p in alone]


FAILING = {"down": None, "refusing": error(401), "503": PASSING["503"], "no answer": completion("I do not know.")}


@pytest.mark.parametrize("way", [*FAILING, "silent", "dribble"])
def test_where_the_teacher_fails_the_student_answers(trained, job, way, caplog):
    answer = HANGING.get(way) or FAILING[way]
    limits = {"attempts": 1, "request_seconds": 2}
    with Server(lambda *_: answer) as endpoint:
        url = "http://127.0.0.1:9/v1" if answer is None else endpoint.url
        with passing_on(trained, job(url, limits=limits), seconds=30) as served:
            first, *others = served.ask(input=questions(4)).json()["answers"]
            again = served.ask(input=questions(4)).json()["answers"]
    for got in (first, *others, *again):
        assert (got["answered_by"], got["passed_on"]) == ("student", "failed") and got["answer"]
    assert "Traceback" not in caplog.text


def test_a_reply_that_comes_too_late_is_stored_and_not_paid_for_again(trained, job):
    with Server(mixed(0, text=teach, latency=6.0)) as endpoint:
        with passing_on(trained, job(endpoint.url), seconds=4) as served:
            late = served.ask(input="Slow one?").json()["answers"][0]
        assert late["passed_on"] == "failed"  # and the server's end waited for the reply
        with passing_on(trained, job(endpoint.url)) as served:
            assert served.ask(input="Slow one?").json()["answers"][0]["answer"] == answer_to("Slow one?")
        assert endpoint.paid == {"Slow one?": 1}


def test_a_bad_teacher_never_costs_an_answer_and_no_reply_is_lost(trained, job):
    """Half of the replies fail in any way; whatever was paid for is in the store, once."""
    settings = {"limits": {"attempts": 3, "concurrency": 4}}
    with Server(mixed(0.5, 3, text=teach)) as endpoint:
        with passing_on(trained, job(endpoint.url, **settings), seconds=20) as served, ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda q: served.ask(input=q).json()["answers"][0], questions(24)))
        assert {answer["passed_on"] for answer in answers} <= {"answered", "failed"}
        right = [q for q, a in zip(questions(24), answers, strict=True) if a["answered_by"] == "teacher"]
        assert len(right) > 4 and set(endpoint.paid.values()) == {1} and set(right) == set(endpoint.paid)
        endpoint.behave = lambda *_: error(500)
        with passing_on(trained, job(endpoint.url, **settings)) as served:
            again = served.ask(input=right).json()["answers"]
        assert [answer["answered_by"] for answer in again] == ["teacher"] * len(right)


def test_a_teacher_that_recovers_is_asked_again_under_steady_traffic(trained, job):
    with Server(lambda *_: error(500)) as endpoint:
        settings = {"limits": {"attempts": 1}}
        with passing_on(trained, job(endpoint.url, **settings)) as served:
            assert served.ask(input="First?").json()["answers"][0]["passed_on"] == "failed"
            endpoint.behave = mixed(0, text=teach)
            end = time.monotonic() + 20
            while served.ask(input="First?").json()["answers"][0]["passed_on"] == "failed":
                assert time.monotonic() < end
                time.sleep(0.05)


def test_what_a_server_counted_is_kept_with_its_run(run, job, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    with Server(mixed(0, text=teach, latency=0.2)) as endpoint:
        settings = job(endpoint.url, prices={"input": 1000, "output": 2000}).model_dump(mode="json", exclude_none=True)
        (tmp_path / "job.yaml").write_text(json.dumps(settings))  # which is YAML
        for asked in (questions(4), questions(6)):
            with process(
                folder, tmp_path / "log", "--teacher", str(tmp_path / "job.yaml"), "--threshold", "1"
            ) as served:
                assert {a["answered_by"] for a in served.ask(input=asked).json()["answers"]} == {"teacher"}
                served.process.send_signal(signal.SIGTERM)
                assert served.process.wait(60) == 0
    first, second = open_run(folder).served()
    assert (first.questions, first.passed_on, first.failed, first.engine) == (4, 4, 0, "transformers")
    assert (second.questions, second.passed_on, second.teacher.replies) == (6, 6, 2)  # four are in the store
    assert first.teacher.name == "m" and first.teacher.replies == 4
    used = [json.loads(request.answer.body)["usage"] for request in endpoint.requests]
    price = sum(1e-3 * usage["prompt_tokens"] + 2e-3 * usage["completion_tokens"] for usage in used)
    assert first.teacher.cost + second.teacher.cost == pytest.approx(price)
    assert 0 < first.seconds < 60 and 4 * 0.2 <= first.waited < 60 and first.started <= first.ended


def test_what_cannot_be_answered_is_paid_for_once(trained, job):
    with Server(lambda *_: completion("Much was said", finish_reason="length")) as endpoint:
        with passing_on(trained, job(endpoint.url)) as served:
            for _ in range(3):
                assert served.ask(input="Endless?").json()["answers"][0]["passed_on"] == "failed"
            endpoint.behave = mixed(0, text=teach)
            assert served.ask(input="And this?").json()["answers"][0]["passed_on"] == "answered"  # no rest
        assert endpoint.count == 2


def test_the_claims_of_a_killed_server_are_taken_over(trained, job, tmp_path):
    url = "http://127.0.0.1:9/v1"
    code = f"""
import os, sys
sys.path.insert(0, {str(Path.cwd())!r})
from limbeck.annotation.job import Job
from limbeck.schema import Example
from limbeck.serving.cascade import Teacher
teacher = Teacher(Job.parse({job(url).model_dump(mode="json")!r}, "job"), "dss", least_confidence=1)
example = Example("1", ("Mine?",), "")
print(teacher._claim(teacher._opened.requests([example])[0], example), flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
    with Server(mixed(0, text=teach)) as endpoint, passing_on(trained, job(endpoint.url)) as served:
        assert served.ask(input="Mine?").json()["answers"][0]["passed_on"] == "answered"


def test_a_spent_budget_leaves_the_rest_to_the_student(trained, job):
    with Server(mixed(0, text=teach)) as endpoint:
        settings = {"budget": {"tokens": 1200}, "sampling": {"max_tokens": 200}, "limits": {"concurrency": 1}}
        with passing_on(trained, job(endpoint.url, **settings)) as served:
            answers = [served.ask(input=question).json()["answers"][0] for question in questions(12)]
    by = [answer["answered_by"] for answer in answers]
    teacher = by.count("teacher")
    assert 1 < teacher < 12 and by == ["teacher"] * teacher + ["student"] * (12 - teacher)
    assert teacher == endpoint.count


def test_what_was_passed_on_becomes_training_rows_without_what_the_run_is_measured_on(run, trained, job, tmp_path):
    measured = measured_questions(open_run(run))
    test_question = next(row["input"] for _, row in read_jsonl(open_run(run).predictions("test")))
    with Server(mixed(0, text=teach)) as endpoint:
        endpoint.behave = lambda n, r: completion("No idea." if "hopeless" in r.question else teach(r))
        with passing_on(trained, job(endpoint.url), measured) as served:
            asked = [*questions(3), questions(3)[0].upper(), test_question, "A hopeless question?"]
            assert served.ask(input=asked).json()["answers"][4]["answered_by"] == "teacher"
    done = harvest(tmp_path / "a.sqlite", tmp_path / "more.jsonl")
    rows = read_rows(tmp_path / "more.jsonl", task=TASKS["arithmetic"])
    assert sorted(row.input.casefold() for row in rows) == sorted(map(str.casefold, questions(3)))
    assert [row.label for row in rows] == [answer_to(row.input) for row in rows]
    assert all((row.rationale, row.teacher_label) == (REASON, row.label) for row in rows)
    assert (done["rows"], done["left_out"], done["measured"], done["repeated"]) == (3, 1, 1, 1)
    assert "rows" in json.loads((tmp_path / "more.provenance.json").read_text())


def test_a_store_that_no_server_wrote_to_is_refused(tmp_path):
    with pytest.raises(FileError):
        harvest(tmp_path / "none.sqlite", tmp_path / "more.jsonl")


@pytest.fixture
def measured_run(run, tmp_path):
    """A copy of the run with 40 validation answers of known confidences."""
    shutil.copytree(run, tmp_path / "run")
    copy = open_run(tmp_path / "run")
    generator = np.random.default_rng(0)
    confidence = generator.random(40)
    correct = generator.random(40) < confidence
    graded = zip(confidence.tolist(), correct.tolist(), strict=True)
    row = {"label": "1", "prediction": "1"}
    rows = [{"id": str(n), "input": f"q{n}", **row, "correct": c, "confidence": p} for n, (p, c) in enumerate(graded)]
    replace_predictions(copy, "valid", rows)
    return copy, confidence, correct


def card(run):
    return Card.parse(json.loads((run.model / CARD).read_text()), "card")


def options(job, **values):
    return CascadeOptions(job=job("http://127.0.0.1:9/v1"), **values)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1])
def test_the_largest_cost_is_kept_and_used(measured_run, job, share):
    run, confidence, _ = measured_run
    least = least_confidence(options(job, max_cost=share), run, card(run))
    assert (confidence < least).sum() == 40 * share
    changed = card(run).model_copy(update={"answers": "choices"})
    if share:  # validation was answered in another way
        with pytest.raises(RecipeError):
            least_confidence(options(job, max_cost=share), run, changed)


@pytest.mark.parametrize("probability", [0.2, 0.5, 0.8])
def test_a_probability_is_that_of_being_right(measured_run, job, probability):
    """Isotonic regression by its minimax formula: max over starts of the min over ends of the means between."""
    run, confidence, correct = measured_run
    order = np.argsort(confidence)
    y = correct[order].astype(float)
    fit = [max(min(y[i : k + 1].mean() for k in range(j, 40)) for i in range(j + 1)) for j in range(40)]
    least = least_confidence(options(job, threshold=probability), run, card(run))
    assert [bool(p >= least) for p in confidence[order]] == [bool(value >= probability - 1e-12) for value in fit]


def test_auto_is_the_cheapest_that_is_no_worse_than_the_teacher(job, tmp_path):
    source = {"kind": "generated", "train_rows": 24, "valid_rows": 40, "test_rows": 6, "error_rate": 0.4}
    student = {**TINY["student"], "max_target_length": 40}
    recipe = tiny(data={"task": "arithmetic", "source": source}, student=student)
    run = train(recipe, tmp_path / "run")
    rows = [row for _, row in read_jsonl(run.predictions("valid"))]
    for number, row in enumerate(rows):
        row |= {"confidence": 1 - number / 40, "correct": number < 25}
    replace_predictions(run, "valid", rows)
    answers, teacher = graded_with_teacher(run)
    costs = {}
    for least in (*answers.confidence, math.inf):
        passed = answers.confidence < least
        if np.where(passed, teacher, answers.correct).mean() >= teacher.mean():
            costs[passed.mean()] = least
    assert least_confidence(options(job), run, card(run)) == costs[min(costs)] and 0 < min(costs) < 1


def test_without_validation_answers_a_probability_alone_will_do(run, job, tmp_path):
    assert least_confidence(options(job, threshold=0.7), None, card(open_run(run))) == 0.7
    for values in ({}, {"max_cost": 0.1}):
        with pytest.raises(RecipeError) as refused:
            least_confidence(options(job, **values), None, card(open_run(run)))
        assert refused.value.field == "--threshold"
