"""Where each family of encoder-decoders keeps its decoder's hidden states and its vocabulary head.

The objectives apply the head themselves, so a family has to say what the last linear layer is fed with.
Legend: B batch, T tokens, S source tokens, D hidden size, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES

from limbeck.errors import LimbeckError
from limbeck.models import t5


@dataclass(frozen=True)
class VocabularyHead:
    """The last linear layer: `logits = hidden @ weight.T + bias`, then `c tanh(logits / c)` with a soft cap c.

    Without a weight the head could not be taken out of the model, and "hidden states" are the model's own logits.
    """

    weight: Tensor | None  # [V, D]
    bias: Tensor | None = None  # [V]
    soft_cap: float | None = None

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits `[..., V]` of hidden states `[..., D]`."""
        logits = hidden if self.weight is None else nn.functional.linear(hidden, self.weight, self.bias)
        return self._capped(logits)

    def wide_logits(self, hidden: Tensor, dtype: torch.dtype) -> Tensor:
        """Logits `[R, V]` of `[R, D]` in a wider type than the operands', never rounded to theirs."""
        if self.weight is None or hidden.dtype == dtype:
            return self.logits(hidden).to(dtype)
        logits = wide_product(hidden, self.weight.t(), dtype)
        return self._capped(logits if self.bias is None else logits.add_(self.bias))

    def _capped(self, logits: Tensor) -> Tensor:
        return logits if self.soft_cap is None else self.soft_cap * (logits / self.soft_cap).tanh()

    def to(self, dtype: torch.dtype) -> "VocabularyHead":
        """The same head with its parameters in another type."""
        weight, bias = (None if one is None else one.to(dtype) for one in (self.weight, self.bias))
        return VocabularyHead(weight, bias, self.soft_cap)


def wide_product(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """`a @ b` of two matrices in a type at least as wide as theirs, never rounded to theirs."""
    if a.is_cuda and a.dtype != dtype:
        return torch.mm(a, b, out_dtype=dtype)
    return a.to(dtype) @ b.to(dtype)  # elsewhere there is no such product


@dataclass(frozen=True)
class Family:
    """How to get the head's input, and the head, out of a model."""

    # model, ids [B, T], memory [B, S, D], mask [B, S], and where the ids go on from others, what was kept of those
    states: Callable[[Any, Tensor, Tensor, Tensor, EncoderDecoderCache | None], Tensor]
    head: Callable[[Any], VocabularyHead]
    encode: Callable[[Any, Tensor, Tensor], Tensor]  # model, ids [B, S], mask [B, S]
    prepare: Callable[[Any], None] | None = None  # once, when the student is made
    # as `states`, of several texts side by side, of those lengths; where positions are not absolute
    packed_states: Callable[[Any, Tensor, Tensor, Tensor, EncoderDecoderCache, Sequence[int]], Tensor] | None = None


def _encode(model: Any, ids_BS: Tensor, mask_BS: Tensor) -> Tensor:
    return model.get_encoder()(input_ids=ids_BS, attention_mask=mask_BS)[0]


def _t5_head(model: Any) -> VocabularyHead:
    return VocabularyHead(model.lm_head.weight)


def _decoder_states(
    model: Any, ids_BT: Tensor, memory_BSD: Tensor, mask_BS: Tensor, past: EncoderDecoderCache | None
) -> Tensor:
    return _called(model.model.decoder, ids_BT, memory_BSD, mask_BS, past)


def _called(
    decoder: Any, ids_BT: Tensor, memory_BSD: Tensor, mask_BS: Tensor, past: EncoderDecoderCache | None
) -> Tensor:
    return decoder(
        input_ids=ids_BT,
        encoder_hidden_states=memory_BSD,
        encoder_attention_mask=mask_BS,
        past_key_values=past,
        use_cache=past is not None,
    )[0]


def _bart_head(model: Any) -> VocabularyHead:
    return VocabularyHead(model.lm_head.weight, model.final_logits_bias[0])


def _pair_states(
    model: Any, ids_BT: Tensor, memory_BSD: Tensor, mask_BS: Tensor, past: EncoderDecoderCache | None
) -> Tensor:
    """An encoder as decoder: its masked-language head has a transform before the linear layer."""
    decoder = model.decoder
    if hasattr(model, "enc_to_dec_proj"):
        memory_BSD = model.enc_to_dec_proj(memory_BSD)
    hidden = _called(decoder.base_model, ids_BT, memory_BSD, mask_BS, past)
    if decoder.config.model_type == "bert":
        return decoder.cls.predictions.transform(hidden)
    head = decoder.lm_head
    return head.layer_norm(nn.functional.gelu(head.dense(hidden)))


def _pair_head(model: Any) -> VocabularyHead:
    linear = model.decoder.get_output_embeddings()
    return VocabularyHead(linear.weight, linear.bias)


def _t5gemma_head(model: Any) -> VocabularyHead:
    return VocabularyHead(model.lm_head.out_proj.weight, soft_cap=model.config.decoder.final_logit_softcapping)


def _whole(model: Any, ids_BT: Tensor, memory_BSD: Tensor, mask_BS: Tensor, past: EncoderDecoderCache | None) -> Tensor:
    """For a head that nobody has said how to take out: the model's logits themselves."""
    memory = BaseModelOutput(last_hidden_state=memory_BSD)
    return model(
        encoder_outputs=memory,
        attention_mask=mask_BS,
        decoder_input_ids=ids_BT,
        past_key_values=past,
        use_cache=past is not None,
    ).logits


_T5 = Family(t5.states, _t5_head, t5.encode, t5.prepare, t5.packed_states)
_FAMILIES = {
    "t5": _T5,
    "mt5": _T5,
    "bart": Family(_decoder_states, _bart_head, _encode),
    "t5gemma": Family(_decoder_states, _t5gemma_head, _encode),
    "encoder-decoder": Family(_pair_states, _pair_head, _encode),
}
_OTHER = Family(_whole, lambda _: VocabularyHead(None), _encode)
PAIRABLE = ("bert", "roberta", "xlm-roberta")  # encoders that can be made into an encoder-decoder


def family_of(config: Any) -> Family:
    """The family of a model's configuration; any other encoder-decoder's head stays in the model.

    A configuration that does not say how its decoder starts gets its beginning of a text, which generation takes, too.

    Raises:
        LimbeckError: no encoder-decoder that writes text, or a pair of other encoders.
    """
    pair = config.model_type == "encoder-decoder"
    writes = config.is_encoder_decoder and config.model_type in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    if not writes or (pair and config.decoder.model_type not in PAIRABLE):
        kind = "an encoder-decoder" if config.is_encoder_decoder else "no encoder-decoder"
        raise LimbeckError(
            f"a {config.model_type!r} model ({kind}) cannot be a student: "
            f"take one of {', '.join(_FAMILIES)} (pairs of {', '.join(PAIRABLE)}), or another that writes text"
        )
    if getattr(config, "decoder_start_token_id", None) is None:  # a T5Gemma's, whose decoder starts as its texts do
        stack = getattr(config, "decoder", config)
        config.decoder_start_token_id = getattr(stack, "bos_token_id", None)
    missing = [name for name in ("decoder_start_token_id", "pad_token_id", "eos_token_id") if not _has(config, name)]
    if missing:
        raise LimbeckError(f"the model's configuration lacks {', '.join(missing)}: set it in its config.json")
    return _FAMILIES.get(config.model_type, _OTHER)


def _has(config: Any, name: str) -> bool:
    return getattr(config, name, None) is not None


def positions(config: Any) -> int:
    """How many positions a model's embeddings know; T5's are relative and know no limit."""
    config = getattr(config, "encoder", config)
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return 2**31
    offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta") else 0
    return int(positions) - offset
