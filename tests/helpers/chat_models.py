"""Small chat models, made on the spot and saved to disk, and a real server in front of one."""

import itertools
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

SPECIAL = ["<pad>", "<|end|>", "<s>", "<|system|>", "<|user|>", "<|assistant|>"]
TEMPLATE = (
    "{{ bos_token }}{% for turn in messages %}<|{{ turn.role }}|>{{ turn.content | trim }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
REFUSES_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TEMPLATE
)
DROPS_SYSTEM = TEMPLATE.replace("in messages", "in messages if turn.role != 'system'")
POSITIONS = 512


def chat_tokenizer(template: str | None = TEMPLATE, pieces: list[str] | None = None) -> PreTrainedTokenizerFast:
    """A tokenizer of bytes. `pieces` are longer tokens besides, which a model may write but no text is cut into."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    longer = [byte_level.pre_tokenize_str(piece)[0][0] for piece in pieces or []]
    vocabulary = dict.fromkeys([*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *longer])
    tokenizer = Tokenizer(models.BPE({piece: id for id, piece in enumerate(vocabulary)}, merges=[]))
    tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<|end|>",
        bos_token="<s>",
        extra_special_tokens=SPECIAL[3:],
    )
    fast.chat_template = template
    return fast


def random_model(folder: Path, family: str = "llama", template: str | None = TEMPLATE) -> Path:
    """Random weights of either family: rotary positions, or learned ones. Greedy answers end now and then."""
    tokenizer = chat_tokenizer(template)
    ids = {"bos_token_id": 2, "pad_token_id": 0, "eos_token_id": 1}
    torch.manual_seed(0)
    if family == "llama":
        model: PreTrainedModel = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                num_attention_heads=2, max_position_embeddings=POSITIONS, initializer_range=0.4, **ids,
            )
        )  # fmt: skip
    else:
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=POSITIONS,
                initializer_range=0.4, **ids,
            )
        )  # fmt: skip
    with torch.no_grad():
        model.get_output_embeddings().weight[1] *= 2  # the end token's
    return _save(folder, model, tokenizer)


def scripted_model(folder: Path, reply: str) -> Path:
    """A model that answers `reply` to whatever it is asked, at any temperature.

    Attention and feed-forward layers add nothing, so that the last token alone decides on the next: the assistant's
    mark on the reply's first piece, each piece on its successor, the last on the end token.
    """
    pieces = _pieces(reply)
    tokenizer = chat_tokenizer(pieces=pieces)
    size = len(tokenizer)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size, hidden_size=size + size % 2, intermediate_size=8, num_hidden_layers=1,
            num_attention_heads=1, max_position_embeddings=8192, bos_token_id=2, pad_token_id=0, eos_token_id=1,
        )
    )  # fmt: skip
    ids = tokenizer.get_vocab()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    chain = ["<|assistant|>", *(byte_level.pre_tokenize_str(piece)[0][0] for piece in pieces), "<|end|>"]
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_() if weight.dim() == 2 else weight.fill_(1)  # the norms' weights are vectors
        torch.nn.init.eye_(model.get_input_embeddings().weight)
        for this, following in itertools.pairwise(chain):
            model.get_output_embeddings().weight[ids[following], ids[this]] = 10
    return _save(folder, model, tokenizer)


def _pieces(reply: str) -> list[str]:
    """The reply in words, or in several together where a word alone was there before: no piece comes twice."""
    pieces, piece = [], ""
    for word in re.findall(r"\s*\S+\s*$|\s*\S+", reply):
        piece += word
        if piece not in pieces:
            pieces.append(piece)
            piece = ""
    return [*pieces[:-1], pieces[-1] + piece]


def _save(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """`transformers serve` with this model, in a process of its own: gives its base URL, `http://127.0.0.1:PORT/v1`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(model)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = model.with_suffix(".log")
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, *options], env={**os.environ, "HF_HUB_OFFLINE": "1"}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


def _wait(server: "subprocess.Popen[bytes]", url: str, log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if httpx2.get(url, timeout=5).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"transformers serve did not come up: {log.read_text()[-2000:]}")
