"""The numbers that each verb prints or writes on two objectives and two seeds, and those of a report on them."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.archives import write_rows
from tests.helpers.servers import Server, completion
from tests.invariant import package, small
from tests.invariant.package import limbeck
from tests.runs.recipes import rows_of

RUNS = ("dss-1", "dss-2", "mi-1", "mi-2")


@pytest.fixture(scope="module")
def recipe(folder):
    counts = {"train": 30, "valid": 24, "test": 24}
    training = {"max_steps": 40, "learning_rate": 0.15, "per_device_train_batch_size": 8, "logging_steps": 10}
    recipe = package.recipe(small.student("t5", folder), "mi", counts, **training)
    package.write_yaml("recipe.yaml", recipe)
    return recipe


@pytest.fixture(scope="module")
def runs(recipe):
    """Four finished runs: what each training and the evaluation of all printed."""
    printed = {}
    for name in RUNS:
        objective, seed = name.split("-")
        package.write_yaml("recipe.yaml", {**recipe, "objective": objective, "seed": int(seed)})
        printed[name] = limbeck("train", "recipe.yaml", "--json", "--out", f"runs/{name}")
    package.write_yaml("recipe.yaml", recipe)
    evaluated = limbeck("evaluate", "--json", "--rationale", *(f"runs/{name}" for name in RUNS))
    return printed, evaluated


@pytest.fixture
def outputs(reference):
    return reference("outputs")


def chat_model(reply):
    """Return an endpoint that replies to a question, given how often it was asked before."""
    times = Counter()

    def behave(number, request):
        times[request.question] += 1
        return completion(reply(request.question, times[request.question] - 1))

    return Server(behave)


@pytest.mark.parametrize("name", RUNS)
def test_train(name, runs, outputs):
    outputs.check(f"train {name}", runs[0][name])


def test_evaluate(runs, outputs):
    outputs.check("evaluate", runs[1])
    outputs.check("evaluation page", json.loads(Path("runs/mi-1/evaluation/test.json").read_text()))


def test_predict(runs, outputs):
    limbeck("predict", "runs/mi-2", "--input", "test.jsonl", "--output", "answers.jsonl", "--rationale")
    outputs.check("predict", rows_of(Path("answers.jsonl")))


def test_compare(runs, outputs):
    outputs.check("compare two runs", limbeck("compare", "--json", "runs/mi-1", "runs/dss-1"))
    sides = ("runs/mi-1,runs/mi-2", "runs/dss-1,runs/dss-2")
    outputs.check("compare seeds", limbeck("compare", "--json", *sides))


def test_compare_and_calibrate_files_of_predictions(folder, outputs):
    for name, shift in (("a.jsonl", 0.0), ("b.jsonl", 1.1)):
        write_rows(Path(name), small.graded_answers(shift))
    outputs.check("compare files", limbeck("compare", "--json", "a.jsonl", "b.jsonl"))
    outputs.check("calibrate", limbeck("calibrate", "--json", "a.jsonl", "--validation", "b.jsonl"))


def test_data_show(recipe, outputs):
    outputs.check("data show", limbeck("data", "show", "recipe.yaml", "--json"))


def test_objectives(reference):
    assert set(limbeck("objectives", "--json")) == reference("steps-t5").names()


def test_a_dry_run_of_a_grid(recipe, outputs):
    grid = {"recipe": {**recipe, "seed": 0}, "axes": {"objective": ["dss", "mi"]}, "seeds": [1, 2]}
    package.write_yaml("grid.yaml", grid)
    outputs.check("grid", limbeck("grid", "grid.yaml", "--dry-run", "--json"))


def test_report(runs, reference):
    limbeck("report", "runs", "--output", "report", "--json")
    tables, file = package.report_tables(Path("report")), reference("report")
    for name, table in tables.items():
        # intervals of a calibration error magnify the rounding of confidences
        file.check(name, table, tolerance=1e-5)
    assert file.names() == set(tables)


def test_annotation(folder, outputs):
    """Three replies a question: the last is wrong for one in three, and unreadable for one in four."""
    questions = [{"id": str(n), "input": f"What is {n} plus {n} ?", "label": str(2 * n)} for n in range(12)]
    write_rows(Path("questions.jsonl"), questions)

    def reply(question, time):
        number = int(question.rsplit("What is ")[-1].split()[0])
        if number % 4 == 1 and time == 2:
            return "I do not know what to say about it."
        answer = 2 * number + (number % 3 == 2) * (time > 0)
        return f"Taken {time + 1} times, {number} and {number} make it in the end. The answer is {answer}."

    job = {"rows": "questions.jsonl", "sampling": {"samples": 3}, "limits": {"concurrency": 1}}
    job["prices"] = {"input": 10, "output": 100}
    with chat_model(reply) as server:
        package.write_yaml("annotate.yaml", {**job, "teacher": {"name": "m", "base_url": server.url}})
        outputs.check("annotate", limbeck("annotate", "run", "annotate.yaml", "--json"))
    outputs.check("show annotation", limbeck("annotate", "show", "annotate.yaml", "--json"))
    limbeck("annotate", "export", "annotate.yaml", "--output", "exported.jsonl")
    outputs.check("export annotation", rows_of(Path("exported.jsonl")))


def test_judge(runs, outputs):
    def reply(question, time):
        return f"It reads well.\nScore: {1 + (question.count('garden') + question.count('blue') + time) % 5}"

    shutil.copytree("runs/mi-1", "judged")
    with chat_model(reply) as server:
        settings = {"n": 6, "runs": 2, "limits": {"concurrency": 1}}
        package.write_yaml("judge.yaml", {**settings, "teacher": {"name": "judge", "base_url": server.url}})
        outputs.check("judge", limbeck("judge", "--config", "judge.yaml", "--json", "judged"))
