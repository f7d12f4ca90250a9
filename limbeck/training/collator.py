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

    The sources of all views are one encoder batch, view after view: `input_ids` and `attention_mask` `[views * B, S]`.
    `labels` holds for each view the target ids `[B, T]`, IGNORE on padding. Lengths are rounded up to `multiple`.
    """

    pad_id: int
    multiple: int = MULTIPLE

    def __call__(self, rows: Rows) -> dict[str, Any]:
        data = rows.training_set
        by_view = [view * len(data) + rows.indices for view in range(len(data.views))]
        input_ids, real = data.sources.padded(np.concatenate(by_view), self.pad_id, self.multiple)
        return {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(real.astype(np.int64)),
            "labels": {
                view: torch.from_numpy(data.targets.padded(indices, IGNORE, self.multiple)[0])
                for view, indices in zip(data.views, by_view, strict=True)
            },
        }
