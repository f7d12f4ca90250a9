"""Case `confidence`: what confidences and calibration add to the time of answering e-SNLI's test split, 9,824 rows.

A small student is trained first on the validation split, and kept in `runs/benchmarks` for the next call. Both sides
answer and grade every row; limbeck's says besides how sure each answer is, by every definition, and calibrates.
One thread; seconds are the processor's, the least of the rounds, which take turns.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.generation import BATCH, OUT
from benchmarks.rows import value_row, yes
from benchmarks.settings import Settings
from limbeck.data import View, load, source, task_of
from limbeck.evaluation import predict
from limbeck.experiments import Recipe, Run, train
from limbeck.experiments.measures import calibrate_file
from limbeck.files import write_jsonl
from limbeck.schema import Example
from limbeck.students import Student, open_student
from limbeck.tasks import Task

ROUNDS = 3  # a minute or two each


def trained_on_esnli(root: Path, out: Path) -> Run:
    """A student of width 256, labels only, 300 steps."""
    sizes = {"vocab_size": 8000, "d_model": 256, "d_kv": 64, "d_ff": 512, "num_layers": 4, "num_heads": 4}
    steps = {"max_steps": 300, "eval_strategy": "no", "save_steps": 300, "warmup_steps": 30, "logging_steps": 20}
    archive = {"kind": "archive", "root": str(root), "splits": {"train": "valid", "test": "test"}}
    values = {
        "data": {"task": "esnli", "source": archive},
        "student": {"scratch": sizes, "max_target_length": 32},
        "objective": "finetune",
        "training": steps | {"per_device_train_batch_size": 32, "learning_rate": 1e-3},
        "seed": 1,
    }
    return train(Recipe.parse(values, "benchmarks.confidence"), out, resume=True)


def answered(student: Student, examples: Sequence[Example], task: Task) -> list[bool]:
    """Answers alone, graded."""
    texts = [source(example, View.PREDICT, student.separator) for example in examples]
    given = student.generate(texts, student.max_target_length, BATCH)
    return [task.equal(said, example.label) for said, example in zip(given, examples, strict=True)]


def calibrated(student: Student, examples: Sequence[Example], task: Task, path: Path) -> dict[str, Any]:
    """Answers with their confidences, graded, written and calibrated."""
    given = predict(student, examples, task, View.PREDICT, batch_size=BATCH)
    rows = [
        {
            "id": one.id,
            "label": one.label,
            "prediction": one.prediction,
            "correct": one.correct,
            "confidence": one.confidence,
            "probabilities": one.probabilities,
        }
        for one in given
    ]
    write_jsonl(path, rows)
    return calibrate_file(path)


def confidence(settings: Settings) -> Iterator[dict[str, Any]]:
    """The ratio is of answering alone over all of it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = trained_on_esnli(settings.root, OUT / "esnli")
    examples, task = load(run.recipe.data).test, task_of(run.recipe.data)
    student, _ = open_student(run.model)
    path = OUT / "esnli-answers.jsonl"
    found = calibrated(student, examples, task, path)
    if sum(answered(student, examples, task)) != round(found["accuracy"] * len(examples)):
        raise AssertionError("both sides are to give the same answers")
    sides = {
        "answers alone": partial(answered, student, examples, task),
        "limbeck, with confidences and calibration": partial(calibrated, student, examples, task, path),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, call in sides.items():
            begun = time.process_time()
            call()
            seconds[side].append(time.process_time() - begun)
    alone, whole = ((side, min(taken)) for side, taken in seconds.items())
    yield value_row(
        f"confidence: e-SNLI test, {len(examples)} rows, width 256, batch {BATCH}",
        "processor time",
        "s",
        alone,
        whole,
        "adds at most 15 %",
        yes(whole[1] <= 1.15 * alone[1]),
        f"adds {whole[1] / alone[1] - 1:.1%}; "
        + ", ".join(f"{name} {found[name]:.4f}" for name in ("accuracy", "ece", "average_confidence")),
    )
    torch.set_num_threads(threads)
