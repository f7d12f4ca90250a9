"""Rows of token ids as one padded tensor."""

from collections.abc import Sequence

import torch
from torch import Tensor


def pad(rows: Sequence[Sequence[int]], value: int, multiple: int = 1) -> Tensor:
    """`rows` right-padded with `value` to their longest, rounded up to a `multiple`: `[B, longest]`, int64."""
    longest = max((len(row) for row in rows), default=0)
    width = max(-(-longest // multiple) * multiple, 1)
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def padding_mask(rows: Sequence[Sequence[int]], multiple: int = 1) -> Tensor:
    """1 on tokens and 0 on the padding that `pad` would add: `[B, longest]`, int64."""
    return pad([[1] * len(row) for row in rows], 0, multiple)
