"""Small random decoder-only models, saved to disk as any checkpoint is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import processors
from transformers import AutoModelForCausalLM

from limbeck.models.loading import train_tokenizer
from tests.helpers.builders import TEXTS, save, small_model

_SIZES = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 300, "bos_token_id": None, "pad_token_id": None,
}  # fmt: skip
DECODERS: dict[str, dict[str, Any]] = {  # what sets a family apart
    "llama": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 8},
    "gemma3_text": {
        "head_dim": 8, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"],
        "query_pre_attn_scalar": 8, "final_logit_softcapping": 3.0,
    },
    "mistral": {"sliding_window": 8},
    "phi3": {},
    "gpt2": {"n_inner": 32},
    "gemma3": {"head_dim": 8, "sliding_window": 8, "layer_types": ["full_attention", "sliding_attention"]},  # sees too
    "granite": {"logits_scaling": 4.0},
    "mamba": {},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "window_size": 8},
}  # fmt: skip


def decoder(folder: Path, family: str, chat_template: str | None = None, *, specials: Sequence[str] = ()) -> Path:
    """Save a causal language model whose tokenizer adds no end and has no padding; the first of `specials` it adds."""
    tokenizer = train_tokenizer(TEXTS, 300)
    tokenizer.add_special_tokens({"additional_special_tokens": list(specials)})
    backend = tokenizer._tokenizer
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.pad_token = None
    if specials:
        tokenizer.bos_token = specials[0]
        bos = (specials[0], tokenizer.bos_token_id)
        backend.post_processor = processors.TemplateProcessing(single=f"{bos[0]} $A", special_tokens=[bos])
    tokenizer.chat_template = chat_template
    changes = _SIZES | {"vocab_size": len(tokenizer) + 5, "eos_token_id": tokenizer.eos_token_id} | DECODERS[family]
    if family == "gemma3":
        vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        changes = {"text_config": changes, "vision_config": vision | {"image_size": 28, "patch_size": 14}}
    model = small_model(family, tokenizer, AutoModelForCausalLM, **changes)
    return save(folder, model, tokenizer)
