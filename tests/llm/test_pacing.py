"""When a request may be sent."""

import asyncio

from limbeck.llm.pacing import Rates, backoff
from limbeck.llm.settings import LimitSettings


def test_back_off_is_random_within_bounds_that_double_up_to_a_minute():
    for failures, most in ((1, 1.0), (2, 2.0), (5, 16.0), (8, 60.0), (1000, 60.0)):
        drawn = [backoff(failures, None) for _ in range(300)]
        assert 0 <= min(drawn) < 0.1 * most
        assert 0.9 * most < max(drawn) <= most
        waits = [backoff(failures, 30.0) for _ in range(300)]
        assert min(waits) >= 30.0
        assert max(waits) <= 30.0 + most


def _sent(limits: LimitSettings, tokens: float, largest: float, seconds: float) -> int:
    """How many requests may be sent within some seconds of the loop's time."""

    async def go() -> int:
        rates, stop, sent = Rates(limits, largest), asyncio.Event(), 0
        asyncio.get_running_loop().call_later(seconds, stop.set)
        while not stop.is_set():
            await rates.wait(tokens, stop)
            sent += not stop.is_set()
            await asyncio.sleep(0)
        return sent

    return asyncio.run(go())


def test_a_minute_does_not_begin_with_all_its_requests():
    # a second's worth at once, then as many a second: at most (1 + 0.5) * 40; a slow machine sends fewer
    assert 1 <= _sent(LimitSettings(requests_per_minute=2400), 1, 1, 0.5) <= 61
    assert _sent(LimitSettings(requests_per_minute=1), 1, 1, 0.2) == 1
    assert 1 <= _sent(LimitSettings(tokens_per_minute=6000), 10, 10, 0.5) <= 16
    # one that is larger than a second's worth is let through, and paid for by the wait after it
    assert _sent(LimitSettings(tokens_per_minute=600), 100, 100, 0.3) == 1
