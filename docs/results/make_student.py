"""A small pretrained student for a processor: an encoder's first layers, a task's vocabulary, taught to copy.

    python docs/results/make_student.py ENCODER ROOT OUT --tasks svamp cqa esnli

ENCODER is a BERT-like checkpoint with a WordPiece tokenizer (the experiments took all-MiniLM-L6-v2: 6 layers, width
384, 30,522 tokens), ROOT the released data. OUT/TASK/encoder and OUT/TASK/decoder have so many of its first layers,
and of its tokens those that stand in the task's texts, single characters and the special ones. All weights are
pretrained but those of the cross-attention, and without it a decoder copies nothing. So the pair then learns to restore
training questions of which each word is dropped with probability 0.15 (`restore.yaml`), as BART is pretrained; it sees
neither labels nor rationales. OUT/TASK/restored/model is the student: a recipe's `student: OUT/TASK/restored/model`.
"""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from limbeck.data import DataSettings, load
from limbeck.files import write_jsonl
from limbeck.runs import load_recipe, train
from limbeck.schema import Example

TASKS = {"svamp": {}, "cqa": {}, "esnli": {"splits": {"train": "valid", "test": "test"}}}
RESTORE = Path(__file__).parent / "restore.yaml"
DROPPED = 0.15
TIMES = 16  # how often a question is in the rows to restore, damaged anew each time


def texts(examples: Sequence[Example]) -> list[str]:
    """All that a student of the task reads and writes in training."""
    found = ["predict: explain: Answer: Rationale: Answer Choices:"]
    for one in examples:
        found += [one.input, one.label, one.rationale or ""]
    return found


def cut(tokenizer: PreTrainedTokenizerFast, used: set[int]) -> tuple[PreTrainedTokenizerFast, list[int]]:
    """The tokenizer with fewer tokens, and which of the old ids they had, in the order of the new."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    special = {one["content"] for one in state["added_tokens"]}
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    kept = [(t, id) for t, id in by_id if id in used or t in special or len(t.removeprefix("##")) == 1]
    new = {token: index for index, (token, _) in enumerate(kept)}
    state["model"]["vocab"] = new
    for one in state["added_tokens"]:
        one["id"] = new[one["content"]]
    for one in state["post_processor"]["special_tokens"].values():
        one["ids"] = [new[token] for token in one["tokens"]]
    names = {name: str(getattr(tokenizer, name)) for name in ("cls_token", "sep_token", "pad_token", "unk_token")}
    small = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)), **names)
    return small, [id for _, id in kept]


def make_pair(encoder: str, examples: Sequence[Example], layers: list[int], out: Path) -> None:
    """Write `encoder` and `decoder` below `out`."""
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    used = {id for row in tokenizer(texts(examples))["input_ids"] for id in row}
    small, rows = cut(tokenizer, used)
    for side, count in zip(("encoder", "decoder"), layers, strict=True):
        model = AutoModel.from_pretrained(encoder)
        model.encoder.layer = model.encoder.layer[:count]
        weight = model.embeddings.word_embeddings.weight.data[rows]
        model.embeddings.word_embeddings = torch.nn.Embedding.from_pretrained(weight, freeze=False, padding_idx=0)
        model.config.num_hidden_layers, model.config.vocab_size = count, len(rows)
        model.config.pad_token_id = small.pad_token_id
        model.save_pretrained(out / side)
        small.save_pretrained(out / side)
        print(f"{out / side}: {count} layers, {len(rows)} tokens, {model.num_parameters():,} weights")


def damaged(examples: Sequence[Example]) -> list[dict[str, str]]:
    """Rows for `restore.yaml`: a question without some of its words, and the question."""
    rng, rows = random.Random(0), []
    for _ in range(TIMES):
        for one in examples:
            words = one.input.split()
            left = [word for word in words if rng.random() > DROPPED] or words
            rows.append({"input": " ".join(left), "label": " ".join(words)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("encoder")
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--layers", type=int, nargs=2, default=[2, 1], help="of the encoder and of the decoder")
    chosen = parser.parse_args()
    for task in chosen.tasks:
        source = {"kind": "archive", "root": str(chosen.root), **TASKS[task]}
        examples = load(DataSettings.parse({"task": task, "source": source}, task)).train
        out = chosen.out / task
        make_pair(chosen.encoder, examples, chosen.layers, out)
        rows = out / "restore.jsonl"
        write_jsonl(rows, damaged(examples))
        changes = {
            "data.source.train_file": rows,
            "student.encoder": out / "encoder",
            "student.decoder": out / "decoder",
        }
        recipe = load_recipe(RESTORE, [f"{key}={value}" for key, value in changes.items()])
        print(f"{train(recipe, out / 'restored', resume=True).model}: to be a recipe's student")


if __name__ == "__main__":
    main()
