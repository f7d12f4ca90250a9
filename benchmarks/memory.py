"""Memory of one call: on a GPU what torch allocated, on a CPU what the process had resident (Linux only).

Resident memory is only comparable in a process that did nothing else before: `in_fresh_process` starts one.
"""

import gc
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_RESET_PEAK = "5"  # to /proc/self/clear_refs: the peak of resident memory begins anew


def peak_of(call: Callable[[], object], device: str) -> dict[str, int] | None:
    """Bytes in use `before` and `after` a call, and its `peak`; None where the system does not tell.

    What the call leaves behind has to be kept alive by the caller, to count as `after`.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        after, peak = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
        return {"before": before, "after": after, "peak": peak}
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
        before = resident_bytes()
        call()
        return {"before": before, "after": resident_bytes(), "peak": _status("VmHWM")}
    except OSError:
        return None


def in_fresh_process(module: str, argument: Any) -> Any:
    """What `python -m module ARGUMENT` prints as JSON, the argument as JSON too.

    Large tensors get pages of their own there (glibc's threshold is fixed), which go back when a tensor is freed:
    otherwise resident memory would hold what the allocator keeps for later.
    """
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-m", module, json.dumps(argument)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def resident_bytes() -> int:
    """What this process has resident. Raises OSError where the system does not tell."""
    return _status("VmRSS")


def _status(field: str) -> int:
    """Bytes, from a line such as `VmHWM:    2140 kB`."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"/proc/self/status has no {field}")
    return int(found[1]) * 1024
