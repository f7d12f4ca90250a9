"""Case `curve`: the losses of both sides over the same steps, dropout off."""

from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.rows import value_row, yes
from benchmarks.settings import Settings
from benchmarks.step import Side, steps

BATCHES = 5  # taken in turn, so that the loss falls
CLOSE = 1e-4


def curve(settings: Settings) -> Iterator[dict[str, Any]]:
    """The largest distance between the two loss curves in fp32, from the same weights and batches."""
    taken = 4 if settings.tiny else 50
    sides = [Side("naive"), Side("limbeck")]
    made = steps(sides, settings.small, settings.shape, settings.device, dropout=0.0, count=BATCHES)
    naive, limbeck = (torch.stack([made[side]() for _ in range(taken)]).double().cpu() for side in sides)
    apart = float((naive - limbeck).abs().max())
    row = value_row(
        f"curve mi, {settings.shape}",
        f"loss after {taken} steps",
        "nats",
        ("naive fp32", float(naive[-1])),
        ("limbeck fp32", float(limbeck[-1])),
        f"at most {CLOSE:g} apart at every step",
        yes(apart <= CLOSE),
        f"at most {apart:.1e} apart; from {float(naive[0]):.4f}",
    )
    yield row | {"naive_losses": naive.tolist(), "limbeck_losses": limbeck.tolist()}
