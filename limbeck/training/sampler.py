"""Batches of examples alike in all lengths, so that little is padding.

Legend: N examples, B of a batch, K lengths of an example (its source's, and its target's in each view).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

_MEGASTEP = 256  # steps made of one random part of the examples
Array = NDArray[np.signedinteger]


class StepShape(NamedTuple):
    """The batches of an optimizer step."""

    batch_size: int  # of one process at a time
    accumulation: int = 1
    processes: int = 1

    @property
    def examples(self) -> int:
        return self.batch_size * self.accumulation * self.processes


class BucketSampler(Sampler[list[int]]):
    """One process's batches of examples, which depend on lengths, seed and epoch alone.

    A step's examples are the same however `shape` divides them into batches and processes. A step of B costs
    `B * weights @ (its widest, by column)`: random parts of the examples are halved repeatedly where that saves most.
    Each step has its quota of examples with every target (a stratum) and of others, or those would meet in steps of
    their own. The dearest step is first, to show if memory is short, the others in random order, and last a random
    remainder that fills no step. Every process has the same number of batches, in the last step perhaps an empty one.
    """

    def __init__(
        self, lengths: Array, *, shape: StepShape, process: int = 0, multiple: int, seed: int, by_length: bool = True
    ) -> None:
        """Take the examples' `lengths`, `[N, K]`, the source's first, and round them up to a `multiple`.

        Without `by_length` the order is random.
        """
        self.widths = -(-lengths // multiple) * multiple
        target_shares = (lengths[:, 1:] > 0).mean(0)  # a view reads only rows with a target in it
        self.weights = np.array([target_shares.sum(), *target_shares])
        self.shape = shape
        self.process = process
        self.seed = seed
        self.by_length = by_length
        self.epoch = 0

    def __len__(self) -> int:
        steps, remainder = divmod(len(self.widths), self.shape.examples)
        return steps * self.shape.accumulation + self._batches(remainder)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.widths))
        size = self.shape.examples
        steps = [order[start : start + size] for start in range(0, len(order), size)]
        for step in self._buckets(order, rng) if self.by_length else steps:
            for part in np.array_split(step, self._batches(len(step))):
                yield part[self.process :: self.shape.processes].tolist()

    def _batches(self, examples: int) -> int:
        """Return the number of batches of each process for the examples of a step."""
        return -(-examples // (self.shape.batch_size * self.shape.processes))

    def _buckets(self, order: Array, rng: np.random.Generator) -> list[Array]:
        complete = (self.widths[order] > 0).all(1)
        strata = [order[complete], order[~complete]]
        count, leftover = divmod(len(order), self.shape.examples)
        # rounded by chance, or one stratum would be in the remainder more often
        quota = (len(strata[0]) * leftover + int(rng.integers(len(order)))) // len(order)
        remainder, strata = _parted(strata, [quota, leftover - quota])
        steps: list[Array] = []
        for start in range(0, count, _MEGASTEP):
            size = min(_MEGASTEP, count - start)
            megastep, strata = _parted(strata, _quotas(strata, count - start)[:, size - 1])
            steps += _halved(megastep, size, self.widths, self.weights)
        rng.shuffle(steps)
        if steps:
            dearest = int(np.argmax([self.widths[step].max(0) @ self.weights for step in steps]))
            steps.insert(0, steps.pop(dearest))
        steps += [np.concatenate(remainder)] if leftover else []
        if self.shape.accumulation == self.shape.processes == 1:
            return steps
        # accumulated batches are alike, and processes, to which a batch is dealt out, wait little for each other
        return [step[np.argsort(self.widths[step] @ self.weights, kind="stable")] for step in steps]


def _parted(strata: list[Array], sizes: Array | list[int]) -> tuple[list[Array], list[Array]]:
    """Return the first rows of each stratum, and the rest."""
    pairs = list(zip(strata, sizes, strict=True))
    return [rows[:size] for rows, size in pairs], [rows[size:] for rows, size in pairs]


def _quotas(strata: list[Array], count: int) -> Array:
    """Return the number of rows of each stratum in the first 1, 2, ... batches, `[2, count]`."""
    batches = np.arange(1, count + 1)
    complete = (2 * len(strata[0]) * batches + count) // (2 * count)  # rounded to the nearest
    return np.stack([complete, batches * (sum(map(len, strata)) // count) - complete])


def _halved(strata: list[Array], count: int, widths: Array, weights: NDArray[np.float64]) -> list[Array]:
    quotas = _quotas(strata, count)
    if count == 1 or all((widths[rows] == widths[rows[:1]]).all() for rows in strata):
        pieces = [np.split(rows, quota[:-1]) for rows, quota in zip(strata, quotas, strict=True)]
        return [np.concatenate(rows) for rows in zip(*pieces, strict=True)]
    sizes = np.arange(1, count)
    splits = []
    for column in range(widths.shape[1]):
        ordered = [rows[np.argsort(widths[rows, column], kind="stable")] for rows in strata]
        halves = [_widest(widths[rows], quota[:-1]) for rows, quota in zip(ordered, quotas, strict=True)]
        left, right = (np.maximum(*sides) @ weights for sides in zip(*halves, strict=True))
        costs = left * sizes + right * (count - sizes)
        splits.append((costs.min(), int(costs.argmin()) + 1, ordered))
    _, size, ordered = min(splits, key=lambda split: split[0])
    first, second = _parted(ordered, quotas[:, size - 1])
    return _halved(first, size, widths, weights) + _halved(second, count - size, widths, weights)


def _widest(widths: Array, cuts: Array) -> tuple[Array, Array]:
    """Return the largest widths before and from each cut, `[cuts, K]`."""
    zeros = np.zeros((1, widths.shape[1]), widths.dtype)
    before = np.concatenate([zeros, np.maximum.accumulate(widths)])
    after = np.concatenate([np.maximum.accumulate(widths[::-1])[::-1], zeros])
    return before[cuts], after[cuts]
