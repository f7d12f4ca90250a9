"""Families of encoder-decoders: the decoder's hidden states and the vocabulary head.

Legend: B batch, T tokens, D hidden size, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import NewGELUActivation

from limbeck.errors import ModelError

PAIRABLE = ("bert", "roberta", "xlm-roberta")  # encoders that can be made into an encoder-decoder


@dataclass(frozen=True)
class VocabularyHead:
    """The last layer: `logits = hidden @ weight.T + bias`, then `c tanh(logits / c)` with a soft cap c."""

    weight: Tensor  # [V, D]
    bias: Tensor | None = None  # [V]
    soft_cap: float | None = None

    def logits(self, hidden: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Compute logits `[..., V]` of states `[..., D]`; in a wider `dtype` not rounded to the states'."""
        if dtype in (None, hidden.dtype):
            logits = nn.functional.linear(hidden, self.weight, self.bias)
        else:
            logits = wide_product(hidden, self.weight.t(), dtype)
            logits = logits if self.bias is None else logits.add_(self.bias)
        return logits if self.soft_cap is None else self.soft_cap * (logits / self.soft_cap).tanh()

    def to(self, dtype: torch.dtype) -> "VocabularyHead":
        """Return the same head with its parameters in another type."""
        return VocabularyHead(self.weight.to(dtype), None if self.bias is None else self.bias.to(dtype), self.soft_cap)


def wide_product(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """Compute `a @ b` of matrices in a type at least as wide, not rounded to theirs."""
    if a.is_cuda and a.dtype != dtype:
        return torch.mm(a, b, out_dtype=dtype)
    return a.to(dtype) @ b.to(dtype)  # only CUDA has such a product


@dataclass(frozen=True)
class Family:
    """Functions for the head's input `[B, T, D]`, from a model and its decoder's arguments, and for the head."""

    states: Callable[[Any, dict[str, Any]], Tensor]
    head: Callable[[Any], VocabularyHead]


def fuse_gelu(model: nn.Module) -> None:
    """Replace transformers' tanh-GELU (T5 v1.1) of eight operations by torch's one: 1.5 % of a step on a CPU."""
    for module in model.modules():
        if isinstance(getattr(module, "act", None), NewGELUActivation):
            module.act = nn.GELU(approximate="tanh")


def _t5_states(model: Any, inputs: dict[str, Any]) -> Tensor:
    hidden = model.decoder(**inputs)[0]
    # T5 1.0 scales before its tied head; v1.1 and mT5 do not
    return hidden * model.config.d_model**-0.5 if getattr(model.config, "scale_decoder_outputs", False) else hidden


def _pair_states(model: Any, inputs: dict[str, Any]) -> Tensor:
    """Run an encoder as decoder, whose masked-language head transforms before the linear layer."""
    decoder = model.decoder
    if hasattr(model, "enc_to_dec_proj"):
        inputs = {**inputs, "encoder_hidden_states": model.enc_to_dec_proj(inputs["encoder_hidden_states"])}
    hidden = decoder.base_model(**inputs)[0]
    if decoder.config.model_type == "bert":
        return decoder.cls.predictions.transform(hidden)
    head = decoder.lm_head
    return head.layer_norm(nn.functional.gelu(head.dense(hidden)))


def _pair_head(model: Any) -> VocabularyHead:
    linear = model.decoder.get_output_embeddings()
    return VocabularyHead(linear.weight, linear.bias)


_T5 = Family(_t5_states, lambda model: VocabularyHead(model.lm_head.weight))
_BART = Family(
    lambda model, inputs: model.model.decoder(**inputs)[0],
    lambda model: VocabularyHead(model.lm_head.weight, model.final_logits_bias[0]),
)
_T5GEMMA = Family(
    _BART.states,
    lambda model: VocabularyHead(model.lm_head.out_proj.weight, None, model.config.decoder.final_logit_softcapping),
)
_FAMILIES = {
    **dict.fromkeys(("t5", "mt5"), _T5),
    **dict.fromkeys(("bart", "mbart", "pegasus", "marian", "blenderbot"), _BART),
    "t5gemma": _T5GEMMA,
    "encoder-decoder": Family(_pair_states, _pair_head),
}


def family_of(config: Any) -> Family:
    """Return the family of a model's configuration, which gets a start token for its decoder if it lacks one.

    Raises ModelError for an unknown family, or if a token's id is missing.
    """
    family = _FAMILIES.get(config.model_type)
    if family is None or (config.model_type == "encoder-decoder" and config.decoder.model_type not in PAIRABLE):
        names = f"{', '.join(_FAMILIES)} (pairs of {', '.join(PAIRABLE)})"
        raise ModelError(f"a {config.model_type!r} model cannot be a student: take one of {names}")
    if getattr(config, "decoder_start_token_id", None) is None:  # T5Gemma's decoder starts as its texts do
        config.decoder_start_token_id = getattr(getattr(config, "decoder", config), "bos_token_id", None)
    ids = ("decoder_start_token_id", "pad_token_id", "eos_token_id")
    if missing := [name for name in ids if getattr(config, name, None) is None]:
        raise ModelError(f"the model's config.json lacks {', '.join(missing)}: set it there")
    return family


def positions(config: Any) -> int:
    """Return the number of a model's positions; T5's are relative, without limit."""
    config = getattr(config, "encoder", config)
    offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta") else 0
    return int(getattr(config, "max_position_embeddings", None) or 2**31) - offset
