"""Rows to the Hugging Face Hub, as a data set with a card."""

import json
from collections.abc import Iterable
from typing import Any

from limbeck.hub import upload

_HEADER = """\
---
configs:
- config_name: default
  data_files:
  - split: train
    path: train.jsonl
---

"""


def push(rows: Iterable[dict[str, Any]], name: str, card: str, private: bool = True) -> str:
    """Upload `rows` as the data set `name` (OWNER/NAME) in one commit; returns its URL.

    `datasets.load_dataset(name)` finds them as the split train. `card` is the Markdown below the card's YAML header:
    where the rows come from. The header names no licence, which is the owner's to choose. `private` is how a new data
    set is made; one that is there stays as public as it is, and gets the rows as a further commit.

    Raises:
        LimbeckError: the name cannot be one, the Hub refuses, or it cannot be reached.
    """
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    files = {"train.jsonl": data.encode(), "README.md": f"{_HEADER}{card.strip()}\n".encode()}
    return upload(files, name, "dataset", message="Rows from limbeck", private=private)
