"""Rows of token ids as one padded tensor."""

from collections.abc import Sequence

import torch
from torch import Tensor


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """`rows` right-padded with `value` to their longest, to one at least: `[B, longest]`, int64."""
    width = max((1, *(len(row) for row in rows)))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def padding_mask(rows: Sequence[Sequence[int]]) -> Tensor:
    """1 on tokens and 0 on the padding that `pad` would add: `[B, longest]`, int64."""
    return pad([[1] * len(row) for row in rows], 0)
