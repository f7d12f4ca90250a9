"""Families of encoder-decoders: the decoder's hidden states and the vocabulary head of each.

The objectives apply the head themselves, so a family has to say what the last linear layer is fed with.
Legend: B batch, T tokens, S source tokens, D hidden size, V vocabulary, R rows of any kind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import NewGELUActivation
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES

from limbeck.errors import ModelError

PAIRABLE = ("bert", "roberta", "xlm-roberta")  # encoders that can be made into an encoder-decoder


@dataclass(frozen=True)
class VocabularyHead:
    """The last linear layer: `logits = hidden @ weight.T + bias`, then `c tanh(logits / c)` with a soft cap c.

    Without a weight the head could not be taken out of the model, and "hidden states" are the model's own logits.
    """

    weight: Tensor | None  # [V, D]
    bias: Tensor | None = None  # [V]
    soft_cap: float | None = None

    def logits(self, hidden: Tensor) -> Tensor:
        """Compute logits `[..., V]` of hidden states `[..., D]`."""
        logits = hidden if self.weight is None else nn.functional.linear(hidden, self.weight, self.bias)
        return self._capped(logits)

    def wide_logits(self, hidden: Tensor, dtype: torch.dtype) -> Tensor:
        """Compute logits `[R, V]` of `[R, D]` in a wider type than the operands', never rounded to theirs."""
        if self.weight is None or hidden.dtype == dtype:
            return self.logits(hidden).to(dtype)
        logits = wide_product(hidden, self.weight.t(), dtype)
        return self._capped(logits if self.bias is None else logits.add_(self.bias))

    def _capped(self, logits: Tensor) -> Tensor:
        return logits if self.soft_cap is None else self.soft_cap * (logits / self.soft_cap).tanh()

    def to(self, dtype: torch.dtype) -> "VocabularyHead":
        """Return the same head with its parameters in another type."""
        weight, bias = (None if tensor is None else tensor.to(dtype) for tensor in (self.weight, self.bias))
        return VocabularyHead(weight, bias, self.soft_cap)


def wide_product(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """Compute `a @ b` of two matrices in a type at least as wide as theirs, never rounded to theirs."""
    if a.is_cuda and a.dtype != dtype:
        return torch.mm(a, b, out_dtype=dtype)
    return a.to(dtype) @ b.to(dtype)  # elsewhere there is no such product


Inputs = dict[str, Any]
"""A decoder stack's arguments: ids `[B, T]`, the encoder's states `[B, S, D]` and their mask `[B, S]`."""


@dataclass(frozen=True)
class Family:
    """The way to get the head's input `[B, T, D]`, and the head, out of a model."""

    states: Callable[[Any, Inputs], Tensor]
    head: Callable[[Any], VocabularyHead]


def fuse_gelu(model: nn.Module) -> None:
    """Replace transformers' tanh-GELU, eight operations (T5 v1.1), by torch's one: 1.5 % of a step on a CPU."""
    for module in model.modules():
        if isinstance(getattr(module, "act", None), NewGELUActivation):
            module.act = nn.GELU(approximate="tanh")


def _t5_states(model: Any, inputs: Inputs) -> Tensor:
    hidden = model.decoder(**inputs)[0]
    # T5 1.0 scales before its tied head; v1.1, whose head is its own, does not, and mT5 never does
    scaled = getattr(model.config, "scale_decoder_outputs", False)
    return hidden * model.config.d_model**-0.5 if scaled else hidden


def _decoder_states(model: Any, inputs: Inputs) -> Tensor:
    return model.model.decoder(**inputs)[0]


def _pair_states(model: Any, inputs: Inputs) -> Tensor:
    """Run an encoder as decoder: its masked-language head has a transform before the linear layer."""
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


def _t5gemma_head(model: Any) -> VocabularyHead:
    return VocabularyHead(model.lm_head.out_proj.weight, soft_cap=model.config.decoder.final_logit_softcapping)


def _logits(model: Any, inputs: Inputs) -> Tensor:
    """Return the model's logits themselves, for a family whose head is not known."""
    return model(
        encoder_outputs=BaseModelOutput(last_hidden_state=inputs["encoder_hidden_states"]),
        attention_mask=inputs["encoder_attention_mask"],
        decoder_input_ids=inputs["input_ids"],
        use_cache=False,
    ).logits


_T5 = Family(_t5_states, lambda model: VocabularyHead(model.lm_head.weight))
_FAMILIES = {
    "t5": _T5,
    "mt5": _T5,
    "bart": Family(_decoder_states, lambda model: VocabularyHead(model.lm_head.weight, model.final_logits_bias[0])),
    "t5gemma": Family(_decoder_states, _t5gemma_head),
    "encoder-decoder": Family(_pair_states, _pair_head),
}
_UNKNOWN = Family(_logits, lambda _: VocabularyHead(None))


def family_of(config: Any) -> Family:
    """Return the family of a model's configuration; the head of any other encoder-decoder stays in the model.

    A configuration that does not say how its decoder starts gets its beginning of a text, which generation takes, too.

    Raises:
        ModelError: no encoder-decoder that writes text, or a pair of other encoders.
    """
    pair = config.model_type == "encoder-decoder"
    writes = config.is_encoder_decoder and config.model_type in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    if not writes or (pair and config.decoder.model_type not in PAIRABLE):
        raise ModelError(
            f"a {config.model_type!r} model cannot be a student: take an encoder-decoder that writes text, "
            f"{', '.join(_FAMILIES)} (pairs of {', '.join(PAIRABLE)}) or another"
        )
    if getattr(config, "decoder_start_token_id", None) is None:  # a T5Gemma's, whose decoder starts as its texts do
        config.decoder_start_token_id = getattr(getattr(config, "decoder", config), "bos_token_id", None)
    ids = ("decoder_start_token_id", "pad_token_id", "eos_token_id")
    if missing := [name for name in ids if getattr(config, name, None) is None]:
        raise ModelError(f"the model's configuration lacks {', '.join(missing)}: set it in its config.json")
    return _FAMILIES.get(config.model_type, _UNKNOWN)


def positions(config: Any) -> int:
    """Return how many positions a model's embeddings know; T5's are relative and know no limit."""
    config = getattr(config, "encoder", config)
    offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta") else 0
    return int(getattr(config, "max_position_embeddings", None) or 2**31) - offset
