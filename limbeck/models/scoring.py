"""Log-probabilities of given answers, and which of them greedy search would write.

The beginning is the same for all answers to a text: the encoder's states, the keys and values that cross-attention
makes of them, the start token. It is computed once a text, and each answer goes on from there.
Legend: B texts, S source tokens, T answer tokens, N tokens in all, D hidden size, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import DynamicCache, EncoderDecoderCache

from limbeck.models.families import DecoderInput, Family, VocabularyHead
from limbeck.models.tokenization import pad

_TOKENS = 256  # whose logits are in memory at a time: twice 32 MB for T5's vocabulary, twice 256 MB for mT5's
_IGNORE = -100
Target = tuple[int, ...]
"""An answer's token ids: not the start token, but the end token, unless it was cut off before. At least one."""
LogP = list[float]
"""Log-probabilities of an answer's tokens in their order, its end token's among them, in nats."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-probabilities of answers to one text, in nats."""

    top: float  # the highest over the vocabulary at the first token
    answers: list[LogP]  # of each answer that was asked about
    greedy: int | None  # the number of the answer of whose tokens each is the likeliest there


@dataclass(frozen=True, slots=True)
class Answer:
    """A student's answer to one text, with its log-probabilities and those of the text's choices."""

    text: str
    ids: Target
    top: float  # as in `Scores`
    log_p: LogP
    choices: list[LogP]


def score_batch(
    family: Family, model: Any, memory_BSD: Tensor, mask_BS: Tensor, *, answers: Sequence[Sequence[Target]]
) -> list[Scores]:
    """Score the `answers` to each text, from the encoder's states.

    The decoder gets an answer of each text at a time, the longest first, so that all take cross-attention's keys and
    values as they are. Pairs of text and answer would need them copied, or made again.
    """
    cache = EncoderDecoderCache(_self_cache(model), DynamicCache())  # a source has no sliding window
    start = torch.full_like(mask_BS[:, :1], model.config.decoder_start_token_id)
    hidden_BD = family.states(model, DecoderInput(start, memory_BSD, mask_BS, cache))[:, 0]
    first_BV = family.head(model).logits(hidden_BD).float().log_softmax(1)
    top_B, likeliest_B = first_BV.max(1)
    scores: list[dict[Target, tuple[LogP, bool]]] = [{} for _ in answers]
    ranked = [sorted(dict.fromkeys(targets), key=len, reverse=True) for targets in answers]
    for rank in zip_longest(*ranked, fillvalue=()):  # () for a text of fewer answers
        first_B1 = pad([ids[:1] for ids in rank], 0).to(first_BV.device)
        first_log_p = first_BV.gather(1, first_B1).squeeze(1).tolist()
        first_likeliest = (likeliest_B == first_B1.squeeze(1)).tolist()
        log_p, likeliest = _later_tokens(family, model, DecoderInput(start, memory_BSD, mask_BS, cache), rank)
        for row, ids in enumerate(rank):
            if ids:
                later = len(ids) - 1
                greedy = first_likeliest[row] and all(likeliest[row][:later])
                scores[row][ids] = [first_log_p[row], *log_p[row][:later]], greedy
    return [
        Scores(
            top,
            [row[ids][0] for ids in targets],
            next((number for number, ids in enumerate(targets) if row[ids][1]), None),
        )
        for top, row, targets in zip(top_B.tolist(), scores, answers, strict=True)
    ]


def _later_tokens(
    family: Family, model: Any, start: DecoderInput, rank: Sequence[Target]
) -> tuple[list[LogP], list[list[bool]]]:
    """Score all tokens but the first of an answer to each text: log-probabilities, and if they are the likeliest."""
    if all(len(ids) <= 1 for ids in rank):
        return [[] for _ in rank], [[] for _ in rank]
    assert start.cache is not None
    cache = EncoderDecoderCache(_self_cache(model), start.cache.cross_attention_cache)
    layers: Any = start.cache.self_attention_cache.layers
    for number, layer in enumerate(layers):
        cache.self_attention_cache.update(layer.keys, layer.values, number)
    fed = pad([ids[:-1] for ids in rank], model.config.pad_token_id).to(start.ids.device)
    labels = pad([ids[1:] for ids in rank], _IGNORE).to(start.ids.device)
    hidden = family.states(model, DecoderInput(fed, start.memory, start.mask, cache))
    log_p, likeliest = log_probabilities(family.head(model), hidden, labels)
    return log_p.tolist(), likeliest.tolist()


def _self_cache(model: Any) -> DynamicCache:
    return DynamicCache(config=model.config.get_text_config(decoder=True))


def log_probabilities(head: VocabularyHead, hidden_BTD: Tensor, labels_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Compute each token's log-probability `[B, T]`, in nats, and if it is the likeliest; 0 and false on padding."""
    real_BT = labels_BT != _IGNORE
    log_p_BT = torch.zeros(labels_BT.shape, device=labels_BT.device)
    log_p, likeliest = [], []
    for hidden_ND, labels_N in zip(hidden_BTD[real_BT].split(_TOKENS), labels_BT[real_BT].split(_TOKENS), strict=True):
        logits_NV = head.logits(hidden_ND).float()
        log_p.append(-cross_entropy(logits_NV, labels_N, reduction="none"))
        likeliest.append(logits_NV.max(1).indices == labels_N)
    return log_p_BT.masked_scatter(real_BT, torch.cat(log_p)), torch.zeros_like(real_BT).masked_scatter(
        real_BT, torch.cat(likeliest)
    )
