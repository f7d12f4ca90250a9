"""What the figures were measured on and with."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import limbeck

_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")


def describe(device: str) -> dict[str, Any]:
    """Hardware, versions and revision."""
    return {
        "device": device_name(device),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {"limbeck": limbeck.__version__, "python": platform.python_version()}
        | {name: version(name) for name in _LIBRARIES},
        "cuda": torch.version.cuda if device == "cuda" else None,
        "revision": _revision(),
    }


def device_name(device: str) -> str:
    """The GPU's name, or the processor's."""
    return torch.cuda.get_device_name() if device == "cuda" else _cpu()


def _cpu() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def _revision() -> str | None:
    """The git revision, "-dirty" if changed since; None where this is no checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
