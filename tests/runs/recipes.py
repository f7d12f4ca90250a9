"""The smallest recipe that trains, for tests."""

import json
from pathlib import Path
from typing import Any

from limbeck.runs.recipe import Recipe

TINY: dict[str, Any] = {
    "data": {"task": "arithmetic", "source": {"kind": "generated", "train_rows": 24, "valid_rows": 4, "test_rows": 6}},
    "student": {
        "scratch": {"vocab_size": 300, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2},
        "max_target_length": 24,
    },
    "objective": "dss",
    "training": {"max_steps": 4, "per_device_train_batch_size": 4, "eval_steps": 2, "logging_steps": 1},
    "seed": 7,
}


def tiny(**changes: Any) -> Recipe:
    """Return the tiny recipe with some of its sections replaced."""
    return Recipe.parse({**TINY, **changes}, "test")


def rows_of(path: Path) -> list[dict]:
    """Return the rows of a JSON lines file."""
    return [json.loads(line) for line in path.open()]
