"""Case `serving`: answers a second of a decoder-only student behind HTTP, by engine and concurrency.

The student is a finished run's, or SmolLM2-135M, trained for a while on SVAMP by LoRA under its chat template. Its test
questions are asked by one client and by 32, each its next question once it has its answer. Beside it, with the same
prompts and at most as many tokens, `transformers serve` with the merged weights, and where `$LLAMA_PYTHON`, or this
Python, has `llama-cpp-python[server]`, that server with them as GGUF, which answers one request at a time.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
import torch

from benchmarks.rows import value_row, yes
from benchmarks.settings import Settings
from limbeck.data import load, source
from limbeck.models.loading import open_student, save_merged
from limbeck.models.lora import merged
from limbeck.runs import Recipe, open_run, train
from limbeck.serving.gguf import write_gguf

OUT = Path("runs/benchmarks/serving")
SECONDS, TOKENS = 60.0, 32
LLAMA = os.environ.get("LLAMA_PYTHON", sys.executable)
ENGINES = ("transformers", "ctranslate2", "ctranslate2-int8")


def trained(root: Path) -> Path:
    values = {
        "data": {"task": "svamp", "source": {"kind": "archive", "root": str(root)}},
        "student": {"name": "models/smollm2", "lora": {"r": 16}, "max_source_length": 256, "max_target_length": TOKENS},
        "objective": "finetune",
        "training": {"max_steps": 90, "per_device_train_batch_size": 8, "learning_rate": 2e-3, "eval_strategy": "no"},
        "seed": 1,
    }
    return train(Recipe.parse(values, "benchmarks.serving"), OUT, resume=True).path


@dataclass(frozen=True)
class Load:
    """What the clients of one server saw."""

    rate: float  # answers a second
    latencies: Sequence[float]
    errors: int
    answers: dict[str, str]  # by question

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.latencies, 100 * share))


async def load_of(url: str, model: str, questions: Sequence[str], concurrency: int, seconds: float) -> Load:
    """Ask from `concurrency` clients at once, each its next question once it has its answer."""
    latencies, answers, errors, source = [], {}, 0, cycle(questions)
    end = time.monotonic() + seconds

    async def client(http: httpx2.AsyncClient) -> None:
        nonlocal errors
        while (start := time.monotonic()) < end:
            question = next(source)
            body = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0}
            try:
                response = await http.post(f"{url}/v1/chat/completions", json={**body, "max_tokens": TOKENS})
                answers[question] = response.json()["choices"][0]["message"]["content"].strip()
                latencies.append(time.monotonic() - start)
            except (httpx2.HTTPError, LookupError, ValueError):
                errors += 1

    begin = time.monotonic()
    async with httpx2.AsyncClient(timeout=120) as http:
        await asyncio.gather(*(client(http) for _ in range(concurrency)))
    return Load(len(latencies) / (time.monotonic() - begin), latencies, errors, answers)


@contextmanager
def server(command: Sequence[str], path: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server, whose command has PORT for its port, and wait until `path` answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [word.replace("PORT", port) for word in command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            assert process.poll() is None, command
            with suppress(httpx2.HTTPError):
                if httpx2.get(url + path, timeout=5).status_code == 200:
                    break
            time.sleep(0.2)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(90)


def measured(command: Sequence[str], path: str, model: str, questions: Sequence[str], seconds: float) -> dict[str, Any]:
    """Return the loads at 1 and 32 clients, and the server's memory before and after in GiB."""
    with server(command, path) as (url, process):
        asyncio.run(load_of(url, model, questions, 32, seconds / 3))  # to warm up
        before = process.memory_info().rss
        one = asyncio.run(load_of(url, model, questions, 1, seconds / 2))
        many = asyncio.run(load_of(url, model, questions, 32, seconds))
        return {"one": one, "many": many, "memory": (before / 2**30, process.memory_info().rss / 2**30)}


def serving(settings: Settings) -> Iterator[dict[str, Any]]:
    """Measure limbeck's engines, and the other servers."""
    path, seconds = settings.run or trained(settings.root), SECONDS
    run = open_run(path)
    weights = path / "merged"
    save_merged(run.model, weights)
    student, card = open_student(run.model)
    examples = load(run.recipe.data).test
    questions = [example.input for example in examples]
    assert card.prompts is not None and card.prompts.template == "chat", "a student with a chat template"
    prompts = [card.prompts.content(source(example, card.answer_view)) for example in examples]
    limbeck = [sys.executable, "-m", "limbeck", "serve", str(path), "--port", "PORT", "--engine"]
    commands = {f"limbeck, {engine}": ([*limbeck, engine], "/healthz", questions) for engine in ENGINES}
    program = str(Path(sys.executable).with_name("transformers"))
    transformers = [program, "serve", "--port", "PORT", "--host", "127.0.0.1"]
    commands["transformers serve"] = (transformers, "/health", prompts)
    if subprocess.run([LLAMA, "-c", "import llama_cpp.server"], capture_output=True).returncode == 0:
        student.model = merged(student.model)
        for precision in ("float32", "q8_0"):
            file = path / f"{precision}.gguf"
            write_gguf(student, file, quantised=precision == "q8_0")
            llama = [LLAMA, "-m", "llama_cpp.server", "--model", str(file), "--port", "PORT", "--n_ctx", "512"]
            threads = str(torch.get_num_threads())
            llama += ["--n_threads", threads, "--n_threads_batch", threads]
            commands[f"llama-cpp-python, {precision}"] = (llama, "/v1/models", prompts)
    loads = {
        name: measured(command, health, str(weights.resolve()), texts, seconds)
        for name, (command, health, texts) in commands.items()
    }
    best = max(values["many"].rate for name, values in loads.items() if not name.startswith("limbeck"))
    for name, values in loads.items():
        one, many = values["one"], values["many"]
        memory = " and ".join(f"{gibibytes:.2f}" for gibibytes in values["memory"])
        note = (
            f"latency at 1: median {one.percentile(0.5):.2f} s; at 32: median {many.percentile(0.5):.2f}, p99 "
            f"{many.percentile(0.99):.2f} s; errors {one.errors} and {many.errors}; memory before and after: "
            f"{memory} GiB"
        )
        target, met = "", ""
        if name == "limbeck, transformers":
            target, met = "at least 2.5 times", yes(many.rate >= 2.5 * one.rate and not many.errors)
        elif name == "limbeck, ctranslate2":
            target, met = f"at least the fastest other server's {best:.2f}", yes(many.rate >= best)
        yield value_row(
            f"serving: {run.recipe.data.task}, {seconds:g} s",
            "answers a second",
            "/s",
            (f"{name}, 1 client", one.rate),
            ("32 clients", many.rate),
            target,
            met,
            note,
        )
