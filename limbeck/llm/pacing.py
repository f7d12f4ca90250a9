"""When a request may be sent: rates a minute, and how long to wait after a failure."""

import asyncio
import random
from contextlib import suppress

from aiolimiter import AsyncLimiter

from limbeck.llm.settings import LimitSettings

_LOOK = 0.05  # seconds between two looks at a limiter
_LONGEST_WAIT = 60.0  # seconds between two attempts, unless the teacher asks for more


class Rates:
    """Requests and tokens a minute, spread over it: no minute begins with all of them at once."""

    def __init__(self, limits: LimitSettings, largest: float) -> None:
        """`largest` is the most tokens that one request may use."""
        self._requests = _limiter(limits.requests_per_minute, 1)
        self._tokens = _limiter(limits.tokens_per_minute, largest)

    async def wait(self, tokens: float, stop: asyncio.Event) -> None:
        """Return once a request of so many tokens may be sent, or all has to stop."""
        for limiter, amount in ((self._requests, 1.0), (self._tokens, tokens)):
            while limiter is not None and not limiter.has_capacity(amount) and not stop.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK):
                        await stop.wait()
            if limiter is not None and not stop.is_set():
                await limiter.acquire(amount)


def _limiter(per_minute: float | None, largest: float) -> AsyncLimiter | None:
    """At most a second's worth at once, or one that is larger."""
    if per_minute is None:
        return None
    burst = max(per_minute / 60, largest)
    return AsyncLimiter(burst, 60 * burst / per_minute)


def backoff(failures: int, retry_after: float | None) -> float:
    """Seconds to wait after so many failures in a row: random, up to twice as many each time, at most a minute.

    Never less than the teacher asked for; a little more, so that not all come back at the same moment.
    """
    return (retry_after or 0.0) + random.uniform(0, min(_LONGEST_WAIT, 2.0 ** min(failures - 1, 10)))
