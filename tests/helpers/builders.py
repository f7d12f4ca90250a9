"""Small random models of every family, made on the spot and saved to disk as any checkpoint is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, PreTrainedModel, PreTrainedTokenizerFast

from limbeck.models.loading import train_tokenizer
from tests.helpers import tokenizers
from tests.helpers.tokenizers import word_tokenizer

TEXTS = tokenizers.TEXTS[:3]
IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}  # of `word_tokenizer`
_T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
_T5 |= {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
_BART = {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, **IDS}
_BART |= {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "max_position_embeddings": 300}
_BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
_BERT |= {"max_position_embeddings": 64, **IDS}
SIZES = {"t5": _T5, "mt5": _T5, "bart": _BART, "pegasus": _BART, "bert": _BERT, "roberta": _BERT}
V1_1 = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def save(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def small_model(
    family: str, tokenizer: PreTrainedTokenizerFast, loader: Any = AutoModelForSeq2SeqLM, **changes: Any
) -> PreTrainedModel:
    """Return a small model of this family and vocabulary; `changes` are of its configuration."""
    torch.manual_seed(0)
    values = {"vocab_size": len(tokenizer), **SIZES.get(family, {}), **changes}
    return loader.from_config(AutoConfig.for_model(family, **values))


def t5(folder: Path, version: str = "t5-1.1") -> Path:
    """Save a T5 1.0 (tied and scaled head), a v1.1 (a head of its own), or an mT5."""
    tokenizer = train_tokenizer(TEXTS, 300)
    changes = V1_1 if version == "t5-1.1" else {}
    model = small_model(version.partition("-")[0], tokenizer, vocab_size=len(tokenizer) + 5, **changes)
    if version == "t5-1.1":
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))
    return save(folder, model, tokenizer)


def bart(folder: Path, words: Sequence[str] = (), always: str | None = None) -> Path:
    """Save a BART with a bias on its logits; with `always` it says that word whatever it is asked."""
    tokenizer = word_tokenizer(words=words)
    model = small_model("bart", tokenizer, decoder_start_token_id=2, forced_eos_token_id=2)
    model.final_logits_bias.copy_(torch.randn_like(model.final_logits_bias))
    if always is not None:
        model.final_logits_bias[0, tokenizer.convert_tokens_to_ids(always)] = 1e4
    return save(folder, model, tokenizer)


def t5gemma(folder: Path) -> Path:
    """Save a T5Gemma, whose logits are capped softly."""
    tokenizer = word_tokenizer()
    stack = {"vocab_size": len(tokenizer), **_BERT, "num_hidden_layers": 2, "num_key_value_heads": 1, "head_dim": 8}
    stack |= {"max_position_embeddings": 8192, "sliding_window": 64, "final_logit_softcapping": 3.0}
    model = small_model("t5gemma", tokenizer, encoder=stack, decoder=stack, decoder_start_token_id=0)
    return save(folder, model, tokenizer)


def pegasus(folder: Path) -> Path:
    """Save a Pegasus, whose decoder starts with the token for padding."""
    tokenizer = word_tokenizer()
    return save(folder, small_model("pegasus", tokenizer, decoder_start_token_id=1, forced_eos_token_id=2), tokenizer)


def encoder(folder: Path, family: str, width: int = 16) -> Path:
    """Save a BERT or a RoBERTa encoder."""
    tokenizer = word_tokenizer("[CLS]", "[SEP]") if family == "bert" else word_tokenizer()
    return save(folder, small_model(family, tokenizer, AutoModel, hidden_size=width), tokenizer)
