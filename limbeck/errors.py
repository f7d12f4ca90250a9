"""The one exception for mistakes that a user can mend."""

import difflib
from collections.abc import Iterable


class LimbeckError(Exception):
    """A mistake in what was given (a file, a recipe, a checkpoint), said in one line that tells what to do.

    The command line prints it without a traceback and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        # one line, and printable whatever stood in the input: a lone surrogate cannot be encoded
        super().__init__(" ".join(message.split()).encode("utf-8", "backslashreplace").decode())


def first_line(error: Exception) -> str:
    """What an exception of a library's says, without the paragraphs that follow."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def unknown(kind: str, name: str, known: Iterable[str]) -> LimbeckError:
    """The error for a name that is not in a table: it offers the nearest name, and lists the table if it is short."""
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f": did you mean {nearest[0]!r}?" if nearest else ""
    listed = f" Known: {', '.join(names)}" if len(names) <= 20 else " `limbeck schema` lists what is known"
    return LimbeckError(f"unknown {kind} {name!r:.60}{hint or ';'}{listed}")
