"""What the data path takes: useful tokens a batch, collation, and tokenising e-SNLI's number of rows.

    python -m benchmarks.data_path --root FOLDER     # FOLDER holds the released data: svamp, cqa, esnli

Prints one JSON object. e-SNLI's training rows are not needed: its validation rows stand in for them, and for its
549,367 rows they are repeated with about an eighth of the words of premise and rationale exchanged.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from limbeck.data import DataSettings, View, load, read, source, target
from limbeck.schema import Example
from limbeck.students import ScratchSettings, Student
from limbeck.students.scratch import build_t5, train_tokenizer
from limbeck.training import Collator, TrainingSet, tokenise
from limbeck.training.batches import BucketSampler

VIEWS = (View.PREDICT, View.EXPLAIN)
BATCH, MULTIPLE, SEED = 64, 8, 0
ESNLI_ROWS = 549_367
TASKS = ("svamp", "cqa", "esnli")
Array = Any


def examples_of(task: str, root: Path) -> list[Example]:
    """The training rows; of e-SNLI, whose training rows may be missing, the validation rows."""
    settings = DataSettings.parse({"task": task, "source": {"kind": "archive", "root": str(root)}}, "benchmark")
    return read(settings)["valid"] if task == "esnli" else list(load(settings).train)


def unigram(texts: Iterable[str], size: int = 32_000) -> PreTrainedTokenizerBase:
    """A tokenizer like T5's: Unigram over words that begin with a meta space."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    special, unknown = list(names.values()), names["unk_token"]
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token=unknown, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def tokenizer_of(kind: str, examples: Sequence[Example]) -> PreTrainedTokenizerBase:
    """A tokenizer trained on the examples: `unigram`, to 32,000 pieces, or the `bpe` of a scratch student, to 8,000."""
    texts = [text for e in examples for v in VIEWS for text in (source(e, v, "\n"), target(e, v) or "")]
    return unigram(texts) if kind == "unigram" else train_tokenizer(texts, 8000)


def student_of(tokenizer: PreTrainedTokenizerBase) -> Student:
    """A student with next to no weights."""
    tiny = ScratchSettings(d_model=8, d_kv=4, d_ff=8, num_heads=1, num_layers=1)
    return Student(build_t5(tiny, tokenizer), tokenizer, 1024, 256)


def useful_share(training_set: TrainingSet, order: Sequence[int]) -> float:
    """Real tokens divided by tokens fed, padding included, over an epoch in this order: sources and targets."""
    rounded = -(-training_set.widths() // MULTIPLE) * MULTIPLE
    weights = np.array([len(training_set.views), *(1 for _ in training_set.views)])
    batches = [rounded[list(order[i : i + BATCH])] for i in range(0, len(order), BATCH)]
    fed = sum(len(widths) * int(np.maximum(widths.max(0), 1) @ weights) for widths in batches)
    return (len(training_set.sources.ids) + len(training_set.targets.ids)) / fed


def sorted_megabatches(training_set: TrainingSet, batches: int = 50) -> list[int]:
    """The usual way, for comparison: random parts of so many batches, each sorted by the length of its sources."""
    order = np.random.default_rng(SEED).permutation(len(training_set))
    lengths = training_set.widths()[:, 0]
    parts = [order[i : i + batches * BATCH] for i in range(0, len(order), batches * BATCH)]
    return [i for part in parts for i in part[np.argsort(-lengths[part], kind="stable")].tolist()]


def same_batch(training_set: TrainingSet) -> float:
    """How probable it is that two examples that share a batch in one epoch share one in the next."""
    sampler = BucketSampler(training_set, BATCH, MULTIPLE, SEED)
    numbers = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        number = np.empty(len(training_set), np.int64)
        number[list(sampler)] = np.arange(len(training_set)) // BATCH
        numbers.append(number)
    pairs = lambda number: int(sum(count * (count - 1) for count in np.unique(number, return_counts=True)[1]))  # noqa: E731
    return pairs(numbers[0] * len(training_set) + numbers[1]) / pairs(numbers[0])


def useful_tokens(root: Path) -> dict[str, Any]:
    """The share of useful tokens at batch 64, by task and tokenizer, of our order and of others."""
    results = {}
    for task in TASKS:
        examples = examples_of(task, root)
        for kind in ("unigram", "bpe"):
            student = student_of(tokenizer_of(kind, examples))
            made = tokenise(examples, VIEWS, student)
            rounded = -(-made.widths() // MULTIPLE) * MULTIPLE
            real = len(made.sources.ids) + len(made.targets.ids)
            results[f"{task}, {kind}"] = {
                "rows": len(made),
                "vocabulary": len(student.tokenizer),
                "bucketed": round(useful_share(made, list(BucketSampler(made, BATCH, MULTIPLE, SEED))), 4),
                "sorted megabatches": round(useful_share(made, sorted_megabatches(made)), 4),
                "random": round(useful_share(made, np.random.default_rng(SEED).permutation(len(made)).tolist()), 4),
                "every row alone": round(real / float(rounded.sum() + rounded[:, 0].sum()), 4),
                "pairs that meet again": round(same_batch(made), 4),
            }
    return results


def collation(root: Path) -> dict[str, Any]:
    """The time to take and collate 64 CQA examples in two views, on one thread, over all batches of an epoch."""
    torch.set_num_threads(1)
    examples = examples_of("cqa", root)
    made = tokenise(examples, VIEWS, student_of(tokenizer_of("unigram", examples)))
    collate = Collator(pad_id=0, multiple=MULTIPLE)
    order = list(BucketSampler(made, BATCH, MULTIPLE, SEED))
    batches = [order[i : i + BATCH] for i in range(0, len(order) - BATCH + 1, BATCH)]
    seconds = []
    for batch in batches * 20:
        begun = time.perf_counter(), time.thread_time()
        collate(made.__getitems__(batch))
        seconds.append((time.perf_counter() - begun[0], time.thread_time() - begun[1]))
    wall, cpu = 1e3 * np.array(seconds[len(batches) :]).T  # the first epoch warms the caches
    low, median, high = np.quantile(wall, [0.1, 0.5, 0.9])
    shown = {"median": median, "10 %": low, "90 %": high, "median of CPU time": np.median(cpu)}
    return {"milliseconds": {name: round(float(value), 4) for name, value in shown.items()}, "repeats": len(wall)}


def many_examples(root: Path, rows: int = ESNLI_ROWS) -> list[Example]:
    """e-SNLI's number of rows, no two alike: its validation rows with words exchanged for others of theirs."""
    base, rng = examples_of("esnli", root), random.Random(SEED)
    words = sorted({word for example in base for word in example.segments[0].split()})

    def changed(text: str) -> str:
        parts = text.split(" ")
        for _ in range(1 + len(parts) // 8):
            parts[rng.randrange(len(parts))] = rng.choice(words)
        return " ".join(parts)

    return [
        Example(
            f"{i}", (changed(old.segments[0]), old.segments[1]), old.label, old.rationale and changed(old.rationale)
        )
        for i in range(rows)
        for old in [base[i % len(base)]]
    ]


def one_start(root: Path, tokenizer: Path) -> dict[str, Any]:
    """Tokenise e-SNLI's number of rows, or find them in the cache; the peak is this whole process's."""
    student = student_of(AutoTokenizer.from_pretrained(tokenizer))
    examples = many_examples(root)
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)  # noqa: E731
    before = peak()
    begun, cpu = time.perf_counter(), time.process_time()
    made = tokenise(examples, VIEWS, student)
    seconds = {"seconds": time.perf_counter() - begun, "CPU seconds": time.process_time() - cpu}
    begun = time.perf_counter()
    sampler = BucketSampler(made, BATCH, MULTIPLE, SEED)
    order = list(sampler)
    return {
        **{name: round(value, 2) for name, value in seconds.items()},
        "peak GiB": round(peak(), 2),
        "peak GiB before": round(before, 2),
        "rows": len(made),
        "tokens": len(made.sources.ids) + len(made.targets.ids),
        "order of an epoch, seconds": round(time.perf_counter() - begun, 2),
        "useful tokens": round(useful_share(made, order), 4),
    }


def many_rows(root: Path) -> dict[str, Any]:
    """Two starts for each tokenizer, each a process of its own, with an empty cache before the first."""
    results = {}
    for kind in ("unigram", "bpe"):
        with tempfile.TemporaryDirectory() as folder:
            cache, tokenizer = Path(folder) / "cache", Path(folder) / "tokenizer"
            tokenizer_of(kind, examples_of("esnli", root)).save_pretrained(tokenizer)  # Unigram's training is not exact
            command = [sys.executable, "-m", "benchmarks.data_path", "--root", str(root), "--one-start", str(tokenizer)]
            environment = {**os.environ, "LIMBECK_CACHE": str(cache)}
            starts = [
                json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)
                for _ in range(2)
            ]
            files = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
        results[kind] = {"first start": starts[0], "second start": starts[1], "cache MiB": round(files / 2**20)}
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="the folder with svamp, cqa and esnli")
    parser.add_argument("--one-start", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one_start:
        print(json.dumps(one_start(given.root, given.one_start)))
        return
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LIMBECK_CACHE"] = cache
        results = {"collation": collation(given.root), "useful tokens": useful_tokens(given.root)}
    print(json.dumps({**results, "many rows": many_rows(given.root)}, indent=2))


if __name__ == "__main__":
    main()
