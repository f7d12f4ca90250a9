"""Case `confidence`: what confidences and calibration add to the time of answering e-SNLI's test split.

Two students are trained first, on the validation split and labels alone, and kept in `runs/benchmarks` for the next
call: one of width 256, and one of T5-v1.1-small's shape for so few steps that it writes labels and no more. Both sides
answer and grade every row and write that down; limbeck's says besides how sure each answer is, by every definition, and
calibrates. One thread; seconds are the processor's, the least of the rounds, which take turns.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.generation import BATCH, OUT
from benchmarks.inputs import SMALL
from benchmarks.rows import value_row, yes
from benchmarks.settings import Settings
from limbeck.data import View, load, source
from limbeck.files import write_jsonl
from limbeck.metrics.predict import predict
from limbeck.models import Card, ScratchSettings
from limbeck.models.loading import open_student
from limbeck.models.student import Student
from limbeck.runs import Recipe, Run, train
from limbeck.runs.compare import calibrate_file
from limbeck.schema import Example
from limbeck.tasks import Task

WIDE = ScratchSettings(vocab_size=8000, d_model=256, d_kv=64, d_ff=512, num_layers=4, num_heads=4)
# name: shape, training steps, of how many rows one is answered: a minute or so for each side
STUDENTS = {"width 256": (WIDE, 300, 1), "T5-v1.1-small": (SMALL, 40, 5)}
ROUNDS = 3


def trained_on_esnli(root: Path, shape: ScratchSettings, steps: int, out: Path) -> Run:
    archive = {"kind": "archive", "root": str(root), "splits": {"train": "valid", "test": "test"}}
    lengths = {"max_steps": steps, "eval_strategy": "no", "save_steps": steps, "warmup_steps": 10, "logging_steps": 20}
    values = {
        "data": {"task": "esnli", "source": archive},
        "student": {"scratch": shape.model_dump(), "max_target_length": 32},
        "objective": "finetune",
        "training": lengths | {"per_device_train_batch_size": 32, "learning_rate": 1e-3},
        "seed": 1,
    }
    return train(Recipe.parse(values, "benchmarks.confidence"), out, resume=True)


def answered(student: Student, _card: Card, examples: Sequence[Example], task: Task, path: Path) -> float:
    """Answers alone, graded and written; returns the accuracy."""
    texts = [source(example, View.PREDICT) for example in examples]
    given = student.generate(texts, batch_size=BATCH)
    correct = [task.equal(said, example.label) for said, example in zip(given, examples, strict=True)]
    rows = zip(examples, given, correct, strict=True)
    write_jsonl(path, ({"id": e.id, "label": e.label, "prediction": said, "correct": c} for e, said, c in rows))
    return sum(correct) / len(correct)


def calibrated(student: Student, card: Card, examples: Sequence[Example], task: Task, path: Path) -> dict[str, Any]:
    """Answers with their confidences, graded, written and calibrated."""
    given = predict(student, card, examples, task, batch_size=BATCH)
    fields = ("id", "label", "prediction", "correct", "confidence", "probabilities")
    write_jsonl(path, ({field: getattr(one, field) for field in fields} for one in given))
    return calibrate_file(path)


def compared(name: str, run: Run, every: int) -> dict[str, Any]:
    """The row of one student. Its ratio is of answering alone over all of it."""
    examples, task = load(run.recipe.data).test[::every], run.recipe.data.get_task()
    student, card = open_student(run.model)
    sides = {"answers alone": answered, "limbeck, with confidences and calibration": calibrated}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    found: dict[str, Any] = {}
    for _ in range(ROUNDS):
        for side, call in sides.items():
            begun = time.process_time()
            found[side] = call(student, card, examples, task, run.path / "answers.jsonl")
            seconds[side].append(time.process_time() - begun)
    (alone, accuracy), (whole, measured) = ((min(seconds[side]), found[side]) for side in sides)
    if accuracy != measured["accuracy"]:
        raise AssertionError("both sides are to give the same answers")
    return value_row(
        f"confidence: e-SNLI test, {len(examples)} rows, {name}, batch {BATCH}",
        "processor time",
        "s",
        ("answers alone", alone),
        ("limbeck, with confidences and calibration", whole),
        "adds at most 15 %",
        yes(whole <= 1.15 * alone),
        f"adds {whole / alone - 1:.1%}; accuracy {accuracy:.4f}, ECE {measured['ece']:.4f}, "
        f"average confidence {measured['average_confidence']:.4f}",
    )


def confidence(settings: Settings) -> Iterator[dict[str, Any]]:
    """A row a student."""
    torch.set_num_threads(1)
    for name, (shape, steps, every) in STUDENTS.items():
        run = trained_on_esnli(settings.root, shape, steps, OUT / f"esnli-{shape.d_model}")
        yield compared(name, run, every)
