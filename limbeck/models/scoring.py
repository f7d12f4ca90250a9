"""Log-probabilities of answers, and which of them greedy search would write.

Legend: B texts, T answer tokens, N tokens in all, D hidden size, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from limbeck.models.families import VocabularyHead
from limbeck.models.tokenization import IGNORE, pad

_TOKENS = 256  # whose logits are in memory at a time: twice 32 MB for T5's vocabulary, twice 256 MB for mT5's
Target = tuple[int, ...]
"""An answer's token ids: not the start token, but the end token, unless it was cut off before. At least one."""
LogP = list[float]
"""Log-probabilities of an answer's tokens in their order, its end token's among them, in nats."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-probabilities of answers to one text, in nats."""

    top: float  # the highest over the vocabulary at the first token
    answers: list[LogP]  # of each answer that was asked about
    greedy: int | None  # the number of the first answer of whose tokens each is the likeliest there


@dataclass(frozen=True, slots=True)
class Answer:
    """A student's answer to one text, with its log-probabilities and those of the text's choices."""

    text: str
    ids: Target
    top: float  # as in `Scores`
    log_p: LogP
    choices: list[LogP]


def score_batch(
    head: VocabularyHead, states: Callable[[Tensor], Tensor], answers: Sequence[Sequence[Target]]
) -> list[Scores]:
    """Score the `answers` to each text, one of each text at a time.

    `states` returns the head's input `[B, T, D]` of target ids `[B, T]`, IGNORE on padding.
    """
    scores: list[list[LogP]] = [[] for _ in answers]
    greedy: dict[int, int] = {}
    top: list[float] = []
    columns = list(zip_longest(*answers, fillvalue=())) or [((),) * len(answers)]  # () for a text of fewer answers
    for number, column in enumerate(columns):
        labels_BT = pad(column, IGNORE)
        hidden_BTD = states(labels_BT)
        top = top or head.logits(hidden_BTD[:, 0]).float().log_softmax(1).amax(1).tolist()
        log_p_BT, likeliest_BT = _token_scores(head, hidden_BTD, labels_BT.to(hidden_BTD.device))
        for row, ids in enumerate(column):
            if ids:
                scores[row].append(log_p_BT[row, : len(ids)].tolist())
                if likeliest_BT[row, : len(ids)].all():
                    greedy.setdefault(row, number)
    return [Scores(top[row], scores[row], greedy.get(row)) for row in range(len(answers))]


def _token_scores(head: VocabularyHead, hidden_BTD: Tensor, labels_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Compute each token's log-probability, and True if it is the likeliest; `[B, T]` each, 0 and False on padding."""
    real_BT = labels_BT != IGNORE
    log_p, likeliest = [], []
    for hidden_ND, labels_N in zip(hidden_BTD[real_BT].split(_TOKENS), labels_BT[real_BT].split(_TOKENS), strict=True):
        logits_NV = head.logits(hidden_ND).float()
        log_p.append(-cross_entropy(logits_NV, labels_N, reduction="none"))
        likeliest.append(logits_NV.max(1).indices == labels_N)
    log_p_BT = torch.zeros(labels_BT.shape, device=labels_BT.device).masked_scatter(real_BT, torch.cat(log_p))
    return log_p_BT.cpu(), torch.zeros_like(real_BT).masked_scatter(real_BT, torch.cat(likeliest)).cpu()
