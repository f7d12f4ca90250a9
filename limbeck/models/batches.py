"""Rows of token ids in batches of like length, and a batch as one padded tensor."""

from collections.abc import Iterator, Sequence

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor


def pad(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    """`rows` right-padded with `value` to their longest, to one at least: `[B, longest]`, int64."""
    width = max((1, *(len(row) for row in rows)))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def padding_mask(rows: Sequence[Sequence[int]]) -> Tensor:
    """1 on tokens and 0 on the padding that `pad` would add: `[B, longest]`, int64."""
    return pad([[1] * len(row) for row in rows], 0)


def by_length(ids: Sequence[Sequence[int]], batch_size: int, title: str | None) -> Iterator[list[int]]:
    """Indices of `ids`, those of like length together, the longest first; with a progress bar named `title`."""
    console = Console(stderr=True)
    quiet = title is None or not console.is_terminal
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    yield from track(batches, title or "", console=console, disable=quiet, transient=True)
