"""How likely given targets are.

Legend: B batch, T target tokens, N tokens in all, D hidden size, V vocabulary.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from limbeck.students.families import VocabularyHead

_TOKENS = 256  # whose logits are in memory at a time: twice 32 MB for T5's vocabulary, twice 256 MB for mT5's


def log_probabilities(head: VocabularyHead, hidden_BTD: Tensor, labels_BT: Tensor) -> Tensor:
    """Each target's log-probability `[B]`, in nats: the sum over its tokens, labels of -100 (padding) left out."""
    real_BT = labels_BT != -100
    chunks = zip(hidden_BTD[real_BT].split(_TOKENS), labels_BT[real_BT].split(_TOKENS), strict=True)
    log_p_N = torch.cat(
        [-cross_entropy(head.logits(hidden_ND).float(), labels_N, reduction="none") for hidden_ND, labels_N in chunks]
    )
    sums_B = torch.zeros(len(labels_BT), device=log_p_N.device)
    return sums_B.index_add(0, real_BT.nonzero()[:, 0], log_p_N)
