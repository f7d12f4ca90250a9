"""How fast answers are generated on CommonsenseQA's test split, and what int8 does to a trained student's accuracy.

    python -m benchmarks.generation --root FOLDER --out FOLDER

FOLDER of `--root` holds the released data; below `--out` two small students are trained, and found again by the next
call. One thread each, and seconds are the processor's, which other work on the machine changes less than the clock's.
transformers is asked as one would without limbeck: batches in the file's order, the cache on. A quarter of an hour a
round on a quiet core, most of it for the larger student, whose random weights never end an answer before its limit.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from transformers import T5Config, T5ForConditionalGeneration

from limbeck.data import View, load, source, task_of
from limbeck.evaluation import accuracy, predict
from limbeck.experiments import Recipe, Run, load_recipe, train
from limbeck.experiments.quickstart import RECIPE as QUICKSTART
from limbeck.schema import Example
from limbeck.students import EngineName, Student, open_student
from limbeck.students.scratch import train_tokenizer

ENGINES: tuple[EngineName, ...] = ("transformers", "ctranslate2", "ctranslate2-int8")
# T5-v1.1-small's shape; its 32,128 ids include padding that no tokenizer has a token for
SMALL = {"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8, "num_heads": 6}


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
    tokenizer = train_tokenizer(texts, 32_000)
    torch.manual_seed(0)
    config = T5Config(**SMALL, feed_forward_proj="gated-gelu", decoder_start_token_id=0, tie_word_embeddings=False)
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight) * config.d_model**-0.5)
    return Student(model, tokenizer, max_source_length=1024, max_target_length=256)


def plain(student: Student, texts: Sequence[str], max_new_tokens: int, batch_size: int) -> list[str]:
    """transformers alone: the texts as they come, `batch_size` at a time."""
    answers: list[str] = []
    for begin in range(0, len(texts), batch_size):
        some = list(texts[begin : begin + batch_size])
        batch = student.tokenizer(some, padding=True, return_tensors="pt")
        output = student.model.generate(  # type: ignore[operator]
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], max_new_tokens=max_new_tokens
        )
        answers += [text.strip() for text in student.tokenizer.batch_decode(output, skip_special_tokens=True)]
    return answers


def tokens(
    student: Student, texts: Sequence[str], max_new_tokens: int, batch_size: int, engine: EngineName
) -> list[list[int]]:
    """The very ids that an engine writes, inputs of like length at a time."""
    ids, write = student.source_ids(texts)[0], student.engine(engine)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    written: dict[int, list[int]] = {}
    for begin in range(0, len(ids), batch_size):
        rows = order[begin : begin + batch_size]
        written |= dict(zip(rows, write([ids[i] for i in rows], max_new_tokens, None), strict=True))
    return [written[i] for i in range(len(ids))]


@torch.inference_mode()
def speed(
    student: Student, examples: Sequence[Example], max_new_tokens: int, batch_size: int = 64, rounds: int = 2
) -> dict[str, Any]:
    """Processor seconds of whole calls, CTranslate2's conversion included: the least of `rounds` taken in turns.

    Returns:
        `seconds`; `times`: how many times as fast as transformers in the file's order; `differ`: rows whose tokens are
        others than transformers'; and what was generated from and how much.
    """
    student.eval()
    texts = [source(example, View.PREDICT, student.separator) for example in examples]
    calls: dict[str, Callable[[], Any]] = {
        "file order": partial(plain, student, texts, max_new_tokens, batch_size),
        **{name: partial(student.generate, texts, max_new_tokens, batch_size, engine=name) for name in ENGINES},
        "choices": partial(student.score, texts, [example.choices for example in examples], batch_size),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begun = time.process_time()
            call()
            seconds[name].append(time.process_time() - begun)
    least = {name: min(taken) for name, taken in seconds.items()}
    written = {name: tokens(student, texts, max_new_tokens, batch_size, name) for name in ENGINES}
    lengths = [len(row) for row in written["transformers"]]
    return {
        "rows": len(texts),
        "batch_size": batch_size,
        "rounds": rounds,
        "parameters": sum(weight.numel() for weight in student.parameters()),
        "new_tokens": {"mean": round(mean(lengths), 2), "most": max(lengths), "limit": max_new_tokens},
        "seconds": {name: round(taken, 2) for name, taken in least.items()},
        "times": {name: round(least["file order"] / taken, 2) for name, taken in least.items()},
        "differ": {
            name: sum(ours != theirs for ours, theirs in zip(rows, written["transformers"], strict=True))
            for name, rows in written.items()
        },
    }


def engines_accuracy(run: Run) -> dict[str, Any]:
    """A run's student's accuracy on its test split, by engine, and on how many rows transformers' answer is another."""
    student, card = open_student(run.model)
    examples, task = load(run.recipe.data).test, task_of(run.recipe.data)
    given = {name: predict(student, examples, task, card.answer_view, engine=name) for name in ENGINES}
    answers = {name: [one.prediction for one in predictions] for name, predictions in given.items()}
    return {
        name: accuracy(predictions)
        | {"differ": sum(a != b for a, b in zip(answers[name], answers["transformers"], strict=True))}
        for name, predictions in given.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="the released data, with cqa/ in it")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/generation"), help="where students are kept")
    parser.add_argument("--rounds", type=int, default=2, help="the least of so many is taken")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cqa = trained_on_cqa(options.root, options.out / "cqa")
    splits = load(cqa.recipe.data)
    student, _ = open_student(cqa.model)
    report = {"trained, width 256": speed(student, splits.test, max_new_tokens=32, rounds=options.rounds)}
    print(json.dumps(report, indent=2), flush=True)
    student = random_small([source(example, View.PREDICT, "") for example in splits.train])
    report = {"random, T5-v1.1-small": speed(student, splits.test, max_new_tokens=16, rounds=options.rounds)}
    print(json.dumps(report, indent=2), flush=True)
    arithmetic = train(load_recipe(QUICKSTART, ["objective=dss"]), options.out / "arithmetic", resume=True)
    print(json.dumps({"arithmetic, accuracy": engines_accuracy(arithmetic)}, indent=2))


if __name__ == "__main__":
    main()
