"""Cases `decoder` and `decoder-generation`: SmolLM2-135M trained by TRL's SFTTrainer and by limbeck; its answers.

TRL's rows are label and rationale of the same questions as prompt and completion, in batches of as many questions, not
packed. One thread each, and seconds are the processor's: other work on the machine changes them less than the clock's.
Every round has other questions. `python -m benchmarks.decoder SETUP` prints the peak memory of one such training.
"""

import gc
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import transformers

from benchmarks.measure import Times
from benchmarks.memory import in_fresh_process, peak_of
from benchmarks.rows import time_row, value_row, yes
from benchmarks.settings import Settings
from limbeck.data import View, load, source
from limbeck.data.load import DataSettings
from limbeck.models import StudentSettings
from limbeck.models.decoder import DecoderStudent
from limbeck.models.loading import load as load_student
from limbeck.models.settings import LoraSettings
from limbeck.models.tokenization import padded_inputs
from limbeck.objectives import METHODS
from limbeck.schema import Example
from limbeck.training.dataset import tokenize
from limbeck.training.settings import TrainingSettings
from limbeck.training.trainer import Distiller, Trainer, training_arguments

MODEL = Path("models/smollm2")
TASKS = ("svamp", "cqa", "esnli")
QUESTIONS, BATCH, ROUNDS = 24, 8, 3
VIEWS = (View.PREDICT, View.EXPLAIN)
GIB = 2**30


@dataclass(frozen=True)
class Setup:
    """A training; `way` is TRL's "trl nll" or "trl dft", or "dss", "mi" or, without shared prompts, "dss separate"."""

    way: str
    task: str
    root: str
    lora: bool
    round: int = 0
    rationales: int = 1  # a question's: its own, and those of the next questions


def data(task: str, root: str) -> DataSettings:
    splits = (
        {"splits": {"train": "valid", "test": "test"}} if task == "esnli" else {}
    )  # its training split is not there
    values = {"task": task, "source": {"kind": "archive", "root": root, **splits}}
    return DataSettings.parse(values, "benchmarks.decoder")


def student_of(setup: Setup) -> DecoderStudent:
    settings = StudentSettings(
        name=str(MODEL), template="plain", lora=LoraSettings() if setup.lora else None, max_source_length=768
    )
    student = load_student(settings, [], data(setup.task, setup.root).get_task())
    assert isinstance(student, DecoderStudent)
    return student


def training(setup: Setup, folder: str) -> Callable[[], object]:
    """Return what trains on the setup's questions, one epoch; everything is loaded and tokenized."""
    torch.set_num_threads(1)
    rows = [e for e in load(data(setup.task, setup.root)).train if e.rationale]
    random.Random(0).shuffle(rows)
    begin, questions = setup.round * QUESTIONS, []
    for number in range(begin, begin + QUESTIONS):
        texts = tuple(str(row.rationale) for row in rows[number : number + setup.rationales])
        questions.append(replace(rows[number], rationales=texts if len(texts) > 1 else ()))
    return (trl_training if setup.way.startswith("trl") else limbeck_training)(setup, questions, folder)


def limbeck_training(setup: Setup, questions: Sequence[Example], folder: str) -> Callable[[], object]:
    student, method = student_of(setup), METHODS[setup.way.split()[0]]
    student.shared = "separate" not in setup.way
    values = {"max_steps": QUESTIONS // BATCH, "per_device_train_batch_size": BATCH, "learning_rate": 3e-4}
    settings = TrainingSettings.parse({**values, "eval_strategy": "no", "save_strategy": "no"}, "training")
    return Trainer(
        Distiller(student, method),
        training_arguments(settings, Path(folder), seed=setup.round),
        tokenize(questions, method.views, student),
        settings=settings,
        validate=dict,
        log_file=Path(folder) / "log.jsonl",
    ).train


def trl_training(setup: Setup, questions: Sequence[Example], folder: str) -> Callable[[], object]:
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    codec = student_of(replace(setup, lora=False)).codec
    pairs = [codec.texts(question, view, 768, 256) for question in questions for view in VIEWS]
    arguments = SFTConfig(
        output_dir=folder,
        loss_type=setup.way.split()[1],
        max_steps=QUESTIONS // BATCH,
        per_device_train_batch_size=BATCH * len(VIEWS),
        learning_rate=3e-4,
        optim="adamw_torch_fused",
        bf16=False,
        gradient_checkpointing=False,
        packing=False,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        seed=setup.round,
    )
    return SFTTrainer(
        str(MODEL),
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": prompt, "completion": target} for prompt, target in pairs]),
        peft_config=LoraConfig(task_type="CAUSAL_LM", **LoraSettings().model_dump()) if setup.lora else None,
    ).train


def seconds(setup: Setup) -> float:
    """Return the processor seconds of a training, a question."""
    with TemporaryDirectory() as folder:
        train = training(setup, folder)
        gc.collect()
        begin = time.process_time()
        train()
        return (time.process_time() - begin) / QUESTIONS


def speed(task: str, settings: Settings, *, lora: bool) -> Iterator[dict[str, Any]]:
    """Time the ways in turns; the first of a round is another one each time."""
    ways = ["trl nll", "dss", "mi"]
    if lora:
        ways.append("dss separate")
    if lora and task == "svamp":
        ways.append("trl dft")
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(ROUNDS):
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            taken[way].append(seconds(Setup(way, task, str(settings.root), lora, number)))
    times = Times({way: np.array(values) for way, values in taken.items()})
    case = f"decoder: {task}, {'LoRA' if lora else 'all weights'}, batch {BATCH}"
    note = f"a question; {ROUNDS} rounds of {QUESTIONS} questions"
    yield time_row(case, times, "trl nll", "dss", ("time at most 0.42 of TRL's", 1 / 0.42), note)
    yield time_row(case, times, "dss", "mi", ("mi at most 1.05 of dss", 1 / 1.05), note)
    for way in ways[3:]:
        yield time_row(case, times, way, "dss", note=note)


def decoder_rationales(settings: Settings) -> Iterator[dict[str, Any]]:
    """Time `dss` with three rationales a question of SVAMP's lengths beside one."""
    if not MODEL.is_dir():
        print("decoder-rationales: left out; it needs `make smollm2`", file=sys.stderr)
        return
    for lora in (True, False):
        taken: dict[str, list[float]] = {"one rationale": [], "three": []}
        for number in range(ROUNDS):
            for values, count in zip(taken.values(), (1, 3), strict=True):
                values.append(seconds(Setup("dss", "svamp", str(settings.root), lora, number, count)))
        times = Times({way: np.array(values) for way, values in taken.items()})
        case = f"decoder: rationales, SVAMP, {'LoRA' if lora else 'all weights'}, batch {BATCH}"
        target = ("at most 1.35 of the time with one", 1 / 1.35)
        yield time_row(case, times, "one rationale", "three", target, f"a question; {ROUNDS} rounds of {QUESTIONS}")


def memory(settings: Settings, *, lora: bool) -> Iterator[dict[str, Any]]:
    """The peak of resident memory of a whole training on SVAMP, in a process of its own."""
    peaks = {}
    for way in ("trl nll", "dss", "mi"):
        setup = Setup(way, "svamp", str(settings.root), lora)
        peaks[way] = in_fresh_process("benchmarks.decoder", asdict(setup))["peak"] / GIB
    case = f"decoder: svamp, {'LoRA' if lora else 'all weights'}, batch {BATCH}"
    for way in ("dss", "mi"):
        met = yes(peaks[way] <= 0.6 * peaks["trl nll"])
        values = ("trl nll", peaks["trl nll"]), (way, peaks[way])
        yield value_row(case, "peak memory", "GiB", *values, "at most 0.6 of TRL's", met)


def plain(student: DecoderStudent, prompts: Sequence[list[int]], batch_size: int) -> list[str]:
    """transformers alone: the prompts as they come, padded on the left."""
    answers: list[str] = []
    for begin in range(0, len(prompts), batch_size):
        inputs = padded_inputs(prompts[begin : begin + batch_size], student.pad_id, left=True)
        output = student.model.generate(**inputs, max_new_tokens=student.max_target_length, do_sample=False)
        answers += map(student.text, output[:, inputs["input_ids"].shape[1] :].tolist())
    return answers


@torch.inference_mode()
def decoder_generation(settings: Settings, count: int = 64, batch_size: int = 16) -> Iterator[dict[str, Any]]:
    """Time answers of 16 tokens at most, CTranslate2's conversion included."""
    if not MODEL.is_dir():
        print("decoder-generation: left out; it needs `make smollm2`", file=sys.stderr)
        return
    torch.set_num_threads(1)
    student = student_of(Setup("dss", "svamp", str(settings.root), lora=False)).eval()
    student.max_target_length = 16
    sources = [source(example, View.PREDICT) for example in load(data("svamp", str(settings.root))).test[:count]]
    sides: dict[str, Callable[[], list[str]]] = {
        "transformers, file order": partial(plain, student, student.source_ids(sources)[0], batch_size),
        "limbeck": partial(student.generate, sources, batch_size=batch_size),
        "limbeck, ctranslate2": partial(student.generate, sources, batch_size=batch_size, engine="ctranslate2"),
    }
    taken: dict[str, list[float]] = {side: [] for side in sides}
    answers = {}
    for _ in range(ROUNDS):
        for side, write in sides.items():
            begin = time.process_time()
            answers[side] = write()
            taken[side].append((time.process_time() - begin) / count)
    times = Times({side: np.array(values) for side, values in taken.items()})
    baseline = next(iter(sides))
    for side in list(sides)[1:]:
        differ = sum(a != b for a, b in zip(answers[baseline], answers[side], strict=True))
        note = f"an answer; {differ} of {count} are others"
        yield time_row(f"decoder: generation, SVAMP test, batch {batch_size}", times, baseline, side, note=note)


def decoder(settings: Settings) -> Iterator[dict[str, Any]]:
    """Training beside TRL, in time and memory."""
    if not MODEL.is_dir() or find_spec("trl") is None:
        print("decoder: left out; it needs `make smollm2` and `pip install --no-deps trl==1.16.0`", file=sys.stderr)
        return
    for lora in (True, False):
        yield from memory(settings, lora=lora)
        for task in TASKS:
            yield from speed(task, settings, lora=lora)


def main() -> None:
    transformers.logging.set_verbosity_error()
    with TemporaryDirectory() as folder:
        with redirect_stdout(sys.stderr):  # trainers print their logs
            peak = peak_of(training(Setup(**json.loads(sys.argv[1])), folder), "cpu")
        print(json.dumps(peak))


if __name__ == "__main__":
    main()
