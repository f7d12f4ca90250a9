"""A small pretrained student for a processor: an encoder's first layers, its vocabulary cut to a task's.

    python docs/results/make_student.py ENCODER ROOT OUT --layers 2 1

ENCODER is a BERT-like checkpoint with a WordPiece tokenizer (the experiments took all-MiniLM-L6-v2: 6 layers, width
384, 30,522 tokens), ROOT the released data. OUT/TASK/encoder and OUT/TASK/decoder are for a recipe's `student:
{encoder: ..., decoder: ...}`: so many of its first layers for each, and of its tokens those that stand in the task's
texts, single characters and the special ones. All weights are pretrained but the new cross-attention.
"""

import argparse
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from limbeck.data import DataSettings, load

TASKS = {"svamp": {}, "cqa": {}, "esnli": {"splits": {"train": "valid", "test": "test"}}}


def texts(task: str, root: Path) -> list[str]:
    """All that a student of the task reads and writes in training."""
    source = {"kind": "archive", "root": str(root), **TASKS[task]}
    found = ["predict: explain: Answer: Rationale: Answer Choices:"]
    for one in load(DataSettings.parse({"task": task, "source": source}, task)).train:
        found += [*one.segments, one.label, one.rationale or ""]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("encoder")
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, nargs=2, default=(2, 1), help="of the encoder and of the decoder")
    chosen = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(chosen.encoder)
    for task in TASKS:
        used = {id for row in tokenizer(texts(task, chosen.root))["input_ids"] for id in row}
        small, rows = cut(tokenizer, used)
        for side, layers in zip(("encoder", "decoder"), chosen.layers, strict=True):
            model = AutoModel.from_pretrained(chosen.encoder)
            model.encoder.layer = model.encoder.layer[:layers]
            weight = model.embeddings.word_embeddings.weight.data[rows]
            model.embeddings.word_embeddings = torch.nn.Embedding.from_pretrained(weight, freeze=False, padding_idx=0)
            model.config.num_hidden_layers, model.config.vocab_size = layers, len(rows)
            model.config.pad_token_id = small.pad_token_id
            folder = chosen.out / task / side
            model.save_pretrained(folder)
            small.save_pretrained(folder)
            print(f"{folder}: {layers} layers, {len(rows)} tokens, {model.num_parameters():,} weights")


if __name__ == "__main__":
    main()
