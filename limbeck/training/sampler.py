"""Batches of examples alike in all lengths, so that little is padding.

Legend: N examples, B of a batch, K lengths of an example (its source's, and its target's in each view).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

_MEGABATCH = 256  # batches made of one random part of the examples
Array = NDArray[np.signedinteger]


class BucketSampler(Sampler[int]):
    """An order of the examples, to be cut into batches, that depends on lengths, seed and epoch alone.

    A batch of B costs `B * weights @ (its widest, by column)`: random parts of the examples are halved repeatedly where
    that saves most. Each batch has its quota of examples with every target (a stratum) and of others, or those would
    meet in batches of their own. The dearest batch is first, to show if memory is short, the others in random order,
    and last a random remainder that fills no batch.
    """

    def __init__(self, lengths: Array, *, batch_size: int, multiple: int, seed: int) -> None:
        """Take the examples' `lengths`, `[N, K]`, the source's first, and round them up to a `multiple`."""
        self.widths = -(-lengths // multiple) * multiple
        target_shares = (lengths[:, 1:] > 0).mean(0)  # a view reads only rows with a target in it
        self.weights = np.array([target_shares.sum(), *target_shares])
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.widths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self))
        complete = (self.widths[order] > 0).all(1)
        strata = [order[complete], order[~complete]]
        count, leftover = divmod(len(self), self.batch_size)
        # rounded by chance, or one stratum would be in the remainder more often
        quota = (len(strata[0]) * leftover + int(rng.integers(len(self)))) // len(self)
        remainder, strata = _parted(strata, [quota, leftover - quota])
        batches: list[Array] = []
        for start in range(0, count, _MEGABATCH):
            size = min(_MEGABATCH, count - start)
            megabatch, strata = _parted(strata, _quotas(strata, count - start)[:, size - 1])
            batches += _halved(megabatch, size, self.widths, self.weights)
        rng.shuffle(batches)
        if batches:
            dearest = int(np.argmax([self.widths[batch].max(0) @ self.weights for batch in batches]))
            batches.insert(0, batches.pop(dearest))
        yield from np.concatenate([*batches, *remainder]).tolist()


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
