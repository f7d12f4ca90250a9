"""What a run says of itself, without the paths of the machine it ran on."""

from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_NO_PATHS = {"choices", "columns", "by_label"}  # fields whose texts are the data's, whatever they look like


def portable(value: Any) -> Any:
    """`value`, as JSON has it, every path that leads out of the folder limbeck ran in cut to its last part."""
    if isinstance(value, dict):
        return {name: one if name in _NO_PATHS else portable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [portable(one) for one in value]
    return last_part(value) if isinstance(value, str) and _leads_out(value) else value


def last_part(path: str) -> str:
    """The file's or the folder's own name."""
    return PureWindowsPath(path).name or "."  # which takes both kinds of slashes


def _leads_out(words: str) -> bool:
    windows = PureWindowsPath(words)
    absolute = PurePosixPath(words).is_absolute() or bool(windows.drive)
    return absolute or words.startswith("~") or windows.parts[:1] == ("..",)
