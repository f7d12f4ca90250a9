"""Folders that are made once a machine from large data, below Hugging Face's cache (`HF_HOME`)."""

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import huggingface_hub
from filelock import FileLock
from huggingface_hub import constants

from limbeck.errors import FileError
from limbeck.files import is_whole, remove, sha256, unwritable, write_manifest

log = logging.getLogger(__name__)
_LIBRARIES = ("pyarrow", "tokenizers", "transformers")
_UNUSED_SECONDS = 30 * 24 * 3600


def cached(kind: str, key: Any, build: Callable[[Path], None]) -> Path:
    """Return the folder that `build` has filled for a `key` in JSON, under the present versions of code and libraries.

    One process builds, others wait. A folder whose files changed since is made anew. Raises FileError.
    """
    made_by = [_code(), platform.python_version(), *map(version, _LIBRARIES)]
    name = hashlib.sha256(json.dumps([key, made_by], sort_keys=True).encode()).hexdigest()
    try:
        root = huggingface_hub.cached_assets_path("limbeck", kind, assets_dir=constants.HF_ASSETS_CACHE)
    except (OSError, ValueError) as error:
        raise FileError(f"no cache can be made ({error})", path=constants.HF_ASSETS_CACHE) from None
    folder = root / name
    try:
        if not is_whole(folder):
            with FileLock(root / f"{name}.lock"):
                if not is_whole(folder):
                    _make(folder, build)
        os.utime(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def _make(folder: Path, build: Callable[[Path], None]) -> None:
    for entry in folder.parent.iterdir():
        if time.time() - entry.stat().st_mtime > _UNUSED_SECONDS:
            remove(entry)
    if folder.exists():
        log.warning("%s: damaged, and made anew", folder)
    else:
        log.info("%s: made once for this data", folder)
    temporary = folder.with_suffix(".tmp")
    for remains in (folder, temporary):  # damaged, or of a process that was killed
        remove(remains)
    try:
        temporary.mkdir()
        build(temporary)
        write_manifest(temporary)
        temporary.rename(folder)
    finally:
        remove(temporary)


@cache
def _code() -> str:
    """Return a hash of this package's code, which no cache outlives."""
    package = Path(__file__).parent
    files = {str(path.relative_to(package)): sha256(path) for path in sorted(package.rglob("*.py"))}
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()
