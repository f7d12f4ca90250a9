"""Case `beyond-memory`: the start of a training on a file of 5,000,000 rows of 1 KB.

Rows are pieces of e-SNLI's texts, each with a number of its own. `python -m benchmarks.beyond_memory FOLDER` makes one
start, one step of a student with next to no weights, in a process of its own, for its time and its memory.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.data_path import examples_of, tokenizer_of
from benchmarks.memory import peak_of
from benchmarks.rows import value_row, yes
from benchmarks.settings import Settings
from limbeck.models import ScratchSettings
from limbeck.models.loading import build_t5
from limbeck.runs.recipe import Recipe
from limbeck.runs.training import train

HELD_OUT = 64
GIB = 2**30


def write_folder(folder: Path, root: Path, rows: int) -> None:
    """Write the rows of three splits, and a student."""
    examples, rng = examples_of("esnli", root), random.Random(0)
    text = " ".join(text for example in examples for text in (*example.segments, example.rationale or ""))
    for split, count in {"train": rows, "valid": HELD_OUT, "test": HELD_OUT}.items():
        with (folder / f"{split}.jsonl").open("w") as file:
            for number in range(count):
                begin, end = (rng.randrange(len(text) - 650) for _ in range(2))
                question = f"{split} {number}: {text[begin : begin + 300]}?"
                row = {
                    "input": question,
                    "label": f"yes {number % 1000}",
                    "rationale": question[-100:] + text[end : end + 550],
                }
                file.write(json.dumps(row) + "\n")
    tokenizer = tokenizer_of("bpe", examples)
    sizes = ScratchSettings(d_model=8, d_kv=4, d_ff=8, num_heads=1, num_layers=1)
    build_t5(sizes, tokenizer).save_pretrained(folder / "student")
    tokenizer.save_pretrained(folder / "student")


def one_start(folder: Path) -> dict[str, float]:
    """Train in a folder as users do, and return seconds and bytes."""
    source = {
        "kind": "files",
        **{f"{split}_file": str(folder / f"{split}.jsonl") for split in ("train", "valid", "test")},
    }
    steps = {"max_steps": 1, "eval_strategy": "no", "save_strategy": "no", "logging_steps": 1, "use_cpu": True}
    recipe = Recipe.parse(
        {
            "data": {"task": "custom", "source": source},
            "student": {"name": str(folder / "student"), "max_target_length": 256},
            "objective": "dss",
            "training": steps,
        },
        "benchmark",
    )
    anonymous, finished = [0], threading.Event()

    def watch() -> None:
        while not finished.wait(0.2):
            status = Path("/proc/self/status").read_text()
            anonymous[0] = max(anonymous[0], 1024 * int(re.findall(r"RssAnon:\s+(\d+)", status)[0]))

    threading.Thread(target=watch, daemon=True).start()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as out:
        memory = peak_of(lambda: train(recipe, Path(out) / "run"), "cpu") or {}
    finished.set()
    return {"seconds": time.perf_counter() - begun, "peak": memory["peak"], "anonymous": anonymous[0]}


def beyond_memory(settings: Settings) -> Iterator[dict[str, Any]]:
    """Two starts on one file, the second with what the first left in the cache."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_folder(folder, settings.root, settings.rows)
        environment = os.environ | {"HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "benchmarks.beyond_memory", name]
        starts = []
        for _ in range(2):
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            starts.append(json.loads(done.stdout.splitlines()[-1]))
        first, second = starts
        case = f"data: {settings.rows} rows, {(folder / 'train.jsonl').stat().st_size / GIB:.2f} GiB"
        cache = sum(path.stat().st_size for path in (folder / "cache").rglob("*") if path.is_file())
        yield value_row(
            case,
            "time from the start to a step, predictions included",
            "s",
            ("first start", first["seconds"]),
            ("second start", second["seconds"]),
            note=f"the cache has {cache / GIB:.2f} GiB",
        )
        for start, values in {"first": first, "second": second}.items():
            peak = values["peak"] / GIB
            yield value_row(
                case,
                f"peak resident memory, {start} start",
                "GiB",
                ("held in memory", None),
                ("limbeck", peak),
                "at most 2 GiB",
                yes(peak <= 2),
                f"{values['anonymous'] / GIB:.2f} GiB of it not mapped from files",
            )


if __name__ == "__main__":
    print(json.dumps(one_start(Path(sys.argv[1]))))
