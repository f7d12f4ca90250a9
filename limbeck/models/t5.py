"""T5 without what transformers does slowly: position bias and mask added up in every layer, and GELU in eight steps.

transformers builds T5's additive attention mask, `[B, heads, T, T]`, anew in each layer although all layers share it.
Here it is built once a stack and handed over as a ready mask, which transformers passes on as it is; a registered
attention function takes it for the whole of the bias. Where transformers builds its own masks (generation), they are
boolean, and everything goes its usual way. So nobody else may give such a model a floating mask of his own, nor another
attention. Legend: B batch, S source tokens, T target tokens, D hidden size.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import EncoderDecoderCache
from transformers.activations import NewGELUActivation
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_NAME = "limbeck-t5"


def prepare(model: Any) -> None:
    """Have a T5's attention take ready masks, and its tanh-GELU be torch's: the same numbers but for rounding."""
    for part in (model, model.encoder, model.decoder):  # older transformers leave out parts of the same configuration
        part.set_attn_implementation(_NAME)
    for module in model.modules():
        if isinstance(getattr(module, "act", None), NewGELUActivation):
            module.act = nn.GELU(approximate="tanh")


def encode(model: Any, ids_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """The encoder's states `[B, S, D]`."""
    bias = _position_bias(model.encoder, ids_BS.shape[1])
    return model.encoder(input_ids=ids_BS, attention_mask=_masked(bias, mask_BS[:, None, None, :] > 0))[0]


def states(
    model: Any, ids_BT: Tensor, memory_BSD: Tensor, mask_BS: Tensor, past: EncoderDecoderCache | None = None
) -> Tensor:
    """What the vocabulary head is fed with, `[B, T, D]`; `past`, of the positions before, grows by the ids."""
    return packed_states(model, ids_BT, memory_BSD, mask_BS, past, [ids_BT.shape[1]])


def packed_states(
    model: Any,
    ids_BT: Tensor,
    memory_BSD: Tensor,
    mask_BS: Tensor,
    past: EncoderDecoderCache | None,
    lengths: Sequence[int],
) -> Tensor:
    """As `states`, but the ids are of several texts side by side, so `lengths` long, that all go on from `past`.

    None sees another: in T5 a position is nothing but the distance to what it sees.
    """
    seen = past.get_seq_length() if past is not None else 0
    position, of = _laid_out(seen, lengths, ids_BT.device)
    before = (position <= position[:, None]) & ((of == of[:, None]) | (of < 0))
    bias = _position_bias(model.decoder, seen + max(lengths))[:, :, position][..., position]
    hidden = model.decoder(
        input_ids=ids_BT,
        attention_mask=_masked(bias, before)[:, :, seen:],
        encoder_hidden_states=memory_BSD,
        # cross-attention has no position bias
        encoder_attention_mask=_masked(memory_BSD.new_zeros(()), mask_BS[:, None, None, :] > 0),
        past_key_values=past,
        use_cache=past is not None,
    )[0]
    # T5 1.0 scales before its tied head; v1.1, whose head is its own, does not, and mT5 never does
    scaled = getattr(model.config, "scale_decoder_outputs", False)
    return hidden * model.config.d_model**-0.5 if scaled else hidden


def _laid_out(seen: int, lengths: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Of what was seen, then of each text's tokens: their positions, and the numbers of their texts (-1: of all)."""
    position = [*range(seen), *(seen + i for length in lengths for i in range(length))]
    of = [-1] * seen + [number for number, length in enumerate(lengths) for _ in range(length)]
    return torch.tensor(position, device=device), torch.tensor(of, device=device)


def _position_bias(stack: Any, length: int) -> Tensor:
    """The relative-position bias `[1, heads, length, length]`, which the first layer keeps for all."""
    return stack.block[0].layer[0].SelfAttention.compute_bias(length, length)


def _masked(bias: Tensor, seen: Tensor) -> Tensor:
    """`bias` where a position is seen, a very negative number elsewhere, in the type that attention is computed in."""
    kind = bias.device.type
    if torch.is_autocast_enabled(kind) and bias.dtype != torch.float64:  # which autocast leaves alone
        bias = bias.to(torch.get_autocast_dtype(kind))
    return torch.where(seen, bias, torch.finfo(bias.dtype).min)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    ready = attention_mask is not None and attention_mask.is_floating_point()
    bias = None if ready else position_bias
    return sdpa_attention_forward(module, query, key, value, attention_mask, position_bias=bias, **options)


ALL_ATTENTION_FUNCTIONS.register(_NAME, _attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(_NAME, sdpa_mask)
