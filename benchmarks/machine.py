"""What the figures were measured on and with."""

import os
import platform
import re
from pathlib import Path
from typing import Any

import torch

import limbeck
from limbeck.runs.run import revision, versions


def describe(device: str) -> dict[str, Any]:
    """Hardware, versions and revision."""
    return {
        "device": device_name(device),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {"limbeck": limbeck.__version__} | versions(),
        "cuda": torch.version.cuda if device == "cuda" else None,
        "revision": revision(),
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
