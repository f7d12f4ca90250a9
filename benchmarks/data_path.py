"""Case `data`: useful tokens a batch, collation, and tokenising e-SNLI's number of rows.

e-SNLI's training rows are not needed: its validation rows stand in for them, and for its 549,367 rows they are repeated
with about an eighth of the words of premise and rationale exchanged. `python -m benchmarks.data_path ROOT TOKENIZER`
prints one start of tokenising them, for the case to run in a process of its own.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from benchmarks.naive import IGNORE, NaiveCollator
from benchmarks.rows import value_row, yes
from benchmarks.settings import Settings
from limbeck.data import DataSettings, View, load, read, source, target
from limbeck.models import ScratchSettings
from limbeck.models.encoder_decoder import EncoderDecoderStudent
from limbeck.models.loading import build_t5, train_tokenizer
from limbeck.models.student import Student
from limbeck.schema import Example
from limbeck.training.dataset import TrainingSet, tokenize
from limbeck.training.sampler import BucketSampler, StepShape

VIEWS = (View.PREDICT, View.EXPLAIN)
BATCH, MULTIPLE, SEED = 64, 8, 0
ESNLI_ROWS = 549_367
LEAST_USEFUL = {"svamp": 0.74, "cqa": 0.85, "esnli": 0.78}


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
    texts = [text for e in examples for v in VIEWS for text in (source(e, v).text("\n"), target(e, v) or "")]
    return unigram(texts) if kind == "unigram" else train_tokenizer(texts, 8000)


def student_of(tokenizer: PreTrainedTokenizerBase) -> Student:
    """A student with next to no weights."""
    tiny = ScratchSettings(d_model=8, d_kv=4, d_ff=8, num_heads=1, num_layers=1)
    return EncoderDecoderStudent(build_t5(tiny, tokenizer), tokenizer, 1024, 256)


def useful_share(training_set: TrainingSet, order: Sequence[int]) -> float:
    """Real tokens divided by tokens fed, padding included, over an epoch in this order: sources and targets."""
    rounded = -(-training_set.lengths // MULTIPLE) * MULTIPLE
    weights = np.array([len(training_set.views), *(1 for _ in training_set.views)])
    batches = [rounded[list(order[i : i + BATCH])] for i in range(0, len(order), BATCH)]
    fed = sum(len(widths) * int(np.maximum(widths.max(0), 1) @ weights) for widths in batches)
    return (len(training_set.sources.ids) + len(training_set.targets.ids)) / fed


def order_of(training_set: TrainingSet, epoch: int = 0) -> list[int]:
    """The examples of an epoch, batch after batch."""
    sampler = BucketSampler(training_set.lengths, shape=StepShape(BATCH), multiple=MULTIPLE, seed=SEED)
    sampler.epoch = epoch
    return [example for batch in sampler for example in batch]


def sorted_megabatches(training_set: TrainingSet, batches: int = 50) -> list[int]:
    """The usual way, for comparison: random parts of so many batches, each sorted by the length of its sources."""
    order = np.random.default_rng(SEED).permutation(len(training_set))
    lengths = training_set.lengths[:, 0]
    parts = [order[i : i + batches * BATCH] for i in range(0, len(order), batches * BATCH)]
    return [i for part in parts for i in part[np.argsort(-lengths[part], kind="stable")].tolist()]


def _pairs(groups: np.ndarray) -> int:
    """How many ordered pairs of members share a group."""
    return int(sum(count * (count - 1) for count in np.unique(groups, return_counts=True)[1]))


def same_batch(training_set: TrainingSet) -> float:
    """How probable it is that two examples that share a batch in one epoch share one in the next."""
    numbers = []
    for epoch in (0, 1):
        number = np.empty(len(training_set), np.int64)
        number[order_of(training_set, epoch)] = np.arange(len(training_set)) // BATCH
        numbers.append(number)
    return _pairs(numbers[0] * len(training_set) + numbers[1]) / _pairs(numbers[0])


def useful_tokens(root: Path) -> Iterator[dict[str, Any]]:
    """Tokens fed for each useful one at batch 64, by task and tokenizer, beside sorted megabatches."""
    for task, least in LEAST_USEFUL.items():
        examples = examples_of(task, root)
        for kind in ("unigram", "bpe"):
            made = tokenize(examples, VIEWS, student_of(tokenizer_of(kind, examples)))
            share = useful_share(made, order_of(made))
            usual = useful_share(made, sorted_megabatches(made))
            chance = useful_share(made, np.random.default_rng(SEED).permutation(len(made)).tolist())
            yield value_row(
                f"data: {task}, {kind}, {len(made)} rows, batch {BATCH}",
                "tokens fed for each useful one",
                "",
                ("sorted megabatches", 1 / usual),
                ("limbeck", 1 / share),
                f"useful share at least {least:.2f}",
                yes(share >= least),
                f"useful share {usual:.3f} and {share:.3f}, in random order {chance:.3f}; "
                f"pairs in one batch meet again in the next epoch: {same_batch(made):.2f}",
            )


def collation(root: Path) -> Iterator[dict[str, Any]]:
    """The time to take and collate 64 CQA examples in two views, on one thread, over all batches of an epoch."""
    torch.set_num_threads(1)
    examples = examples_of("cqa", root)
    student = student_of(tokenizer_of("unigram", examples))
    made = tokenize(examples, VIEWS, student)
    order = order_of(made)
    batches = [order[i : i + BATCH] for i in range(0, len(order) - BATCH + 1, BATCH)]
    collate, naive = student.collator(), NaiveCollator(student.tokenizer)
    features = [_feature(made, i) for i in range(len(made))]
    naive_times = _times(lambda batch: naive([features[i] for i in batch]), batches)
    times = _times(lambda batch: collate([made[i] for i in batch]), batches * 20)[len(batches) :]
    low, median, high = np.quantile(times, [0.1, 0.5, 0.9])
    yield value_row(
        f"data: collating {BATCH} CQA examples, two views",
        "time",
        "ms",
        ("naive", float(np.median(naive_times))),
        ("limbeck", float(median)),
        "at most 1 ms",
        yes(median <= 1),
        f"10 % to 90 %: {low:.3f} to {high:.3f} ms, {len(times)} batches",
    )


def _feature(made: TrainingSet, row: int) -> dict[str, Any]:
    """An example as the naive collator takes it."""
    rows = {view.value: number * len(made) + row for number, view in enumerate(made.views)}
    return {
        view: {"input_ids": made.sources[i].tolist(), "labels": made.targets[i].tolist() or [IGNORE]}
        for view, i in rows.items()
    }


def _times(call: Any, batches: list[list[int]]) -> np.ndarray:
    """Milliseconds of a call for each batch."""
    taken = []
    for batch in batches:
        begun = time.perf_counter()
        call(batch)
        taken.append(1e3 * (time.perf_counter() - begun))
    return np.array(taken)


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


def _peak() -> float:
    """The most memory this process has had resident, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def one_start(root: Path, tokenizer: Path) -> dict[str, Any]:
    """Tokenise e-SNLI's number of rows; the peak is this whole process's."""
    student = student_of(AutoTokenizer.from_pretrained(tokenizer))
    examples = many_examples(root)
    before = _peak()
    begun, cpu = time.perf_counter(), time.process_time()
    made = tokenize(examples, VIEWS, student)
    seconds = {"seconds": time.perf_counter() - begun, "CPU seconds": time.process_time() - cpu}
    begun = time.perf_counter()
    order = order_of(made)
    return {
        **{name: round(value, 2) for name, value in seconds.items()},
        "peak GiB": round(_peak(), 2),
        "peak GiB before": round(before, 2),
        "rows": len(made),
        "tokens": len(made.sources.ids) + len(made.targets.ids),
        "order of an epoch, seconds": round(time.perf_counter() - begun, 2),
        "useful tokens": round(useful_share(made, order), 4),
    }


def many_rows(root: Path) -> Iterator[dict[str, Any]]:
    """A start for each tokenizer, in a process of its own."""
    for kind in ("unigram", "bpe"):
        with tempfile.TemporaryDirectory() as tokenizer:
            tokenizer_of(kind, examples_of("esnli", root)).save_pretrained(tokenizer)  # Unigram's training is not exact
            command = [sys.executable, "-m", "benchmarks.data_path", str(root), tokenizer]
            start = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        yield value_row(
            f"data: tokenising {start['rows']} rows, {kind}",
            "time to start",
            "s",
            ("limbeck", start["seconds"]),
            ("CPU", start["CPU seconds"]),
            "at most 180 s and 2 GiB",
            yes(start["seconds"] <= 180 and start["peak GiB"] < 2),
            f"peak {start['peak GiB']} GiB ({start['peak GiB before']} before); {start['tokens']} tokens; "
            f"an epoch's order {start['order of an epoch, seconds']} s; useful share {start['useful tokens']:.3f}",
        )


def data(settings: Settings) -> Iterator[dict[str, Any]]:
    """All of them."""
    yield from collation(settings.root)
    yield from useful_tokens(settings.root)
    yield from many_rows(settings.root)


if __name__ == "__main__":
    print(json.dumps(one_start(Path(sys.argv[1]), Path(sys.argv[2]))))
