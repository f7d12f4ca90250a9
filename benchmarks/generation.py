"""Case `generation`: answers on CommonsenseQA's test split, and what int8 does to a trained student's accuracy.

Two small students are trained first, and kept in `runs/benchmarks` for the next call. One thread each, and seconds are
the processor's, which other work on the machine changes less than the clock's. transformers is asked as one would
without limbeck: batches in the file's order, the cache on. The larger student's random weights never end an answer
before its limit.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from benchmarks.inputs import SMALL, model
from benchmarks.rows import value_row, yes
from benchmarks.settings import Settings
from limbeck.data import View, load, source
from limbeck.metrics.graded import accuracy
from limbeck.metrics.predict import predict
from limbeck.models import EngineName
from limbeck.models.encoder_decoder import EncoderDecoderStudent
from limbeck.models.generation import Target
from limbeck.models.loading import open_student, train_tokenizer
from limbeck.models.student import Student
from limbeck.runs import Recipe, Run, load_recipe, train
from limbeck.runs.training import QUICKSTART
from limbeck.schema import Example

OUT = Path("runs/benchmarks")
BATCH = 64
ENGINES: tuple[EngineName, ...] = ("transformers", "ctranslate2", "ctranslate2-int8")


def trained_on_cqa(root: Path, out: Path) -> Run:
    """A student of width 256, labels only, 300 steps: its answers end as a student's do, but are not right ones."""
    sizes = {"vocab_size": 8000, "d_model": 256, "d_kv": 64, "d_ff": 512, "num_layers": 4, "num_heads": 4}
    steps = {"max_steps": 300, "eval_strategy": "no", "save_steps": 300, "warmup_steps": 30, "logging_steps": 20}
    values = {
        "data": {"task": "cqa", "source": {"kind": "archive", "root": str(root)}},
        "student": {"scratch": sizes, "max_target_length": 32},
        "objective": "finetune",
        "training": steps | {"per_device_train_batch_size": 32, "learning_rate": 1e-3},
        "seed": 1,
    }
    return train(Recipe.parse(values, "benchmarks.generation"), out, resume=True)


def random_small(texts: Sequence[str]) -> Student:
    """T5-v1.1-small's shape with random weights and a tokenizer of `texts`; it seldom ends by itself."""
    return EncoderDecoderStudent(model(SMALL, dropout=0.0), train_tokenizer(texts, 32_000), 1024, 256)


def plain(student: Student, texts: Sequence[str], max_new_tokens: int, batch_size: int) -> list[str]:
    """transformers alone: the texts as they come, `batch_size` at a time."""
    answers: list[str] = []
    for begin in range(0, len(texts), batch_size):
        some = list(texts[begin : begin + batch_size])
        batch = student.tokenizer(some, padding=True, return_tensors="pt")
        output = student.model.generate(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], max_new_tokens=max_new_tokens
        )
        answers += [text.strip() for text in student.tokenizer.batch_decode(output, skip_special_tokens=True)]
    return answers


def tokens(
    student: Student, texts: Sequence[str], max_new_tokens: int, batch_size: int, engine: EngineName
) -> list[Target]:
    """The very ids that an engine writes, inputs of like length at a time."""
    ids, write = student.source_ids(texts)[0], student.engine(engine)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    written: dict[int, Target] = {}
    for begin in range(0, len(ids), batch_size):
        rows = order[begin : begin + batch_size]
        answers = [answer for answer, _ in write([ids[i] for i in rows], max_new_tokens, None)]
        written |= dict(zip(rows, answers, strict=True))
    return [written[i] for i in range(len(ids))]


@torch.inference_mode()
def speed(
    name: str, student: Student, examples: Sequence[Example], max_new_tokens: int, rounds: int
) -> Iterator[dict[str, Any]]:
    """Processor seconds of whole calls, CTranslate2's conversion included: the least of `rounds` taken in turns."""
    student.eval()
    student.max_target_length = max_new_tokens
    texts = [source(example, View.PREDICT).text("") for example in examples]
    calls: dict[str, Callable[[], Any]] = {
        "file order": partial(plain, student, texts, max_new_tokens, BATCH),
        **{engine: partial(student.generate, texts, batch_size=BATCH, engine=engine) for engine in ENGINES},
    }
    seconds: dict[str, list[float]] = {call: [] for call in calls}
    answers: dict[str, list[str]] = {}
    for _ in range(rounds):
        for call, run in calls.items():
            begun = time.process_time()
            answers[call] = run()
            seconds[call].append(time.process_time() - begun)
    least = {call: min(taken) for call, taken in seconds.items()}
    written = {engine: tokens(student, texts, max_new_tokens, BATCH, engine) for engine in ENGINES}
    length = mean(len(row) for row in written["transformers"])
    for engine in ENGINES:
        differ = sum(a != b for a, b in zip(written[engine], written["transformers"], strict=True))
        others = sum(a != b for a, b in zip(answers[engine], answers["file order"], strict=True))
        ratio = least["file order"] / least[engine]
        target, met = "", ""
        if engine == "ctranslate2":
            target, met = "at least 1.5 times, identical tokens", yes(ratio >= 1.5 and differ == 0)
        elif engine == "ctranslate2-int8":
            target, met = "at least 4 times", yes(ratio >= 4)
        yield value_row(
            f"generation: CQA test, {len(texts)} rows, {name}, batch {BATCH}",
            "processor time",
            "s",
            ("transformers, file order", least["file order"]),
            (f"limbeck, {engine}", least[engine]),
            target,
            met,
            f"in {differ} rows other tokens than transformers' on the same batches, in {others} another answer than in "
            f"file order; {length:.2f} new tokens a row",
        )


def engines_accuracy(run: Run) -> Iterator[dict[str, Any]]:
    """A run's student's accuracy on its test split, by engine."""
    student, card = open_student(run.model)
    examples, task = load(run.recipe.data).test, run.recipe.data.get_task()
    given = {name: predict(student, card.model_copy(update={"engine": name}), examples, task) for name in ENGINES}
    measured = {name: accuracy(predictions) for name, predictions in given.items()}
    for name in ENGINES[1:]:
        pairs = zip(given[name], given["transformers"], strict=True)
        differ = sum(one.prediction != other.prediction for one, other in pairs)
        low, high = measured[name]["interval"]
        yield value_row(
            f"generation: {run.recipe.data.task}, {run.recipe.objective.name}, n = {len(examples)}",
            "accuracy",
            "",
            ("transformers", measured["transformers"]["accuracy"]),
            (name, measured[name]["accuracy"]),
            note=f"95 % interval {low:.3f} to {high:.3f}; {differ} answers are others",
        )


def generation(settings: Settings) -> Iterator[dict[str, Any]]:
    """Speed with a student whose answers end, and with the shape of T5-v1.1-small; accuracy of int8."""
    torch.set_num_threads(1)
    cqa = trained_on_cqa(settings.root, OUT / "cqa")
    splits = load(cqa.recipe.data)
    student, _ = open_student(cqa.model)
    yield from speed("trained, width 256", student, splits.test, max_new_tokens=32, rounds=3)
    student = random_small([source(example, View.PREDICT).text("") for example in splits.train])
    yield from speed("random, T5-v1.1-small", student, splits.test, max_new_tokens=16, rounds=1)
    yield from engines_accuracy(train(load_recipe(QUICKSTART, ["objective=dss"]), OUT / "arithmetic", resume=True))
