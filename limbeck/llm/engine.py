"""What puts a question to a teacher: the engine's type, and what comes of one request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

FORBIDDEN = "HTTP 403"  # the kind of a failure that is one of the key's, unless the model has answered before
Message = dict[str, str]  # {"role": "system" | "user" | "assistant", "content": ...}, as every chat interface has it


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer: what the teacher wrote, and the body it came in, as JSON text."""

    text: str  # blank where the model thought, beside it, and wrote no more
    raw: str
    finish_reason: str  # "": the engine did not say
    prompt_tokens: int | None  # None: the engine did not count them
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that came to nothing. It may have been paid for all the same: then `raw` is not None."""

    kind: str  # a few words, the same for every failure of this kind: "timed out", "cut off", "HTTP 500"
    message: str  # one line for people
    again: bool = True  # whether the same request may well be answered if it is sent again
    retry_after: float | None = None  # seconds, if the teacher said so
    raw: str | None = None  # the body of a success; "": there may have been one; None: nothing was paid for
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Engine(Protocol):
    """One teacher, ready to be asked by many tasks at once. Sampling parameters are the engine's own."""

    async def ask(self, messages: Sequence[Message]) -> Reply | Failure:
        """The teacher's answer to a conversation that ends with the user's turn.

        Raises:
            LimbeckError: no request can succeed (a wrong key, an unknown model, a certificate that is not trusted).
        """
        ...

    async def close(self) -> None:
        """Let go of connections, processes and memory."""
        ...
