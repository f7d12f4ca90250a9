"""The provenance of results: versions, data, machine, revision; and values without this machine's paths."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path, PureWindowsPath
from typing import Any

import limbeck
from limbeck.data.load import Splits, digest

_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy", "ctranslate2")
_TEXT_FIELDS = {"choices", "columns", "by_label"}  # their texts are the data's, even where they look like paths


def provenance(splits: Splits, seed: int) -> dict[str, Any]:
    """Return the provenance of a run that starts now."""
    import torch  # not at the top: verbs that need no model import this file for `now`

    return {
        "limbeck": limbeck.__version__,
        "revision": revision(),
        "versions": versions(),
        "machine": {
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        },
        "seed": seed,
        "data": data_hashes(splits),
        "command": sys.argv,
        "started": now(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that are installed."""
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES if find_spec(name)}


def data_hashes(splits: Splits) -> dict[str, Any]:
    """Return the number of rows and the SHA-256 of every split's examples."""
    examples = {split: getattr(splits, split) for split in ("train", "valid", "test")}
    return {split: {"rows": len(rows), "sha256": digest(rows)} for split, rows in examples.items()}


def now() -> str:
    """Return the time as ISO 8601, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def revision() -> str | None:
    """Return limbeck's git revision, with "-dirty" after changes; None where limbeck runs from no checkout."""
    git = ["git", "-C", str(Path(limbeck.__file__).parent)]
    describe = [*git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", "__init__.py"], capture_output=True, check=True, timeout=9)
        return subprocess.run(describe, capture_output=True, text=True, check=True, timeout=9).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def portable(value: Any) -> Any:
    """Return a JSON value with every path that leads out of the working directory cut to its last part."""
    match value:
        case dict():
            return {name: item if name in _TEXT_FIELDS else portable(item) for name, item in value.items()}
        case list() | tuple():
            return [portable(item) for item in value]
        case str() if value.startswith(("/", "~", "..")) or PureWindowsPath(value).drive:
            return PureWindowsPath(value).name or "."  # which takes both kinds of slashes
    return value
