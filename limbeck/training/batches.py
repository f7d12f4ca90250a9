"""Which examples share a batch: those that are alike in all their lengths, so that little is padding.

Legend: N examples, B of them a batch, K widths an example has (its source's, and its target's in each view).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from limbeck.training.dataset import TrainingSet

_TOGETHER = 256  # batches that are made out of one random part of the examples
Array = NDArray[np.int64]


class BucketSampler(Sampler[int]):
    """An order of the examples, a pure function of seed and epoch, to be cut into batches as it stands.

    Every example comes once an epoch. The remainder that fills no batch is a random one, and comes last.
    """

    def __init__(self, training_set: TrainingSet, batch_size: int, multiple: int, seed: int) -> None:
        """`multiple`: what the collator rounds lengths up to; only rounded lengths cost anything."""
        widths = training_set.widths()
        self.widths = -(-widths // multiple) * multiple
        # an encoder batch holds the sources of all views
        self.weights = np.array([len(training_set.views), *(1 for _ in training_set.views)])
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.widths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        yield from bucketed(self.widths, self.weights, self.batch_size, rng).tolist()


def bucketed(widths: Array, weights: Array, batch_size: int, rng: np.random.Generator) -> Array:
    """A permutation of the N examples whose consecutive batches cost little: `[N]`.

    A batch costs `B * weights @ (its widest, by column)`. Each random part of the examples is halved, and the halves
    again, where that saves most; examples of equal widths stay in random order. The batches come in random order, but
    for the dearest, which comes first: what does not fit into memory shows at once.

    Args:
        widths: `[N, K]`, the lengths of an example as they are padded.
        weights: `[K]`, what a column's padding counts.
    """
    order = rng.permutation(len(widths))
    whole = len(order) // batch_size * batch_size
    batches: list[Array] = []
    for start in range(0, whole, _TOGETHER * batch_size):
        part = order[start : min(start + _TOGETHER * batch_size, whole)]
        batches += _halved(part, widths[part], weights, batch_size)
    rng.shuffle(batches)
    if batches:
        dearest = int(np.argmax([widths[batch].max(0) @ weights for batch in batches]))
        batches.insert(0, batches.pop(dearest))
    return np.concatenate([*batches, order[whole:]])


def _halved(rows: Array, widths: Array, weights: Array, batch_size: int) -> list[Array]:
    """The batches of `rows`, a whole number of them; `widths` are theirs, `[len(rows), K]`."""
    if len(rows) == batch_size or (widths == widths[0]).all():
        return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    cuts = np.arange(batch_size, len(rows), batch_size)
    best = None
    for column in range(widths.shape[1]):
        order = np.argsort(widths[:, column], kind="stable")
        ordered = widths[order]
        left = np.maximum.accumulate(ordered)[cuts - 1] @ weights
        right = np.maximum.accumulate(ordered[::-1])[len(rows) - cuts - 1] @ weights
        costs = left * cuts + right * (len(rows) - cuts)
        cheapest = int(costs.argmin())
        if best is None or costs[cheapest] < best[0]:
            best = costs[cheapest], order, cuts[cheapest]
    assert best is not None
    _, order, cut = best
    halves = order[:cut], order[cut:]
    return [batch for half in halves for batch in _halved(rows[half], widths[half], weights, batch_size)]
