"""What a result came from: versions, data, machine, revision."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

import limbeck
from limbeck.data import Splits, digest

_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy")
_EXTRAS = ("ctranslate2",)  # recorded where they are installed


def provenance(splits: Splits, seed: int) -> dict[str, Any]:
    """The provenance of a run that starts now."""
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
    """Python's and the libraries'."""
    extras = [name for name in _EXTRAS if find_spec(name)]
    return {"python": platform.python_version()} | {name: version(name) for name in (*_LIBRARIES, *extras)}


def data_hashes(splits: Splits) -> dict[str, Any]:
    """Rows and SHA-256 of every split's examples."""
    named = (("train", splits.train), ("valid", splits.valid), ("test", splits.test))
    return {name: {"rows": len(examples), "sha256": digest(examples)} for name, examples in named}


def now() -> str:
    """The time as ISO 8601, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def revision() -> str | None:
    """The git revision limbeck runs from, "-dirty" if it was changed since; None where it is no checkout of its own."""
    folder = Path(limbeck.__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    tracked = ["git", "-C", str(folder), "ls-files", "--error-unmatch", "__init__.py"]
    try:
        subprocess.run(tracked, capture_output=True, check=True, timeout=10)
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
