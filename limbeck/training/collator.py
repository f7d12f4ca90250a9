"""From rows of a training set to a padded batch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from limbeck.objectives import IGNORE
from limbeck.training.dataset import Rows

MULTIPLE = 8  # what the units of a processor like lengths to be


@dataclass(frozen=True)
class Collator:
    """Pads rows into a batch of int64 tensors.

    `labels` holds for each view the target ids `[B, T]`, IGNORE on padding. `rows` holds for each view the numbers of
    the examples that have a target in it, `[b]`: no other is read there (a view without any reads the first). Their
    sources are one encoder batch, view after view: `input_ids` and `attention_mask` `[sum of b, S]`. Lengths are
    rounded up to `multiple`.
    """

    pad_id: int
    multiple: int = MULTIPLE

    def __call__(self, rows: Rows) -> dict[str, Any]:
        data = rows.training_set
        by_view = [view * len(data) + rows.indices for view in range(len(data.views))]
        labels = [data.targets.padded(indices, IGNORE, self.multiple)[0] for indices in by_view]
        taught = [np.flatnonzero(ids[:, 0] != IGNORE) for ids in labels]
        taught = [some if len(some) else np.zeros(1, np.int64) for some in taught]  # not every model takes no rows
        sources = np.concatenate([indices[some] for indices, some in zip(by_view, taught, strict=True)])
        input_ids, real = data.sources.padded(sources, self.pad_id, self.multiple)
        return {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(real.astype(np.int64)),
            "labels": dict(zip(data.views, map(torch.from_numpy, labels), strict=True)),
            "rows": dict(zip(data.views, map(torch.from_numpy, taught), strict=True)),
        }
