"""How likely given answers are, and which of them greedy search would write.

What comes before an answer is the same for all answers to a text: the encoder's states, the keys and values that
cross-attention makes of them, the start token. It is computed once a text, and each answer goes on from there.
Legend: B texts, S source tokens, P answers at a time, T their tokens, N tokens in all, D hidden size, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import DynamicCache, EncoderDecoderCache

from limbeck.models.batches import pad
from limbeck.models.families import Family, VocabularyHead

_TOKENS = 256  # whose logits are in memory at a time: twice 32 MB for T5's vocabulary, twice 256 MB for mT5's
_WIDE = 64  # tokens of a text's answers in the decoder at a time, unless one answer alone has more
Target = tuple[int, ...]
"""An answer's token ids: not the start token, but the end token, unless it was cut off before. At least one."""
LogP = list[float]
"""Log-probabilities of an answer's tokens in their order, its end token's among them, in nats."""


@dataclass(frozen=True, slots=True)
class Scores:
    """How likely answers to one text are, in nats."""

    top: float  # the highest log-probability over the vocabulary at the first token
    answers: list[LogP]  # of each answer that was asked about
    greedy: int | None  # the number of the answer of whose tokens each is the likeliest there


@dataclass(frozen=True, slots=True)
class Answer:
    """What a student wrote to one text, and how likely that is, and each of the text's choices."""

    text: str
    ids: Target
    top: float  # as in `Scores`
    log_p: LogP
    choices: list[LogP]


def score_batch(
    family: Family, model: Any, memory_BSD: Tensor, mask_BS: Tensor, answers: Sequence[Sequence[Target]]
) -> list[Scores]:
    """Scores of the `answers` to each text, from the encoder's states.

    Answers to one text share a row, side by side where the family can, else one after the other, the longest first: so
    they take cross-attention's keys and values as they are. Pairs of text and answer would need them copied, or made
    again.
    """
    start = _Start(family, model, memory_BSD, mask_BS)
    found: list[dict[Target, tuple[LogP, bool]]] = [{} for _ in answers]
    ordered = [sorted(dict.fromkeys(among), key=len, reverse=True) for among in answers]
    for ranks in _passes(ordered, packed=family.packed_states is not None):
        rows = [row for row, among in enumerate(ordered) if ranks.start < len(among)]
        given = [ordered[row][ranks] for row in rows]
        for row, some, scored in zip(rows, given, start.score(rows, given), strict=True):
            found[row] |= zip(some, scored, strict=True)
    return [
        Scores(
            top,
            [row[ids][0] for ids in among],
            next((number for number, ids in enumerate(among) if row[ids][1]), None),
        )
        for top, row, among in zip(start.top.tolist(), found, answers, strict=True)
    ]


def _passes(ordered: Sequence[Sequence[Target]], packed: bool) -> Iterator[slice]:
    """Which of each text's answers go through the decoder together: one, or side by side as many as make `_WIDE`."""
    begin = 0
    widths = _widths(ordered)
    for end in range(1, len(widths) + 1):
        if end == len(widths) or not packed or sum(widths[begin : end + 1]) > _WIDE:
            yield slice(begin, end)
            begin = end


def _widths(answers: Sequence[Sequence[Target]]) -> list[int]:
    """How many tokens are fed of each text's first answers, of their second ones, ... at most."""
    return [max(len(ids) - 1 for ids in rank if ids) for rank in zip_longest(*answers)]


class _Start:
    """The decoder after its start token, for B texts at once."""

    def __init__(self, family: Family, model: Any, memory_BSD: Tensor, mask_BS: Tensor) -> None:
        self.family, self.model, self.memory, self.mask = family, model, memory_BSD, mask_BS
        self.past = EncoderDecoderCache(_self_cache(model), DynamicCache())  # a source has no sliding window
        fed = torch.full_like(mask_BS[:, :1], model.config.decoder_start_token_id)
        hidden_BD = family.states(model, fed, memory_BSD, mask_BS, self.past)[:, 0]
        self.log_p = family.head(model).logits(hidden_BD).float().log_softmax(1)  # [B, V]
        self.top, self.likeliest = self.log_p.max(1)

    def score(self, rows: Sequence[int], answers: Sequence[Sequence[Target]]) -> list[list[tuple[LogP, bool]]]:
        """Of answers to each of the texts `rows`: their tokens' log-probabilities, and whether all are likeliest."""
        of = torch.tensor(rows, device=self.log_p.device)
        widths = _widths(answers)
        begins = [0, *accumulate(widths)]
        first_PA = pad([[ids[0] for ids in some] for some in answers], 0).to(of.device)
        first_log_p = self.log_p[of].gather(1, first_PA).tolist()
        first_likeliest = (self.likeliest[of][:, None] == first_PA).tolist()
        log_p, likeliest = self._later(of, answers, first_likeliest, widths)
        return [
            [
                (
                    [first_log_p[p][a], *log_p[p][begins[a] : begins[a] + len(ids) - 1]],
                    first_likeliest[p][a] and all(likeliest[p][begins[a] : begins[a] + len(ids) - 1]),
                )
                for a, ids in enumerate(some)
            ]
            for p, some in enumerate(answers)
        ]

    def _later(
        self, of: Tensor, answers: Sequence[Sequence[Target]], first: Sequence[Sequence[bool]], widths: Sequence[int]
    ) -> tuple[list[list[float]], list[list[bool]]]:
        """The same of all tokens but the first, each text's answers side by side in those widths.

        Which token is the likeliest is looked for only where the answer's `first` token was.
        """
        if not any(widths):
            return [[] for _ in answers], [[] for _ in answers]
        fed = _side_by_side([[ids[:-1] for ids in some] for some in answers], widths, self.model.config.pad_token_id)
        labels = _side_by_side([[ids[1:] for ids in some] for some in answers], widths, -100).to(of.device)
        maybe = [
            [(likeliest,) * (len(ids) - 1) for ids, likeliest in zip(some, so_far, strict=False)]
            for some, so_far in zip(answers, first, strict=True)
        ]
        inputs = (self.model, fed.to(of.device), self.memory[of], self.mask[of], self._continued(of))
        if self.family.packed_states is None:
            hidden = self.family.states(*inputs)
        else:
            hidden = self.family.packed_states(*inputs, [width for width in widths if width])
        log_p, likeliest = log_probabilities(
            self.family.head(self.model), hidden, labels, _side_by_side(maybe, widths, 0).bool().to(of.device)
        )
        return log_p.tolist(), likeliest.tolist()

    def _continued(self, rows: Tensor) -> EncoderDecoderCache:
        """A cache that goes on from the start token of those texts."""
        everyone = len(rows) == len(self.mask)
        past = EncoderDecoderCache(_self_cache(self.model), DynamicCache())
        _copy(self.past.self_attention_cache, rows, past.self_attention_cache)
        if everyone:  # in their order; what is made of the source is only read
            return EncoderDecoderCache(past.self_attention_cache, self.past.cross_attention_cache)
        _copy(self.past.cross_attention_cache, rows, past.cross_attention_cache)
        return EncoderDecoderCache(past.self_attention_cache, past.cross_attention_cache)  # it sees what is filled


def _side_by_side(answers: Sequence[Sequence[Target]], widths: Sequence[int], value: int) -> Tensor:
    """Each text's answers in one row, each padded with `value` to its width: `[P, sum of widths]`."""
    rows = []
    for some in answers:
        row: list[int] = []
        for number, width in enumerate(widths):
            ids = some[number] if number < len(some) else ()
            row += [*ids, *[value] * (width - len(ids))]
        rows.append(row)
    return torch.tensor(rows)


def _self_cache(model: Any) -> DynamicCache:
    return DynamicCache(config=model.config.get_text_config(decoder=True))


def _copy(cache: Any, rows: Tensor, to: DynamicCache) -> None:
    for number, layer in enumerate(cache.layers):
        to.update(layer.keys[rows], layer.values[rows], number)


def log_probabilities(
    head: VocabularyHead, hidden_PTD: Tensor, labels_PT: Tensor, maybe_PT: Tensor
) -> tuple[Tensor, Tensor]:
    """Each token's log-probability `[P, T]`, in nats, and whether it is the likeliest; 0 and true on padding (-100).

    The second is looked for where `maybe` holds; elsewhere it is false.
    """
    real_PT = labels_PT != -100
    log_p_PT = torch.zeros(labels_PT.shape, device=labels_PT.device)
    likeliest_PT = torch.ones_like(real_PT)
    log_p, likeliest = [], []
    each = (of_all[real_PT].split(_TOKENS) for of_all in (hidden_PTD, labels_PT, maybe_PT))
    for hidden_ND, labels_N, maybe_N in zip(*each, strict=True):
        logits_NV = head.logits(hidden_ND).float()
        log_p.append(-cross_entropy(logits_NV, labels_N, reduction="none"))
        likeliest.append(maybe_N.masked_scatter(maybe_N, logits_NV[maybe_N].argmax(1) == labels_N[maybe_N]))
    return log_p_PT.masked_scatter(real_PT, torch.cat(log_p)), likeliest_PT.masked_scatter(
        real_PT, torch.cat(likeliest)
    )
