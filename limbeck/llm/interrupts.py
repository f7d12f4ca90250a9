"""Ctrl-C while requests are in flight."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def interrupts(end: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C, or a polite kill, calls `end`; the second does what it does without us."""
    loop = asyncio.get_running_loop()
    handled = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in handled}

    def restore(number: int) -> None:
        if loop.remove_signal_handler(number):
            signal.signal(number, before[signal.Signals(number)])

    def once(number: int) -> None:
        restore(number)
        end()

    with suppress(NotImplementedError):  # where the system has no such handlers
        for number in handled:
            loop.add_signal_handler(number, once, number)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            for number in handled:
                restore(number)
