"""Time, side by side: the sides take turns in one process, so that what else the machine does falls on all of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

_RESAMPLES = 2000


@dataclass(frozen=True)
class Comparison:
    """`ratio`, baseline over subject, and the ends of its 95 % bootstrap interval: above 1 the subject is better."""

    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Times:
    """Seconds a call, `rounds` by side; the rounds of all sides belong together."""

    rounds: dict[str, np.ndarray]

    def median(self, side: str) -> float:
        return float(np.median(self.rounds[side]))

    def quartiles(self, side: str) -> tuple[float, float]:
        low, high = np.percentile(self.rounds[side], (25, 75))
        return float(low), float(high)

    def compare(self, baseline: str, subject: str) -> Comparison:
        """The ratio of medians; rounds are drawn again in pairs, since the two of a round ran under the same load."""
        first, second = self.rounds[baseline], self.rounds[subject]
        drawn = np.random.default_rng(0).integers(len(first), size=(_RESAMPLES, len(first)))
        ratios = np.median(first[drawn], axis=1) / np.median(second[drawn], axis=1)
        low, high = np.percentile(ratios, (2.5, 97.5))
        return Comparison(self.median(baseline) / self.median(subject), float(low), float(high))


def alternate(sides: Mapping[str, Callable[[], object]], device: str, rounds: int, warm_up: int = 3) -> Times:
    """Time the sides in turns, `rounds` times; the first of a round is another side each time.

    On a GPU a round is ten calls between two synchronisations, as a training loop queues them: the time is the
    host's clock, so that it holds whatever the host cannot hide.
    """
    calls = 10 if device == "cuda" else 1
    for call in sides.values():
        _seconds(call, device, warm_up)
    names = list(sides)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        turn = i % len(names)
        for name in names[turn:] + names[:turn]:
            seconds[name].append(_seconds(sides[name], device, calls) / calls)
    return Times({name: np.array(values) for name, values in seconds.items()})


def _seconds(call: Callable[[], object], device: str, calls: int) -> float:
    _synchronise(device)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    _synchronise(device)
    return time.perf_counter() - start


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
