"""The errors that a user can mend."""

import difflib
from collections.abc import Iterable
from pathlib import Path

MAX_MESSAGE = 1200  # characters


class LimbeckError(Exception):
    """A mistake, said in one line, with `path`, `line` and `field` where known."""

    def __init__(
        self, message: str, *, path: Path | str | None = None, line: int | None = None, field: str | None = None
    ) -> None:
        self.path, self.line, self.field = None if path is None else Path(path), line, field
        location = path if line is None else f"{path}:{line}"
        text = ": ".join(str(phrase) for phrase in (location, field, message) if phrase is not None)
        # one line, not endless, and printable: a lone surrogate cannot be encoded
        text = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
        half = MAX_MESSAGE // 2
        super().__init__(text if len(text) <= MAX_MESSAGE else f"{text[:half]} [...] {text[-half:]}")


class RecipeError(LimbeckError):
    """A recipe, other settings or an option that cannot be followed."""


class DataError(LimbeckError):
    """A file or row whose content cannot be used."""


class FileError(LimbeckError):
    """A path that cannot be read, written or used."""


class ModelError(LimbeckError):
    """A model that cannot be loaded, trained or asked."""


class EndpointError(LimbeckError):
    """A service on the network that refuses or cannot be reached."""


def first_line(error: Exception) -> str:
    """Return the first line of an exception's message, without full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def unknown(kind: str, name: str, table: Iterable[str]) -> RecipeError:
    """Return the error for a name that is not in `table`, with the nearest one."""
    names = sorted(table)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f": did you mean {nearest[0]!r}?" if nearest else ";"
    listing = f"Known: {', '.join(names)}" if len(names) <= 20 else "`limbeck schema` lists what is known"
    return RecipeError(f"unknown {kind} {name!r:.60}{hint} {listing}")
