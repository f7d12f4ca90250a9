"""A key is written nowhere: what is to be kept must not hold it."""

import json
import os
from typing import Any

from limbeck.errors import LimbeckError

_SECRET = 12  # characters; what is shorter ("ollama", "not-needed") is no secret, and may well be a word


def refuse_key(variable: str, values: Any, where: str) -> None:
    """Check that the key in the environment's `variable` stands nowhere in `values`, which come from `where`.

    Raises:
        LimbeckError: it does.
    """
    key = os.environ.get(variable, "").strip()
    if len(key) >= _SECRET and key in json.dumps(values, ensure_ascii=False):
        raise LimbeckError(f"the key in ${variable} stands in {where} too; take it out: that is kept")
