"""Small chat models, made on the spot and saved to disk, and a real server in front of one."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.helpers.builders import save, small_model

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
IDS = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def chat_tokenizer(template: str | None = TEMPLATE, pieces: list[str] | None = None) -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes. `pieces` are longer tokens, which only a model writes."""
    vocabulary = dict.fromkeys([*SPECIAL, *sorted(BYTES.alphabet()), *map(_in_bytes, pieces or [])])
    tokenizer = Tokenizer(models.BPE({piece: id for id, piece in enumerate(vocabulary)}, merges=[]))
    tokenizer.pre_tokenizer = BYTES
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    names = {"pad_token": "<pad>", "eos_token": "<|end|>", "bos_token": "<s>", "extra_special_tokens": SPECIAL[3:]}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template, **names)


def random_model(folder: Path, family: str = "llama", template: str | None = TEMPLATE) -> Path:
    """Save random weights of llama (rotary positions) or gpt2 (learned ones). Greedy answers end now and then."""
    tokenizer = chat_tokenizer(template)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": POSITIONS}
    sizes |= {"intermediate_size": 48} if family == "llama" else {}
    model = small_model(family, tokenizer, AutoModelForCausalLM, **sizes, **IDS, initializer_range=0.4)
    with torch.no_grad():
        model.get_output_embeddings().weight[1] *= 2  # the end token's
    return save(folder, model, tokenizer)


def scripted_model(folder: Path, reply: str) -> Path:
    """Save a model that answers `reply` to whatever it is asked, at any temperature.

    Attention and feed-forward layers add nothing: the last token alone decides on the next.
    """
    pieces = _pieces(reply)
    tokenizer = chat_tokenizer(pieces=pieces)
    sizes = {"hidden_size": len(tokenizer) + len(tokenizer) % 2, "intermediate_size": 8, "num_hidden_layers": 1}
    sizes |= {"num_attention_heads": 1, "max_position_embeddings": 8192}
    model = small_model("llama", tokenizer, AutoModelForCausalLM, **sizes, **IDS)
    chain = tokenizer.convert_tokens_to_ids(["<|assistant|>", *map(_in_bytes, pieces), "<|end|>"])
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(weight.dim() == 1)  # the norms' weights are vectors
        torch.nn.init.eye_(model.get_input_embeddings().weight)
        model.get_output_embeddings().weight[chain[1:], chain[:-1]] = 10
    return save(folder, model, tokenizer)


def _in_bytes(text: str) -> str:
    return BYTES.pre_tokenize_str(text)[0][0]


def _pieces(reply: str) -> list[str]:
    """Return the reply in words, or in several together where a word was there before: no piece comes twice."""
    pieces, piece = [], ""
    for word in re.findall(r"\s*\S+\s*$|\s*\S+", reply):
        piece += word
        if piece not in pieces:
            pieces.append(piece)
            piece = ""
    return [*pieces[:-1], pieces[-1] + piece]


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """Run `transformers serve` with this model, and yield its base URL, `http://127.0.0.1:PORT/v1`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(model), "--device", "cpu"]
    with subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)]) as server:
        try:
            status = 0
            while status != 200:
                assert server.poll() is None, "it did not come up"
                time.sleep(0.1)
                with suppress(httpx2.TransportError):
                    status = httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()
